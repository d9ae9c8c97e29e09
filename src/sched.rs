//! Who runs on a physical CPU: a fair choice among the vCPUs in its care.
//!
//! Each vCPU has run for so much *weighted time*: the time it ran, divided by its weight. The one
//! with the least is next. One that slept does not save time up: when it wakes, it starts no
//! lower than the least of those that were awake, or where all slept, than the one that had most.
//!
//! This file decides and touches nothing; [`cpu`] acts on it.

pub mod cpu;

/// What may run next on a CPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Share {
    /// Whether it has something to do.
    pub runnable: bool,
    /// The count at which it will have something to do by itself, [`NEVER`] for none. Of one that
    /// is runnable it says nothing.
    pub deadline: u64,
    /// How much of the CPU it is given in proportion, as its part of [`UNIT`] for each count.
    rate: u64,
    /// How long it ran, in weighted counts.
    used: u64,
}

/// The largest weight.
pub const MAX_WEIGHT: u32 = 1024;
/// The weight of a vCPU of which nothing else is said.
pub const DEFAULT_WEIGHT: u32 = 64;
/// The deadline of who waits for others.
pub const NEVER: u64 = u64::MAX;
/// What is added for a count to one with [`MAX_WEIGHT`]; the others' are added more.
const UNIT: u64 = 1 << 20;

impl Share {
    /// Makes the share of a vCPU that has nothing to do yet. The weight is cut to what is allowed.
    pub fn new(weight: u32) -> Self {
        Self {
            runnable: false,
            deadline: NEVER,
            rate: UNIT * u64::from(MAX_WEIGHT) / u64::from(weight.clamp(1, MAX_WEIGHT)),
            used: 0,
        }
    }

    /// Adds time it ran, in counts.
    pub fn charge(&mut self, counts: u64) {
        let scaled = u128::from(counts) * u128::from(self.rate) / u128::from(UNIT);
        self.used = self.used.saturating_add(scaled as u64);
    }

    /// Returns what one that has something to do from now on starts with, at least.
    fn base(shares: &[Self]) -> u64 {
        let awake = shares.iter().filter(|s| s.runnable).map(|s| s.used);
        let all = shares.iter().map(|s| s.used);
        awake.min().or(all.max()).unwrap_or(0)
    }
}

/// Lets a vCPU run from now on; returns whether it could not before.
pub fn wake(shares: &mut [Share], who: usize) -> bool {
    if shares.get(who).is_none_or(|share| share.runnable) {
        return false;
    }
    let base = Share::base(shares);
    let share = &mut shares[who];
    share.runnable = true;
    share.used = share.used.max(base);
    true
}

/// Who runs next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Choice {
    /// Its number.
    pub who: usize,
    /// Whether others could run too.
    pub contended: bool,
}

/// Returns who runs next: the one that had the least, and of equals the first after `last`.
pub fn pick(shares: &[Share], last: usize) -> Option<Choice> {
    let (before, after) = shares.split_at(shares.len().min(last.saturating_add(1)));
    let split = before.len();
    let in_turn = (split..).zip(after).chain((0..).zip(before));
    let mut best: Option<(usize, u64)> = None;
    let mut runnable = 0;
    for (n, share) in in_turn.filter(|(_, share)| share.runnable) {
        runnable += 1;
        if best.is_none_or(|(_, least)| share.used < least) {
            best = Some((n, share.used));
        }
    }
    best.map(|(who, _)| Choice {
        who,
        contended: runnable > 1,
    })
}

/// Returns the first deadline of those that are not runnable; [`NEVER`] for none.
pub fn first_deadline(shares: &[Share]) -> u64 {
    let waiting = shares.iter().filter(|share| !share.runnable);
    waiting.map(|share| share.deadline).min().unwrap_or(NEVER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    const SLICE: u64 = 1000;

    fn runnable(weights: &[u32]) -> Vec<Share> {
        let mut shares: Vec<_> = weights.iter().map(|&w| Share::new(w)).collect();
        (0..weights.len()).for_each(|n| assert!(wake(&mut shares, n)));
        shares
    }

    /// Runs `rounds` slices and returns how many each got.
    fn run(shares: &mut [Share], rounds: usize) -> Vec<usize> {
        let mut got = alloc::vec![0; shares.len()];
        let mut last = 0;
        for _ in 0..rounds {
            let Some(Choice { who: next, .. }) = pick(shares, last) else {
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
        let next = pick(&shares, 0).map(|choice| choice.who);
        assert_eq!(next, Some(1), "the next one, not the same again");
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
    fn the_first_to_wake_has_no_claim_from_when_all_slept() {
        let mut shares = runnable(&[64, 64]);
        shares[1].runnable = false;
        run(&mut shares, 1000);
        shares[0].runnable = false;
        wake(&mut shares, 1);
        wake(&mut shares, 0);
        let got = run(&mut shares, 100);
        assert!(got[0] >= 49, "starved by the one that woke first: {got:?}");
    }

    /// Whoever sleeps when and for how long: over a time in which two want to run all the time, they get
    /// what their weights say.
    #[test]
    fn who_wants_to_run_gets_what_its_weight_says() {
        let mut random = 0x2545_f491_4f6c_dd1d_u64;
        for _ in 0..200 {
            let mut below = |n: u64| {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                random % n
            };
            let weights: Vec<_> = (0..4).map(|_| 1 << (4 + below(4))).collect();
            let mut shares = runnable(&weights);
            let mut last = 0;
            for _ in 0..below(500) {
                let n = below(4) as usize;
                if below(2) == 0 {
                    shares[n].runnable = false;
                } else {
                    wake(&mut shares, n);
                }
                let Some(Choice { who: next, .. }) = pick(&shares, last) else {
                    continue;
                };
                shares[next].charge(1 + below(SLICE));
                last = next;
            }
            for n in [2, 3] {
                shares[n].runnable = false;
            }
            wake(&mut shares, 0);
            wake(&mut shares, 1);
            // What one of them is behind by may be made up for, a turn of the lightest at the most
            // for each that slept.
            let settle = run(&mut shares, 200);
            let got = run(&mut shares, 1700);
            let total = f64::from(weights[0] + weights[1]);
            let expected = 1700.0 * f64::from(weights[0]) / total;
            let error = (got[0] as f64 - expected).abs();
            assert!(error <= 2.0, "{weights:?}: {settle:?}, {got:?}");
        }
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
            let next = pick(&shares, last).unwrap().who;
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
        let one = Choice {
            who: 0,
            contended: false,
        };
        assert_eq!(pick(&runnable(&[0]), 99), Some(one), "any last will do");
    }

    #[test]
    fn two_that_could_run_are_said_to() {
        let mut shares = runnable(&[64, 64, 64]);
        assert!(pick(&shares, 0).unwrap().contended);
        shares[1].runnable = false;
        assert!(pick(&shares, 0).unwrap().contended);
        shares[0].runnable = false;
        assert!(!pick(&shares, 0).unwrap().contended);
    }

    #[test]
    fn who_runs_is_not_waited_for() {
        let mut shares = runnable(&[64, 64, 64]);
        assert_eq!(first_deadline(&shares), NEVER);
        shares[0].deadline = 3;
        shares[1].deadline = 7;
        shares[1].runnable = false;
        shares[2].runnable = false;
        assert_eq!(first_deadline(&shares), 7);
        assert!(wake(&mut shares, 1) && !wake(&mut shares, 1));
        assert_eq!(first_deadline(&shares), NEVER);
        assert!(!wake(&mut shares, 9), "nobody");
    }

    #[test]
    fn weights_hold_for_turns_of_any_length() {
        let mut shares = [Share::new(1), Share::new(1024), Share::new(3)];
        shares.iter_mut().for_each(|share| share.charge(1 << 43));
        let used = shares.map(|share| share.used);
        assert_eq!(used[..2], [1 << 53, 1 << 43]);
        assert_eq!(used[2] >> 32, ((1u64 << 53) / 3) >> 32);
        shares[0].charge(u64::MAX);
        shares[0].charge(u64::MAX);
        assert_eq!(shares[0].used, u64::MAX, "it ends there");
    }
}
