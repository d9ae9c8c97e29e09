//! TLB maintenance.
//!
//! The same instructions serve with and without HCR_EL2.E2H. Those for EL2 act on the regime that
//! E2H selects, EL2 or EL2&0 (Arm ARM, C5.5 "TLBI VAE2IS"); an ASID of 0 goes with the address,
//! and EL2's descriptors are global, which match any. Those for EL1 act on EL1&0 and the VMID in
//! VTTBR_EL2 because HCR_EL2.TGE is clear, always.

#![cfg_attr(
    target_os = "none",
    expect(unsafe_code, reason = "TLBI is an instruction")
)]

use crate::addr::{Ipa, Va};

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

/// Invalidates what the VM of `vttbr` has cached for the page at `ipa`, stage 2 and what was
/// combined with it, on all CPUs (Arm ARM, D8.17 "TLB maintenance").
pub fn invalidate_ipa(vttbr: u64, ipa: Ipa) {
    #[cfg(not(target_os = "none"))]
    super::fake::log(super::fake::Event::TlbIpa(vttbr, ipa.as_u64()));
    // SAFETY: a TLB entry that is dropped is only walked again; VTTBR_EL2 is put back, and EL2
    // itself does not use it.
    #[cfg(target_os = "none")]
    unsafe {
        core::arch::asm!(
            "mrs {old}, vttbr_el2", "msr vttbr_el2, {new}", "dsb ishst", "isb",
            "tlbi ipas2e1is, {page}", "dsb ish", "tlbi vmalle1is", "dsb ish",
            "msr vttbr_el2, {old}", "isb",
            old = out(reg) _, new = in(reg) vttbr, page = in(reg) ipa.as_u64() >> 12,
            options(nostack, preserves_flags));
    }
}

/// Invalidates everything the VM of `vttbr` has cached, stages 1 and 2, on all CPUs.
pub fn invalidate_vm(vttbr: u64) {
    #[cfg(not(target_os = "none"))]
    super::fake::log(super::fake::Event::TlbVm(vttbr));
    // SAFETY: as above.
    #[cfg(target_os = "none")]
    unsafe {
        core::arch::asm!(
            "mrs {old}, vttbr_el2", "msr vttbr_el2, {new}", "dsb ishst", "isb",
            "tlbi vmalls12e1is", "dsb ish", "msr vttbr_el2, {old}", "isb",
            old = out(reg) _, new = in(reg) vttbr, options(nostack, preserves_flags));
    }
}

/// Invalidates, on this CPU, what a vCPU of the VM of `vttbr` has cached of its own stage 1, before
/// a sibling runs here: both have the same VMID.
pub fn invalidate_sibling(vttbr: u64) {
    #[cfg(not(target_os = "none"))]
    super::fake::log(super::fake::Event::TlbSibling(vttbr));
    // SAFETY: as above.
    #[cfg(target_os = "none")]
    unsafe {
        core::arch::asm!(
            "mrs {old}, vttbr_el2", "msr vttbr_el2, {new}", "isb",
            "tlbi vmalle1", "ic iallu", "dsb nsh", "msr vttbr_el2, {old}", "isb",
            old = out(reg) _, new = in(reg) vttbr, options(nostack, preserves_flags));
    }
}

/// Invalidates everything any guest has cached, on all CPUs: what was there before boot.
pub fn invalidate_guests() {
    // SAFETY: as above.
    #[cfg(target_os = "none")]
    unsafe {
        core::arch::asm!(
            "dsb ishst",
            "tlbi alle1is",
            "dsb ish",
            "isb",
            options(nostack, preserves_flags)
        );
    }
}
