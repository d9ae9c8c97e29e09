//! A guest that lives: it says how long it has, and answers who types a line. `off` turns it off.
//!
//! Boot arguments: `every=SECONDS` (10; 0 for never). For tests: `reset` makes it reset at once, again
//! and again; `ticks=N` lets a timer fire N times, a hundred times a second, and says in one line how
//! late the latest was.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
guests::entry!(main);

#[cfg(target_os = "none")]
fn main() -> ! {
    use guests::rt::{console, entry, gic, smccc};

    if entry::has_argument("reset") {
        smccc::call(smccc::SYSTEM_RESET, [0; 3]);
    }
    console::init();
    gic::init();
    let number = |key| entry::argument(key).and_then(|text| text.parse::<u64>().ok());
    match number("ticks") {
        Some(count) => life::ticks(count),
        None => life::shine(number("every").unwrap_or(10)),
    }
    smccc::system_off()
}

#[cfg(target_os = "none")]
mod life {
    use guests::rt::{
        console::{self, IMSC, RX, RX_TIMEOUT, UART_INTID},
        gic,
        mmio::write32,
        sysreg,
        timer::{self, ENABLE, Timer},
    };
    use guests::{print, println};

    const TIMER: Timer = Timer::Virtual;

    /// Sleeps until the timer expires or something is typed.
    fn sleep_until(count: u64) {
        TIMER.set_cval(count);
        TIMER.set_ctl(ENABLE);
        sysreg::wait_for_interrupt();
        TIMER.set_ctl(0);
        // Interrupts are masked: they only wake. A line that stays high wakes once more.
        let intid = gic::acknowledge();
        if intid < gic::SPECIAL {
            gic::end(intid);
        }
    }

    /// Says every few seconds how long it has been up, and whenever a line is typed, until that is
    /// `off`.
    pub fn shine(every: u64) {
        let second = timer::ticks(1_000_000);
        gic::enable(TIMER.intid());
        gic::enable(UART_INTID);
        write32(IMSC, RX | RX_TIMEOUT);
        let say = || println!("beacon: up {} s", TIMER.count() / second);
        say();
        let mut next = every * second;
        // The end of what was typed in this line.
        let mut typed = [0; 3];
        let mut length = 0;
        loop {
            sleep_until(if every == 0 { u64::MAX } else { next });
            while let Some(byte) = console::receive() {
                if byte != b'\r' && byte != b'\n' {
                    print!("{}", char::from(byte));
                    typed = [typed[1], typed[2], byte];
                    length += 1;
                    continue;
                }
                println!("");
                if (typed, length) == (*b"off", 3) {
                    return;
                }
                length = 0;
                say();
            }
            if every != 0 && TIMER.count() >= next {
                say();
                next += every * second;
            }
        }
    }

    /// Lets the timer fire so often, and says how late that was at most.
    pub fn ticks(count: u64) {
        let period = timer::ticks(10_000);
        gic::enable(TIMER.intid());
        let mut due = TIMER.count() + period;
        let mut latest = 0;
        for _ in 0..count {
            while TIMER.count() < due {
                sleep_until(due);
            }
            latest = latest.max(TIMER.count() - due);
            due += period;
        }
        let microseconds = latest / timer::ticks(1).max(1);
        println!("beacon: {count} ticks, {microseconds} us late at most");
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("beacon runs at EL1 of an Arm machine: build it for aarch64-unknown-none-softfloat");
    std::process::exit(2);
}
