//! Two vCPUs.

use core::arch::asm;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use guests::println;
use guests::rt::{gic, smccc, timer::ticks};

use super::controller::Sender;
use super::cpu::{self, block};
use super::measure::{WARM_UP, mark, now, report};

const ITERATIONS: u64 = 1000;
const PING: u64 = 1;
const PONG: u64 = 2;

/// What the second CPU does with its turn.
static WORK: AtomicU64 = AtomicU64::new(NOTHING);
const NOTHING: u64 = 0;
const USE_FP: u64 = 1;
const USE_DEBUG: u64 = 2;
const TURN_OFF: u64 = 3;

/// How often the second CPU started.
static ARRIVED: AtomicU64 = AtomicU64::new(0);
/// Whether it marks that use instead of timing it.
static MARK_FP: AtomicBool = AtomicBool::new(false);
/// What its first use of an FP register cost, all starts together.
static FIRST_FP: AtomicU64 = AtomicU64::new(0);

/// Runs the rows of two vCPUs on a physical CPU each.
pub fn run() {
    restarts();
    run_scaled();
}

/// Runs those that more VMs and vCPUs may make dearer, if there is a second vCPU.
pub fn run_scaled() {
    if bring_up() {
        ping_pong("ipi_pingpong_wfi", NOTHING);
        stop();
    }
}

/// Runs the rows of two vCPUs that share a physical CPU: each IPI is a switch to the other, so
/// a round trip is two switches, two IPIs and two WFIs.
pub fn switches() {
    if bring_up() {
        ping_pong("switch_pair_clean", NOTHING);
        ping_pong("switch_pair_fp", USE_FP);
        ping_pong("switch_pair_debug", USE_DEBUG);
        stop();
    }
}

/// Starts the second CPU again and again: from the call until its first SGI was taken here, and
/// what its first use of FP costs.
fn restarts() {
    let rounds = 20;
    if !restart() {
        return;
    }
    FIRST_FP.store(0, Ordering::Relaxed);
    let ticks = (0..rounds).map(|_| restart_ticks()).sum();
    let first_fp = FIRST_FP.load(Ordering::Relaxed);
    mark(|| _ = restart());
    report("cpu_on_to_first_sgi", rounds, ticks, 0);
    MARK_FP.store(true, Ordering::Relaxed);
    restart();
    MARK_FP.store(false, Ordering::Relaxed);
    report("fp_first_use", rounds, first_fp, 2);
}

fn restart_ticks() -> u64 {
    let start = now();
    restart();
    // It is off once it was seen off, and the CPU it ran on is idle again.
    let ticks = block(0).stamp.load(Ordering::Relaxed) - start;
    while smccc::call(smccc::AFFINITY_INFO, [1, 0, 0]) != 1 {
        cpu::pause(ticks_of_a_moment());
    }
    cpu::pause(ticks_of_a_moment());
    ticks
}

fn ticks_of_a_moment() -> u64 {
    ticks(100)
}

/// Starts the second CPU and waits for its SGI; returns whether there is one.
fn restart() -> bool {
    let taken = &block(0).taken;
    let before = taken.load(Ordering::Relaxed);
    if !cpu::start_second(arrive_and_leave) {
        println!("no second CPU");
        return false;
    }
    while taken.load(Ordering::Relaxed) == before {
        cpu::wait_and_take();
    }
    true
}

extern "C" fn arrive_and_leave() -> ! {
    cpu::arrive();
    let start = now();
    if MARK_FP.load(Ordering::Relaxed) {
        mark(use_fp);
    } else {
        use_fp();
        FIRST_FP.fetch_add(now() - start, Ordering::Relaxed);
    }
    Sender::get().send(0, PONG);
    turn_off()
}

/// Starts the second CPU for ping-pong; returns whether it came.
fn bring_up() -> bool {
    (0..16).for_each(gic::enable);
    let before = ARRIVED.load(Ordering::Acquire);
    if !cpu::start_second(answer) {
        println!("no second CPU");
        return false;
    }
    let patience = now() + ticks(1_000_000);
    while ARRIVED.load(Ordering::Acquire) == before && now() < patience {}
    cpu::pause(ticks(1000));
    ARRIVED.load(Ordering::Acquire) != before
}

/// From an SGI to the other CPU, which sleeps in WFI, until its answer was taken here.
fn ping_pong(name: &str, work: u64) {
    WORK.store(work, Ordering::Release);
    let (taken, sender) = (&block(0).taken, Sender::get());
    let once = || {
        let before = taken.load(Ordering::Relaxed);
        if work != NOTHING {
            do_work(work);
        }
        sender.send(1, PING);
        while taken.load(Ordering::Relaxed) == before {
            cpu::wait_and_take();
        }
    };
    (0..WARM_UP).for_each(|_| once());
    let start = now();
    (0..ITERATIONS).for_each(|_| once());
    let ticks = now() - start;
    (0..3).for_each(|_| mark(once));
    report(name, ITERATIONS, ticks, 0);
}

/// Waits for pings and answers each.
extern "C" fn answer() -> ! {
    cpu::arrive();
    (0..16).for_each(gic::enable);
    ARRIVED.fetch_add(1, Ordering::Release);
    let (taken, sender) = (&block(1).taken, Sender::get());
    let mut seen = taken.load(Ordering::Relaxed);
    loop {
        while taken.load(Ordering::Relaxed) == seen {
            cpu::wait_and_take();
        }
        seen = taken.load(Ordering::Relaxed);
        let work = WORK.load(Ordering::Acquire);
        if work != NOTHING {
            do_work(work);
        }
        sender.send(0, PONG);
    }
}

#[inline(never)]
fn do_work(work: u64) {
    match work {
        USE_FP => use_fp(),
        USE_DEBUG => use_debug(),
        TURN_OFF => turn_off(),
        _ => {}
    }
}

#[inline(always)]
fn use_fp() {
    // SAFETY: the program's own code is built without FP registers.
    unsafe {
        asm!(
            ".arch_extension fp",
            "fmov d0, xzr",
            ".arch_extension nofp",
            options(nostack)
        );
    }
}

/// Writes a breakpoint's address; the breakpoint stays off.
fn use_debug() {
    // SAFETY: nothing is enabled.
    unsafe { asm!("msr DBGBVR0_EL1, xzr", options(nostack)) };
}

fn stop() {
    WORK.store(TURN_OFF, Ordering::Release);
    Sender::get().send(1, PING);
    cpu::pause(ticks(1000));
}

fn turn_off() -> ! {
    smccc::call(smccc::CPU_OFF, [0; 3]);
    loop {
        cpu::wait_and_take();
    }
}
