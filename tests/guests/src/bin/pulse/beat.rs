//! The virtual timer's interrupts, each of which sets the next deadline.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use guests::mrs;
use guests::rt::{
    gic, irq,
    timer::{ENABLE, ISTATUS, Timer},
};

/// How often it is looked again whether an interrupt that is due has come.
const PATIENCE: u32 = 100_000;

static TICKS: AtomicU64 = AtomicU64::new(0);
static STRAY: AtomicU64 = AtomicU64::new(0);
static PERIOD: AtomicU64 = AtomicU64::new(0);

/// The deadlines since a count.
pub struct Beat {
    per_second: u64,
    start: u64,
    period: u64,
}

/// Sets the first deadline of so many a second, and lets interrupts be taken.
pub fn start(per_second: u64) -> Beat {
    let per_second = per_second.max(1);
    let period = mrs!("CNTFRQ_EL0") / per_second;
    PERIOD.store(period, Relaxed);
    irq::handle_by(tick);
    let start = Timer::Virtual.count();
    Timer::Virtual.set_cval(start + period);
    gic::enable(Timer::Virtual.intid());
    Timer::Virtual.set_ctl(ENABLE);
    irq::unmask();
    Beat {
        per_second,
        start,
        period,
    }
}

fn tick(intid: u32) {
    let timer = Timer::Virtual;
    if intid == timer.intid() && timer.ctl() & ISTATUS != 0 {
        TICKS.fetch_add(1, Relaxed);
        timer.set_cval(timer.cval() + PERIOD.load(Relaxed));
    } else {
        STRAY.fetch_add(1, Relaxed);
    }
    gic::end(intid);
}

impl Beat {
    /// Returns how many seconds have passed.
    pub fn seconds(&self) -> u64 {
        self.due() / self.per_second
    }

    /// Returns how many interrupts came, how many deadlines have passed, and how many other
    /// interrupts came. Those that are due get a moment to come.
    pub fn ticks(&self) -> (u64, u64, u64) {
        let look = || (TICKS.load(Relaxed), self.due());
        let mut seen = look();
        for _ in 0..PATIENCE {
            if seen.0 == seen.1 {
                break;
            }
            seen = look();
        }
        // Those with no number at all are noted by the default handler.
        let stray = STRAY.load(Relaxed) + irq::taken() as u64;
        (seen.0, seen.1, stray)
    }

    fn due(&self) -> u64 {
        (Timer::Virtual.count() - self.start) / self.period
    }
}
