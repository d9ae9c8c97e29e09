//! Cache maintenance by address.

#![expect(unsafe_code, reason = "DC and IC are instructions")]

/// Executes an instruction for each of `count` addresses from `first` up, `step` bytes apart: most
/// of what making a VM costs, so eight at a time.
#[cfg(target_os = "none")]
macro_rules! each {
    ($instruction:literal, $first:expr, $step:expr, $count:expr) => {
        core::arch::asm!(
            "2: subs {left}, {left}, #8",
            "b.lo 3f",
            ".rept 8",
            $instruction,
            "add {at}, {at}, {step}",
            ".endr",
            "b 2b",
            "3: adds {left}, {left}, #8",
            "b.eq 5f",
            "4:",
            $instruction,
            "add {at}, {at}, {step}",
            "subs {left}, {left}, #1",
            "b.ne 4b",
            "5:",
            at = inout(reg) $first => _,
            left = inout(reg) $count => _,
            step = in(reg) $step,
            options(nostack),
        )
    };
}

/// Cleans and invalidates the data cache over `size` bytes at `start`, to the point of coherency:
/// what a guest reads with its caches off.
pub fn clean_invalidate(start: *const u8, size: usize) {
    #[cfg(not(target_os = "none"))]
    super::fake::log(super::fake::Event::Clean(start as u64, size as u64));
    #[cfg(target_os = "none")]
    {
        let line = line_size();
        let first = start as usize & !(line - 1);
        let lines = (start as usize + size - first).div_ceil(line);
        // SAFETY: cleaning changes no value, and the caller's bytes are mapped.
        unsafe { each!("dc civac, {at}", first, line, lines) };
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
        // SAFETY: the blocks are the caller's bytes: their size divides 4096.
        unsafe { each!("dc zva, {at}", start as usize, block, size / block) };
    }
}

/// Writes zeroes over `size` bytes at `start`, both multiples of 4096, and on to the point of
/// coherency.
///
/// # Safety
///
/// As for [`zero`].
pub unsafe fn zero_memory(start: *mut u8, size: usize) {
    #[cfg(target_os = "none")]
    if line_size() == zero_block() {
        let (line, first) = (line_size(), start as usize);
        // SAFETY: the lines are the caller's bytes: their size divides 4096.
        unsafe { each!("dc zva, {at}\ndc civac, {at}", first, line, size / line) };
        return super::barrier::dsb_sy();
    }
    // SAFETY: passed on to the caller.
    unsafe { zero(start, size) };
    clean_invalidate(start, size);
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
