//! The application's heap: memory of its own, so that it serves after boot services are left, too.

#![expect(unsafe_code, reason = "an allocator hands out memory by pointers")]

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};

/// Far more than tables and the tree of the largest machine take; nothing is ever given back.
const SIZE: usize = 16 << 20;

#[repr(C, align(4096))]
struct Arena {
    memory: UnsafeCell<[u8; SIZE]>,
    used: AtomicUsize,
}

// SAFETY: each byte of the memory is given out once, which the atomic counter sees to.
unsafe impl Sync for Arena {}

#[global_allocator]
static ARENA: Arena = Arena {
    memory: UnsafeCell::new([0; SIZE]),
    used: AtomicUsize::new(0),
};

// SAFETY: `alloc` gives out parts of the memory that do not overlap, in bounds and aligned: the
// memory itself is aligned to a page, and larger alignments are refused.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() > 4096 {
            return ptr::null_mut();
        }
        let place = |used: usize| {
            let start = used.checked_next_multiple_of(layout.align())?;
            let end = start.checked_add(layout.size())?;
            (end <= SIZE).then_some((start, end))
        };
        let next = |used| place(used).map(|(_, end)| end);
        let before = self
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        match before.ok().and_then(place) {
            Some((start, _)) => self.memory.get().cast::<u8>().wrapping_add(start),
            None => ptr::null_mut(),
        }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}
