//! System registers, by the assembler's names.

use core::arch::asm;

/// Reads a system register: `mrs!("CNTVCT_EL0")`.
#[macro_export]
macro_rules! mrs {
    ($name:literal) => {{
        let value: u64;
        // SAFETY: reading a register; where it has side effects the program under test
        // wants them.
        unsafe {
            core::arch::asm!(concat!("mrs {}, ", $name), out(reg) value, options(nostack));
        }
        value
    }};
}

/// Writes a system register and makes it take effect: `msr!("CNTV_CTL_EL0", 1)`.
#[macro_export]
macro_rules! msr {
    ($name:literal, $value:expr) => {{
        let value: u64 = $value;
        // SAFETY: the programs of this package own the machine they run on; none of the
        // registers they write withdraws memory that Rust relies on.
        unsafe {
            core::arch::asm!(
                concat!("msr ", $name, ", {}"), "isb", in(reg) value, options(nostack)
            );
        }
    }};
}

/// Completes all memory accesses before anything after it starts.
pub fn sync() {
    // SAFETY: barriers only.
    unsafe { asm!("dsb sy", "isb", options(nostack)) };
}

/// Returns the field of `width` bits from `lsb` up.
pub const fn field(value: u64, lsb: u32, width: u32) -> u64 {
    (value >> lsb) & ((1 << width) - 1)
}

/// Waits for an interrupt, masked or not.
pub fn wait_for_interrupt() {
    // SAFETY: waits.
    unsafe { asm!("dsb sy", "wfi", options(nostack)) };
}
