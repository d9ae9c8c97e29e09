//! RAM for tests: words without the memory they stand for.

use alloc::alloc::{Layout, alloc, dealloc};

use super::{FrameError, Frames, TABLE_ALIGN, WORD};
use crate::addr::{PAGE_SIZE, Pa, PaRange};

/// Words for 2 GiB of RAM, aligned to their size.
const WORDS: Layout = match Layout::from_size_align(4 << 20, 4 << 20) {
    Ok(layout) => layout,
    Err(_) => panic!(),
};
/// Words for 2 GiB of RAM that starts wherever makes them stand at their place in an aligned
/// table: at a multiple of 2 GiB.
pub(crate) struct Ram {
    /// The word of the first frame.
    pub words: *mut u64,
    /// Where the RAM starts.
    pub start: u64,
}

impl Ram {
    /// Makes 2 GiB of RAM that no `Frames` knows.
    pub fn new() -> Self {
        // SAFETY: the layout has a size.
        let words = unsafe { alloc(WORDS) }.cast::<u64>();
        assert!(!words.is_null());
        // SAFETY: the words were just allocated.
        unsafe { words.write_bytes(0, WORDS.size() / 8) };
        let start = (words.addr() as u64 % TABLE_ALIGN) / WORD * PAGE_SIZE;
        Self { words, start }
    }

    /// Returns the part between two offsets in bytes.
    pub fn range(&self, from: u64, to: u64) -> PaRange {
        PaRange::between(Pa::new(self.start + from), Pa::new(self.start + to))
    }

    /// Adds the part between two offsets to `frames`.
    pub fn try_add(&self, frames: &mut Frames, from: u64, to: u64) -> Result<(), FrameError> {
        let words = self.words.wrapping_add((from / PAGE_SIZE) as usize);
        // SAFETY: the words outlive the tests' `Frames`, which are declared after them.
        unsafe { frames.add(self.range(from, to), words) }
    }

    /// Makes a `Frames` that knows these parts. It must not outlive the RAM.
    pub fn frames(&self, ranges: &[(u64, u64)]) -> Frames {
        let mut frames = Frames::new();
        for &(from, to) in ranges {
            self.try_add(&mut frames, from, to).unwrap();
        }
        frames
    }
}

impl Drop for Ram {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout.
        unsafe { dealloc(self.words.cast(), WORDS) };
    }
}
