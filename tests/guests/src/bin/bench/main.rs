//! What the operations of a guest cost, in instructions, with everything the hypervisor does
//! for them: one line each, `BENCH name iterations ticks frequency instructions-per-operation`.
//!
//! It only means that where virtual time is executed instructions (QEMU's `-icount shift=0`) and
//! the counter runs at 1 GHz; the rows `check_empty` and `check_10nops` show that it does.
//!
//! Boot arguments: `switch` runs the rows of two vCPUs that share a physical CPU, in place of
//! all others; `scale` those that more VMs and vCPUs may make dearer; `idle` none. With `others=N`
//! N more vCPUs, from the third up, are turned on first and sleep. `settle` waits until others
//! that start at the same time sleep.

#![cfg_attr(target_os = "none", no_std, no_main)]
#![cfg_attr(
    target_os = "none",
    expect(unsafe_code, reason = "every row is an instruction")
)]

#[cfg(target_os = "none")]
mod calls;
#[cfg(target_os = "none")]
mod controller;
#[cfg(target_os = "none")]
mod cpu;
#[cfg(target_os = "none")]
mod devices;
#[cfg(target_os = "none")]
mod interrupts;
#[cfg(target_os = "none")]
mod measure;
#[cfg(target_os = "none")]
mod memory;
#[cfg(target_os = "none")]
mod pair;
#[cfg(target_os = "none")]
mod sleepers;

#[cfg(target_os = "none")]
guests::entry!(main);

#[cfg(target_os = "none")]
fn main() -> ! {
    use guests::rt::{console, entry, smccc};

    console::init();
    if !controller::find() {
        smccc::system_off();
    }
    // Before the controller is set up: what a peer's lacks is stepped over.
    cpu::take_over();
    if !controller::init() {
        smccc::system_off();
    }
    sleepers::wake();
    if entry::has_argument("idle") {
        guests::println!("bench: sleeps");
        sleepers::sleep();
    }
    if entry::has_argument("settle") {
        interrupts::settle();
    }
    measure::check();
    if entry::has_argument("switch") {
        pair::switches();
    } else if entry::has_argument("scale") {
        interrupts::run_scaled();
        pair::run_scaled();
    } else {
        calls::run();
        devices::run();
        interrupts::run();
        memory::run();
        pair::run();
    }
    guests::println!("bench: done");
    smccc::system_off()
}

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("bench runs at EL1 of an Arm machine: build it for aarch64-unknown-none-softfloat");
    std::process::exit(2);
}
