//! A guest in AArch32 that checks what it may rely on.
//!
//! It prints a line for each check, as the AArch64 guest `checks` does, and turns the machine off.
//! With `seed=` and a digit in its kernel arguments it does nothing but hold its registers while
//! another guest runs on the same CPU.

#![cfg_attr(target_os = "none", no_std, no_main)]
#![cfg_attr(
    target_os = "none",
    expect(unsafe_code, reason = "checks of the CPU are made of instructions")
)]

#[cfg(target_os = "none")]
mod checks;
#[cfg(target_os = "none")]
mod exceptions;
#[cfg(target_os = "none")]
mod hold;
#[cfg(target_os = "none")]
mod program;
#[cfg(target_os = "none")]
mod rt;
#[cfg(target_os = "none")]
mod stage1;

/// This program is for the bare machine alone.
#[cfg(not(target_os = "none"))]
fn main() {}
