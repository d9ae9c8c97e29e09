//! The second CPU: it has tables of its own.

use core::arch::{asm, global_asm};
use core::cell::UnsafeCell;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use guests::mrs;
use guests::rt::{
    mmu::{self, Table},
    smccc,
};

use crate::views::{self, GIB, Page};

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
}

static START: Start = Start {
    ttbr: AtomicU64::new(0),
    tcr: AtomicU64::new(0),
    mair: AtomicU64::new(0),
    sctlr: AtomicU64::new(0),
};

/// Its tables, but for what both have of RAM.
static FIRST: Table = Table::new();
static MIDDLE: Table = Table::new();
static LAST: Table = Table::new();

const NUMBER: u64 = 100;
static PAGE: Page = Page::new(NUMBER);

/// How many of its reads were wrong.
static STALE: AtomicU64 = AtomicU64::new(0);

global_asm!(
    include_str!("second.s"),
    ttbr = const offset_of!(Start, ttbr),
    mair = const offset_of!(Start, mair),
    start = sym START,
    stack = sym STACK,
    stack_size = const STACK_SIZE,
);

unsafe extern "C" {
    safe fn maps_second_cpu();
}

/// Turns it on; returns whether there is one.
pub fn start() -> bool {
    FIRST.set(0, Table::DEVICE_BLOCK);
    FIRST.set(1, mmu::LEVEL2.address() | 3);
    FIRST.set(GIB, MIDDLE.address() | 3);
    MIDDLE.set(0, LAST.address() | 3);
    LAST.set(0, PAGE.descriptor());
    START.ttbr.store(FIRST.address(), Relaxed);
    START.tcr.store(mrs!("TCR_EL1"), Relaxed);
    START.mair.store(mrs!("MAIR_EL1"), Relaxed);
    START.sctlr.store(mrs!("SCTLR_EL1"), Relaxed);
    // SAFETY: cleaning changes no memory.
    unsafe {
        asm!("dc civac, {}", "dsb sy", in(reg) &raw const START, options(nostack));
    }
    let entry = maps_second_cpu as *const () as u64;
    smccc::call(smccc::CPU_ON, [1, entry, 0]) == 0
}

/// Returns how many of its reads were wrong.
pub fn stale() -> u64 {
    STALE.load(Relaxed)
}

/// Where it comes to Rust.
#[unsafe(no_mangle)]
// SAFETY: no other symbol has this name.
extern "C" fn maps_second_main() -> ! {
    loop {
        if views::look() != NUMBER {
            STALE.fetch_add(1, Relaxed);
        }
    }
}
