//! TLB maintenance.

#![cfg_attr(
    target_os = "none",
    expect(unsafe_code, reason = "TLBI is an instruction")
)]

use crate::addr::Va;

/// Invalidates EL2's own translation of the page at `va`, on all CPUs.
pub fn invalidate_el2(va: Va) {
    #[cfg(not(target_os = "none"))]
    super::fake::log(super::fake::Event::TlbEl2(va.as_u64()));
    // SAFETY: a TLB entry that is dropped is only walked again.
    #[cfg(target_os = "none")]
    unsafe {
        core::arch::asm!("dsb ishst", "tlbi vae2is, {}", "dsb ish", "isb",
            in(reg) va.as_u64() >> 12, options(nostack, preserves_flags));
    }
}

/// Invalidates all of EL2's own translations, on all CPUs.
pub fn invalidate_el2_all() {
    #[cfg(not(target_os = "none"))]
    super::fake::log(super::fake::Event::TlbEl2(u64::MAX));
    // SAFETY: as above.
    #[cfg(target_os = "none")]
    unsafe {
        core::arch::asm!(
            "dsb ishst",
            "tlbi alle2is",
            "dsb ish",
            "isb",
            options(nostack, preserves_flags)
        );
    }
}

/// Invalidates everything the current VMID has cached, stages 1 and 2, on all CPUs.
pub fn invalidate_vm() {
    #[cfg(not(target_os = "none"))]
    super::fake::log(super::fake::Event::TlbVm);
    // SAFETY: as above.
    #[cfg(target_os = "none")]
    unsafe {
        core::arch::asm!(
            "dsb ishst",
            "tlbi vmalls12e1is",
            "dsb ish",
            "isb",
            options(nostack, preserves_flags)
        );
    }
}
