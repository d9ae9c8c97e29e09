//! Turning a vCPU on (CPU_ON) from several others at once.

use entresol::isa::{affinity::Affinity, psci::Error};
use entresol::vm::smccc::Start;
use loom::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use loom::thread;
use models::switch::{Power, Switch};

fn switch() -> Arc<Switch> {
    Arc::new(Switch::new(Affinity::new(0, 0, 0, 1)))
}

fn turn_on(switch: &Switch, start: u64) -> Result<(), Error> {
    switch.claim()?.publish(Start {
        entry: start,
        context: !start,
        rest: [0; 2],
    });
    Ok(())
}

#[test]
fn one_of_two_wins_and_the_vcpu_starts_where_it_said() {
    loom::model(|| {
        let switch = switch();
        let others = [1, 2].map(|start| {
            let switch = switch.clone();
            thread::spawn(move || turn_on(&switch, start))
        });
        let early = switch.arrive();
        let results = others.map(|other| other.join().unwrap());
        let start = early.or_else(|| switch.arrive()).unwrap();
        assert_eq!(start.context, !start.entry);
        let winner = (start.entry - 1) as usize;
        assert_eq!(results[winner], Ok(()));
        // The other one came while it was pending, or when it was on.
        assert!(matches!(
            results[1 - winner],
            Err(Error::OnPending | Error::AlreadyOn)
        ));
        assert_eq!(switch.power(), Power::On);
        assert!(switch.arrive().is_none());
    });
}

#[test]
fn what_a_vcpu_wrote_before_it_went_off_is_seen_by_who_turns_it_on() {
    loom::model(|| {
        let switch = switch();
        turn_on(&switch, 1).unwrap();
        assert!(switch.arrive().is_some());
        let written = Arc::new(AtomicUsize::new(0));
        let vcpu = {
            let (switch, written) = (switch.clone(), written.clone());
            thread::spawn(move || {
                written.store(7, Ordering::Relaxed);
                switch.turn_off();
            })
        };
        if turn_on(&switch, 2).is_ok() {
            assert_eq!(written.load(Ordering::Relaxed), 7);
        }
        vcpu.join().unwrap();
    });
}
