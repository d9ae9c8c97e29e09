//! A vCPU's side of the interrupt controller: its saved CPU interface, its place in the system.

use super::bank::{Bank, NOBODY, at, mask};
use super::lists::ActivePriorities;

/// ICH_HCR_EL2: the bits used here (Arm IHI 0069, "ICH_HCR_EL2").
pub(super) mod hcr {
    /// The virtual CPU interface works at all.
    pub const EN: u64 = 1 << 0;
    /// Maintenance when a deactivation met no list register (EOIcount is not zero).
    pub const LRENPIE: u64 = 1 << 2;
    /// Maintenance when no list register is pending.
    pub const NPIE: u64 = 1 << 3;
    /// Maintenance while virtual group 0 is enabled; group 1's bit is two up.
    pub const VGRP0EIE: u64 = 1 << 4;
    /// Maintenance while virtual group 0 is disabled; group 1's bit is two up.
    pub const VGRP0DIE: u64 = 1 << 5;
    /// Traps writes of ICC_DIR_EL1, where ICH_VTR_EL2.TDS says so.
    pub const TDIR: u64 = 1 << 14;
    /// Where the five bits of EOIcount start.
    pub const EOICOUNT: u32 = 27;
    /// All of EOIcount.
    pub const EOICOUNT_MASK: u64 = 0x1f << EOICOUNT;
}

/// ICH_VMCR_EL2: the bits used here (Arm IHI 0069, "ICH_VMCR_EL2").
pub(super) mod vmcr {
    /// Virtual group 0 is enabled; group 1's bit is one up.
    pub const VENG0: u64 = 1 << 0;
    /// Virtual group 1 is enabled.
    pub const VENG1: u64 = 1 << 1;
    /// EOIR only drops priority; DIR deactivates.
    pub const VEOIM: u64 = 1 << 9;
    /// Where the virtual priority mask starts.
    pub const VPMR: u32 = 24;
}

/// What the controller keeps of one vCPU.
#[repr(C)]
pub(super) struct Vcpu {
    pub bank: Bank,
    pub face: Face,
}

/// A vCPU towards its CPU interface and towards the others.
#[derive(Clone, Default)]
pub(super) struct Face {
    /// The list registers there are, a bit each: none while the vCPU is not loaded.
    pub all: u32,
    /// The list registers that some interrupt calls its home, emptied by the guest or not.
    pub used: u32,
    /// Banks that may have interrupts ready for this vCPU, by summary bit. May say too much.
    pub todo: u32,
    /// Banks that may have interrupts active on this vCPU in no list register. May say too much.
    pub acts: u32,
    /// Somebody changed something about an interrupt in this vCPU's list registers.
    pub resync: bool,
    /// More wanted list registers than there are, the last time they were sorted.
    pub crowded: bool,
    pub loaded: bool,
    /// GICR_WAKER.ProcessorSleep.
    pub asleep: bool,
    /// ICH_VMCR_EL2, while not loaded.
    pub vmcr: u64,
    /// `ICH_AP0R<n>_EL2` and `ICH_AP1R<n>_EL2`, while not loaded.
    pub active_priorities: ActivePriorities,
    /// Aff3.Aff2.Aff1.Aff0.
    pub affinity: u32,
    /// The affinity as ICC_SGI1R_EL1 gives it, all but the target list.
    pub sgi_key: u64,
    /// The vCPU's bit in the target list.
    pub sgi_bit: u64,
}

impl Face {
    /// Returns the list registers no interrupt calls its home.
    #[inline(always)]
    pub fn free(&self) -> u32 {
        self.all & !self.used
    }

    /// Notes what came back from a list register of this vCPU to the bank.
    #[inline(always)]
    pub fn note_folded(&mut self, bank: &Bank, bit: u32) {
        if bank.pended() & bit != 0 {
            self.todo |= mask(bank.summary);
        }
        if bank.active & bit != 0 {
            self.acts |= mask(bank.summary);
        }
    }

    /// Notes that the bank may have something for this vCPU.
    pub fn note(&mut self, bank: &Bank) {
        self.todo |= mask(bank.summary);
        self.acts |= mask(bank.summary);
    }
}

impl Bank {
    /// Returns the vCPU that interrupt `n`, in the bank, belongs to: the one it is active on, or
    /// the one it is routed to; `usize::MAX`-like numbers stand for none.
    #[inline(always)]
    pub fn holder(&self, n: u32) -> usize {
        if self.owner != NOBODY {
            self.owner as usize
        } else if self.active & mask(n) != 0 {
            at(&self.home, n).vcpu()
        } else {
            at(&self.target, n) as usize
        }
    }
}
