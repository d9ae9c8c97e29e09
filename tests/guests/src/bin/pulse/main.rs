//! A small guest that works, keeps time and says how it is: what others do must not show in it.
//!
//! Round after round it sums memory and compares registers whose contents it knows, and fills the
//! memory anew now and then. Its timer's deadlines are a hundredth of a second apart, each set
//! by the interrupt of the one before, so that one lost interrupt is the last. Every second there is a line,
//! `pulse: SECONDS s, N rounds, N of N ticks, N wrong, N stray`: the rounds done; the interrupts of the
//! timer, and how many deadlines have passed by the counter; what did not hold what it should;
//! interrupts that nothing asked for.
//!
//! Boot arguments: `seed=N` makes what it knows its own; `hz=N` is how many deadlines there are in a
//! second; `rest` lets it sleep after every round until the next interrupt. What is typed makes it: `p`, say how it is; `c`, crash; `r`, reset;
//! `s`, spin with interrupts masked; `o`, turn off.

#![cfg_attr(target_os = "none", no_std, no_main)]
#![cfg_attr(
    target_os = "none",
    expect(unsafe_code, reason = "crashing takes instructions")
)]

#[cfg(target_os = "none")]
mod beat;
#[cfg(target_os = "none")]
mod known;

#[cfg(target_os = "none")]
guests::entry!(main);

#[cfg(target_os = "none")]
fn main() -> ! {
    use guests::rt::{console, entry, gic, sysreg};

    console::init();
    gic::init();
    let number = |key| entry::argument(key).and_then(|text| text.parse().ok());
    let rests = entry::has_argument("rest");
    let mut known = known::Known::new(number("seed").unwrap_or(1));
    let beat = beat::start(number("hz").unwrap_or(100));
    let (mut rounds, mut wrong, mut said) = (0_u64, 0_u64, 0);
    let say = |seconds: u64, rounds: u64, wrong: u64| {
        let (ticks, due, stray) = beat.ticks();
        guests::println!(
            "pulse: {seconds} s, {rounds} rounds, {ticks} of {due} ticks, {wrong} wrong, {stray} stray"
        );
    };
    loop {
        wrong += known.round();
        rounds += 1;
        let seconds = beat.seconds();
        if seconds != said {
            said = seconds;
            say(seconds, rounds, wrong);
        }
        match console::receive() {
            Some(b'p') => say(seconds, rounds, wrong),
            Some(key) => obey(key),
            None if rests => sysreg::wait_for_interrupt(),
            None => {}
        }
    }
}

/// Does what a key asks for, if anything.
#[cfg(target_os = "none")]
fn obey(key: u8) {
    use guests::rt::{irq, smccc};

    match key {
        b'c' => crash(),
        b'r' => _ = smccc::call(smccc::SYSTEM_RESET, [0; 3]),
        b's' => {
            irq::mask();
            loop {
                core::hint::spin_loop();
            }
        }
        b'o' => smccc::system_off(),
        _ => {}
    }
}

/// Takes an exception whose vector is where nothing is, and so is that of the abort which follows.
#[cfg(target_os = "none")]
fn crash() {
    // Below RAM, and no device's.
    const NOWHERE: u64 = 0x3000_0000;
    // SAFETY: ends this program. It is mapped where it is, so it goes on with the MMU off.
    unsafe {
        core::arch::asm!(
            "msr DAIFSet, #0xf",
            "mrs x1, SCTLR_EL1",
            "bic x1, x1, #1",
            "msr SCTLR_EL1, x1",
            "isb",
            "msr VBAR_EL1, x0",
            "isb",
            "udf #0",
            in("x0") NOWHERE,
            options(noreturn)
        );
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("pulse runs at EL1 of an Arm machine: build it for aarch64-unknown-none-softfloat");
    std::process::exit(2);
}
