//! From the boot protocol to the last check.

use crate::{
    checks, exceptions, hold,
    rt::{self, Failed},
    say, stage1,
};

core::arch::global_asm!(include_str!("start.s"));

type Check = (&'static str, fn() -> Result<(), Failed>);

const CHECKS: [Check; 18] = [
    ("boot_protocol", checks::boot_protocol),
    ("calls", checks::calls),
    ("id_registers", checks::id_registers),
    ("actlr_is_memory", checks::actlr_is_memory),
    ("os_lock", checks::os_lock),
    ("debug_registers", checks::debug_registers),
    ("floating_point", checks::floating_point),
    ("second_cpu_starts_in_t32", checks::second_cpu_starts_in_t32),
    (
        "every_register_of_every_mode",
        checks::every_register_of_every_mode,
    ),
    ("it_blocks_go_on", checks::it_blocks_go_on),
    ("undefined", exceptions::undefined),
    ("undefined_in_t32", exceptions::undefined_in_t32),
    ("data_aborts", exceptions::data_aborts),
    ("pairs_abort", exceptions::pairs_abort),
    ("prefetch_aborts", exceptions::prefetch_aborts),
    ("user_mode", exceptions::user_mode),
    ("maintenance_by_set_way", stage1::maintenance_by_set_way),
    (
        "registers_of_stage_1_after_it",
        stage1::registers_of_stage_1_after_it,
    ),
];

// SAFETY: no other symbol has this name.
#[unsafe(no_mangle)]
extern "C" fn main() -> ! {
    let mut failures = 0;
    match seed() {
        Some(seed) => failures += report("registers_hold", hold::registers_hold(seed)),
        None => {
            for (name, check) in CHECKS {
                failures += report(name, check());
            }
        }
    }
    say!("checks32: {failures} failed");
    loop {
        rt::hvc([0x8400_0008, 0, 0, 0]);
    }
}

// SAFETY: no other symbol has this name.
#[unsafe(no_mangle)]
extern "C" fn unexpected_exception() -> ! {
    let seen = rt::noted();
    panic!("vector {:#x}, LR {:#x}", seen.vector, seen.link);
}

fn report(name: &str, result: Result<(), Failed>) -> u32 {
    match result {
        Ok(()) => {
            say!("test {name} ... ok");
            0
        }
        Err(Failed(line, found, expected)) => {
            say!("test {name} ... FAILED: {found:#x}, not {expected:#x} (line {line})");
            1
        }
    }
}

/// Finds `seed=` and its digit in the device tree.
fn seed() -> Option<u32> {
    let tree = checks::device_tree();
    let at = tree.windows(5).position(|bytes| bytes == b"seed=")?;
    let digit = tree.get(at + 5)?.checked_sub(b'0')?;
    Some(digit.into())
}

#[panic_handler]
fn panicked(info: &core::panic::PanicInfo<'_>) -> ! {
    say!("panic: {info}");
    loop {
        rt::hvc([0x8400_0008, 0, 0, 0]);
    }
}
