//! A machine for tests: registers in a map, and a log of what was done to it, one per thread.

use alloc::{collections::BTreeMap, vec::Vec};
use core::cell::RefCell;

/// One thing that was done to the machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// An MRS of the register with this encoding.
    Read(u32),
    /// An MSR of this value to the register with this encoding.
    Write(u32, u64),
}

/// The machine's state.
#[derive(Default)]
pub struct Fake {
    /// Registers by [`iss`](crate::isa::encoding::Encoding::iss); absent ones read as zero.
    pub regs: BTreeMap<u32, u64>,
    /// Everything that was done, oldest first.
    pub log: Vec<Event>,
}

impl Fake {
    /// Reads a register and logs it.
    pub fn read(&mut self, iss: u32) -> u64 {
        self.log.push(Event::Read(iss));
        self.regs.get(&iss).copied().unwrap_or(0)
    }

    /// Writes a register and logs it.
    pub fn write(&mut self, iss: u32, value: u64) {
        self.log.push(Event::Write(iss, value));
        self.regs.insert(iss, value);
    }
}

std::thread_local! {
    static MACHINE: RefCell<Fake> = RefCell::default();
}

/// Gives `f` this thread's machine.
pub fn with<R>(f: impl FnOnce(&mut Fake) -> R) -> R {
    MACHINE.with_borrow_mut(f)
}

/// Puts this thread's machine back to its reset state.
pub fn reset() {
    with(|cpu| *cpu = Fake::default());
}
