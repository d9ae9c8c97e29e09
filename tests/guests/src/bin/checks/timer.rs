//! The virtual and the physical timer of EL1.

use guests::rt::timer::{ENABLE, IMASK, ISTATUS, Timer, pause, ticks, wait};
use guests::rt::{entry, gic, irq};
use guests::{checks, expect, expect_eq, mrs, outcome::TestResult};

/// As late, in microseconds, as an interrupt may be on a development machine under load.
const LATE: u64 = 1_000_000;

/// As late as most interrupts may be.
const PROMPT: u64 = 10_000;

checks! {
    everywhere virtual_interrupts_come_on_time;
    everywhere virtual_interrupt_waits_for_imask;
    everywhere virtual_interrupt_waits_for_daif;
    everywhere virtual_tval_is_a_view_of_cval;
    everywhere virtual_disabled_is_silent;
    everywhere virtual_moved_away_is_silent;
    everywhere virtual_wakes_from_wfi;
    everywhere virtual_is_taken_in_wfi;
    everywhere physical_interrupts_come_on_time;
    everywhere physical_interrupt_waits_for_imask;
    everywhere physical_interrupt_waits_for_daif;
    everywhere physical_tval_is_a_view_of_cval;
    everywhere physical_disabled_is_silent;
    everywhere physical_moved_away_is_silent;
    everywhere physical_wakes_from_wfi;
    everywhere physical_is_taken_in_wfi;
    everywhere both_timers_at_once;
    everywhere counters_never_go_back;
    everywhere counters_run_alike;
    everywhere frequency_is_told;
}

macro_rules! for_both {
    ($($physical:ident $virtual:ident $check:ident;)*) => {$(
        fn $virtual() -> TestResult {
            $check(Timer::Virtual)
        }

        fn $physical() -> TestResult {
            $check(Timer::Physical)
        }
    )*};
}

for_both! {
    physical_interrupts_come_on_time virtual_interrupts_come_on_time on_time;
    physical_interrupt_waits_for_imask virtual_interrupt_waits_for_imask imask;
    physical_interrupt_waits_for_daif virtual_interrupt_waits_for_daif daif;
    physical_tval_is_a_view_of_cval virtual_tval_is_a_view_of_cval tval;
    physical_disabled_is_silent virtual_disabled_is_silent disabled;
    physical_moved_away_is_silent virtual_moved_away_is_silent moved_away;
    physical_wakes_from_wfi virtual_wakes_from_wfi wfi_masked;
    physical_is_taken_in_wfi virtual_is_taken_in_wfi wfi_unmasked;
}

fn arm(timer: Timer, microseconds: u64) -> u64 {
    let when = timer.count() + ticks(microseconds);
    timer.set_cval(when);
    timer.set_ctl(ENABLE);
    when
}

fn on_time(timer: Timer) -> TestResult {
    gic::enable(timer.intid());
    irq::unmask();
    let mut prompt = 0;
    for _ in 0..100 {
        irq::reset();
        // The handler notes the virtual count.
        let before = Timer::Virtual.count();
        arm(timer, 100);
        expect!(
            wait(LATE, || irq::taken() != 0),
            "no interrupt, CTL {:#x}",
            timer.ctl()
        );
        expect_eq!(irq::nth(0), timer.intid());
        let delay = irq::when() - before;
        expect!(
            delay >= ticks(100),
            "taken {} ticks early",
            ticks(100) - delay
        );
        prompt += u32::from(delay < ticks(100 + PROMPT));
        expect_eq!(irq::taken(), 1);
    }
    expect!(prompt >= 50, "only {prompt} of 100 within {PROMPT} us");
    Ok(())
}

fn imask(timer: Timer) -> TestResult {
    gic::enable(timer.intid());
    irq::unmask();
    timer.set_cval(timer.count());
    timer.set_ctl(ENABLE | IMASK);
    pause(200);
    expect_eq!(timer.ctl(), ENABLE | IMASK | ISTATUS);
    expect_eq!(irq::taken(), 0);
    timer.set_ctl(ENABLE);
    expect!(
        wait(LATE, || irq::taken() == 1),
        "not taken after IMASK was cleared"
    );
    expect_eq!(irq::nth(0), timer.intid());
    Ok(())
}

fn daif(timer: Timer) -> TestResult {
    gic::enable(timer.intid());
    arm(timer, 0);
    expect!(
        wait(LATE, || gic::is_pending(timer.intid())),
        "not pending in GICR_ISPENDR0"
    );
    expect!(mrs!("ISR_EL1") & 1 << 7 != 0, "not pending in ISR_EL1");
    expect_eq!(irq::taken(), 0);
    irq::unmask();
    expect!(
        wait(LATE, || irq::taken() == 1),
        "not taken after DAIF.I was cleared"
    );
    expect!(
        wait(LATE, || !gic::is_pending(timer.intid())),
        "still pending once silenced"
    );
    Ok(())
}

fn tval(timer: Timer) -> TestResult {
    timer.set_ctl(ENABLE | IMASK);
    let second = ticks(1_000_000) as i32;
    let before = timer.count();
    timer.set_tval(second);
    let after = timer.count();
    let cval = timer.cval();
    let earliest = before + second as u64;
    expect!(
        (earliest..=after + second as u64).contains(&cval),
        "CVAL {cval:#x}"
    );
    let left = timer.tval();
    expect!(left > 0 && left <= second, "TVAL {left} of {second}");
    expect_eq!(timer.ctl() & ISTATUS, 0);

    timer.set_cval(timer.count() - 1000);
    let left = timer.tval();
    expect!(left <= -1000, "TVAL {left}, expired 1000 ticks ago");
    expect_eq!(timer.ctl() & ISTATUS, ISTATUS);

    timer.set_tval(-1000);
    expect!(
        timer.cval() < timer.count(),
        "a negative TVAL is not in the past"
    );
    Ok(())
}

fn disabled(timer: Timer) -> TestResult {
    gic::enable(timer.intid());
    irq::unmask();
    let when = arm(timer, 20_000);
    timer.set_ctl(0);
    if timer.count() < when {
        pause(25_000);
        expect_eq!(irq::taken(), 0);
    }

    irq::reset();
    arm(timer, 0);
    expect!(wait(LATE, || irq::taken() == 1), "not taken");
    timer.set_ctl(0);
    pause(1000);
    expect_eq!(irq::taken(), 1);
    Ok(())
}

fn moved_away(timer: Timer) -> TestResult {
    gic::enable(timer.intid());
    arm(timer, 0);
    expect!(wait(LATE, || gic::is_pending(timer.intid())), "not pending");
    timer.set_cval(u64::MAX);
    irq::unmask();
    pause(500);
    // An interrupt on its way may come, but as a spurious one. Under a hypervisor that lets the
    // guest program the timer itself, one that was pending in a list register comes too: nothing
    // tells the hypervisor that the line fell. It must stay at one.
    let late = usize::from(!entry::has_argument("native"));
    let taken = (0..irq::taken()).filter(|&n| irq::nth(n) < gic::SPECIAL);
    expect!(taken.count() <= late, "taken {:#x}", irq::nth(0));
    expect!(!gic::is_pending(timer.intid()), "still pending");
    Ok(())
}

fn wfi_masked(timer: Timer) -> TestResult {
    gic::enable(timer.intid());
    for _ in 0..10 {
        let when = arm(timer, 2000);
        while timer.ctl() & ISTATUS == 0 {
            wfi();
            expect!(timer.count() < when + ticks(LATE), "slept past the timer");
        }
        timer.set_ctl(0);
        expect_eq!(irq::taken(), 0);
    }
    Ok(())
}

fn wfi_unmasked(timer: Timer) -> TestResult {
    gic::enable(timer.intid());
    irq::unmask();
    for n in 1..=10 {
        let when = arm(timer, 2000);
        while irq::taken() < n {
            wfi();
            expect!(timer.count() < when + ticks(LATE), "slept past the timer");
        }
        expect!(timer.count() >= when, "woken before the timer expired");
    }
    Ok(())
}

fn both_timers_at_once() -> TestResult {
    let timers = [Timer::Virtual, Timer::Physical];
    timers.iter().for_each(|timer| gic::enable(timer.intid()));
    for _ in 0..20 {
        irq::reset();
        timers.iter().for_each(|&timer| _ = arm(timer, 50));
        irq::unmask();
        expect!(
            wait(LATE, || irq::taken() >= 2),
            "only {} taken",
            irq::taken()
        );
        irq::mask();
        expect_eq!(irq::nth(0) + irq::nth(1), 27 + 30);
    }
    Ok(())
}

fn counters_never_go_back() -> TestResult {
    for timer in [Timer::Virtual, Timer::Physical] {
        let mut last = timer.count();
        for _ in 0..1000 {
            let now = timer.count();
            expect!(now >= last, "{timer:?} went from {last:#x} to {now:#x}");
            last = now;
        }
    }
    Ok(())
}

/// The two differ by a constant, which lies between the bounds each round gives.
fn counters_run_alike() -> TestResult {
    let (mut low, mut high) = (i64::MIN, i64::MAX);
    for _ in 0..50 {
        let before = Timer::Virtual.count();
        let physical = Timer::Physical.count();
        let after = Timer::Virtual.count();
        low = low.max(physical.wrapping_sub(after) as i64);
        high = high.min(physical.wrapping_sub(before) as i64);
        expect!(
            low <= high,
            "the offset is at least {low} and at most {high}"
        );
        pause(100);
    }
    Ok(())
}

fn frequency_is_told() -> TestResult {
    let frequency = mrs!("CNTFRQ_EL0");
    expect!(
        (1_000_000..=10_000_000_000).contains(&frequency),
        "CNTFRQ_EL0 {frequency}"
    );
    Ok(())
}

fn wfi() {
    // SAFETY: waits.
    unsafe { core::arch::asm!("dsb sy", "wfi", options(nostack)) };
}
