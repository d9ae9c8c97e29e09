//! The first process of `tests/bootspan.rs`, a Linux program: it ties the kernel's clock to the
//! virtual count, prints the kernel's messages with their times, and turns the machine off.

#![no_std]
#![no_main]

mod linux;

use core::arch::asm;
use core::fmt::{self, Write};
use linux::{REBOOT, WRITE, call};

const MOUNT: u64 = 40;
const OPENAT: u64 = 56;
const READ: u64 = 63;

const AT_FDCWD: u64 = -100_i64 as u64;
const O_WRONLY: u64 = 1;
const O_NONBLOCK: u64 = 0o4000;

struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        put(1, text.as_bytes());
        Ok(())
    }
}

fn put(file: u64, bytes: &[u8]) {
    call(WRITE, [file, bytes.as_ptr() as u64, bytes.len() as u64, 0, 0]);
}

fn open(name: &core::ffi::CStr, flags: u64) -> u64 {
    call(OPENAT, [AT_FDCWD, name.as_ptr() as u64, flags, 0, 0]) as u64
}

fn count() -> u64 {
    let count;
    // SAFETY: reads a register.
    unsafe { asm!("isb", "mrs {}, cntvct_el0", out(reg) count, options(nostack)) }
    count
}

// SAFETY: no other symbol has this name.
#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    let (name, kind) = (c"dev".as_ptr() as u64, c"devtmpfs".as_ptr() as u64);
    call(MOUNT, [name, c"/dev".as_ptr() as u64, kind, 0, 0]);
    let log = open(c"/dev/kmsg", O_WRONLY);
    // The first one warms up; the kernel stamps the second.
    put(log, b"SPAN first\n");
    let before = count();
    put(log, b"SPAN second\n");
    let after = count();
    let messages = open(c"/dev/kmsg", O_NONBLOCK);
    let mut record = [0; 8192];
    loop {
        let length = call(READ, [messages, record.as_mut_ptr() as u64, record.len() as u64, 0, 0]);
        match record.get(..usize::try_from(length).unwrap_or(0)) {
            Some(text) if !text.is_empty() => put(1, text),
            _ => break,
        }
    }
    // Nothing is left to do if it fails.
    let _ = writeln!(Console, "\nSPAN counts {before} {after} end");
    call(REBOOT, [0xfee1_dead, 0x2812_1969, 0x4321_fedc, 0, 0]);
    loop {}
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
