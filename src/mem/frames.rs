//! Physical frames: who owns each, and which are free.
//!
//! EL2 has no linear map of RAM, so a free frame can't hold the allocator's links. The buddy
//! allocator runs over a *frame table* instead: one word for each 4 KiB frame, at
//! `base + (pa >> 12) * 8`. To the allocator the words are its memory; eight bytes at its end are
//! a page of RAM here, and since `base` is aligned to the largest block, natural alignment of
//! words is natural alignment of frames. The first word of a free block is the allocator's link;
//! a word of an allocated frame says who owns it. Links are multiples of eight, so bit 0 tells.

#![expect(unsafe_code, reason = "the frame table is reached by pointers")]

mod owner;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

use alloc::vec::Vec;
use core::alloc::Layout;
use core::fmt;
use core::ptr::{self, NonNull};

use buddy_system_allocator::Heap;

pub use self::owner::Owner;
use crate::addr::{PAGE_SIZE, Pa, PaRange};
use crate::isa::descriptor::ADDRESS_BITS;

/// Orders of the allocator: blocks of words up to 2^30 bytes.
const ORDER: usize = 31;
/// The size of a word of the frame table.
const WORD: u64 = size_of::<u64>() as u64;

/// How the start of the frame table must be aligned: 1 GiB.
pub const TABLE_ALIGN: u64 = 1 << (ORDER - 1);
/// The largest block of frames, 512 GiB. Larger memory is several of them.
pub const LARGEST_BLOCK: u64 = TABLE_ALIGN / WORD * PAGE_SIZE;
/// Guest RAM comes in multiples of this, so that stage 2 never needs pages for it: 2 MiB.
pub const RAM_GRANULE: u64 = 2 << 20;

/// Why frames were not given out, taken back or taken in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FrameError {
    /// A range is empty, not made of whole pages, or beyond 48 bits.
    BadRange,
    /// A size is not a power of two of pages, or guest RAM not a multiple of [`RAM_GRANULE`].
    BadSize,
    /// A range has frames in common with one that is known already.
    Overlap,
    /// The words of a range are not where those of the first range put the table, or the table
    /// would not be aligned to [`TABLE_ALIGN`].
    BadTable,
    /// No free block is large enough.
    OutOfFrames,
    /// The heap has no room for a list.
    OutOfHeap,
    /// A frame of the range belongs to somebody else, or to nobody.
    NotOwner,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadRange => "not made of whole pages below 48 bits",
            Self::BadSize => "no size that memory is given out in",
            Self::Overlap => "overlaps memory that is known already",
            Self::BadTable => "the words are not at their place in the frame table",
            Self::OutOfFrames => "no free memory of that size",
            Self::OutOfHeap => "the heap is full",
            Self::NotOwner => "belongs to somebody else, or to nobody",
        })
    }
}

/// All frames of the machine that EL2 gives out, and what else has an owner.
pub struct Frames {
    heap: Heap<ORDER>,
    /// Where the word of frame 0 is, or would be; known from the first range on.
    base: Option<usize>,
    /// RAM whose words are in the frame table.
    managed: Vec<PaRange>,
    /// What is EL2's for good: its image, devices it drives, memory of the firmware.
    reserved: Vec<PaRange>,
    /// Device pages that a VM may have. Several VMs can have the same.
    granted: Vec<(PaRange, u16)>,
}

impl Default for Frames {
    fn default() -> Self {
        Self::new()
    }
}

impl Frames {
    /// Makes a table that knows no memory.
    pub const fn new() -> Self {
        Self {
            heap: Heap::new(),
            base: None,
            managed: Vec::new(),
            reserved: Vec::new(),
            granted: Vec::new(),
        }
    }

    /// Takes in RAM, of any size and place, that nobody uses; `words` are its words in the table.
    ///
    /// Ranges that touch are better joined first: the allocator joins blocks only when one is
    /// freed, so a block over the seam is not found before.
    ///
    /// # Safety
    ///
    /// `words` points to one `u64` for each frame of `range`, all zero, mapped, writable and used
    /// by nothing else as long as this value lives.
    ///
    /// # Errors
    ///
    /// [`FrameError::BadRange`], [`FrameError::Overlap`], [`FrameError::BadTable`] or
    /// [`FrameError::OutOfHeap`]; then nothing was taken in.
    pub unsafe fn add(&mut self, range: PaRange, words: *mut u64) -> Result<(), FrameError> {
        check(range)?;
        if self.overlaps_ram(range) || overlap(self.granted.iter().map(|g| &g.0), range) {
            return Err(FrameError::Overlap);
        }
        let first = words.expose_provenance();
        let base = table_base(first, range)?;
        if self.base.is_some_and(|known| known != base) {
            return Err(FrameError::BadTable);
        }
        push(&mut self.managed, range)?;
        self.base = Some(base);
        let count = (range.size() / PAGE_SIZE) as usize;
        // SAFETY: the caller promises `count` words at `words`, for this value alone, of which
        // none has the bit of an owner. The allocator's blocks are naturally aligned to their
        // size by address, and it never leaves the range.
        unsafe { self.heap.add_to_heap(first, first + count * WORD as usize) };
        Ok(())
    }

    /// Notes that `range` is EL2's and never given out: its image, its devices, the firmware's.
    ///
    /// # Errors
    ///
    /// [`FrameError::BadRange`]; [`FrameError::Overlap`] with RAM taken in by
    /// [`add`](Self::add) or with a device granted to a VM; [`FrameError::OutOfHeap`].
    pub fn reserve(&mut self, range: PaRange) -> Result<(), FrameError> {
        check(range)?;
        let granted = self.granted.iter().map(|g| &g.0);
        if overlap(&self.managed, range) || overlap(granted, range) {
            return Err(FrameError::Overlap);
        }
        push(&mut self.reserved, range)
    }

    /// Allows the VM `vmid` to have the device pages `range` mapped.
    ///
    /// # Errors
    ///
    /// [`FrameError::BadRange`]; [`FrameError::Overlap`] with anything that is RAM or EL2's;
    /// [`FrameError::OutOfHeap`].
    pub fn grant_device(&mut self, range: PaRange, vmid: u16) -> Result<(), FrameError> {
        check(range)?;
        if self.overlaps_ram(range) {
            return Err(FrameError::Overlap);
        }
        push(&mut self.granted, (range, vmid))
    }

    /// Takes back every device page that `vmid` was granted.
    pub fn revoke_devices(&mut self, vmid: u16) {
        self.granted.retain(|&(_, owner)| owner != vmid);
    }

    /// Returns whether all of `range` is a device that `vmid` was granted in one piece.
    pub fn is_granted(&self, range: PaRange, vmid: u16) -> bool {
        self.granted
            .iter()
            .any(|&(granted, to)| to == vmid && granted.contains(range))
    }

    /// Gives out `size` bytes, a power of two of pages at most [`LARGEST_BLOCK`], aligned to
    /// their size. What is in them is what was there before.
    ///
    /// # Errors
    ///
    /// [`FrameError::BadSize`] or [`FrameError::OutOfFrames`].
    pub fn allocate(&mut self, size: u64, owner: Owner) -> Result<PaRange, FrameError> {
        let layout = words_of(size)?;
        let base = self.base.ok_or(FrameError::OutOfFrames)?;
        let block = self.heap.alloc(layout);
        let words = block.map_err(|()| FrameError::OutOfFrames)?.cast::<u64>();
        let frame = (words.addr().get() - base) as u64 / WORD;
        let start = Pa::new(frame * PAGE_SIZE);
        let range = PaRange::new(start, size).ok_or(FrameError::BadRange)?;
        self.mark(range, owner.word());
        Ok(range)
    }

    /// Gives out guest RAM: `size` bytes, a multiple of [`RAM_GRANULE`], as few and large blocks
    /// as there are, largest first.
    ///
    /// # Errors
    ///
    /// [`FrameError::BadSize`], [`FrameError::OutOfFrames`] or [`FrameError::OutOfHeap`]; then
    /// everything was given back.
    pub fn allocate_blocks(&mut self, size: u64, owner: Owner) -> Result<Vec<PaRange>, FrameError> {
        if size == 0 || !size.is_multiple_of(RAM_GRANULE) {
            return Err(FrameError::BadSize);
        }
        let mut blocks = Vec::new();
        let done = self.collect_blocks(size, owner, &mut blocks);
        if let Err(error) = done {
            blocks.iter().for_each(|&block| self.release(block));
            return Err(error);
        }
        Ok(blocks)
    }

    fn collect_blocks(
        &mut self,
        size: u64,
        owner: Owner,
        blocks: &mut Vec<PaRange>,
    ) -> Result<(), FrameError> {
        let (mut rest, mut largest) = (size, LARGEST_BLOCK);
        while rest != 0 {
            largest = largest.min(1 << rest.ilog2());
            blocks.try_reserve(1).map_err(|_| FrameError::OutOfHeap)?;
            match self.allocate(largest, owner) {
                Ok(block) => {
                    blocks.push(block);
                    rest -= largest;
                }
                Err(FrameError::OutOfFrames) if largest > RAM_GRANULE => largest /= 2,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Takes back frames that `owner` has: a block as it was given out, or any part of one.
    ///
    /// No stage 2 maps them any more, and what they hold is the next owner's to erase.
    ///
    /// # Errors
    ///
    /// [`FrameError::BadRange`]; [`FrameError::NotOwner`] when one of them is not `owner`'s, as
    /// after a double free. Then none was taken back.
    pub fn free(&mut self, range: PaRange, owner: Owner) -> Result<(), FrameError> {
        check(range)?;
        if !self.is_owned(range, owner) {
            return Err(FrameError::NotOwner);
        }
        self.release(range);
        Ok(())
    }

    /// Returns who has the frame that `pa` is in; `None` when it is free, or no RAM EL2 knows of.
    pub fn owner(&self, pa: Pa) -> Option<Owner> {
        let frame = pa.align_down(PAGE_SIZE);
        let one = PaRange::new(frame, PAGE_SIZE)?;
        if overlap(&self.reserved, one) {
            return Some(Owner::Hypervisor);
        }
        if !overlap(&self.managed, one) {
            return None;
        }
        let word = self.word(frame)?;
        // SAFETY: the frame is in a range that was added, so its word is mapped and initialised,
        // and only this value writes it.
        Owner::from_word(unsafe { word.read() })
    }

    /// Returns whether every frame of `range`, which is not empty, belongs to `owner`.
    pub fn is_owned(&self, range: PaRange, owner: Owner) -> bool {
        if !self.managed.iter().any(|ram| ram.contains(range)) || overlap(&self.reserved, range) {
            return range.size() != 0 && pages(range).all(|frame| self.owner(frame) == Some(owner));
        }
        let mut words = pages(range).filter_map(|frame| self.word(frame));
        // SAFETY: the range is in one that was added, so its words are mapped and initialised,
        // and only this value writes them.
        range.size() != 0 && words.all(|word| unsafe { word.read() } == owner.word())
    }

    /// Returns how much of the RAM taken in is free, in bytes.
    pub fn free_bytes(&self) -> u64 {
        let words = self.heap.stats_total_bytes() - self.heap.stats_alloc_actual();
        words as u64 / WORD * PAGE_SIZE
    }

    /// Returns how much RAM was taken in, in bytes.
    pub fn total_bytes(&self) -> u64 {
        self.heap.stats_total_bytes() as u64 / WORD * PAGE_SIZE
    }

    /// Gives frames that are allocated back to the allocator, in naturally aligned pieces.
    fn release(&mut self, range: PaRange) {
        self.mark(range, Owner::NOBODY);
        let (mut at, end) = (range.start().as_u64(), range.end().as_u64());
        while at < end {
            let aligned = 1u64 << at.trailing_zeros().min(ADDRESS_BITS);
            let size = aligned.min(1 << (end - at).ilog2()).min(LARGEST_BLOCK);
            let word = self.word(Pa::new(at)).and_then(NonNull::new);
            if let (Some(word), Ok(layout)) = (word, words_of(size)) {
                // SAFETY: these words were given out and not yet taken back, which their owners
                // said until `mark`. The allocator keeps no record of block sizes, only sums: a
                // naturally aligned part of a block is as good as a block of that size.
                unsafe { self.heap.dealloc(word.cast(), layout) };
            }
            at += size;
        }
    }

    /// Writes the word of every frame in `range`, which is allocated.
    #[expect(
        clippy::needless_pass_by_ref_mut,
        reason = "the frame table is a part of this value, though behind a pointer"
    )]
    fn mark(&mut self, range: PaRange, value: u64) {
        for word in pages(range).filter_map(|frame| self.word(frame)) {
            // SAFETY: the range is one that the allocator gave out or that has owners, so it was
            // added, its words are mapped, and the allocator keeps nothing in them now.
            unsafe { word.write(value) };
        }
    }

    /// Returns where the word of the frame at `pa` is, or would be.
    fn word(&self, pa: Pa) -> Option<*mut u64> {
        let offset = pa.as_u64() / PAGE_SIZE * WORD;
        let address = self.base?.checked_add(offset as usize)?;
        Some(ptr::with_exposed_provenance_mut(address))
    }

    fn overlaps_ram(&self, range: PaRange) -> bool {
        overlap(&self.managed, range) || overlap(&self.reserved, range)
    }
}

/// Returns where the table starts whose words for `range` start at `first`.
fn table_base(first: usize, range: PaRange) -> Result<usize, FrameError> {
    let offset = range.start().as_u64() / PAGE_SIZE * WORD;
    let base = first.checked_sub(offset as usize);
    // A table at address 0 would have the null pointer for a word.
    base.filter(|&base| base != 0 && base as u64 & (TABLE_ALIGN - 1) == 0)
        .ok_or(FrameError::BadTable)
}

/// Returns the layout of the words for a block of `size` bytes.
fn words_of(size: u64) -> Result<Layout, FrameError> {
    if !size.is_power_of_two() || !(PAGE_SIZE..=LARGEST_BLOCK).contains(&size) {
        return Err(FrameError::BadSize);
    }
    let words = (size / PAGE_SIZE * WORD) as usize;
    Layout::from_size_align(words, words).map_err(|_| FrameError::BadSize)
}

fn check(range: PaRange) -> Result<(), FrameError> {
    let aligned = range.start().is_aligned(PAGE_SIZE) && range.end().is_aligned(PAGE_SIZE);
    if range.size() == 0 || !aligned || range.end().as_u64() > 1 << ADDRESS_BITS {
        return Err(FrameError::BadRange);
    }
    Ok(())
}

fn overlap<'a>(known: impl IntoIterator<Item = &'a PaRange>, range: PaRange) -> bool {
    known.into_iter().any(|one| one.overlaps(range))
}

/// Returns the frames that `range` has a byte of.
fn pages(range: PaRange) -> impl Iterator<Item = Pa> {
    let first = range.start().as_u64() / PAGE_SIZE;
    let end = range.end().as_u64().div_ceil(PAGE_SIZE);
    (first..end).map(|frame| Pa::new(frame * PAGE_SIZE))
}

fn push<T>(list: &mut Vec<T>, item: T) -> Result<(), FrameError> {
    list.try_reserve(1).map_err(|_| FrameError::OutOfHeap)?;
    list.push(item);
    Ok(())
}
