//! Little-endian numbers in bytes.

/// Reads numbers that may lie beyond the end.
pub trait Bytes {
    /// Returns the byte at `at`.
    fn u8_at(&self, at: usize) -> Option<u8>;
    /// Returns the two bytes at `at` as a number.
    fn u16_at(&self, at: usize) -> Option<u16>;
    /// Returns the four bytes at `at` as a number.
    fn u32_at(&self, at: usize) -> Option<u32>;
    /// Returns the eight bytes at `at` as a number.
    fn u64_at(&self, at: usize) -> Option<u64>;
}

impl Bytes for [u8] {
    fn u8_at(&self, at: usize) -> Option<u8> {
        self.get(at).copied()
    }

    fn u16_at(&self, at: usize) -> Option<u16> {
        Some(u16::from_le_bytes(*self.get(at..)?.first_chunk()?))
    }

    fn u32_at(&self, at: usize) -> Option<u32> {
        Some(u32::from_le_bytes(*self.get(at..)?.first_chunk()?))
    }

    fn u64_at(&self, at: usize) -> Option<u64> {
        Some(u64::from_le_bytes(*self.get(at..)?.first_chunk()?))
    }
}
