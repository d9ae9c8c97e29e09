//! Breakpoints and watchpoints, and places that they can be set on.

use core::arch::{asm, global_asm};
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::sysreg::field;
use super::trap::{self, Fault, Onward};
use crate::{mrs, msr};

/// How many instructions, and how many words of data, there are to be stopped at.
pub const SPOTS: usize = 64;

/// MDSCR_EL1: single step.
pub const SS: u64 = 1;
/// MDSCR_EL1: debug exceptions at this exception level.
pub const KDE: u64 = 1 << 13;
/// MDSCR_EL1: breakpoints and watchpoints.
pub const MDE: u64 = 1 << 15;

/// DBGBCR: enabled, for EL1 and EL0, the whole instruction.
pub const AT_INSTRUCTION: u64 = 0xf << 5 | 3 << 1 | 1;
/// DBGWCR: enabled, for EL1 and EL0, loads and stores of a doubleword.
pub const AT_ACCESS: u64 = 0xff << 5 | 3 << 3 | 3 << 1 | 1;

global_asm!(
    ".pushsection .text.points, \"ax\"",
    ".balign 4",
    ".global guest_spots",
    "guest_spots:",
    ".rept {spots}",
    "nop",
    ".endr",
    "ret",
    // Steps: SVC starts them, and they are over at the last RET.
    ".global guest_steps",
    "guest_steps:",
    "svc #0",
    ".global guest_stepped",
    "guest_stepped:",
    "nop",
    "mrs x0, id_aa64pfr0_el1",
    "add x0, x0, #1",
    "b 1f",
    "udf #0",
    "1: nop",
    ".global guest_steps_end",
    "guest_steps_end:",
    "ret",
    ".popsection",
    spots = const SPOTS,
);

unsafe extern "C" {
    safe fn guest_spots();
    fn guest_steps();
    safe fn guest_stepped();
    safe fn guest_steps_end();
}

/// How many instructions [`single_steps`] goes through.
pub const STEPS: u64 = 5;

struct Words(UnsafeCell<[u64; SPOTS]>);

// SAFETY: one CPU, and only the stores and loads of `touch` reach them.
unsafe impl Sync for Words {}

static WORDS: Words = Words(UnsafeCell::new([0; SPOTS]));

/// Returns the address of the n-th instruction that [`walk`] goes through.
pub fn instruction(n: usize) -> u64 {
    guest_spots as *const () as u64 + 4 * n as u64
}

/// Returns the address of the n-th doubleword that [`touch`] stores to and loads from.
pub fn word(n: usize) -> u64 {
    WORDS.0.get() as u64 + 8 * n as u64
}

/// Goes through all the instructions.
pub fn walk() {
    guest_spots();
}

/// Stores to each doubleword and loads from it.
pub fn touch() {
    for n in 0..SPOTS {
        // SAFETY: in bounds of `WORDS`; the registers named are written.
        unsafe {
            asm!("str {0}, [{1}]", "ldr {0}, [{1}]", inout(reg) n => _, in(reg) word(n),
                options(nostack));
        }
    }
}

/// Returns how many breakpoints and how many watchpoints the CPU has, by ID_AA64DFR0_EL1.
pub fn counts() -> (usize, usize) {
    let dfr0 = mrs!("ID_AA64DFR0_EL1");
    (
        field(dfr0, 12, 4) as usize + 1,
        field(dfr0, 20, 4) as usize + 1,
    )
}

macro_rules! numbered {
    ($value:literal $control:literal $which:expr, $v:expr, $c:expr; $($n:literal)*) => {
        match $which {
            // SAFETY: what they stop, the handlers know.
            $($n => unsafe {
                asm!(
                    concat!("msr ", $value, $n, "_EL1, {}"),
                    concat!("msr ", $control, $n, "_EL1, {}"),
                    "isb",
                    in(reg) $v, in(reg) $c, options(nostack)
                );
            },)*
            _ => {}
        }
    };
}

/// Sets breakpoint `n`.
pub fn set_breakpoint(n: usize, address: u64, control: u64) {
    numbered!("DBGBVR" "DBGBCR" n, address, control; 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
}

/// Sets watchpoint `n`.
pub fn set_watchpoint(n: usize, address: u64, control: u64) {
    numbered!("DBGWVR" "DBGWCR" n, address, control; 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
}

/// Turns all of them off.
pub fn clear() {
    msr!("MDSCR_EL1", 0);
    (0..counts().0).for_each(|n| set_breakpoint(n, 0, 0));
    (0..counts().1).for_each(|n| set_watchpoint(n, 0, 0));
}

/// What stopped the program: by breakpoints, a bit for each instruction; by watchpoints on stores
/// and on loads, a bit for each word; by something else, or twice by the same, how often.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Hits {
    /// Instructions.
    pub instructions: u64,
    /// Stores.
    pub stores: u64,
    /// Loads.
    pub loads: u64,
    /// What should not have been.
    pub strays: u64,
}

static INSTRUCTIONS: AtomicU64 = AtomicU64::new(0);
static STORES: AtomicU64 = AtomicU64::new(0);
static LOADS: AtomicU64 = AtomicU64::new(0);
static STRAYS: AtomicU64 = AtomicU64::new(0);

/// Sets all there are, from a spot on, and returns what will be hit.
pub fn set_all(first: usize) -> Hits {
    let (breakpoints, watchpoints) = counts();
    for n in 0..breakpoints {
        set_breakpoint(n, instruction(first + n), AT_INSTRUCTION);
    }
    for n in 0..watchpoints {
        set_watchpoint(n, word(first + n), AT_ACCESS);
    }
    let words = ((1 << watchpoints) - 1) << first;
    Hits {
        instructions: ((1 << breakpoints) - 1) << first,
        stores: words,
        loads: words,
        strays: 0,
    }
}

/// Goes to every spot there is.
pub fn walk_and_touch() {
    walk();
    touch();
}

/// Runs a function with debug exceptions unmasked and returns what stopped it.
pub fn hits(f: impl FnOnce()) -> Hits {
    for count in [&INSTRUCTIONS, &STORES, &LOADS, &STRAYS] {
        count.store(0, Relaxed);
    }
    trap::observe(note, || {
        unmask();
        f();
        mask();
    });
    Hits {
        instructions: INSTRUCTIONS.load(Relaxed),
        stores: STORES.load(Relaxed),
        loads: LOADS.load(Relaxed),
        strays: STRAYS.load(Relaxed),
    }
}

fn note(fault: Fault) -> Onward {
    let (set, offset) = match fault.class() {
        trap::EC_BREAKPOINT => (&INSTRUCTIONS, fault.elr.wrapping_sub(instruction(0)) / 4),
        trap::EC_WATCHPOINT => {
            let set = if fault.is_write() { &STORES } else { &LOADS };
            (set, fault.far.wrapping_sub(word(0)) / 8)
        }
        _ => (&STRAYS, SPOTS as u64),
    };
    let first = offset < SPOTS as u64 && set.fetch_or(1 << offset, Relaxed) & 1 << offset == 0;
    if !first {
        STRAYS.fetch_add(1, Relaxed);
    }
    Onward::Skip
}

static STEPPED: AtomicU64 = AtomicU64::new(0);

/// Goes through [`STEPS`] instructions by single steps, and returns how many there were; one of
/// the instructions is an exit to a hypervisor.
pub fn single_steps() -> u64 {
    STEPPED.store(0, Relaxed);
    mask();
    msr!("MDSCR_EL1", SS | KDE);
    trap::observe(step, || {
        // SAFETY: a function of the C ABI, but for x0, which is a result.
        unsafe { guest_steps() }
    });
    msr!("MDSCR_EL1", 0);
    STEPPED.load(Relaxed)
}

fn step(fault: Fault) -> Onward {
    match fault.class() {
        trap::EC_SVC => Onward::Step,
        trap::EC_STEP => {
            let inside = guest_stepped as *const () as u64..=guest_steps_end as *const () as u64;
            let counts = if inside.contains(&fault.elr) {
                1
            } else {
                1 << 32
            };
            let steps = STEPPED.fetch_add(counts, Relaxed) + counts;
            if fault.elr == guest_steps_end as *const () as u64 || steps > 100 {
                Onward::Masked
            } else {
                Onward::Step
            }
        }
        _ => {
            STEPPED.fetch_add(1 << 32, Relaxed);
            Onward::Skip
        }
    }
}

/// Masks debug exceptions.
fn mask() {
    // SAFETY: nothing relies on them.
    unsafe { asm!("msr daifset, #8", options(nostack)) }
}

fn unmask() {
    // SAFETY: the handlers know what to do with them.
    unsafe { asm!("msr daifclr, #8", options(nostack)) }
}
