//! Counting: loops of one instruction, between two reads of the counter.

use guests::{mrs, println};

use super::cpu;

/// How often an operation is done before it is counted.
pub const WARM_UP: u64 = 50;

/// Reads the counter, not ahead of what comes before.
#[inline(always)]
pub fn now() -> u64 {
    let count: u64;
    // SAFETY: reads a register.
    unsafe { core::arch::asm!("isb", "mrs {}, CNTVCT_EL0", out(reg) count, options(nostack)) };
    count
}

/// Prints a row: `ticks` for all iterations, of which `own` instructions of each are the loop's.
///
/// An operation that the guest does not have faulted into it, and says so at the end of the line.
pub fn report(name: &str, iterations: u64, ticks: u64, own: u64) {
    // SAFETY: a hint that no CPU knows does nothing.
    unsafe { core::arch::asm!("hint #0x62", options(nostack)) };
    let tenths = (ticks * 10 / iterations).saturating_sub(own * 10);
    let frequency = mrs!("CNTFRQ_EL0");
    let undefined = cpu::take_faults();
    let (whole, tenth) = (tenths / 10, tenths % 10);
    if undefined == 0 {
        println!("BENCH {name} {iterations} {ticks} {frequency} {whole}.{tenth}");
    } else {
        println!("BENCH {name} {iterations} {ticks} {frequency} {whole}.{tenth} UNDEF:{undefined}");
    }
}

/// Does an operation once between two hints, for who counts by kind what EL2 executes meanwhile:
/// once or more for each row, before its report. The fewest count.
#[inline(always)]
pub fn mark(operation: impl FnOnce()) {
    // SAFETY: hints that no CPU knows do nothing.
    unsafe { core::arch::asm!("hint #0x60", options(nostack)) };
    operation();
    // SAFETY: as above.
    unsafe { core::arch::asm!("hint #0x61", options(nostack)) };
}

/// Counts an operation of one or more instructions and prints its row.
///
/// `own` of the instructions are not the operation itself; the loop's two are known. The
/// operation may change x0 to x8.
#[macro_export]
macro_rules! row {
    ($name:literal, $iterations:literal, own $own:literal, $($line:literal),+ $(; x10 = $value:expr)?) => {{
        let operand: u64 = 0 $(+ $value)?;
        let pass = |iterations: u64| {
            let start = $crate::measure::now();
            // SAFETY: the operation is a call, a register access or a device access that this
            // program may make; what it changes is named.
            unsafe {
                core::arch::asm!(
                    "1:", $($line,)+ "subs x9, x9, #1", "b.ne 1b",
                    in("x10") operand,
                    inout("x9") iterations => _,
                    out("x0") _, out("x1") _, out("x2") _, out("x3") _, out("x4") _,
                    out("x5") _, out("x6") _, out("x7") _, out("x8") _,
                    options(nostack)
                );
            }
            $crate::measure::now() - start
        };
        pass($crate::measure::WARM_UP);
        $crate::cpu::take_faults();
        let ticks = pass($iterations);
        $crate::measure::mark(|| {
            pass(1);
        });
        $crate::measure::report($name, $iterations, ticks, $own + 2);
    }};
}

/// Shows that a tick is an instruction, and says when this VM was made and when it got here, in
/// ticks since power-on.
pub fn check() {
    let (physical, virtual_) = (mrs!("CNTPCT_EL0"), mrs!("CNTVCT_EL0"));
    println!(
        "BOOT made {} arrived {physical}",
        physical.wrapping_sub(virtual_)
    );
    row!("check_empty", 100_000, own 0, "");
    row!("check_10nops", 10_000, own 0, "nop", "nop", "nop", "nop", "nop", "nop", "nop", "nop", "nop", "nop");
}
