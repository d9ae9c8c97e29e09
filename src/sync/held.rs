//! Which locks a CPU holds, checked against their order. Without debug assertions all of this is
//! nothing.

use super::Rank;

/// A lock's place in the order.
pub struct Place {
    #[cfg(debug_assertions)]
    rank: Rank,
}

/// That this CPU holds a lock.
pub struct Held {
    #[cfg(debug_assertions)]
    rank: Rank,
}

#[cfg(not(debug_assertions))]
impl Place {
    pub const fn new(_: Rank) -> Self {
        Self {}
    }

    #[inline(always)]
    pub const fn take_in_order(&self) -> Held {
        Held {}
    }

    #[inline(always)]
    pub const fn take(&self) -> Held {
        Held {}
    }
}

#[cfg(debug_assertions)]
impl Place {
    pub const fn new(rank: Rank) -> Self {
        Self { rank }
    }

    /// Notes that this CPU is about to take the lock.
    pub fn take_in_order(&self) -> Held {
        let wanted = self.rank;
        let held = local::locks().map_or(0, |locks| locks.load(Relaxed));
        if let Some(forbids) = wanted.forbidden_by(held) {
            panic!("lock order: {wanted:?} is wanted while {forbids:?} is held");
        }
        self.take()
    }

    /// Notes that this CPU has the lock.
    pub fn take(&self) -> Held {
        if let Some(locks) = local::locks() {
            locks.fetch_or(self.rank.bit(), Relaxed);
        }
        Held { rank: self.rank }
    }
}

#[cfg(debug_assertions)]
impl Drop for Held {
    fn drop(&mut self) {
        if let Some(locks) = local::locks() {
            locks.fetch_and(!self.rank.bit(), Relaxed);
        }
    }
}

#[cfg(debug_assertions)]
use {crate::cpu::local, core::sync::atomic::Ordering::Relaxed};
