//! Checks of everything a guest may rely on, one line of output each:
//! `test NAME ... ok`, `... FAILED: why (file:line)` or `... ignored: why`, and at the
//! end `checks: N passed, N failed, N ignored`; then the machine turns off.
//!
//! Boot arguments: `native` says that there is no hypervisor, so that the checks that
//! speak of it are ignored; `echo` adds the dialogue with somebody who types;
//! `only=TEXT` runs the checks whose name contains the text.

#![cfg_attr(target_os = "none", no_std, no_main)]
#![cfg_attr(
    target_os = "none",
    expect(
        unsafe_code,
        reason = "nearly every check is an instruction under test"
    )
)]

#[cfg(target_os = "none")]
mod active;
#[cfg(target_os = "none")]
mod cpu;
#[cfg(target_os = "none")]
mod debug;
#[cfg(target_os = "none")]
mod emulated;
#[cfg(target_os = "none")]
mod fp;
#[cfg(target_os = "none")]
mod gic;
#[cfg(target_os = "none")]
mod hidden;
#[cfg(target_os = "none")]
mod memory;
#[cfg(target_os = "none")]
mod mmio;
#[cfg(target_os = "none")]
mod pauth;
#[cfg(target_os = "none")]
mod psci;
#[cfg(target_os = "none")]
mod rtc;
#[cfg(target_os = "none")]
mod services;
#[cfg(target_os = "none")]
mod start;
#[cfg(target_os = "none")]
mod state;
#[cfg(target_os = "none")]
mod timer;
#[cfg(target_os = "none")]
mod uart;

#[cfg(target_os = "none")]
guests::entry!(main);

#[cfg(target_os = "none")]
fn main() -> ! {
    guests::rt::run::run(
        "checks",
        &[
            start::CHECKS,
            cpu::CHECKS,
            state::CHECKS,
            fp::CHECKS,
            pauth::CHECKS,
            memory::CHECKS,
            mmio::CHECKS,
            emulated::CHECKS,
            gic::CHECKS,
            active::CHECKS,
            timer::CHECKS,
            psci::CHECKS,
            services::CHECKS,
            uart::CHECKS,
            rtc::CHECKS,
            debug::CHECKS,
            hidden::CHECKS,
            uart::echo::CHECKS,
        ],
    )
}

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("checks runs at EL1 of an Arm machine: build it for aarch64-unknown-none-softfloat");
    std::process::exit(2);
}
