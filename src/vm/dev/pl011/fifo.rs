//! The receive FIFO: a ring whose depth the guest can change to one.

#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

/// A queue of at most `DEPTH` bytes, a power of two.
#[derive(Clone, Debug)]
pub(super) struct Fifo<const DEPTH: usize> {
    bytes: [u8; DEPTH],
    /// Where the oldest byte is; less than `DEPTH`.
    head: usize,
    /// How many bytes there are; at most `capacity`.
    len: usize,
    /// How many bytes may be there; at most `DEPTH`.
    capacity: usize,
}

impl<const DEPTH: usize> Fifo<DEPTH> {
    const MASK: usize = {
        assert!(DEPTH.is_power_of_two());
        DEPTH.wrapping_sub(1)
    };

    pub(super) const fn new(capacity: usize) -> Self {
        Self {
            bytes: [0; DEPTH],
            head: 0,
            len: 0,
            capacity,
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) const fn is_full(&self) -> bool {
        self.len >= self.capacity
    }

    /// Adds a byte; returns whether there was room.
    pub(super) fn push(&mut self, byte: u8) -> bool {
        let tail = self.head.wrapping_add(self.len) & Self::MASK;
        match self.bytes.get_mut(tail) {
            Some(slot) if self.len < self.capacity => {
                *slot = byte;
                self.len = self.len.wrapping_add(1);
                true
            }
            _ => false,
        }
    }

    /// Takes the oldest byte.
    pub(super) fn pop(&mut self) -> Option<u8> {
        let left = self.len.checked_sub(1)?;
        let byte = self.bytes.get(self.head).copied()?;
        self.head = self.head.wrapping_add(1) & Self::MASK;
        self.len = left;
        Some(byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::VecDeque;

    #[test]
    fn it_is_a_queue() {
        for capacity in [1, 3, 16] {
            let mut fifo = Fifo::<16>::new(capacity);
            let mut model = VecDeque::new();
            let mut seed = 0x2545_f491_4f6c_dd1d_u64;
            for _ in 0..5000 {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                if seed % 5 < 3 {
                    let room = model.len() < capacity;
                    assert_eq!(fifo.push(seed as u8), room);
                    if room {
                        model.push_back(seed as u8);
                    }
                } else {
                    assert_eq!(fifo.pop(), model.pop_front());
                }
                assert_eq!(fifo.len(), model.len());
                assert_eq!(fifo.is_empty(), model.is_empty());
                assert_eq!(fifo.is_full(), model.len() == capacity);
            }
        }
    }
}
