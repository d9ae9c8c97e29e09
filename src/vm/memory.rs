//! A guest's RAM, as EL2 reaches it: checked first, then through a window.

#![expect(unsafe_code, reason = "copies through a window")]

use crate::{
    addr::{Ipa, Pa, PaRange},
    cpu::{barrier, cache},
    mem::{
        table::TableError,
        window::{WINDOW_SIZE, with_window},
    },
};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

/// A guest's RAM: one run of IPAs, made of blocks of physical memory in their order.
pub struct GuestMemory {
    start: Ipa,
    blocks: Vec<PaRange>,
}

/// Why EL2 did not reach a guest's memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unreachable {
    /// The guest has no RAM at some byte of the range: its own fault.
    NotRam,
    /// The window could not be opened.
    Window(TableError),
}

impl From<TableError> for Unreachable {
    fn from(error: TableError) -> Self {
        Self::Window(error)
    }
}

/// How far the cleaning, or the zeroing, of a guest's RAM has come, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Cleaning(u64);

impl Cleaning {
    /// Returns how much is done, in bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

/// A range that a guest named, proved to lie in its RAM.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GuestRange {
    offset: u64,
    size: u64,
}

impl GuestMemory {
    /// Makes RAM of these blocks from `start` up.
    pub const fn new(start: Ipa, blocks: Vec<PaRange>) -> Self {
        Self { start, blocks }
    }

    /// Returns the size in bytes.
    pub fn size(&self) -> u64 {
        self.blocks.iter().map(|block| block.size()).sum()
    }

    /// Returns whether all `size` bytes from `at` up are RAM.
    pub fn contains(&self, at: Ipa, size: u64) -> bool {
        self.range(at, size).is_some()
    }

    /// Proves that all `size` bytes from `at` up are RAM.
    pub fn range(&self, at: Ipa, size: u64) -> Option<GuestRange> {
        let offset = at.offset_from(self.start)?;
        let end = offset.checked_add(size)?;
        (end <= self.size()).then_some(GuestRange { offset, size })
    }

    /// Writes `bytes` to RAM.
    ///
    /// # Errors
    ///
    /// [`Unreachable`].
    pub fn write(&self, at: Ipa, bytes: &[u8]) -> Result<(), Unreachable> {
        self.write_then(at, bytes, |_, _| {})
    }

    /// Writes `bytes` to RAM, and on to the point of coherency: see [`GuestMemory::zero`].
    ///
    /// # Errors
    ///
    /// [`Unreachable`].
    pub fn load(&self, at: Ipa, bytes: &[u8]) -> Result<(), Unreachable> {
        self.write_then(at, bytes, cache::clean_invalidate)
    }

    fn write_then(
        &self,
        at: Ipa,
        bytes: &[u8],
        then: fn(*const u8, usize),
    ) -> Result<(), Unreachable> {
        let range = self
            .range(at, bytes.len() as u64)
            .ok_or(Unreachable::NotRam)?;
        let mut rest = bytes;
        self.each_window(range, |window, size| {
            let (now, later) = rest.split_at(size.min(rest.len()));
            // SAFETY: the window shows `size` bytes of a guest's memory, to which there are no
            // references; `now` is EL2's own memory and no longer than that.
            unsafe { window.copy_from_nonoverlapping(now.as_ptr(), now.len()) }
            then(window, now.len());
            rest = later;
        })
    }

    /// Reads RAM into `bytes`.
    ///
    /// # Errors
    ///
    /// [`Unreachable`].
    pub fn read(&self, at: Ipa, bytes: &mut [u8]) -> Result<(), Unreachable> {
        let range = self
            .range(at, bytes.len() as u64)
            .ok_or(Unreachable::NotRam)?;
        let mut rest = bytes;
        self.each_window(range, |window, size| {
            let (now, later) = core::mem::take(&mut rest).split_at_mut(size);
            // SAFETY: as for `write`, the other way. Another vCPU may write the same memory: what
            // is read then is that guest's own business, and a byte is a byte.
            unsafe { window.copy_to_nonoverlapping(now.as_mut_ptr(), now.len()) }
            rest = later;
        })
    }

    /// Stores a little-endian word, an aligned one, at once: no vCPU sees half of it.
    ///
    /// # Errors
    ///
    /// [`Unreachable`], also for an address that is not a multiple of 8.
    pub fn store(&self, at: Ipa, value: u64) -> Result<(), Unreachable> {
        let range = self.range(at, 8).filter(|_| at.as_u64().is_multiple_of(8));
        self.each_window(range.ok_or(Unreachable::NotRam)?, |window, _| {
            // SAFETY: the window shows the 8 bytes, aligned as the address is since blocks are
            // whole pages, and there are no references to a guest's memory.
            unsafe { AtomicU64::from_ptr(window.cast()) }.store(value.to_le(), Ordering::Relaxed);
        })
    }

    /// Zeroes all RAM, to the point of coherency, so that a guest whose caches are off reads zeroes,
    /// and drops all cached instructions. The VM does not run.
    ///
    /// # Errors
    ///
    /// [`Unreachable`].
    pub fn zero(&self) -> Result<(), Unreachable> {
        let mut progress = Cleaning::default();
        while !self.zero_some(&mut progress)? {}
        Ok(())
    }

    /// Does the next part of [`GuestMemory::zero`], one window at most; returns whether that was the
    /// last.
    ///
    /// # Errors
    ///
    /// [`Unreachable`].
    pub fn zero_some(&self, progress: &mut Cleaning) -> Result<bool, Unreachable> {
        let done = self.some(progress, |window, size| {
            // SAFETY: the window shows whole pages of the guest's RAM, and the VM does not run.
            unsafe { cache::zero_memory(window, size) }
        })?;
        if done {
            cache::invalidate_instructions();
        }
        Ok(done)
    }

    /// Cleans all RAM to the point of coherency, so that a guest whose caches are off reads what
    /// was written through them, and drops all cached instructions.
    ///
    /// # Errors
    ///
    /// [`Unreachable`].
    pub fn clean(&self) -> Result<(), Unreachable> {
        let mut progress = Cleaning::default();
        while !self.clean_some(&mut progress)? {}
        Ok(())
    }

    /// Does the next part of [`GuestMemory::clean`], one window at most; returns whether that was
    /// the last.
    ///
    /// # Errors
    ///
    /// [`Unreachable`].
    pub fn clean_some(&self, progress: &mut Cleaning) -> Result<bool, Unreachable> {
        let done = self.some(progress, |window, size| {
            cache::clean_invalidate(window, size);
        })?;
        if done {
            barrier::dsb_sy();
            cache::invalidate_instructions();
        }
        Ok(done)
    }

    /// Shows `f` the next part of all RAM; returns whether that was the last.
    fn some(
        &self,
        progress: &mut Cleaning,
        f: impl FnMut(*mut u8, usize),
    ) -> Result<bool, Unreachable> {
        let left = self.size().saturating_sub(progress.0);
        let range = GuestRange {
            offset: progress.0,
            size: left.min(WINDOW_SIZE),
        };
        self.each_window(range, f)?;
        progress.0 = progress.0.saturating_add(range.size);
        Ok(left <= WINDOW_SIZE)
    }

    /// Shows `f` the memory of a range, a window at a time, in order.
    fn each_window(
        &self,
        range: GuestRange,
        mut f: impl FnMut(*mut u8, usize),
    ) -> Result<(), Unreachable> {
        let mut skip = range.offset;
        let mut left = range.size;
        for block in &self.blocks {
            if skip >= block.size() {
                skip -= block.size();
                continue;
            }
            while left > 0 && skip < block.size() {
                let pa = Pa::new(block.start().as_u64() + skip);
                let to_edge = WINDOW_SIZE - pa.as_u64() % WINDOW_SIZE;
                let size = to_edge.min(left).min(block.size() - skip);
                let now = PaRange::new(pa, size).ok_or(Unreachable::NotRam)?;
                with_window(now, &mut f)?;
                skip += size;
                left -= size;
            }
            skip = 0;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::fake::{self, Event};

    const MIB: u64 = 1 << 20;

    /// 6 MiB of RAM at 1 GiB, in two blocks that are not in order.
    fn memory() -> GuestMemory {
        fake::reset();
        fake::with(|cpu| cpu.ram = alloc::vec![0xaa; 16 * MIB as usize]);
        let block = |start, size| PaRange::new(Pa::new(start), size).unwrap();
        GuestMemory::new(
            Ipa::new(1 << 30),
            alloc::vec![block(8 * MIB, 4 * MIB), block(2 * MIB, 2 * MIB)],
        )
    }

    #[test]
    fn ranges_outside_or_wrapping_are_refused() {
        let memory = memory();
        let base = 1_u64 << 30;
        assert!(memory.contains(Ipa::new(base), 6 * MIB));
        assert!(!memory.contains(Ipa::new(base), 6 * MIB + 1));
        assert!(!memory.contains(Ipa::new(base - 1), 1));
        assert!(!memory.contains(Ipa::new(base + 1), u64::MAX));
        assert!(!memory.contains(Ipa::new(u64::MAX), 2));
        assert_eq!(memory.write(Ipa::new(0), &[1]), Err(Unreachable::NotRam));
    }

    #[test]
    fn a_copy_crosses_windows_and_blocks() {
        let memory = memory();
        let bytes: Vec<u8> = (0..3 * MIB).map(|n| (n % 251) as u8).collect();
        let at = Ipa::new((1 << 30) + 5 * MIB / 2);
        memory.write(at, &bytes).unwrap();
        let mut back = alloc::vec![0; bytes.len()];
        memory.read(at, &mut back).unwrap();
        assert_eq!(back, bytes);
        // 1.5 MiB at the end of the first block, the rest at the start of the second.
        let ram = fake::with(|cpu| cpu.ram.clone());
        let split = (3 * MIB / 2) as usize;
        assert_eq!(
            ram[(10 * MIB + MIB / 2) as usize..][..split],
            bytes[..split]
        );
        assert_eq!(ram[(2 * MIB) as usize..][..split], bytes[split..]);
        assert_eq!(ram[(12 * MIB) as usize], 0xaa, "past the block");
        assert_eq!(ram[(7 * MIB) as usize], 0xaa, "before the block");
    }

    #[test]
    fn zeroing_and_cleaning_cover_exactly_the_ram() {
        let memory = memory();
        memory.zero().unwrap();
        assert_eq!(cleaned(), 6 * MIB);
        let zeroes = fake::with(|cpu| cpu.ram.iter().filter(|&&byte| byte == 0).count());
        assert_eq!(zeroes as u64, 6 * MIB);
        memory.clean().unwrap();
        assert_eq!(cleaned(), 6 * MIB);
    }

    #[test]
    fn what_is_loaded_is_cleaned_and_no_more() {
        let memory = memory();
        let at = Ipa::new((1 << 30) + 4 * MIB - 3);
        memory.load(at, b"abcdefg").unwrap();
        assert_eq!(fake::with(|cpu| core::mem::take(&mut cpu.log)).len(), 2);
        memory.write(at, b"hijklmn").unwrap();
        assert_eq!(fake::with(|cpu| cpu.log.len()), 0);
    }

    /// Returns how many bytes were cleaned since the last time, before the instructions were
    /// dropped.
    fn cleaned() -> u64 {
        let mut log = fake::with(|cpu| core::mem::take(&mut cpu.log));
        assert_eq!(log.pop(), Some(Event::InvalidateInstructions));
        let sizes = log.into_iter().map(|event| match event {
            Event::Clean(_, size) => size,
            _ => 0,
        });
        sizes.sum()
    }
}
