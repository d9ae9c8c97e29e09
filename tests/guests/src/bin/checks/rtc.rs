//! The PL031 clock.

use guests::rt::mmio::read32;
use guests::{checks, expect, expect_eq, outcome::TestResult};

const RTC: u64 = 0x0901_0000;

checks! {
    everywhere identifies_itself;
    everywhere clock_is_readable;
}

fn identifies_itself() -> TestResult {
    let id = [0, 1].map(|n| read32(RTC + 0xfe0 + 4 * n));
    expect_eq!(id[0] | (id[1] & 0xf) << 8, 0x031);
    let cell = [0, 1, 2, 3].map(|n| read32(RTC + 0xff0 + 4 * n));
    expect_eq!(cell, [0x0d, 0xf0, 0x05, 0xb1]);
    Ok(())
}

fn clock_is_readable() -> TestResult {
    let first = read32(RTC);
    let second = read32(RTC);
    expect!(
        second.wrapping_sub(first) <= 10,
        "the clock went from {first} to {second}"
    );
    Ok(())
}
