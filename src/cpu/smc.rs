//! Calls out of EL2 to the firmware, by the SMC Calling Convention (Arm DEN 0028).

#![expect(unsafe_code, reason = "SMC and HVC hand the CPU to other software")]

#[cfg(target_os = "none")]
mod imp {
    use core::arch::asm;

    macro_rules! conduit {
        ($(#[$doc:meta])* $name:ident, $instruction:literal) => {
            $(#[$doc])*
            ///
            /// Takes the function identifier and x1 to x3; x4 to x7 are passed as zero. Returns
            /// x0 to x3.
            ///
            /// # Safety
            ///
            /// The call must not take away memory, devices or the CPU from running code that
            /// relies on them.
            #[inline]
            pub unsafe fn $name(function: u32, args: [u64; 3]) -> [u64; 4] {
                let mut x0 = u64::from(function);
                let [mut x1, mut x2, mut x3] = args;
                // SAFETY: the caller promises that what is asked for is harmless. SMCCC 1.0 lets
                // the callee change x0 to x17 and nothing else, and all of them are named. No
                // `nomem`: the callee may read and write memory.
                unsafe {
                    asm!($instruction,
                        inout("x0") x0, inout("x1") x1, inout("x2") x2, inout("x3") x3,
                        inout("x4") 0_u64 => _, inout("x5") 0_u64 => _,
                        inout("x6") 0_u64 => _, inout("x7") 0_u64 => _,
                        lateout("x8") _, lateout("x9") _, lateout("x10") _, lateout("x11") _,
                        lateout("x12") _, lateout("x13") _, lateout("x14") _, lateout("x15") _,
                        lateout("x16") _, lateout("x17") _,
                        options(nostack));
                }
                [x0, x1, x2, x3]
            }
        };
    }

    conduit! {
        /// Calls the secure monitor at EL3 (or what stands in for it).
        smc, "smc #0"
    }
    conduit! {
        /// Calls the hypervisor, for the rare machine whose device tree names that conduit.
        hvc, "hvc #0"
    }
}

#[cfg(not(target_os = "none"))]
mod imp {
    use crate::cpu::fake::{self, Event};

    /// Calls the secure monitor: logged, and answered from the fake machine's queue.
    ///
    /// # Safety
    ///
    /// None here: the fake keeps the real signature.
    pub unsafe fn smc(function: u32, [x1, x2, x3]: [u64; 3]) -> [u64; 4] {
        fake::with(|cpu| cpu.firmware(Event::Smc([function.into(), x1, x2, x3])))
    }

    /// Calls the hypervisor: logged, and answered from the fake machine's queue.
    ///
    /// # Safety
    ///
    /// None here: the fake keeps the real signature.
    pub unsafe fn hvc(function: u32, [x1, x2, x3]: [u64; 3]) -> [u64; 4] {
        fake::with(|cpu| cpu.firmware(Event::Hvc([function.into(), x1, x2, x3])))
    }
}

pub use imp::{hvc, smc};
