//! Interrupts taken: what the handler saw, in order, for the checks to look at.

use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};

use super::console;
use super::gic;
use super::timer::{ENABLE, IMASK, Timer};
use crate::{mrs, msr};

const LOG: usize = 32;

static TAKEN: AtomicUsize = AtomicUsize::new(0);
static ORDER: [AtomicU32; LOG] = [const { AtomicU32::new(0) }; LOG];
static WHEN: AtomicU64 = AtomicU64::new(0);
static HANDLER: AtomicUsize = AtomicUsize::new(0);

/// Forgets what was taken and puts the default handler, [`record`], back.
pub fn reset() {
    TAKEN.store(0, Relaxed);
    HANDLER.store(0, Relaxed);
}

/// Lets another function handle interrupts. It acknowledges and ends them itself.
pub fn handle_by(handler: fn(u32)) {
    HANDLER.store(handler as usize, Relaxed);
}

/// Returns how many interrupts were taken since [`reset`].
pub fn taken() -> usize {
    TAKEN.load(Relaxed)
}

/// Returns the INTID of the n-th interrupt taken, of the first 32.
pub fn nth(n: usize) -> u32 {
    ORDER.get(n).map_or(u32::MAX, |intid| intid.load(Relaxed))
}

/// Returns the virtual count at which the last one was taken.
pub fn when() -> u64 {
    WHEN.load(Relaxed)
}

/// Notes an interrupt down.
pub fn note(intid: u32) {
    WHEN.store(mrs!("CNTVCT_EL0"), Relaxed);
    let n = TAKEN.fetch_add(1, Relaxed);
    if let Some(slot) = ORDER.get(n) {
        slot.store(intid, Relaxed);
    }
}

/// Silences the device behind a level-sensitive interrupt.
pub fn silence(intid: u32) {
    for timer in [Timer::Virtual, Timer::Physical] {
        if timer.intid() == intid {
            timer.set_ctl(ENABLE | IMASK);
        }
    }
    if intid == console::UART_INTID {
        super::mmio::write32(console::IMSC, 0);
    }
}

/// Handles an interrupt: note, silence, end.
pub fn record(intid: u32) {
    note(intid);
    silence(intid);
    gic::end(intid);
}

/// Lets interrupts be taken.
pub fn unmask() {
    msr!("DAIF", 0x3 << 6 & !(1 << 7));
}

/// Keeps interrupts from being taken.
pub fn mask() {
    msr!("DAIF", 0xf << 6);
}

/// Called by the vectors.
pub(super) fn dispatch() {
    let intid = gic::acknowledge();
    if intid >= gic::SPECIAL {
        note(intid);
        return;
    }
    match HANDLER.load(Relaxed) {
        0 => record(intid),
        handler => call(handler, intid),
    }
}

fn call(handler: usize, intid: u32) {
    // SAFETY: only `handle_by` stores anything but 0 there, and it takes a `fn(u32)`.
    let handler: fn(u32) = unsafe { core::mem::transmute(handler) };
    handler(intid);
}
