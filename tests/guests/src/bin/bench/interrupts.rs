//! Interrupts of one CPU.

use core::sync::atomic::Ordering::Relaxed;

use guests::rt::{
    gic,
    mmio::write32,
    timer::{Timer, ticks},
};

use super::controller::Sender;
use super::cpu::{self, block};
use super::measure::{WARM_UP, mark, now, report};

const ITERATIONS: u64 = 1000;
const GICD_ISPENDR1: u64 = gic::GICD + 0x204;

/// Runs the rows.
pub fn run() {
    run_scaled();
    timer("timer_wfi_latency_30us", true, 30_000);
    lists_full();
}

/// Runs those that more VMs and vCPUs may make dearer.
pub fn run_scaled() {
    gic::enable(27);
    (0..16).for_each(gic::enable);
    sgi_to_self();
    timer("timer_busy_latency", false, 30_000);
    timer("timer_wfi_latency_2ms", true, 2_000_000);
}

/// Sleeps until other VMs and vCPUs have started and sleep too.
pub fn settle() {
    const LONG: u64 = 20_000_000;
    gic::enable(27);
    let taken = &block(0).taken;
    let before = taken.load(Relaxed);
    Timer::Virtual.set_cval(now() + ticks(LONG));
    Timer::Virtual.set_ctl(1);
    while taken.load(Relaxed) == before {
        cpu::wait_and_take();
    }
}

/// From the write of the SGI register to the end of the handler.
fn sgi_to_self() {
    let (taken, sender) = (&block(0).taken, Sender::get());
    let once = || {
        let before = taken.load(Relaxed);
        sender.send(0, 1);
        while taken.load(Relaxed) == before {}
    };
    cpu::unmask();
    (0..WARM_UP).for_each(|_| once());
    let start = now();
    (0..ITERATIONS).for_each(|_| once());
    let ticks = now() - start;
    mark(once);
    cpu::mask();
    report("sgi_self", ITERATIONS, ticks, 0);
}

/// From the timer's deadline to the first instruction of its handler.
fn timer(name: &str, wait: bool, ticks: u64) {
    let block = block(0);
    let once = || {
        let before = block.taken.load(Relaxed);
        let deadline = now() + ticks;
        Timer::Virtual.set_cval(deadline);
        Timer::Virtual.set_ctl(1);
        if wait {
            while block.taken.load(Relaxed) == before {
                cpu::wait_and_take();
            }
        } else {
            cpu::unmask();
            while block.taken.load(Relaxed) == before {}
            cpu::mask();
        }
        block.stamp.load(Relaxed) - deadline
    };
    let several = |times: u64| (0..times).map(|_| once()).sum();
    let _: u64 = several(WARM_UP);
    let late = several(ITERATIONS);
    mark(|| _ = several(1));
    report(name, ITERATIONS, late, 0);
}

/// SPIs from 32 up, more than any CPU has list registers.
const MANY: u64 = 20;

/// For each of many interrupts that are pending at once: from their write to the end of the
/// last one's handler.
fn lists_full() {
    (32..32 + MANY as u32).for_each(|spi| {
        gic::set_edge(spi, true);
        gic::enable(spi);
    });
    let taken = &block(0).taken;
    let once = || {
        let end = taken.load(Relaxed) + MANY;
        write32(GICD_ISPENDR1, (1 << MANY) - 1);
        cpu::unmask();
        while taken.load(Relaxed) < end {}
        cpu::mask();
    };
    let rounds = 50;
    (0..5).for_each(|_| once());
    let start = now();
    (0..rounds).for_each(|_| once());
    let ticks = now() - start;
    mark(once);
    report("spi_20_at_once", rounds * MANY, ticks, 0);
}
