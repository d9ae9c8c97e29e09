//! The console's device: interrupts, and both directions of talk.

use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use guests::rt::console::{self, ICR, IMSC, RIS, RX, RX_TIMEOUT, TX, UART_INTID};
use guests::rt::timer::{ENABLE, IMASK, Timer, pause, ticks, wait};
use guests::rt::{entry, gic, irq, mmio};
use guests::text::Text;
use guests::{checks, expect, expect_eq, fail, ignore, outcome::TestResult, println};

checks! {
    everywhere identifies_itself;
    speaking transmit_interrupt;
    speaking line_falls_with_the_mask;
}

/// Needs somebody who types, so it comes after all others.
pub mod echo {
    use super::*;

    checks! {
        speaking echo;
    }
}

fn identifies_itself() -> TestResult {
    let id = [0, 1, 2, 3].map(|n| mmio::read32(console::UART + 0xfe0 + 4 * n));
    expect_eq!(id[0] | (id[1] & 0xf) << 8, 0x011);
    let cell = [0, 1, 2, 3].map(|n| mmio::read32(console::UART + 0xff0 + 4 * n));
    expect_eq!(cell, [0x0d, 0xf0, 0x05, 0xb1]);
    Ok(())
}

static MESSAGE: &[u8] = b"uart: sent by interrupt\n";
static SENT: AtomicUsize = AtomicUsize::new(0);

/// Sends the next byte of the message; after the last one, masks the interrupt.
fn send_next(intid: u32) {
    irq::note(intid);
    mmio::write32(ICR, TX);
    match MESSAGE.get(SENT.fetch_add(1, Relaxed)) {
        Some(&byte) => mmio::write32(console::DR, u32::from(byte)),
        None => mmio::write32(IMSC, 0),
    }
    gic::end(intid);
}

/// The first byte starts the chain: the interrupt tells of room that came free.
fn transmit_interrupt() -> TestResult {
    gic::set_edge(UART_INTID, false);
    gic::enable(UART_INTID);
    irq::handle_by(send_next);
    SENT.store(1, Relaxed);
    mmio::write32(ICR, TX);
    mmio::write32(IMSC, TX);
    irq::unmask();
    mmio::write32(console::DR, u32::from(MESSAGE[0]));
    let done = wait(1_000_000, || SENT.load(Relaxed) > MESSAGE.len());
    irq::mask();
    mmio::write32(IMSC, 0);
    let sent = SENT.load(Relaxed);
    expect!(
        done,
        "stuck after {sent} bytes, RIS {:#x}",
        mmio::read32(RIS)
    );
    expect_eq!(irq::nth(0), UART_INTID);
    Ok(())
}

fn line_falls_with_the_mask() -> TestResult {
    gic::set_edge(UART_INTID, false);
    gic::enable(UART_INTID);
    mmio::write32(IMSC, TX);
    println!("uart: one line to raise the interrupt");
    expect!(
        wait(1_000_000, || mmio::read32(RIS) & TX != 0),
        "RIS.TXRIS stays clear"
    );
    expect!(
        wait(1_000_000, || gic::is_pending(UART_INTID)),
        "SPI 1 is not pending"
    );
    mmio::write32(IMSC, 0);
    expect!(
        !gic::is_pending(UART_INTID),
        "SPI 1 stays pending while masked"
    );
    irq::unmask();
    pause(300);
    expect!(
        irq::taken() == 0 || irq::nth(0) >= gic::SPECIAL,
        "taken while masked"
    );
    Ok(())
}

const PATIENCE: u64 = 30;

static TYPED: [AtomicUsize; 80] = [const { AtomicUsize::new(0) }; 80];
static COUNT: AtomicUsize = AtomicUsize::new(0);

fn keep(byte: u8) {
    if let Some(slot) = TYPED.get(COUNT.fetch_add(1, Relaxed)) {
        slot.store(usize::from(byte), Relaxed);
    }
}

/// Takes the line typed so far, once its end has come.
fn line() -> Option<Text<80>> {
    let mut text = Text::new();
    for slot in TYPED.iter().take(COUNT.load(Relaxed)) {
        match slot.load(Relaxed) as u8 {
            b'\r' | b'\n' if text.is_empty() => {}
            b'\r' | b'\n' => {
                COUNT.store(0, Relaxed);
                return Some(text);
            }
            byte => text.push(byte),
        }
    }
    None
}

fn drain(intid: u32) {
    irq::note(intid);
    if intid == UART_INTID {
        while let Some(byte) = console::receive() {
            keep(byte);
        }
        mmio::write32(ICR, RX | RX_TIMEOUT);
    } else {
        Timer::Virtual.set_ctl(ENABLE | IMASK);
    }
    gic::end(intid);
}

fn echo() -> TestResult {
    if !entry::has_argument("echo") {
        ignore!("needs `echo` among the boot arguments and somebody who types");
    }
    println!("uart-echo: ready");
    let polled = by_polling()?;
    println!("echo: {polled}");
    println!("uart-echo: ready for interrupts");
    let interrupted = by_interrupt()?;
    println!("echo: {interrupted}");
    Ok(())
}

fn by_polling() -> Result<Text<80>, guests::outcome::Unmet> {
    let mut typed = None;
    wait(PATIENCE * 1_000_000, || {
        if let Some(byte) = console::receive() {
            keep(byte);
        }
        typed = line();
        typed.is_some()
    });
    match typed {
        Some(text) => Ok(text),
        None => fail!("no line within {PATIENCE} s"),
    }
}

/// Sleeps between the interrupts; the timer only bounds the wait.
fn by_interrupt() -> Result<Text<80>, guests::outcome::Unmet> {
    let timer = Timer::Virtual;
    let end = timer.count() + ticks(PATIENCE * 1_000_000);
    gic::set_edge(UART_INTID, false);
    gic::enable(UART_INTID);
    gic::enable(timer.intid());
    irq::handle_by(drain);
    mmio::write32(IMSC, RX | RX_TIMEOUT);
    timer.set_cval(end);
    timer.set_ctl(ENABLE);
    let text = loop {
        // Masked: an interrupt after the look and before the sleep ends the sleep.
        irq::mask();
        if let Some(text) = line() {
            break text;
        }
        if timer.count() > end {
            fail!("no line within {PATIENCE} s");
        }
        // SAFETY: waits.
        unsafe { core::arch::asm!("dsb sy", "wfi", options(nostack)) };
        irq::unmask();
    };
    expect!(irq::taken() != 0);
    Ok(text)
}
