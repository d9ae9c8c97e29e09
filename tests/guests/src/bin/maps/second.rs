//! The second CPU: it has tables of its own.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use guests::rt::{
    mmu::{self, Table},
    second,
};

use crate::views::{self, GIB, Page};

/// Its tables, but for what both have of RAM.
static FIRST: Table = Table::new();
static MIDDLE: Table = Table::new();
static LAST: Table = Table::new();

const NUMBER: u64 = 100;
static PAGE: Page = Page::new(NUMBER);

/// How many of its reads were wrong.
static STALE: AtomicU64 = AtomicU64::new(0);

/// Turns it on; returns whether there is one.
pub fn start() -> bool {
    FIRST.set(0, Table::DEVICE_BLOCK);
    FIRST.set(1, mmu::LEVEL2.address() | 3);
    FIRST.set(GIB, MIDDLE.address() | 3);
    MIDDLE.set(0, LAST.address() | 3);
    LAST.set(0, PAGE.descriptor());
    second::start(FIRST.address(), main)
}

/// Returns how many of its reads were wrong.
pub fn stale() -> u64 {
    STALE.load(Relaxed)
}

extern "C" fn main() -> ! {
    loop {
        if views::look() != NUMBER {
            STALE.fetch_add(1, Relaxed);
        }
    }
}
