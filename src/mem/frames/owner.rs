//! Who owns a frame, and how its word says so.

use crate::bits::{bit, field};

/// Who owns a frame that was given out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// EL2 itself: its heap, its stacks. Never mapped for a guest.
    Hypervisor,
    /// The VM with this VMID.
    Vm(u16),
}

/// Bit 0: the frame has an owner.
const OWNED: u64 = 1 << 0;
/// Bit 1: the owner is a VM, whose VMID stands in bits 31:16.
const VM: u64 = 1 << 1;
const VMID_SHIFT: u32 = 16;

impl Owner {
    /// The word of a frame that nobody owns, as far as the allocator has not put a link there.
    pub(super) const NOBODY: u64 = 0;

    /// Returns the word of a frame that this owner has.
    pub(super) const fn word(self) -> u64 {
        match self {
            Self::Hypervisor => OWNED,
            Self::Vm(vmid) => OWNED | VM | ((vmid as u64) << VMID_SHIFT),
        }
    }

    /// Reads a word: `None` for a link of the allocator or [`NOBODY`](Self::NOBODY).
    pub(super) const fn from_word(word: u64) -> Option<Self> {
        match (bit(word, 0), bit(word, 1)) {
            (false, _) => None,
            (true, false) => Some(Self::Hypervisor),
            (true, true) => Some(Self::Vm(field(word, VMID_SHIFT, 16) as u16)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_tell_owners_from_links() {
        for owner in [
            Owner::Hypervisor,
            Owner::Vm(0),
            Owner::Vm(1),
            Owner::Vm(u16::MAX),
        ] {
            assert_eq!(Owner::from_word(owner.word()), Some(owner));
        }
        assert_eq!(Owner::from_word(Owner::NOBODY), None);
        assert_eq!(Owner::from_word(0x7fff_ffff_fff8), None);
    }
}
