//! Locks between CPUs.
//!
//! EL2 runs with interrupts masked from an exit to the next entry, so the CPU that holds a lock
//! is never interrupted by code that wants the same lock: nothing here masks anything.
//!
//! Each lock has its place in the order in which a CPU takes locks: [`Rank`].

pub mod doorbell;
mod held;
mod rank;

pub use rank::Rank;

/// The atomics of what is written here without locks. The models in `tests/models` put others in
/// their place.
pub(crate) mod atomic {
    pub use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering, fence};
}

use core::ops::{Deref, DerefMut};
use held::{Held, Place};
use spin::mutex::{SpinMutex, SpinMutexGuard};

pub use spin::Once;

/// A value that one CPU at a time may touch; the others spin.
pub struct SpinLock<T> {
    value: SpinMutex<T>,
    place: Place,
}

/// The right to touch the value of a [`SpinLock`]; it ends when this is dropped.
#[must_use = "the lock is released at once when the guard is not kept"]
pub struct SpinGuard<'a, T> {
    value: SpinMutexGuard<'a, T>,
    _held: Held,
}

impl<T> SpinLock<T> {
    /// Makes an open lock around `value`.
    pub const fn new(rank: Rank, value: T) -> Self {
        Self {
            value: SpinMutex::new(value),
            place: Place::new(rank),
        }
    }

    /// Takes the lock, spinning as long as another CPU holds it.
    ///
    /// Taking a lock that this CPU holds already never returns; with debug assertions that, and
    /// taking locks in another order than [`Rank`]'s, is a panic.
    #[inline(always)]
    pub fn lock(&self) -> SpinGuard<'_, T> {
        let held = self.place.take_in_order();
        SpinGuard {
            value: self.value.lock(),
            _held: held,
        }
    }

    /// Takes the lock, or returns `None` when somebody holds it: in any order, since nobody waits.
    pub fn try_lock(&self) -> Option<SpinGuard<'_, T>> {
        let value = self.value.try_lock()?;
        Some(SpinGuard {
            value,
            _held: self.place.take(),
        })
    }

    /// Returns the value; the exclusive reference shows that nobody else can hold the lock.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

impl<T> Deref for SpinGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for SpinGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_lock_is_refused_and_a_dropped_guard_opens_it() {
        let lock = SpinLock::new(Rank::Guests, 1);
        let mut guard = lock.lock();
        assert!(lock.try_lock().is_none());
        *guard += 1;
        drop(guard);
        assert_eq!(lock.try_lock().map(|g| *g), Some(2));
    }

    #[test]
    fn no_increment_is_lost_between_threads() {
        static LOCK: SpinLock<u32> = SpinLock::new(Rank::Guests, 0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|_| *LOCK.lock() += 1));
            }
        });
        assert_eq!(*LOCK.lock(), 4000);
    }

    #[cfg(debug_assertions)]
    mod order {
        use super::*;
        use std::panic::{AssertUnwindSafe, catch_unwind};

        /// Returns the message of the panic that `f` ends in.
        fn complaint(f: impl FnOnce()) -> Option<std::string::String> {
            let panic = catch_unwind(AssertUnwindSafe(f)).err()?;
            panic.downcast_ref::<std::string::String>().cloned()
        }

        #[test]
        fn locks_are_taken_in_the_order_of_ranks() {
            let first = SpinLock::new(Rank::Guests, ());
            let second = SpinLock::new(Rank::Gic, ());
            let third = SpinLock::new(Rank::Heap, ());
            let right = || {
                let one = first.lock();
                let two = second.lock();
                let three = third.lock();
                // Given back in any order.
                drop(one);
                drop(three);
                let _again = third.lock();
                drop(two);
            };
            assert_eq!(complaint(right), None);
            assert_eq!(complaint(right), None, "nothing is held any more");
        }

        #[test]
        fn another_order_is_told_with_both_names() {
            let first = SpinLock::new(Rank::Guests, ());
            let second = SpinLock::new(Rank::Gic, ());
            let wrong = complaint(|| {
                let _two = second.lock();
                let _one = first.lock();
            });
            assert_eq!(
                wrong.as_deref(),
                Some("lock order: Guests is wanted while Gic is held")
            );
            assert_eq!(complaint(|| drop(first.lock())), None);
        }

        #[test]
        fn one_of_the_same_rank_is_told() {
            let (one, other) = (SpinLock::new(Rank::Gic, ()), SpinLock::new(Rank::Gic, ()));
            let wrong = complaint(|| {
                let _one = one.lock();
                let _other = other.lock();
            });
            assert_eq!(
                wrong.as_deref(),
                Some("lock order: Gic is wanted while Gic is held")
            );
        }

        #[test]
        fn one_that_nobody_waits_for_comes_in_any_order_and_counts() {
            let first = SpinLock::new(Rank::Guests, ());
            let second = SpinLock::new(Rank::Gic, ());
            let two = second.lock();
            let one = first.try_lock();
            assert!(one.is_some());
            drop(two);
            let wrong = complaint(|| drop(first.lock()));
            assert_eq!(
                wrong.as_deref(),
                Some("lock order: Guests is wanted while Guests is held")
            );
        }

        #[test]
        fn what_another_cpu_holds_is_its_own_affair() {
            let late = SpinLock::new(Rank::Heap, ());
            let early = SpinLock::new(Rank::Guests, ());
            let _late = late.lock();
            std::thread::scope(|scope| {
                scope.spawn(|| drop(early.lock()));
            });
        }
    }
}
