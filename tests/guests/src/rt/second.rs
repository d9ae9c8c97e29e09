//! The second CPU: turned on, and brought to Rust with its MMU on.

use core::arch::{asm, global_asm};
use core::cell::UnsafeCell;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::smccc;
use crate::mrs;

const STACK_SIZE: usize = 16 * 1024;

#[repr(C, align(16))]
struct Stack(UnsafeCell<[u8; STACK_SIZE]>);

// SAFETY: one CPU uses it.
unsafe impl Sync for Stack {}

static STACK: Stack = Stack(UnsafeCell::new([0; STACK_SIZE]));

/// What it starts with; its entry code reads it with the MMU off.
#[repr(C, align(64))]
struct Start {
    ttbr: AtomicU64,
    tcr: AtomicU64,
    mair: AtomicU64,
    sctlr: AtomicU64,
    main: AtomicU64,
}

static START: Start = Start {
    ttbr: AtomicU64::new(0),
    tcr: AtomicU64::new(0),
    mair: AtomicU64::new(0),
    sctlr: AtomicU64::new(0),
    main: AtomicU64::new(0),
};

global_asm!(
    include_str!("second.s"),
    ttbr = const offset_of!(Start, ttbr),
    mair = const offset_of!(Start, mair),
    main = const offset_of!(Start, main),
    start = sym START,
    stack = sym STACK,
    stack_size = const STACK_SIZE,
);

unsafe extern "C" {
    safe fn guest_second_cpu();
}

/// Turns it on with the tables at `ttbr`, which map this program where it is; it runs `main`. Returns
/// whether there is one, and it was off.
pub fn start(ttbr: u64, main: extern "C" fn() -> !) -> bool {
    START.ttbr.store(ttbr, Relaxed);
    START.tcr.store(mrs!("TCR_EL1"), Relaxed);
    START.mair.store(mrs!("MAIR_EL1"), Relaxed);
    START.sctlr.store(mrs!("SCTLR_EL1"), Relaxed);
    START.main.store(main as usize as u64, Relaxed);
    // SAFETY: cleaning changes no memory.
    unsafe {
        asm!("dc civac, {}", "dsb sy", in(reg) &raw const START, options(nostack));
    }
    let entry = guest_second_cpu as *const () as u64;
    smccc::call(smccc::CPU_ON, [1, entry, 0]) == 0
}
