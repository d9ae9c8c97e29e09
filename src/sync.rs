//! Locks between CPUs.
//!
//! EL2 runs with interrupts masked from an exit to the next entry, so the CPU that holds a lock
//! is never interrupted by code that wants the same lock: nothing here masks anything.

pub mod doorbell;

/// The atomics of what is written here without locks. The models in `tests/models` put others in
/// their place.
pub(crate) mod atomic {
    pub use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering, fence};
}

use core::ops::{Deref, DerefMut};
use spin::mutex::{SpinMutex, SpinMutexGuard};

pub use spin::Once;

/// A value that one CPU at a time may touch; the others spin.
#[derive(Default)]
pub struct SpinLock<T>(SpinMutex<T>);

/// The right to touch the value of a [`SpinLock`]; it ends when this is dropped.
#[must_use = "the lock is released at once when the guard is not kept"]
pub struct SpinGuard<'a, T>(SpinMutexGuard<'a, T>);

impl<T> SpinLock<T> {
    /// Makes an open lock around `value`.
    pub const fn new(value: T) -> Self {
        Self(SpinMutex::new(value))
    }

    /// Takes the lock, spinning as long as another CPU holds it.
    ///
    /// Taking a lock that this CPU holds already never returns.
    pub fn lock(&self) -> SpinGuard<'_, T> {
        SpinGuard(self.0.lock())
    }

    /// Takes the lock, or returns `None` when somebody holds it.
    pub fn try_lock(&self) -> Option<SpinGuard<'_, T>> {
        self.0.try_lock().map(SpinGuard)
    }

    /// Returns the value; the exclusive reference shows that nobody else can hold the lock.
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut()
    }
}

impl<T> Deref for SpinGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for SpinGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_lock_is_refused_and_a_dropped_guard_opens_it() {
        let lock = SpinLock::new(1);
        let mut guard = lock.lock();
        assert!(lock.try_lock().is_none());
        *guard += 1;
        drop(guard);
        assert_eq!(lock.try_lock().map(|g| *g), Some(2));
    }

    #[test]
    fn no_increment_is_lost_between_threads() {
        static LOCK: SpinLock<u32> = SpinLock::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|_| *LOCK.lock() += 1));
            }
        });
        assert_eq!(*LOCK.lock(), 4000);
    }
}
