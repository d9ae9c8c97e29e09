//! How often VMs crash: one that does so again and again is not started any more.

use alloc::vec::Vec;

/// How many crashes there may be within the time.
const MOST: usize = 5;
/// The time, in seconds.
const WITHIN: u64 = 60;

/// The crashes of late, of all VMs.
pub struct Crashes {
    /// The VM, by its place in the list, and the count when it crashed.
    recent: Vec<(usize, u64)>,
    /// [`WITHIN`] in counts.
    within: u64,
}

impl Crashes {
    /// Begins with none; the counter counts so many times a second.
    pub const fn new(frequency: u64) -> Self {
        Self {
            recent: Vec::new(),
            within: frequency.saturating_mul(WITHIN),
        }
    }

    /// Notes a crash; returns whether the VM may be started anew.
    pub fn note(&mut self, vm: usize, now: u64) -> bool {
        let oldest = now.saturating_sub(self.within);
        self.recent.retain(|&(_, when)| when >= oldest);
        self.recent.push((vm, now));
        self.recent.iter().filter(|&&(who, _)| who == vm).count() <= MOST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vm_that_keeps_crashing_stays_down() {
        let mut crashes = Crashes::new(10);
        assert!((0..5).all(|when| crashes.note(0, when)));
        assert!(!crashes.note(0, 5));
        assert!(crashes.note(1, 6), "another VM is another matter");
    }

    #[test]
    fn a_crash_now_and_then_is_forgotten() {
        let mut crashes = Crashes::new(10);
        assert!((0..100).all(|n| crashes.note(3, n * 121)));
    }
}
