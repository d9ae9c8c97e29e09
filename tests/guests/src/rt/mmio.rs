//! Device memory by single plain loads and stores, whatever the compiler likes better.

use core::arch::asm;

macro_rules! access {
    ($($read:ident $write:ident $type:ty, $load:literal, $store:literal;)*) => {$(
        #[doc = concat!("Loads by `", $load, "`.")]
        pub fn $read(address: u64) -> $type {
            let value: u64;
            // SAFETY: a load from the address the program under test chose; where nothing
            // answers it takes an abort, which is what the program expects.
            unsafe {
                asm!(concat!($load, ", [{}]"), out(reg) value, in(reg) address, options(nostack));
            }
            value as $type
        }

        #[doc = concat!("Stores by `", $store, "`.")]
        pub fn $write(address: u64, value: $type) {
            // SAFETY: a store to a device register, or to where nothing is; the programs
            // keep their own memory out of it.
            unsafe {
                asm!(
                    concat!($store, ", [{}]"), in(reg) u64::from(value), in(reg) address,
                    options(nostack)
                );
            }
        }
    )*};
}

access! {
    read8 write8 u8, "ldrb {:w}", "strb {:w}";
    read16 write16 u16, "ldrh {:w}", "strh {:w}";
    read32 write32 u32, "ldr {:w}", "str {:w}";
    read64 write64 u64, "ldr {}", "str {}";
}
