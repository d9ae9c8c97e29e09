use super::*;
use crate::sched::{pick, wake};
use alloc::vec;

struct Bits {
    weight: u32,
    begins: u64,
}

impl Work for Bits {
    fn step(&mut self) -> bool {
        false
    }

    fn weight(&self) -> u32 {
        self.weight
    }

    fn begins(&self) -> u64 {
        self.begins
    }

    fn finish(self: Box<Self>) {}
}

fn works(all: &[(u32, u64)]) -> Works {
    let mut works = Works::new();
    for &(weight, begins) in all {
        works.add(Box::new(Bits { weight, begins }));
    }
    works
}

fn vcpus(weights: &[u32]) -> Vec<Share> {
    let mut shares: Vec<_> = weights.iter().map(|&w| Share::new(w)).collect();
    (0..weights.len()).for_each(|n| {
        wake(&mut shares, n);
    });
    shares
}

const SLICE: u64 = 4000;
const STEP: u64 = 300;

/// Runs a CPU until `until`; returns how long each vCPU and each work had it.
fn run(shares: &mut [Share], works: &mut Works, until: u64) -> (Vec<u64>, Vec<u64>) {
    let (mut vcpu_time, mut work_time) = (vec![0; shares.len()], vec![0; works.0.len()]);
    let (mut now, mut last) = (0, 0);
    while now < until {
        let next = picked(shares, last);
        if let Some(n) = works.next(now, shares, next) {
            works.charge(n, STEP, shares);
            work_time[n] += STEP;
            now += STEP;
        } else if let Some(n) = next {
            shares[n].charge(SLICE);
            vcpu_time[n] += SLICE;
            (now, last) = (now + SLICE, n);
        } else {
            now += 1;
        }
    }
    (vcpu_time, work_time)
}

fn picked(shares: &[Share], last: usize) -> Option<usize> {
    pick(shares, last).map(|choice| choice.who)
}

fn is_about(got: u64, wanted: u64) -> bool {
    got.abs_diff(wanted) <= wanted / 50 + SLICE
}

#[test]
fn work_has_a_vcpus_share() {
    let mut shares = vcpus(&[64, 64]);
    let (vcpu_time, work_time) = run(&mut shares, &mut works(&[(64, 0)]), 3_000_000);
    assert!(is_about(vcpu_time[0], 1_000_000), "{vcpu_time:?}");
    assert!(is_about(vcpu_time[1], 1_000_000), "{vcpu_time:?}");
    assert!(is_about(work_time[0], 1_000_000), "{work_time:?}");
}

#[test]
fn its_weight_is_its_vms() {
    let mut shares = vcpus(&[192]);
    let (vcpu_time, work_time) = run(&mut shares, &mut works(&[(64, 0)]), 4_000_000);
    assert!(is_about(vcpu_time[0], 3_000_000), "{vcpu_time:?}");
    assert!(is_about(work_time[0], 1_000_000), "{work_time:?}");
}

#[test]
fn it_has_what_nobody_wants_for_nothing() {
    let mut shares = vcpus(&[64]);
    let mut works = works(&[(64, 0)]);
    run(&mut shares, &mut works, 100_000);
    shares[0].runnable = false;
    let (_, work_time) = run(&mut shares, &mut works, 1_000_000);
    assert_eq!(work_time, [1_000_200]);
    // It is not made to pay for that.
    wake(&mut shares, 0);
    let (vcpu_time, work_time) = run(&mut shares, &mut works, 1_000_000);
    assert!(is_about(vcpu_time[0], 500_000), "{vcpu_time:?}");
    assert!(is_about(work_time[0], 500_000), "{work_time:?}");
}

#[test]
fn it_has_no_claim_from_before_it_came() {
    let mut shares = vcpus(&[64]);
    run(&mut shares, &mut works(&[]), 10_000_000);
    for awake in [true, false] {
        shares[0].runnable = awake;
        let mut works = works(&[(64, 0)]);
        works.next(0, &shares, None);
        wake(&mut shares, 0);
        let (vcpu_time, _) = run(&mut shares, &mut works, 100_000);
        assert!(is_about(vcpu_time[0], 50_000), "{vcpu_time:?}");
    }
}

#[test]
fn it_begins_when_it_may() {
    let mut works = works(&[(64, 5000), (64, 7000)]);
    assert_eq!(works.first(), Some(5000));
    assert_eq!(works.next(4999, &[], None), None);
    assert_eq!(works.next(5000, &[], None), Some(0));
    assert_eq!(works.first(), Some(7000));
    assert_eq!(works.next(7000, &[], None), Some(0));
    assert_eq!(works.first(), None);
    assert_eq!(Works::new().first(), None);
}
