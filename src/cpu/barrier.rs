//! Barriers and waiting: ISB, DSB, WFI.
//!
//! On the host they are nothing: the fake machine has no pipeline, and its WFI returns at once.

#[cfg(target_os = "none")]
mod imp {
    use aarch64_cpu::asm::{
        self,
        barrier::{self, ISH, ISHST, SY},
    };

    /// Makes earlier writes of system registers hold for the instructions that follow.
    #[inline(always)]
    pub fn isb() {
        barrier::isb(SY);
    }

    /// Waits until all CPUs see this one's memory accesses and maintenance.
    #[inline(always)]
    pub fn dsb_ish() {
        barrier::dsb(ISH);
    }

    /// As [`dsb_ish`], for stores only.
    #[inline(always)]
    pub fn dsb_ishst() {
        barrier::dsb(ISHST);
    }

    /// Waits until everything, devices included, sees this CPU's memory accesses.
    #[inline(always)]
    pub fn dsb_sy() {
        barrier::dsb(SY);
    }

    /// Wakes the CPUs that wait for an event.
    pub fn sev() {
        asm::sev();
    }

    /// Sleeps until an interrupt is pending; EL2 has them masked and does not take it.
    #[inline(always)]
    pub fn wfi() {
        asm::wfi();
    }
}

#[cfg(not(target_os = "none"))]
mod imp {
    /// Makes earlier writes of system registers hold for the instructions that follow.
    pub fn isb() {}

    /// Waits until all CPUs see this one's memory accesses and maintenance.
    pub fn dsb_ish() {}

    /// As [`dsb_ish`], for stores only.
    pub fn dsb_ishst() {}

    /// Waits until everything, devices included, sees this CPU's memory accesses.
    pub fn dsb_sy() {}

    /// Wakes the CPUs that wait for an event.
    pub fn sev() {}

    /// Sleeps until an interrupt is pending; EL2 has them masked and does not take it.
    pub fn wfi() {}
}

pub use imp::*;

/// Stops this CPU for good.
pub fn halt() -> ! {
    #[cfg(not(target_os = "none"))]
    panic!("the machine halted");
    #[cfg(target_os = "none")]
    loop {
        wfi();
    }
}
