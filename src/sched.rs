//! Who runs on a physical CPU: a fair choice among the vCPUs in its care.
//!
//! Each vCPU has run for so much *weighted time*: the time it ran, divided by its weight. The one
//! with the least is next. One that slept does not save time up: when it wakes, it starts no
//! lower than the least of those that were awake.
//!
//! This file decides and touches nothing; [`cpu`] acts on it.

pub mod cpu;

/// What may run next on a CPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Share {
    /// Whether it has something to do.
    pub runnable: bool,
    /// How much of the CPU it is given in proportion, from 1 to [`MAX_WEIGHT`].
    weight: u32,
    /// How long it ran, in weighted counts.
    used: u64,
}

/// The largest weight.
pub const MAX_WEIGHT: u32 = 1024;
/// The weight of a vCPU of which nothing else is said.
pub const DEFAULT_WEIGHT: u32 = 64;

impl Share {
    /// Makes the share of a vCPU that has nothing to do yet. The weight is cut to what is allowed.
    pub fn new(weight: u32) -> Self {
        Self {
            runnable: false,
            weight: weight.clamp(1, MAX_WEIGHT),
            used: 0,
        }
    }

    /// Adds time it ran, in counts.
    pub fn charge(&mut self, counts: u64) {
        let scaled = u128::from(counts) * u128::from(MAX_WEIGHT) / u128::from(self.weight);
        self.used = self.used.saturating_add(scaled as u64);
    }
}

/// Lets a vCPU run from now on.
pub fn wake(shares: &mut [Share], who: usize) {
    let least = shares.iter().filter(|s| s.runnable).map(|s| s.used).min();
    if let Some(share) = shares.get_mut(who)
        && !share.runnable
    {
        share.runnable = true;
        share.used = share.used.max(least.unwrap_or(0));
    }
}

/// Returns who runs next: the one that had the least, and of equals the first after `last`.
pub fn pick(shares: &[Share], last: usize) -> Option<usize> {
    let count = shares.len();
    (1..=count)
        .map(|step| (last + step) % count)
        .filter(|&n| shares[n].runnable)
        .min_by_key(|&n| shares[n].used)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    const SLICE: u64 = 1000;

    fn runnable(weights: &[u32]) -> Vec<Share> {
        let mut shares: Vec<_> = weights.iter().map(|&w| Share::new(w)).collect();
        (0..weights.len()).for_each(|n| wake(&mut shares, n));
        shares
    }

    /// Runs `rounds` slices and returns how many each got.
    fn run(shares: &mut [Share], rounds: usize) -> Vec<usize> {
        let mut got = alloc::vec![0; shares.len()];
        let mut last = 0;
        for _ in 0..rounds {
            let Some(next) = pick(shares, last) else {
                break;
            };
            shares[next].charge(SLICE);
            got[next] += 1;
            last = next;
        }
        got
    }

    #[test]
    fn equals_take_turns() {
        let mut shares = runnable(&[64, 64, 64]);
        assert_eq!(run(&mut shares, 300), [100, 100, 100]);
        assert_eq!(
            pick(&shares, 0),
            Some(1),
            "the next one, not the same again"
        );
    }

    #[test]
    fn weights_are_kept_to() {
        let mut shares = runnable(&[64, 128, 1]);
        let got = run(&mut shares, 1930);
        assert!(
            got[0].abs_diff(640) <= 2 && got[1].abs_diff(1280) <= 2,
            "{got:?}"
        );
        assert!(got[2].abs_diff(10) <= 1, "{got:?}");
    }

    #[test]
    fn a_sleeper_gets_no_more_than_its_share_when_it_wakes() {
        let mut shares = runnable(&[64, 64]);
        shares[1].runnable = false;
        run(&mut shares, 1000);
        wake(&mut shares, 1);
        let got = run(&mut shares, 100);
        assert!(got[0] >= 49, "starved by the one that slept: {got:?}");
    }

    #[test]
    fn a_spinner_does_not_starve_one_that_sleeps_now_and_then() {
        let mut shares = runnable(&[64, 64]);
        let mut got = [0; 2];
        let mut last = 0;
        for round in 0..1000 {
            shares[1].runnable &= round % 3 != 0;
            if round % 3 == 2 {
                wake(&mut shares, 1);
            }
            let next = pick(&shares, last).unwrap();
            shares[next].charge(SLICE);
            got[next] += 1;
            last = next;
        }
        assert!(got[1] > 300, "{got:?}");
    }

    #[test]
    fn nobody_runnable_is_nobody() {
        assert_eq!(pick(&[], 0), None);
        assert_eq!(pick(&[Share::new(1)], 7), None);
        assert_eq!(pick(&runnable(&[0]), 99), Some(0), "any last will do");
    }
}
