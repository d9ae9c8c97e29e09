//! A CPU of this program: its block, and its vectors.

use core::arch::{asm, global_asm};
use core::mem::offset_of;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use guests::rt::{gic, irq, second, sysreg};
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

global_asm!(
    include_str!("cpu.s"),
    taken = const offset_of!(Block, taken),
    stamp = const offset_of!(Block, stamp),
    faults = const offset_of!(Block, faults),
    interface = const offset_of!(Block, interface),
);

unsafe extern "C" {
    safe fn bench_vectors();
    safe fn bench_vectors_v2();
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

/// Turns the second CPU on; it runs `main`, which begins with [`arrive`]. Returns whether there is one.
pub fn start_second(main: extern "C" fn() -> !) -> bool {
    second::start(mrs!("TTBR0_EL1"), main)
}

/// Gives the second CPU its block and vectors, and gets its interrupt interface ready.
pub fn arrive() {
    set_up(1);
    gic::init();
    irq::mask();
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
