//! What the hypervisor says of its own faults: registers, words, and a backtrace.
//!
//! `scripts/symbolize` turns the backtrace's addresses into names.

#![cfg_attr(
    target_os = "none",
    expect(unsafe_code, reason = "follows frame pointers")
)]

use crate::{
    cpu::{barrier, local, vectors},
    isa::esr::{self, Esr, class},
    log::print,
};

/// Reports a fault of EL2 itself, and stops. The vectors call it on the emergency stack.
pub fn report_fault(fault: &vectors::Fault, kind: usize) -> ! {
    let before = local::this().count_fault();
    if before == 0 {
        let esr = Esr(fault.esr);
        let what = vectors::OWN.get(kind).copied().unwrap_or("exception");
        print(format_args!(
            "\n[entresol] fatal: {what} at EL2 on CPU {}: {}",
            local::this().index,
            esr::describe_class(esr.class()),
        ));
        if matches!(
            esr.class(),
            class::DATA_ABORT_SAME | class::INSTRUCTION_ABORT_SAME
        ) {
            let status = esr::describe_status(esr.fault_status());
            print(format_args!(" at {:#x}: {status}", fault.far));
            if local::this().is_below_stack(fault.far) {
                print(format_args!(": the stack overflowed"));
            }
        }
        print(format_args!("\n"));
        print_registers(fault);
        backtrace(fault.elr, fault.x[29]);
    } else if before == 1 {
        print(format_args!(
            "\n[entresol] fatal: another fault while reporting one\n"
        ));
    }
    barrier::halt()
}

fn print_registers(fault: &vectors::Fault) {
    for (n, pair) in (0..).step_by(2).zip(fault.x.chunks(2)) {
        match *pair {
            [a, b] => print(format_args!("  x{n:<2} {a:016x}  x{:<2} {b:016x}\n", n + 1)),
            [a] => print(format_args!("  x{n:<2} {a:016x}  sp  {:016x}\n", fault.sp)),
            _ => {}
        }
    }
    print(format_args!(
        "  elr {:016x}  spsr {:08x}  esr {:08x}  far {:016x}\n",
        fault.elr, fault.spsr, fault.esr, fault.far
    ));
}

/// How many callers a backtrace names at the most.
const DEPTH: usize = 32;

/// Prints the addresses of the code that led to `pc`, whose frame record is at `frame`
/// (AAPCS64, "The Frame Pointer").
fn backtrace(pc: u64, frame: u64) {
    print(format_args!("  backtrace:\n  #0 {pc:#x}\n"));
    let mut frame = frame;
    for n in 1..DEPTH {
        let Some((next, lr)) = record_at(frame) else {
            return;
        };
        if lr == 0 {
            return;
        }
        print(format_args!("  #{n} {lr:#x}\n"));
        // A chain goes up the stack; anything else is a guest's x29, or damage.
        if next <= frame {
            return;
        }
        frame = next;
    }
}

/// Reads the frame record at `frame` when it lies on a stack of this CPU.
#[cfg(target_os = "none")]
fn record_at(frame: u64) -> Option<(u64, u64)> {
    if !frame.is_multiple_of(16) || !local::this().is_on_stack(frame) {
        return None;
    }
    let record = frame as *const [u64; 2];
    // SAFETY: the 16 bytes lie inside a mapped stack and are aligned.
    let [next, lr] = unsafe { record.read_volatile() };
    Some((next, lr))
}

#[cfg(not(target_os = "none"))]
fn record_at(_: u64) -> Option<(u64, u64)> {
    None
}

/// Prints where a panic came from, and stops. The panic's own message comes first.
pub fn report_panic(info: &core::panic::PanicInfo<'_>) -> ! {
    if local::this().count_fault() == 0 {
        print(format_args!("\n[entresol] fatal: {info}\n"));
        let frame: u64;
        #[cfg(target_os = "none")]
        // SAFETY: reads a register.
        unsafe {
            core::arch::asm!("mov {}, x29", out(reg) frame, options(nomem, nostack, preserves_flags));
        }
        #[cfg(not(target_os = "none"))]
        {
            frame = 0;
        }
        backtrace(report_panic as *const () as u64, frame);
    }
    barrier::halt()
}
