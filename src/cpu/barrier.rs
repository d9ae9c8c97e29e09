//! Barriers and waiting: ISB, DSB, WFI.
//!
//! On the host they are nothing: the fake machine has no pipeline, and its WFI returns at once.

#![cfg_attr(
    target_os = "none",
    expect(unsafe_code, reason = "barriers are instructions")
)]

macro_rules! barrier {
    ($(#[$doc:meta])* $name:ident, $instruction:literal) => {
        $(#[$doc])*
        #[inline(always)]
        pub fn $name() {
            // SAFETY: it orders what is there already. No `nomem`: the compiler keeps to the order too.
            #[cfg(target_os = "none")]
            unsafe {
                core::arch::asm!($instruction, options(nostack, preserves_flags));
            }
        }
    };
}

barrier! {
    /// Makes earlier writes of system registers hold for the instructions that follow.
    isb, "isb"
}
barrier! {
    /// Waits until all CPUs see this one's memory accesses and maintenance.
    dsb_ish, "dsb ish"
}
barrier! {
    /// As [`dsb_ish`], for stores only.
    dsb_ishst, "dsb ishst"
}
barrier! {
    /// Waits until everything, devices included, sees this CPU's memory accesses.
    dsb_sy, "dsb sy"
}
barrier! {
    /// Sleeps until an interrupt is pending; EL2 has them masked and does not take it.
    wfi, "wfi"
}

/// Stops this CPU for good.
pub fn halt() -> ! {
    #[cfg(not(target_os = "none"))]
    panic!("the machine halted");
    #[cfg(target_os = "none")]
    loop {
        wfi();
    }
}
