//! Interrupts of one CPU.

use core::sync::atomic::Ordering::Relaxed;

use guests::msr;
use guests::rt::{gic, timer::Timer};

use super::cpu::{self, block};
use super::measure::{WARM_UP, now, report};

const ITERATIONS: u64 = 1000;

/// Runs the rows.
pub fn run() {
    gic::enable(27);
    (0..16).for_each(gic::enable);
    sgi_to_self();
    timer("timer_busy_latency", false, 30_000);
    timer("timer_wfi_latency_30us", true, 30_000);
    timer("timer_wfi_latency_2ms", true, 2_000_000);
    lists_full();
}

/// From the write of the SGI register to the end of the handler.
fn sgi_to_self() {
    let taken = &block(0).taken;
    cpu::unmask();
    let mut start = 0;
    for n in 0..ITERATIONS + WARM_UP {
        if n == WARM_UP {
            start = now();
        }
        let before = taken.load(Relaxed);
        cpu::send_sgi(0, 1);
        while taken.load(Relaxed) == before {}
    }
    let ticks = now() - start;
    cpu::mask();
    report("sgi_self", ITERATIONS, ticks, 0);
}

/// From the timer's deadline to the first instruction of its handler.
fn timer(name: &str, wait: bool, ticks: u64) {
    let block = block(0);
    let mut sum = 0;
    for n in 0..ITERATIONS + WARM_UP {
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
        if n >= WARM_UP {
            sum += block.stamp.load(Relaxed) - deadline;
        }
    }
    report(name, ITERATIONS, sum, 0);
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
    let rounds = 50;
    let mut sum = 0;
    for n in 0..rounds + 5 {
        let end = taken.load(Relaxed) + MANY;
        let start = now();
        guests::rt::mmio::write32(gic::GICD + 0x204, (1 << MANY) - 1);
        cpu::unmask();
        while taken.load(Relaxed) < end {}
        cpu::mask();
        if n >= 5 {
            sum += now() - start;
        }
    }
    report("spi_lists_full", rounds * MANY, sum, 0);
    msr!("ICC_PMR_EL1", 0xff);
}
