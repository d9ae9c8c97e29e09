//! Registers among VMs on one CPU: each VM finds what it wrote, and nothing of another's.
//!
//! Boot arguments, of which one says what it does:
//!
//! * `hold=sleep rounds=N`: N times, gives every register a value of its own, gives the CPU up, and
//!   compares. Then it says `registers: N rounds, N registers, N held, N wrong: ...; end` and sleeps.
//! * `hold=spin`: the same without ever giving the CPU up, for ever; speaks now and then.
//! * `paint`: once somebody types, writes one value to every encoding of op0 2 and 3 that does not
//!   undo the program itself, for ever.
//! * `look`: reads every encoding before that, and again and again, and tells what changed.
//!
//! `seed=N` makes the values of a VM its own.

#![cfg_attr(target_os = "none", no_std, no_main)]
#![cfg_attr(
    target_os = "none",
    expect(
        unsafe_code,
        reason = "moves the stack pointer, and runs instructions it made"
    )
)]

#[cfg(target_os = "none")]
mod every;
#[cfg(target_os = "none")]
mod hold;
#[cfg(target_os = "none")]
mod stubs;
#[cfg(target_os = "none")]
mod table;

#[cfg(target_os = "none")]
guests::entry!(main);

#[cfg(target_os = "none")]
fn main() -> ! {
    use guests::rt::{console, entry, gic, smccc};

    console::init();
    gic::init();
    let number = |key| entry::argument(key).and_then(|text| text.parse::<u64>().ok());
    // Locked at reset: breakpoints would be kept in memory.
    guests::msr!("OSLAR_EL1", 0);
    // Counted in the registers: FP is the guest's own.
    guests::msr!("CPACR_EL1", guests::mrs!("CPACR_EL1") | 3 << 20);
    match entry::argument("hold") {
        Some("sleep") => hold::sleep(number("seed").unwrap_or(1), number("rounds").unwrap_or(100)),
        Some(_) => hold::spin(number("seed").unwrap_or(2)),
        None if entry::has_argument("paint") => every::paint(),
        None if entry::has_argument("look") => every::look(),
        None => guests::println!("registers: nothing to do"),
    }
    smccc::system_off()
}

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!(
        "registers runs at EL1 of an Arm machine: build it for aarch64-unknown-none-softfloat"
    );
    std::process::exit(2);
}
