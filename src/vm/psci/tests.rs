use super::*;
use alloc::{vec, vec::Vec};
use std::{sync::Barrier, thread};

fn start(entry: u64) -> Start {
    Start {
        entry,
        context: !entry,
        rest: [0; 2],
    }
}

/// Two clusters of two, and one far away.
fn machine() -> Vec<Switch> {
    [(0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1), (2, 0, 0)]
        .map(|(aff2, aff1, aff0)| Switch::new(Affinity::new(0, aff2, aff1, aff0)))
        .into()
}

fn turn_on(switch: &Switch) {
    switch.claim().unwrap().publish(start(4));
    switch.arrive().unwrap();
}

#[test]
fn a_vcpu_goes_through_its_states() {
    let machine = machine();
    let switch = &machine[1];
    assert_eq!(switch.affinity(), Affinity::new(0, 0, 0, 1));
    assert_eq!(switch.power(), Power::Off);
    assert_eq!(switch.arrive(), None);
    assert_eq!(cpu_on(&machine, switch.affinity(), start(8)), Ok(1));
    assert_eq!(switch.power(), Power::OnPending);
    assert_eq!(
        cpu_on(&machine, switch.affinity(), start(12)),
        Err(Error::OnPending)
    );
    assert_eq!(switch.arrive(), Some(start(8)));
    assert_eq!(switch.power(), Power::On);
    assert_eq!(switch.arrive(), None, "it arrives once");
    assert_eq!(
        cpu_on(&machine, switch.affinity(), start(12)),
        Err(Error::AlreadyOn)
    );
    switch.turn_off();
    assert_eq!(switch.power(), Power::Off);
    assert_eq!(cpu_on(&machine, switch.affinity(), start(16)), Ok(1));
    assert_eq!(switch.arrive(), Some(start(16)));
}

#[test]
fn a_vcpu_that_is_not_there_is_invalid() {
    let machine = machine();
    let absent = Affinity::new(0, 0, 0, 2);
    assert_eq!(
        cpu_on(&machine, absent, start(0)),
        Err(Error::InvalidParameters)
    );
    assert_eq!(
        affinity_info(&machine, absent, 0),
        Err(Error::InvalidParameters)
    );
    assert_eq!(affinity_info(&[], absent, 3), Err(Error::InvalidParameters));
}

#[test]
fn an_instance_is_on_when_one_of_it_is() {
    let machine = machine();
    let info = |aff2, aff1, aff0, level| {
        affinity_info(&machine, Affinity::new(0, aff2, aff1, aff0), level)
    };
    assert_eq!(info(0, 0, 0, 3), Ok(Power::Off));
    machine[3].claim().unwrap().publish(start(4));
    assert_eq!(info(0, 1, 0, 0), Ok(Power::Off));
    assert_eq!(
        info(0, 1, 99, 1),
        Ok(Power::OnPending),
        "lower fields don't count"
    );
    assert_eq!(info(0, 0, 0, 1), Ok(Power::Off));
    assert_eq!(info(0, 0, 0, 2), Ok(Power::OnPending));
    assert_eq!(info(2, 0, 0, 2), Ok(Power::Off));
    turn_on(&machine[0]);
    assert_eq!(info(0, 0, 1, 1), Ok(Power::On));
    assert_eq!(info(0, 9, 9, 2), Ok(Power::On));
    assert_eq!(info(2, 0, 0, 1), Ok(Power::Off));
    assert_eq!(info(9, 9, 9, 3), Ok(Power::On));
    assert_eq!(info(1, 0, 0, 2), Err(Error::InvalidParameters));
    let elsewhere = affinity_info(&machine, Affinity::new(1, 0, 0, 0), 3);
    assert_eq!(elsewhere, Err(Error::InvalidParameters));
}

#[test]
fn answers_are_codes() {
    let machine = machine();
    let info = |aff0| affinity_info(&machine, Affinity::new(0, 0, 0, aff0), 0);
    turn_on(&machine[0]);
    let as_code = |power: Power| power as u64;
    assert_eq!(answer(info(0), as_code), 0);
    assert_eq!(answer(info(1), as_code), 1);
    assert_eq!(
        answer(cpu_on(&machine, Affinity::new(0, 0, 0, 1), start(0)), |_| 0),
        0
    );
    assert_eq!(answer(info(1), as_code), 2);
    assert_eq!(answer(info(7), as_code), (-2_i64) as u64);
}

#[test]
fn the_last_one_off_is_noticed() {
    let machine = machine();
    assert!(all_off(&machine));
    let claim = machine[4].claim().unwrap();
    assert!(!all_off(&machine));
    claim.publish(start(4));
    assert!(!all_off(&machine));
    machine[4].arrive().unwrap();
    machine[4].turn_off();
    assert!(all_off(&machine));
}

/// One party's next step.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Party {
    /// The first and the second who turn the vCPU on, in two steps: claim, publish.
    Caller(usize),
    /// The vCPU: arrives when it can, and every other time goes off.
    Vcpu,
}

/// Gives every order in which the steps left can be done.
fn orders(left: [usize; 3], done: &mut Vec<Party>, all: &mut Vec<Vec<Party>>) {
    if left == [0; 3] {
        all.push(done.clone());
    }
    for (n, party) in [Party::Caller(0), Party::Caller(1), Party::Vcpu]
        .into_iter()
        .enumerate()
    {
        if left[n] > 0 {
            let mut rest = left;
            rest[n] -= 1;
            done.push(party);
            orders(rest, done, all);
            done.pop();
        }
    }
}

#[test]
fn in_every_order_each_start_is_won_once_and_whole() {
    let mut all = vec![];
    orders([2, 2, 4], &mut vec![], &mut all);
    assert_eq!(all.len(), 420);
    let mut both_won = 0;
    for order in all {
        let switch = Switch::new(Affinity::default());
        let mut claims = [None, None];
        let mut tried = [false; 2];
        let mut won = 0;
        let mut pending = None;
        let mut is_on = false;
        for step in &order {
            match *step {
                Party::Caller(n) if !tried[n] => {
                    tried[n] = true;
                    let claimed = claims.iter().any(Option::is_some);
                    match switch.claim() {
                        Ok(claim) => {
                            assert!(!is_on && !claimed && pending.is_none(), "{order:?}");
                            claims[n] = Some(claim);
                            won += 1;
                        }
                        Err(Error::AlreadyOn) => assert!(is_on, "{order:?}"),
                        Err(error) => {
                            assert_eq!(error, Error::OnPending);
                            assert!(claimed || pending.is_some(), "{order:?}");
                        }
                    }
                }
                Party::Caller(n) => {
                    if let Some(claim) = claims[n].take() {
                        let start = start(4 * n as u64);
                        claim.publish(start);
                        pending = Some(start);
                    }
                }
                Party::Vcpu if is_on => {
                    switch.turn_off();
                    is_on = false;
                }
                Party::Vcpu => {
                    assert_eq!(switch.arrive(), pending, "{order:?}");
                    is_on = pending.take().is_some();
                }
            }
            let claimed = claims.iter().any(Option::is_some);
            let expected = match (is_on, claimed || pending.is_some()) {
                (true, _) => Power::On,
                (_, true) => Power::OnPending,
                _ => Power::Off,
            };
            assert_eq!(switch.power(), expected, "{order:?}");
        }
        assert!(won >= 1, "{order:?}");
        both_won += usize::from(won == 2);
    }
    assert!(both_won > 0, "going off in between lets the second win too");
}

#[test]
fn of_real_threads_at_once_one_wins() {
    for _ in 0..200 {
        let machine = machine();
        let line = Barrier::new(3);
        let target = Affinity::new(0, 0, 1, 0);
        let results: Vec<_> = thread::scope(|scope| {
            let caller = |n: u64| {
                let (machine, line) = (&machine, &line);
                move || {
                    line.wait();
                    cpu_on(machine, target, start(n))
                }
            };
            let callers = [0, 1, 2].map(|n| scope.spawn(caller(n)));
            callers.map(|caller| caller.join().unwrap()).into()
        });
        let winner = results.iter().position(Result::is_ok).unwrap();
        let others = |result: &&Result<usize, Error>| **result == Err(Error::OnPending);
        assert_eq!(results.iter().filter(others).count(), 2);
        assert_eq!(machine[2].arrive(), Some(start(winner as u64)));
    }
}

#[test]
fn a_vcpu_that_starts_anew_is_at_reset_but_for_its_timers_and_name() {
    use crate::{
        cpu::fake,
        isa::{features::Features, sysreg::Present},
        vm::sysregs::HostMode,
    };
    for (vhe, aarch32) in [(false, false), (true, false), (false, true), (true, true)] {
        fake::reset();
        let features = Features::ALL
            .without(Features::AARCH32_EL1)
            .with(Features::AARCH32_EL1, aarch32);
        let shown = Present {
            features,
            ..Present::ALL
        };
        let mut regs = SysRegs::new(HostMode { vhe, features }, shown);
        for (n, reg) in (0x100..).zip(sysreg::ALL) {
            // A view would change what it is a view of.
            if !reg.name().contains("TVAL") {
                regs.write(reg, n);
            }
        }
        regs.load();
        regs.set_pstate(0x4);
        restart(&mut regs, 0x4000_0000);
        assert!(regs.sysregs_loaded_on_cpu());
        let pstate = if aarch32 { 0x1d3 } else { 0x3c5 };
        assert_eq!((regs.pc(), regs.pstate()), (0x4000_0000, pstate));
        for (n, reg) in (0x100..).zip(sysreg::ALL) {
            let name = reg.name();
            let kept = name.starts_with("CNTV_CVAL") || name.starts_with("CNTP_CVAL");
            let kept = kept || reg.class() == Class::LoadOnly;
            let is_reset = match reg.class() {
                Class::Deferred => true,
                Class::Deferred32 => aarch32,
                _ => false,
            };
            if !kept && !is_reset {
                continue;
            }
            let expected = if kept { n } else { reg.reset(aarch32) };
            assert_eq!(regs.read(reg), expected, "{name}");
        }
    }
}
