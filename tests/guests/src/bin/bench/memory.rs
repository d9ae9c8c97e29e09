//! Memory that nobody touched yet.

use core::arch::asm;

use guests::rt::entry;

use super::measure::{mark, now, report};

const PAGE: u64 = 4096;
const PAGES: u64 = 2048;
/// Far from the program and, wherever the loader puts it, from the device tree.
const OFFSET: u64 = 64 << 20;

/// Runs the rows.
pub fn run() {
    let start = entry::ram().0 + OFFSET;
    for name in ["stage2_first_touch_4k", "touch_again_4k"] {
        let before = now();
        touch(start, PAGES);
        let ticks = now() - before;
        mark(|| touch(start + PAGES * PAGE, 1));
        report(name, PAGES, ticks, 4);
    }
}

fn touch(at: u64, pages: u64) {
    // SAFETY: RAM that this program uses for nothing else.
    unsafe {
        asm!(
            "1:", "str xzr, [{at}]", "add {at}, {at}, {page}", "subs {n}, {n}, #1", "b.ne 1b",
            at = inout(reg) at => _, page = in(reg) PAGE, n = inout(reg) pages => _,
            options(nostack)
        );
    }
}
