//! Whether a VM that ended is started anew, and when: one that crashes again and again is not, and
//! one that resets again and again has to wait.

use alloc::vec::Vec;

/// How many crashes there may be within the time.
const MOST: usize = 5;
/// The time, in seconds.
const WITHIN: u64 = 60;
/// How long a VM has to run for its restarts to be forgotten, in seconds.
const LONG: u64 = 10;
/// The first pause before a restart, as a part of a second; each that follows is twice as long.
const SHORTEST: u64 = 16;
/// The longest, in such parts: a second.
const LONGEST: u64 = 16;

/// The restarts of late, of all VMs. A VM is named by its place in the list; times are in counts.
pub struct Restarts {
    frequency: u64,
    /// The VMs that crashed, and when.
    crashes: Vec<(usize, u64)>,
    /// How often a VM was started anew, one time after the other, after it had run for a short time.
    in_a_row: Vec<u32>,
}

impl Restarts {
    /// Begins with none; the counter counts so many times a second.
    pub const fn new(frequency: u64) -> Self {
        Self {
            frequency,
            crashes: Vec::new(),
            in_a_row: Vec::new(),
        }
    }

    /// Notes a crash; returns whether the VM may be started anew.
    pub fn note_crash(&mut self, vm: usize, now: u64) -> bool {
        let oldest = now.saturating_sub(self.frequency.saturating_mul(WITHIN));
        self.crashes.retain(|&(_, when)| when >= oldest);
        self.crashes.push((vm, now));
        self.crashes.iter().filter(|&&(who, _)| who == vm).count() <= MOST
    }

    /// Notes that a VM is started anew after it ran for so long; returns how long it has to wait.
    pub fn pause(&mut self, vm: usize, ran: u64) -> u64 {
        if self.in_a_row.len() <= vm {
            self.in_a_row.resize(vm + 1, 0);
        }
        let in_a_row = &mut self.in_a_row[vm];
        if ran >= self.frequency.saturating_mul(LONG) {
            *in_a_row = 0;
            return 0;
        }
        let before = *in_a_row;
        *in_a_row = before.saturating_add(1);
        let parts = match before.checked_sub(1) {
            None => 0,
            Some(doublings) => 1_u64.checked_shl(doublings).unwrap_or(LONGEST),
        };
        parts.min(LONGEST).saturating_mul(self.frequency) / SHORTEST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vm_that_keeps_crashing_stays_down() {
        let mut restarts = Restarts::new(10);
        assert!((0..5).all(|when| restarts.note_crash(0, when)));
        assert!(!restarts.note_crash(0, 5));
        assert!(restarts.note_crash(1, 6), "another VM is another matter");
    }

    #[test]
    fn a_crash_now_and_then_is_forgotten() {
        let mut restarts = Restarts::new(10);
        assert!((0..100).all(|n| restarts.note_crash(3, n * 121)));
    }

    #[test]
    fn pauses_grow_to_a_second() {
        let mut restarts = Restarts::new(1600);
        let mut next = |vm| restarts.pause(vm, 15_999);
        let pauses: Vec<_> = (0..8).map(|_| next(0)).collect();
        assert_eq!(pauses, [0, 100, 200, 400, 800, 1600, 1600, 1600]);
        assert_eq!(next(1), 0, "another VM is another matter");
        assert!((0..200).all(|_| next(0) == 1600));
    }

    #[test]
    fn after_a_long_run_there_is_none() {
        let mut restarts = Restarts::new(1600);
        assert!((0..5).any(|_| restarts.pause(0, 0) > 0));
        assert_eq!(restarts.pause(0, 16_000), 0);
        assert_eq!(restarts.pause(0, 0), 0);
        assert_eq!(restarts.pause(0, 0), 100);
    }
}
