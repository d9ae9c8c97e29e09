//! A vCPU that others ring for: no ring is lost, whether its CPU sleeps or the vCPU moves.

use loom::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};
use loom::thread;
use models::doorbell::{Attention, Doorbell};

/// What two CPUs and whoever rings share.
struct Machine {
    bell: Doorbell,
    /// What there is for the vCPU to see.
    news: AtomicUsize,
    /// Whether each CPU was called. A call comes with an interrupt, which ends the CPU's sleep.
    attention: [Attention; 2],
    /// Whether the vCPU is on its way into CPU 1's care.
    inbox: AtomicBool,
    /// What the vCPU saw.
    seen: AtomicUsize,
}

impl Machine {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            bell: Doorbell::new(),
            news: AtomicUsize::new(0),
            attention: [Attention::new(), Attention::new()],
            inbox: AtomicBool::new(false),
            seen: AtomicUsize::new(0),
        })
    }

    /// Tells the vCPU something.
    fn ring(&self, news: usize) {
        self.news.fetch_add(news, Ordering::Relaxed);
        self.attention[self.bell.press()].call();
    }

    fn look(&self) {
        self.seen
            .store(self.news.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// One round of the CPU that has the vCPU in its care.
    fn round(&self) {
        if self.bell.take() {
            self.look();
        }
    }

    /// Goes on with a CPU that sleeps for as long as an interrupt wakes it.
    fn wake(&self, cpu: usize, round: impl Fn()) {
        while self.attention[cpu].take() {
            round();
        }
    }
}

#[test]
fn no_ring_is_lost_on_a_cpu_that_goes_to_sleep() {
    loom::model(|| {
        let machine = Machine::new();
        let ringers = [1, 2].map(|news| {
            let machine = machine.clone();
            thread::spawn(move || machine.ring(news))
        });
        machine.round();
        for ringer in ringers {
            ringer.join().unwrap();
        }
        machine.wake(0, || machine.round());
        assert_eq!(machine.seen.load(Ordering::Relaxed), 3);
    });
}

#[test]
fn no_ring_is_lost_on_a_vcpu_that_moves() {
    loom::model(|| {
        let machine = Machine::new();
        let ringer = {
            let machine = machine.clone();
            thread::spawn(move || machine.ring(1))
        };
        let old_home = {
            let machine = machine.clone();
            thread::spawn(move || {
                machine.bell.set_home(1);
                machine.inbox.store(true, Ordering::Release);
                machine.attention[1].call();
            })
        };
        let round = || {
            if machine.inbox.swap(false, Ordering::Acquire) {
                machine.bell.set_home(1);
            }
            machine.round();
        };
        // The new home has taken its interrupt before it looks, or none came yet.
        machine.wake(1, round);
        ringer.join().unwrap();
        old_home.join().unwrap();
        machine.wake(1, round);
        assert_eq!(machine.seen.load(Ordering::Relaxed), 1);
    });
}
