//! What guests did that nobody should: counted, and logged at most a few times a second.

use super::{Vm, vcpu::Vcpu};
use crate::cpu::timer;
use core::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

/// Counters of one VM.
#[derive(Default)]
pub(super) struct Counters {
    /// Accesses to system registers the guest does not have.
    pub undefined: AtomicU64,
    /// Accesses to addresses where nothing is.
    pub aborts: AtomicU64,
    /// Calls to functions that do not exist.
    pub unknown_calls: AtomicU64,
    /// Interrupts that nobody asked for.
    pub strays: AtomicU64,
    /// The count from which on a line may be logged again.
    quiet_until: AtomicU64,
    /// Lines not logged since the last one.
    suppressed: AtomicU64,
}

/// How many lines a VM may cause in a second.
const LINES_PER_SECOND: u64 = 4;

impl Vm {
    /// Logs what a guest did, unless it just did something else of the kind.
    #[cold]
    pub(super) fn note(&self, counter: &AtomicU64, what: fmt::Arguments<'_>) {
        counter.fetch_add(1, Ordering::Relaxed);
        let now = timer::count();
        if now < self.counters.quiet_until.load(Ordering::Relaxed) {
            self.counters.suppressed.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let pause = self.host.frequency / LINES_PER_SECOND;
        let until = now.saturating_add(pause);
        self.counters.quiet_until.store(until, Ordering::Relaxed);
        match self.counters.suppressed.swap(0, Ordering::Relaxed) {
            0 => log::warn!("{}: {what}", self.name),
            n => log::warn!("{}: {what} ({n} more not shown)", self.name),
        }
    }
}

impl Vm {
    /// Notes an interrupt of the machine that nobody asked for.
    #[cold]
    pub(super) fn note_stray(&self, intid: u32) {
        self.note(
            &self.counters.strays,
            format_args!("interrupt {intid} came while it ran, and is nobody's"),
        );
    }
}

impl Vcpu {
    /// Notes an access to a system register that the guest does not have.
    #[cold]
    pub(super) fn note_undefined(&self, what: fmt::Arguments<'_>) {
        self.vm.note(&self.vm.counters.undefined, what);
    }

    /// Notes an access to an address where nothing is.
    #[cold]
    pub(super) fn note_abort(&self, what: fmt::Arguments<'_>) {
        self.vm.note(&self.vm.counters.aborts, what);
    }

    /// Notes a call to a function that does not exist.
    #[cold]
    pub(super) fn note_unknown_call(&self, what: fmt::Arguments<'_>) {
        self.vm.note(&self.vm.counters.unknown_calls, what);
    }
}
