//! EL2's heap: the buddy allocator under a lock, and page-aligned blocks from it.
//!
//! It has nothing until start-up code gives it memory ([`Heap::extend`]): first a little behind the
//! image, so that the device tree can be read before it is known what memory there is, then a part
//! of RAM. An allocation that fails where nothing handles it is a panic, Rust's default; what is
//! made on behalf of a VM after boot asks first (`try_reserve`, [`Pages::zeroed`]).

#![expect(unsafe_code, reason = "an allocator hands out memory by pointers")]

use alloc::alloc::{alloc_zeroed, dealloc};
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{self, NonNull};
use core::sync::atomic::AtomicU64;

use buddy_system_allocator::Heap as Buddy;

use crate::addr::{PAGE_SIZE, Va};
use crate::cpu::cache;
use crate::sync::{Rank, SpinLock};

/// Orders of the allocator: blocks up to 2 GiB.
const ORDER: usize = 32;
/// The pages that an allocation has to be made of to be zeroed the quick way.
const PAGE: usize = PAGE_SIZE as usize;

/// A heap that any CPU may use. No interrupt comes while its lock is held: see [`crate::sync`].
pub struct Heap {
    buddy: SpinLock<Buddy<ORDER>>,
}

/// How full a heap is, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stats {
    /// What is allocated, with what was lost to rounding up.
    pub used: usize,
    /// All there is.
    pub total: usize,
}

impl Default for Heap {
    fn default() -> Self {
        Self::new()
    }
}

impl Heap {
    /// Makes a heap that has nothing.
    pub const fn new() -> Self {
        Self {
            buddy: SpinLock::new(Rank::Heap, Buddy::new()),
        }
    }

    /// Adds `size` bytes from `start` up. Parts below a word at either end are left out.
    ///
    /// # Safety
    ///
    /// The memory is mapped, writable, and nobody else's for as long as the heap lives; `start` is
    /// not zero and the end does not wrap.
    pub unsafe fn extend(&self, start: Va, size: usize) {
        let first = start.as_u64() as usize;
        // SAFETY: the caller gives the memory to this heap alone.
        unsafe { self.buddy.lock().add_to_heap(first, first + size) };
    }

    /// Returns how full the heap is.
    pub fn stats(&self) -> Stats {
        let buddy = self.buddy.lock();
        Stats {
            used: buddy.stats_alloc_actual(),
            total: buddy.stats_total_bytes(),
        }
    }

    fn allocate(&self, layout: Layout) -> Option<NonNull<u8>> {
        self.buddy.lock().alloc(layout).ok()
    }
}

// SAFETY: blocks come from the buddy allocator, which gives out each byte it was given at most
// once, rounds sizes up to powers of two of at least the alignment, and aligns a block to its
// size. It does not panic in `alloc`, and nothing here unwinds or allocates.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match self.allocate(layout) {
            Some(block) => block.as_ptr(),
            None => ptr::null_mut(),
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: passed on to the caller.
        let block = unsafe { self.alloc(layout) };
        let is_pages = layout.align() >= PAGE && layout.size().is_multiple_of(PAGE);
        // SAFETY: the block has this size, and nobody else uses it yet.
        unsafe {
            match block.is_null() {
                true => {}
                false if is_pages => cache::zero(block, layout.size()),
                false => block.write_bytes(0, layout.size()),
            }
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if let Some(block) = NonNull::new(block) {
            // SAFETY: the caller promises that the block came from `alloc` with this layout.
            unsafe { self.buddy.lock().dealloc(block, layout) };
        }
    }
}

#[cfg(target_os = "none")]
#[global_allocator]
static HEAP: Heap = Heap::new();

/// Adds memory to EL2's heap.
///
/// # Safety
///
/// As [`Heap::extend`] says.
#[cfg(target_os = "none")]
pub unsafe fn extend(start: Va, size: usize) {
    // SAFETY: passed on to the caller.
    unsafe { HEAP.extend(start, size) };
}

/// Returns how full EL2's heap is.
#[cfg(target_os = "none")]
pub fn stats() -> Stats {
    HEAP.stats()
}

/// Pages of the heap, side by side and aligned to their size, that hardware may read and write
/// too: all access is atomic and word by word. They go back to the heap on drop.
pub struct Pages {
    start: NonNull<AtomicU64>,
    layout: Layout,
}

// SAFETY: the pages are owned by this value alone, and the words are atomic.
unsafe impl Send for Pages {}
// SAFETY: a shared reference only gives out shared references to atomic words.
unsafe impl Sync for Pages {}

impl Pages {
    /// Allocates `count` zeroed pages, a power of two; `None` for another count or no room.
    pub fn zeroed(count: usize) -> Option<Self> {
        if !count.is_power_of_two() {
            return None;
        }
        let size = count.checked_mul(PAGE_SIZE as usize)?;
        let layout = Layout::from_size_align(size, size).ok()?;
        // SAFETY: the size is not zero: `count` is a power of two.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) })?.cast();
        Some(Self { start, layout })
    }

    /// Returns where the first page is.
    pub fn start(&self) -> Va {
        Va::new(self.start.as_ptr().expose_provenance() as u64)
    }

    /// Returns all words of all pages.
    pub fn words(&self) -> &[AtomicU64] {
        let count = self.layout.size() / size_of::<AtomicU64>();
        // SAFETY: `start` is an allocation of this many bytes, aligned to a page, zeroed, which is
        // a valid atomic word, and it lives as long as `self`. Nobody writes but by these words.
        unsafe { core::slice::from_raw_parts(self.start.as_ptr(), count) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: allocated in `zeroed` with this layout, and dropped once.
        unsafe { dealloc(self.start.as_ptr().cast(), self.layout) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::boxed::Box;
    use alloc::vec::Vec;
    use core::sync::atomic::Ordering::Relaxed;

    /// The size of a test's heap in bytes.
    const SIZE: usize = 64 << 10;

    #[repr(align(4096))]
    struct Arena([u8; SIZE]);

    fn give_more(heap: &Heap) {
        // Full of ones, so that what relies on fresh zeros shows.
        let more: &'static mut Arena = Box::leak(Box::new(Arena([0xff; SIZE])));
        let start = Va::new(more.0.as_mut_ptr().expose_provenance() as u64);
        // SAFETY: leaked, so it is the heap's for good.
        unsafe { heap.extend(start, SIZE) };
    }

    fn heap() -> Heap {
        let heap = Heap::new();
        give_more(&heap);
        heap
    }

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).unwrap()
    }

    /// Allocates, fills and returns a block.
    fn take(heap: &Heap, layout: Layout, fill: u8) -> Option<NonNull<u8>> {
        let block = heap.allocate(layout)?;
        assert_eq!(block.addr().get() % layout.align(), 0);
        // SAFETY: the block has this size.
        unsafe { block.write_bytes(fill, layout.size()) };
        Some(block)
    }

    /// Takes everything there is, largest blocks first.
    fn drain(heap: &Heap) -> Vec<(NonNull<u8>, Layout)> {
        let sizes = (0..=SIZE.ilog2()).rev().map(|n| layout(1 << n, 1 << n));
        sizes
            .flat_map(|one| core::iter::from_fn(move || Some((take(heap, one, 1)?, one))))
            .collect()
    }

    fn give_back(heap: &Heap, blocks: impl IntoIterator<Item = (NonNull<u8>, Layout)>) {
        for (block, layout) in blocks {
            // SAFETY: allocated with this layout; the lists of the tests hold a block once.
            unsafe { heap.dealloc(block.as_ptr(), layout) };
        }
    }

    #[test]
    fn all_that_was_given_is_given_out() {
        let heap = Heap::new();
        assert_eq!(heap.stats(), Stats { used: 0, total: 0 });
        assert_eq!(take(&heap, layout(1, 1), 2), None);
        give_more(&heap);
        let all = drain(&heap);
        let full = Stats {
            used: SIZE,
            total: SIZE,
        };
        assert_eq!(heap.stats(), full);
        assert!(all.iter().all(|(_, layout)| layout.size() >= 4096));
        assert_eq!(take(&heap, layout(1, 1), 2), None);
        give_back(&heap, all);
        assert_eq!(heap.stats().used, 0);
    }

    #[test]
    fn an_extended_heap_gives_out_the_new_memory_too() {
        let heap = heap();
        let one = layout(4096, 4096);
        let blocks = || core::iter::from_fn(|| take(&heap, one, 4)).count();
        assert_eq!(blocks(), SIZE / 4096);
        give_more(&heap);
        assert_eq!(blocks(), SIZE / 4096);
    }

    #[test]
    fn what_is_asked_for_zeroed_is_zero() {
        let heap = heap();
        for layout in [
            layout(4096, 4096),
            layout(8192, 4096),
            layout(4096, 8),
            layout(24, 8),
            layout(4100, 4096),
        ] {
            // SAFETY: the layout has a size, and the block that size.
            let block = unsafe {
                let block = heap.alloc_zeroed(layout);
                assert!(!block.is_null());
                core::slice::from_raw_parts_mut(block, layout.size())
            };
            assert!(block.iter().all(|&byte| byte == 0), "{layout:?}");
            block.fill(0xff);
            // SAFETY: allocated with this layout, and not used any more.
            unsafe { heap.dealloc(block.as_mut_ptr(), layout) };
        }
    }

    #[test]
    fn blocks_in_use_never_touch_each_other() {
        let heap = heap();
        let fresh = drain(&heap);
        give_back(&heap, fresh.iter().copied());
        let mut state = 88_172_645_463_325_252_u64;
        let mut random = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as usize % below
        };
        let mut blocks: Vec<(NonNull<u8>, Layout, u8)> = Vec::new();
        for step in 0..5000 {
            let layout = layout(1 + random(600), 1 << random(8));
            match random(2) {
                0 => {
                    blocks.extend(take(&heap, layout, step as u8).map(|b| (b, layout, step as u8)))
                }
                _ if blocks.is_empty() => {}
                _ => {
                    let (block, layout, fill) = blocks.swap_remove(random(blocks.len()));
                    // SAFETY: allocated with this layout and filled by `take`.
                    let bytes =
                        unsafe { core::slice::from_raw_parts(block.as_ptr(), layout.size()) };
                    assert!(bytes.iter().all(|&b| b == fill));
                    // SAFETY: as above, and taken off the list.
                    unsafe { heap.dealloc(block.as_ptr(), layout) };
                }
            }
        }
        give_back(
            &heap,
            blocks.into_iter().map(|(block, layout, _)| (block, layout)),
        );
        assert_eq!(heap.stats().used, 0);
        let sorted = |mut blocks: Vec<(NonNull<u8>, Layout)>| {
            blocks.sort_by_key(|&(block, _)| block);
            blocks
        };
        assert_eq!(
            sorted(drain(&heap)),
            sorted(fresh),
            "all blocks joined again"
        );
    }

    #[test]
    fn pages_are_zeroed_aligned_and_of_the_size_asked_for() {
        for count in [1, 2, 16, 1] {
            let pages = Pages::zeroed(count).unwrap();
            assert!(pages.start().is_aligned(count as u64 * PAGE_SIZE));
            assert_eq!(pages.words().len(), count * 512);
            assert!(pages.words().iter().all(|word| word.load(Relaxed) == 0));
            pages
                .words()
                .iter()
                .for_each(|word| word.store(u64::MAX, Relaxed));
        }
        assert!(Pages::zeroed(0).is_none() && Pages::zeroed(3).is_none());
        assert!(Pages::zeroed(1 << 52).is_none());
    }
}
