//! Counts of what made a vCPU exit, for its owner to see.

use core::sync::atomic::{AtomicU64, Ordering};

/// Why a guest exited.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub enum Reason {
    /// HVC or SMC.
    Call,
    /// A system register or instruction.
    Register,
    /// A load or store to a device.
    Device,
    /// An interrupt of the machine.
    Interrupt,
    /// WFI.
    Wait,
    /// Anything else.
    Other,
}

/// How many reasons there are.
pub const REASONS: usize = 6;

/// What the reasons are called, in order.
pub const NAMES: [&str; REASONS] = [
    "calls",
    "registers",
    "devices",
    "interrupts",
    "waits",
    "other",
];

/// A vCPU's counts, as its CPU last published them.
#[derive(Default)]
pub struct Published {
    exits: [AtomicU64; REASONS],
    run: AtomicU64,
    el2: AtomicU64,
    turns: AtomicU64,
}

/// One reading of [`Published`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reading {
    /// Exits by reason.
    pub exits: [u64; REASONS],
    /// How long its turns took, in counts: the guest, and the exits that the vectors answer.
    pub run: u64,
    /// How long EL2 took to come to them, in counts: from the end of the turn before, or of the
    /// CPU's sleep, to the entry.
    pub el2: u64,
    /// How often it was entered from the run loop.
    pub turns: u64,
}

impl Published {
    /// Publishes a turn: all exits so far, how long the turn took, and EL2 before it.
    pub fn publish(&self, exits: &[u64; REASONS], ran: u64, el2: u64) {
        for (n, &count) in exits.iter().enumerate() {
            self.exits[n].store(count, Ordering::Relaxed);
        }
        // One CPU at a time writes: nothing is lost between the load and the store.
        let add = |to: &AtomicU64, more, order| to.store(to.load(Ordering::Relaxed) + more, order);
        add(&self.run, ran, Ordering::Relaxed);
        add(&self.el2, el2, Ordering::Relaxed);
        add(&self.turns, 1, Ordering::Release);
    }

    /// Reads what was last published.
    pub fn read(&self) -> Reading {
        let turns = self.turns.load(Ordering::Acquire);
        Reading {
            exits: self.exits.each_ref().map(|n| n.load(Ordering::Relaxed)),
            run: self.run.load(Ordering::Relaxed),
            el2: self.el2.load(Ordering::Relaxed),
            turns,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_add_up_and_exits_are_the_latest() {
        let stats = Published::default();
        stats.publish(&[1, 2, 3, 4, 5, 6], 10, 3);
        stats.publish(&[2, 2, 3, 4, 5, 7], 20, 4);
        let reading = stats.read();
        assert_eq!(reading.exits, [2, 2, 3, 4, 5, 7]);
        assert_eq!((reading.run, reading.el2, reading.turns), (30, 7, 2));
        assert_eq!(NAMES[Reason::Other as usize], "other");
    }
}
