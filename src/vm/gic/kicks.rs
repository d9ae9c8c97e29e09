//! What goes in and out of every call: whose list registers are at hand, and whom to notify.

use super::bank::{Bits64, mask64};
use core::ops::{BitOr, BitOrAssign};

/// The vCPUs to notify, one bit each.
///
/// A named vCPU that is loaded on some CPU must be made to exit and call
/// [`Gic::sync`](super::Gic::sync); one that is not loaded must be considered for waking
/// ([`Gic::has_deliverable`](super::Gic::has_deliverable)).
#[must_use = "a vCPU that is not kicked does not notice"]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Kicks(u64);

impl Kicks {
    /// Nobody.
    pub const NONE: Self = Self(0);

    /// Names one vCPU.
    pub(super) const fn one(vcpu: usize) -> Self {
        Self(mask64(vcpu as u32))
    }

    /// Returns the bitmap: bit n is vCPU n.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Returns whether nobody has to be notified.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Iterates over the indices of the vCPUs.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        Bits64(self.0).map(|n| n as usize)
    }
}

impl BitOr for Kicks {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Kicks {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// What a register read returns.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Answer {
    /// The value read, zero-extended.
    pub value: u64,
    /// The vCPUs whose list registers hold newer state; see [the module](super). They are marked
    /// for a resync, so kicking them is enough to make a later read fresher.
    pub stale: Kicks,
}

impl From<u64> for Answer {
    fn from(value: u64) -> Self {
        Self {
            value,
            stale: Kicks::NONE,
        }
    }
}

/// This CPU: which vCPU is loaded here, and its list registers.
pub struct Here<'a, L> {
    pub(super) vcpu: usize,
    pub(super) lists: &'a mut L,
}

impl<'a, L> Here<'a, L> {
    /// Names the vCPU that is loaded on this CPU, or about to be, and this CPU's list registers.
    #[inline(always)]
    pub fn new(vcpu: usize, lists: &'a mut L) -> Self {
        Self { vcpu, lists }
    }

    /// Says that no vCPU of this VM is loaded on this CPU; the list registers are left alone.
    pub fn nobody(lists: &'a mut L) -> Self {
        Self {
            vcpu: usize::MAX,
            lists,
        }
    }
}
