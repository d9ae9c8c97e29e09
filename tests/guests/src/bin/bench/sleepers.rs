//! vCPUs that do nothing.

use core::arch::{asm, global_asm};

use guests::println;
use guests::rt::{entry, smccc};

global_asm!(
    ".global bench_sleeper",
    "bench_sleeper:",
    "wfi",
    "b bench_sleeper",
);

unsafe extern "C" {
    safe fn bench_sleeper();
}

/// The first vCPU that sleeps: two are for work.
const FIRST: u64 = 2;

/// Turns on as many as the boot arguments say.
pub fn wake() {
    let others = entry::argument("others").and_then(|number| number.parse().ok());
    for number in FIRST..FIRST + others.unwrap_or(0) {
        // 16 in a cluster.
        let affinity = (number >> 4) << 8 | (number & 15);
        let entry = bench_sleeper as *const () as u64;
        if smccc::call(smccc::CPU_ON, [affinity, entry, 0]) != 0 {
            println!("bench: there is no vCPU {number}");
        }
    }
}

/// Sleeps for good, interrupts masked.
pub fn sleep() -> ! {
    loop {
        // SAFETY: waits.
        unsafe { asm!("wfi", options(nostack)) };
    }
}
