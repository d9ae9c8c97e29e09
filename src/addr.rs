//! Addresses of the three kinds a hypervisor meets, as types that can't be confused.

use core::fmt;

macro_rules! address {
    ($(#[$doc:meta])* $name:ident, $short:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        #[repr(transparent)]
        pub struct $name(u64);

        impl $name {
            /// Makes an address from its number.
            pub const fn new(value: u64) -> Self {
                Self(value)
            }

            /// Returns the number.
            pub const fn as_u64(self) -> u64 {
                self.0
            }

            /// Adds `bytes`, or returns `None` past the end of the address space.
            pub const fn checked_add(self, bytes: u64) -> Option<Self> {
                match self.0.checked_add(bytes) {
                    Some(sum) => Some(Self(sum)),
                    None => None,
                }
            }

            /// Returns whether the address is a multiple of `align`, a power of two.
            pub const fn is_aligned(self, align: u64) -> bool {
                self.0 & (align - 1) == 0
            }

            /// Returns the largest multiple of `align`, a power of two, not above the address.
            pub const fn align_down(self, align: u64) -> Self {
                Self(self.0 & !(align - 1))
            }

            /// Returns how far the address lies above `base`, or `None` when it lies below.
            pub const fn offset_from(self, base: Self) -> Option<u64> {
                self.0.checked_sub(base.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($short, ":{:#x}"), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:#x}", self.0)
            }
        }
    };
}

address! {
    /// A physical address of the machine.
    Pa, "pa"
}
address! {
    /// An intermediate physical address: what a guest believes is physical.
    Ipa, "ipa"
}
address! {
    /// A virtual address of EL2.
    Va, "va"
}

/// The size of a page and of a translation table: 4 KiB.
pub const PAGE_SIZE: u64 = 4096;

/// A run of physical memory that does not wrap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PaRange {
    start: Pa,
    size: u64,
}

impl PaRange {
    /// Makes a range, or returns `None` when its end does not fit an address.
    pub const fn new(start: Pa, size: u64) -> Option<Self> {
        match start.as_u64().checked_add(size) {
            Some(_) => Some(Self { start, size }),
            None => None,
        }
    }

    /// Makes the range from `start` up to but not including `end`; empty when they cross.
    pub const fn between(start: Pa, end: Pa) -> Self {
        Self {
            start,
            size: end.as_u64().saturating_sub(start.as_u64()),
        }
    }

    /// Returns the first address.
    pub const fn start(self) -> Pa {
        self.start
    }

    /// Returns the address after the last.
    pub const fn end(self) -> Pa {
        Pa::new(self.start.as_u64() + self.size)
    }

    /// Returns the size in bytes.
    pub const fn size(self) -> u64 {
        self.size
    }

    /// Returns whether the two have a byte in common.
    pub const fn overlaps(self, other: Self) -> bool {
        self.size != 0
            && other.size != 0
            && self.start.as_u64() < other.end().as_u64()
            && other.start.as_u64() < self.end().as_u64()
    }

    /// Returns whether all of `other` lies in this range.
    pub const fn contains(self, other: Self) -> bool {
        self.start.as_u64() <= other.start.as_u64() && other.end().as_u64() <= self.end().as_u64()
    }

    /// Returns the largest range of whole `align`-sized, `align`-aligned blocks inside.
    pub const fn shrink_to(self, align: u64) -> Self {
        let end = self.end().align_down(align);
        match self.start.checked_add(align - 1) {
            Some(start) => Self::between(start.align_down(align), end),
            None => Self::between(end, end),
        }
    }
}

impl fmt::Display for PaRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: u64, end: u64) -> PaRange {
        PaRange::between(Pa::new(start), Pa::new(end))
    }

    #[test]
    fn a_range_that_wraps_is_refused() {
        assert_eq!(PaRange::new(Pa::new(u64::MAX), 2), None);
        assert!(PaRange::new(Pa::new(u64::MAX), 0).is_some());
    }

    #[test]
    fn touching_ranges_do_not_overlap() {
        assert!(!range(0, 4).overlaps(range(4, 8)));
        assert!(range(0, 5).overlaps(range(4, 8)));
        assert!(!range(2, 2).overlaps(range(0, 8)));
    }

    #[test]
    fn shrinking_keeps_whole_blocks_only() {
        assert_eq!(range(1, 0x4fff).shrink_to(0x1000), range(0x1000, 0x4000));
        assert_eq!(range(1, 0xfff).shrink_to(0x1000).size(), 0);
        assert_eq!(range(u64::MAX - 1, u64::MAX).shrink_to(0x1000).size(), 0);
    }
}
