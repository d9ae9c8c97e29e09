//! Ranges of input addresses, and how they fall on tables and leaves.

use core::ops::Range;

use crate::addr::PAGE_SIZE;
use crate::isa::descriptor::{ENTRIES, LeafSize, Level};

/// Input addresses from `start` up to but not including `end`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Span {
    pub start: u64,
    pub end: u64,
}

impl Span {
    /// Makes a span, or returns `None` when its end does not fit a number.
    pub fn new(start: u64, size: u64) -> Option<Self> {
        let end = start.checked_add(size)?;
        Some(Self { start, end })
    }

    /// Returns whether it is made of whole pages, one at least.
    pub fn is_pages(self) -> bool {
        self.start < self.end && (self.start | self.end) & (PAGE_SIZE - 1) == 0
    }

    /// Returns the indices of a table at `level`, whose first input address is `base`, that
    /// translate a part of the span.
    pub fn indices(self, base: u64, level: Level) -> Range<usize> {
        let low = self.start.saturating_sub(base) >> level.shift();
        let high = self.end.saturating_sub(base).div_ceil(level.span());
        let clip = |n: u64| n.min(ENTRIES as u64) as usize;
        clip(low)..clip(high)
    }

    /// Returns the largest leaf, at most `largest`, with which the span can begin when it leads
    /// to the output address `to`. Both are page aligned, so a page always can.
    pub fn largest_leaf(self, to: u64, largest: LeafSize) -> LeafSize {
        let fits = |size: &LeafSize| {
            *size <= largest
                && (self.start | to) & (size.bytes() - 1) == 0
                && self.end - self.start >= size.bytes()
        };
        LeafSize::ALL
            .into_iter()
            .find(fits)
            .unwrap_or(LeafSize::Page4K)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_are_those_whose_entries_touch_the_span() {
        let mib = 1 << 20;
        for (start, size) in [
            (0, 4096),
            (mib, 2 * mib),
            (512 * mib, 1024 * mib),
            (1023 * mib, 2 * mib),
        ] {
            let span = Span::new(start, size).unwrap();
            for base in [0, 1024 * mib, 2048 * mib] {
                let touched = |i: &usize| {
                    let entry = base + *i as u64 * Level::L2.span();
                    entry < span.end && span.start < entry + Level::L2.span()
                };
                let naive: std::vec::Vec<_> = (0..ENTRIES).filter(touched).collect();
                let made: std::vec::Vec<_> = span.indices(base, Level::L2).collect();
                assert_eq!(made, naive, "{span:?} in a table from {base:#x}");
            }
        }
    }

    #[test]
    fn leaves_are_as_large_as_alignment_of_both_sides_allows() {
        let leaf = |start, size, to| {
            let span = Span::new(start, size).unwrap();
            span.largest_leaf(to, LeafSize::Block1G)
        };
        assert_eq!(leaf(1 << 30, 1 << 30, 2 << 30), LeafSize::Block1G);
        assert_eq!(leaf(1 << 30, (1 << 30) - 4096, 2 << 30), LeafSize::Block2M);
        assert_eq!(leaf(1 << 30, 1 << 30, 2 << 20), LeafSize::Block2M);
        assert_eq!(leaf(1 << 30, 1 << 30, 4096), LeafSize::Page4K);
        assert_eq!(leaf(4096, 1 << 30, 1 << 30), LeafSize::Page4K);
    }

    #[test]
    fn empty_and_ragged_spans_are_no_pages() {
        assert!(!Span::new(4096, 0).unwrap().is_pages());
        assert!(!Span::new(4096, 1).unwrap().is_pages());
        assert!(!Span::new(1, 4096).unwrap().is_pages());
        assert!(Span::new(4096, 4096).unwrap().is_pages());
        assert_eq!(Span::new(u64::MAX, 2), None);
    }
}
