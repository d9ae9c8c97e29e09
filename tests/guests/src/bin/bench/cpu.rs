//! A CPU of this program: its block, its vectors, and how the second one starts.

use core::arch::{asm, global_asm};
use core::cell::UnsafeCell;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use guests::rt::{gic, irq, smccc, sysreg};
use guests::{mrs, msr};

use super::controller;

/// What the vectors keep for a CPU, behind TPIDR_EL1.
#[repr(C, align(64))]
pub struct Block {
    /// How many interrupts were taken.
    pub taken: AtomicU64,
    /// The virtual count at the first instruction of the last one's handler.
    pub stamp: AtomicU64,
    /// How many instructions faulted and were stepped over.
    faults: AtomicU64,
    /// Where a GICv2's CPU interface is.
    interface: AtomicU64,
}

impl Block {
    const fn new() -> Self {
        Self {
            taken: AtomicU64::new(0),
            stamp: AtomicU64::new(0),
            faults: AtomicU64::new(0),
            interface: AtomicU64::new(0),
        }
    }
}

static BLOCKS: [Block; 2] = [const { Block::new() }; 2];

const STACK_SIZE: usize = 16 * 1024;

#[repr(C, align(16))]
struct Stack(UnsafeCell<[u8; STACK_SIZE]>);

// SAFETY: one CPU uses it.
unsafe impl Sync for Stack {}

static STACK: Stack = Stack(UnsafeCell::new([0; STACK_SIZE]));

/// What the second CPU starts with; its entry code reads it with the MMU off.
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
    include_str!("cpu.s"),
    taken = const offset_of!(Block, taken),
    stamp = const offset_of!(Block, stamp),
    faults = const offset_of!(Block, faults),
    interface = const offset_of!(Block, interface),
    ttbr = const offset_of!(Start, ttbr),
    mair = const offset_of!(Start, mair),
    main = const offset_of!(Start, main),
    start = sym START,
    stack = sym STACK,
    stack_size = const STACK_SIZE,
);

unsafe extern "C" {
    safe fn bench_vectors();
    safe fn bench_vectors_v2();
    safe fn bench_second_cpu();
}

/// Returns the block of CPU `index`, 0 or 1.
pub const fn block(index: usize) -> &'static Block {
    &BLOCKS[index]
}

/// Gives this CPU, the first, its block and the vectors of this program.
pub fn take_over() {
    set_up(0);
}

fn set_up(index: usize) {
    msr!("TPIDR_EL1", core::ptr::from_ref(block(index)) as u64);
    block(index)
        .interface
        .store(controller::interface(), Relaxed);
    let vectors = match controller::interface() {
        0 => bench_vectors,
        _ => bench_vectors_v2,
    };
    msr!("VBAR_EL1", vectors as *const () as u64);
    msr!("CPACR_EL1", 3 << 20);
}

/// Returns how many instructions of this CPU faulted since the last call.
pub fn take_faults() -> u64 {
    BLOCKS[usize::from(mrs!("TPIDR_EL1") != core::ptr::from_ref(block(0)) as u64)]
        .faults
        .swap(0, Relaxed)
}

/// Turns the second CPU on; it runs `main` with its interrupt interface ready. Returns whether
/// there is one.
pub fn start_second(main: fn() -> !) -> bool {
    START.ttbr.store(mrs!("TTBR0_EL1"), Relaxed);
    START.tcr.store(mrs!("TCR_EL1"), Relaxed);
    START.mair.store(mrs!("MAIR_EL1"), Relaxed);
    START.sctlr.store(mrs!("SCTLR_EL1"), Relaxed);
    START.main.store(main as usize as u64, Relaxed);
    // SAFETY: cleaning changes no memory.
    unsafe {
        asm!("dc civac, {}", "dsb sy", in(reg) &raw const START, options(nostack));
    }
    let entry = bench_second_cpu as *const () as u64;
    smccc::call(smccc::CPU_ON, [1, entry, 0]) == 0
}

/// Where the second CPU comes to Rust.
#[unsafe(no_mangle)]
// SAFETY: no other symbol has this name.
extern "C" fn bench_second_main() -> ! {
    set_up(1);
    gic::init();
    irq::mask();
    let main = START.main.load(Relaxed) as usize;
    // SAFETY: `start_second` stored it, and takes a `fn() -> !`.
    let main: fn() -> ! = unsafe { core::mem::transmute(main) };
    main()
}

/// Lets interrupts come.
#[inline(always)]
pub fn unmask() {
    // SAFETY: the vectors are set.
    unsafe { asm!("msr DAIFClr, #2", options(nostack)) };
}

/// Keeps interrupts off.
#[inline(always)]
pub fn mask() {
    // SAFETY: an interrupt waits.
    unsafe { asm!("msr DAIFSet, #2", options(nostack)) };
}

/// Waits for an interrupt and takes it; they are masked before and after.
#[inline(always)]
pub fn wait_and_take() {
    // SAFETY: the vectors are set.
    unsafe {
        asm!(
            "wfi",
            "msr DAIFClr, #2",
            "isb",
            "msr DAIFSet, #2",
            options(nostack)
        )
    };
}

/// Lets so many ticks pass.
pub fn pause(ticks: u64) {
    let end = super::measure::now() + ticks;
    while super::measure::now() < end {}
    sysreg::sync();
}
