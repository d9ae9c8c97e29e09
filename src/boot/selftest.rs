//! Faults of the hypervisor itself, on demand: what its reports, and its tests, are tested with.
//!
//! `selftest=NAME` on the hypervisor's command line asks for one; with `forget:REGISTER` load leaves
//! that register out, and with `remake-vcpu` vCPUs are exported after some of their turns
//! and imported into others. This is compiled in with the feature `selftest` only.

#![expect(unsafe_code, reason = "does what must fault")]

use crate::{
    error::Refusal,
    isa::sysreg::{ALL, SysReg},
    refuse,
    sched::cpu::remake,
    vm::sysregs::planted,
};
use core::{arch::asm, hint::black_box};

/// Does what the command line asks for, if anything.
///
/// # Errors
///
/// A [`Refusal`] for a name that means nothing, and for a fault that did not happen.
pub fn run(bootargs: &str) -> Result<(), Refusal> {
    let asked = |argument: &'static str| {
        bootargs
            .split_ascii_whitespace()
            .find_map(|word| word.strip_prefix(argument))
    };
    let Some(name) = asked("selftest=") else {
        return Ok(());
    };
    if let Some(register) = name.strip_prefix("forget:") {
        return forget(register);
    }
    match name {
        "remake-vcpu" => {
            remake::ask();
            return Ok(());
        }
        "data-abort" => read_unmapped(),
        "stack-overflow" => log::info!("{}", overflow(1)),
        "panic" => panic_on_demand(),
        "write-text" => write_text(),
        "write-rodata" => write_rodata(),
        "run-data" => run_data(),
        _ => return Err(refuse!("selftest={name}: there is no such test")),
    }
    Err(refuse!("selftest={name}: nothing happened"))
}

/// Lets load leave out a register, by its name in the table.
fn forget(register: &str) -> Result<(), Refusal> {
    let named = |reg: &SysReg| reg.name() == register;
    let reg = ALL.into_iter().find(named);
    planted::forget(reg.ok_or_else(|| refuse!("selftest=forget:{register}: no such register"))?);
    Ok(())
}

/// An address in a slot of EL2's map that is never used.
const UNMAPPED: u64 = 0xdead_0000;

#[inline(never)]
fn read_unmapped() {
    let value: u64;
    // SAFETY: not safe at all: it faults, and nobody returns.
    unsafe {
        asm!("ldr {value}, [{address}]", value = out(reg) value, address = in(reg) UNMAPPED,
            in("x20") 0x5eed_5eed_5eed_5eed_u64, options(nostack, readonly));
    }
    black_box(value);
}

/// Calls itself for ever, as far as the compiler can tell.
#[inline(never)]
fn overflow(depth: u64) -> u64 {
    let room = black_box([depth; 32]);
    if black_box(true) {
        black_box(overflow(depth + 1)) + room[0]
    } else {
        room[1]
    }
}

#[inline(never)]
fn panic_on_demand() {
    let nothing: Option<u64> = black_box(None);
    black_box(nothing.expect("the selftest asked for a panic"));
}

#[inline(never)]
fn write_text() {
    store((run as *const () as u64) & !7);
}

#[inline(never)]
fn write_rodata() {
    static CONSTANT: u64 = 1;
    store(&raw const CONSTANT as u64);
}

#[inline(never)]
fn store(address: u64) {
    // SAFETY: not safe at all: what is written is read-only, so it faults.
    unsafe { asm!("str xzr, [{}]", in(reg) address, options(nostack)) }
}

/// Jumps to an instruction that lies in data: a `ret`.
#[inline(never)]
fn run_data() {
    let code = black_box([0xd65f_03c0_u32; 4]);
    // SAFETY: not safe at all: the stack is not executable, so it faults.
    unsafe {
        asm!("blr {}", in(reg) code.as_ptr(), out("x30") _, options(nostack));
    }
}
