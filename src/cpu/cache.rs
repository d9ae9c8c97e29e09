//! Cache maintenance by address.

#![expect(unsafe_code, reason = "DC and IC are instructions")]

/// Cleans and invalidates the data cache over `size` bytes at `start`, to the point of coherency:
/// what a guest reads with its caches off.
pub fn clean_invalidate(start: *const u8, size: usize) {
    #[cfg(not(target_os = "none"))]
    super::fake::log(super::fake::Event::Clean(start as u64, size as u64));
    #[cfg(target_os = "none")]
    {
        let line = line_size();
        let mut at = start as usize & !(line - 1);
        let end = start as usize + size;
        while at < end {
            // SAFETY: cleaning changes no value, and the caller's bytes are mapped.
            unsafe {
                core::arch::asm!("dc civac, {}", in(reg) at, options(nostack, preserves_flags));
            }
            at += line;
        }
        super::barrier::dsb_sy();
    }
}

/// Invalidates all instruction caches, on all CPUs.
pub fn invalidate_instructions() {
    #[cfg(not(target_os = "none"))]
    super::fake::log(super::fake::Event::InvalidateInstructions);
    // SAFETY: an instruction that is dropped is only fetched again.
    #[cfg(target_os = "none")]
    unsafe {
        core::arch::asm!(
            "ic ialluis",
            "dsb ish",
            "isb",
            options(nostack, preserves_flags)
        );
    }
}

/// Writes zeroes over `size` bytes at `start`, both multiples of 4096.
///
/// # Safety
///
/// The bytes must be writable normal memory that nothing else uses.
pub unsafe fn zero(start: *mut u8, size: usize) {
    // SAFETY: passed on to the caller.
    #[cfg(not(target_os = "none"))]
    unsafe {
        core::ptr::write_bytes(start, 0, size);
    }
    #[cfg(target_os = "none")]
    {
        let block = zero_block();
        let mut at = start as usize;
        let end = at + size;
        while at < end {
            // SAFETY: the block lies inside the caller's bytes: its size divides 4096.
            unsafe {
                core::arch::asm!("dc zva, {}", in(reg) at, options(nostack, preserves_flags));
            }
            at += block;
        }
    }
}

/// Returns the size of the smallest data cache line in bytes (CTR_EL0.DminLine).
#[cfg(target_os = "none")]
fn line_size() -> usize {
    const CTR_EL0: u32 = crate::isa::encoding::Encoding::new(3, 3, 0, 0, 1).iss();
    4 << (super::regs::read::<CTR_EL0>() >> 16 & 0xf)
}

/// Returns what one DC ZVA clears, in bytes (DCZID_EL0.BS). EL2 may always use it: DCZID_EL0.DZP
/// reads as zero here, since neither HCR_EL2.TDZ nor SCTLR_EL1.DZE speaks of EL2.
#[cfg(target_os = "none")]
fn zero_block() -> usize {
    const DCZID_EL0: u32 = crate::isa::encoding::Encoding::new(3, 3, 0, 0, 7).iss();
    4 << (super::regs::read::<DCZID_EL0>() & 0xf)
}
