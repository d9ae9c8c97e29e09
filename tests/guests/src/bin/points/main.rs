//! A user of all breakpoints and watchpoints, among other VMs on the same CPU that are too.
//!
//! Boot arguments: `set=N`, from 0 to 3, says which of the places are its own; without it, none is
//! and no debug register is ever touched. `rounds=N`: how often it gives the CPU up and comes back.
//! Each round goes by all places, those of other VMs too, which have the same addresses. At the end
//! comes one line, `points: N rounds, N exceptions, N missing, N stray, done at N end`, the last by the
//! physical counter, which all VMs have alike; `wait=MS` says how long after.
//!
//! With `target` it says where the first places are and goes by them for ever, for a debugger to stop
//! it there; meanwhile it writes debug registers of its own and reads them back.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
guests::entry!(main);

#[cfg(target_os = "none")]
fn main() -> ! {
    use guests::println;
    use guests::rt::{console, entry, gic, smccc, timer};

    console::init();
    gic::init();
    if entry::has_argument("target") {
        turns::as_target();
    }
    let number = |key| entry::argument(key).and_then(|text| text.parse::<usize>().ok());
    let tally = match number("set") {
        Some(set) => turns::with_points(set, number("rounds").unwrap_or(1000)),
        None => turns::without(number("rounds").unwrap_or(1000)),
    };
    let done = timer::Timer::Physical.count();
    timer::pause(1000 * number("wait").unwrap_or(0) as u64);
    println!(
        "points: {} rounds, {} exceptions, {} missing, {} stray, done at {done} end",
        tally.rounds, tally.exceptions, tally.missing, tally.stray
    );
    smccc::system_off()
}

#[cfg(target_os = "none")]
mod turns {
    use guests::rt::{
        points::{self, Hits, KDE, MDE, SPOTS},
        sysreg,
        timer::{ENABLE, Timer, ticks},
    };
    use guests::{mrs, msr, println};

    /// What became of the rounds.
    #[derive(Default)]
    pub struct Tally {
        pub rounds: usize,
        pub exceptions: u32,
        pub missing: u32,
        pub stray: u64,
    }

    impl Tally {
        fn add(&mut self, hits: Hits, expected: Hits) {
            self.rounds += 1;
            self.stray += hits.strays;
            for (hit, expected) in [
                (hits.instructions, expected.instructions),
                (hits.stores, expected.stores),
                (hits.loads, expected.loads),
            ] {
                self.exceptions += hit.count_ones();
                self.missing += (expected & !hit).count_ones();
                self.stray += u64::from((hit & !expected).count_ones());
            }
        }
    }

    /// Uses all there are. In every fourth round they are off while others run, and in every
    /// eighth they are set anew.
    pub fn with_points(set: usize, rounds: usize) -> Tally {
        // Locked at reset: nothing would fire.
        msr!("OSLAR_EL1", 0);
        let first = set * SPOTS / 4;
        let expected = points::set_all(first);
        let mut tally = Tally::default();
        for round in 0..rounds {
            msr!("MDSCR_EL1", if round % 4 == 3 { 0 } else { KDE | MDE });
            give_way();
            if round % 8 == 7 {
                let _ = points::set_all(first);
            }
            msr!("MDSCR_EL1", KDE | MDE);
            tally.add(points::hits(points::walk_and_touch), expected);
        }
        points::clear();
        tally
    }

    /// Goes by the same places, and never has time to wait.
    pub fn without(rounds: usize) -> Tally {
        let mut tally = Tally::default();
        for _ in 0..rounds {
            tally.add(points::hits(points::walk_and_touch), Hits::default());
        }
        tally
    }

    /// Is what somebody else debugs.
    pub fn as_target() -> ! {
        println!(
            "points: instruction {:#x} word {:#x} end",
            points::instruction(0),
            points::word(0)
        );
        msr!("OSLAR_EL1", 0);
        let mut strays = 0;
        for round in 1_u64.. {
            msr!("DBGBVR0_EL1", round << 2);
            msr!("MDSCR_EL1", MDE);
            strays += points::hits(points::walk_and_touch).strays;
            strays += u64::from(mrs!("DBGBVR0_EL1") != round << 2);
            strays += u64::from(mrs!("MDSCR_EL1") & (KDE | MDE) != MDE);
            if round % 2000 == 0 {
                println!("points: {strays} stray end");
            }
        }
        guests::rt::smccc::system_off()
    }

    /// Sleeps for a moment: on a CPU that is shared, somebody else runs.
    fn give_way() {
        guests::rt::gic::enable(Timer::Virtual.intid());
        Timer::Virtual.set_tval(ticks(20) as i32);
        Timer::Virtual.set_ctl(ENABLE);
        sysreg::wait_for_interrupt();
        Timer::Virtual.set_ctl(0);
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("points runs at EL1 of an Arm machine: build it for aarch64-unknown-none-softfloat");
    std::process::exit(2);
}
