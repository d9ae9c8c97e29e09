//! Who sent an SGI, which a GICv2 tells the one that takes it.
//!
//! A GICv2 has one SGI of each number from each sender. Here they share one place, in the bank and
//! in a list register: it holds the SGI of one sender, [`Bank::senders`] remembers the others, and
//! a maintenance interrupt at its end brings the next. So two of one number are never active on one
//! vCPU together; a guest could tell only with EOImode 1, where it would get the second before it
//! has deactivated the first.

use super::bank::{Bank, Bits, at, mask};
use super::interface::Vcpu;
use super::{Gic, Here, Kicks, ListRegisters, list_register as lr, private};
use crate::bits::field;

/// Returns who sent what is in a list register.
const fn sender_of(value: u64) -> u8 {
    field(value, lr::PINTID, 3) as u8
}

/// Returns the lowest of the senders in a mask, if any, else 0.
const fn lowest(senders: u8) -> u8 {
    match senders {
        0 => 0,
        _ => senders.trailing_zeros() as u8,
    }
}

/// Returns a mask without its lowest bit.
const fn others(senders: u8) -> u8 {
    senders & senders.wrapping_sub(1)
}

impl Gic {
    /// Makes SGI `n` of the vCPU at hand pending, from `senders`.
    ///
    /// One sender's SGI, while none of that number waits, goes the short way.
    #[inline(always)]
    pub(super) fn raise_here<L: ListRegisters>(
        &mut self,
        here: &mut Here<'_, L>,
        n: u32,
        senders: u8,
    ) -> Kicks {
        let link = u64::from(lowest(senders)) << lr::PINTID;
        if others(senders) == 0 && self.pend_at_once(here, n, link) {
            return Kicks::NONE;
        }
        self.raise_here_slowly(here, n, senders)
    }

    #[inline(never)]
    fn raise_here_slowly<L: ListRegisters>(
        &mut self,
        here: &mut Here<'_, L>,
        n: u32,
        senders: u8,
    ) -> Kicks {
        let id = private(here.vcpu);
        if let Some(bank) = self.bank_mut(id) {
            bank.add_senders(n, senders);
        }
        self.pend(here, id, mask(n))
    }

    /// Makes SGI `n` of another vCPU pending, from `senders`, and notifies that one if need be.
    #[inline(always)]
    pub(super) fn raise_far(&mut self, target: usize, n: u32, senders: u8) -> Kicks {
        if let Some(bank) = self.bank_mut(private(target)) {
            bank.add_senders(n, senders);
        }
        self.pend_far(target, n)
    }

    /// Signals SGI `n`, all that others left for the vCPU at hand, if it has one sender and a short
    /// way into a list register; else does nothing. Returns whether it did.
    #[inline(always)]
    pub(super) fn sync_sent_at_once<L: ListRegisters>(
        &mut self,
        here: &mut Here<'_, L>,
        n: u32,
    ) -> bool {
        let Some(Vcpu { bank, .. }) = self.vcpus.get_mut(here.vcpu) else {
            return false;
        };
        let senders = bank.senders(n);
        if others(senders) != 0 {
            return false;
        }
        bank.set_senders(n, 0);
        let link = u64::from(lowest(senders)) << lr::PINTID;
        let done = self.pend_at_once(here, n, link);
        if let Some(Vcpu { bank, face }) = self.vcpus.get_mut(here.vcpu) {
            match done {
                true => face.todo = 0,
                false => bank.set_senders(n, senders),
            }
        }
        done
    }

    /// Signals what others sent the vCPU at hand, and what else of its own is ready.
    pub(super) fn catch_up_sent<L: ListRegisters>(&mut self, here: &mut Here<'_, L>) -> Kicks {
        let open = self.open;
        let Some(Vcpu { bank, .. }) = self.vcpus.get_mut(here.vcpu) else {
            return Kicks::NONE;
        };
        let wanting = bank.ready(open) | bank.homed & bank.pending;
        let sourced = bank.sourced;
        let mut kicks = Kicks::NONE;
        for n in Bits(wanting & sourced) {
            kicks |= self.raise_sent(here, n);
        }
        match wanting & !sourced {
            0 => kicks,
            others => kicks | self.refresh(here, private(here.vcpu), others),
        }
    }

    /// Signals SGI `n` of the vCPU at hand, which others sent.
    #[inline(always)]
    fn raise_sent<L: ListRegisters>(&mut self, here: &mut Here<'_, L>, n: u32) -> Kicks {
        let Some(Vcpu { bank, .. }) = self.vcpus.get_mut(here.vcpu) else {
            return Kicks::NONE;
        };
        let senders = bank.senders(n);
        bank.set_senders(n, 0);
        self.raise_here(here, n, senders)
    }
}

impl Bank {
    /// Returns who sent SGI `n` and is not in a list register, a bit each.
    pub(super) fn senders(&self, n: u32) -> u8 {
        at(&self.senders, n)
    }

    /// Returns the fields of a list register that holds SGI `n` in the given state: its sender,
    /// and whether to tell when it has ended, as others wait.
    pub(super) fn sender_fields(&self, n: u32, state: u64) -> u64 {
        let senders = self.senders(n);
        let (sender, waiting) = match state & lr::ACTIVE {
            0 => (lowest(senders), others(senders)),
            _ => (at(&self.sender, n), senders),
        };
        let told = if waiting != 0 { lr::EOI } else { 0 };
        (u64::from(sender & 7) << lr::PINTID) | told
    }

    /// Notes that the SGI of the first sender went into a list register as pending.
    #[inline(always)]
    pub(super) fn take_sender(&mut self, n: u32) {
        let rest = others(self.senders(n));
        self.set_senders(n, rest);
    }

    /// Notes who sent the SGI that the guest has acknowledged.
    pub(super) fn note_sender(&mut self, n: u32, value: u64) {
        super::bank::set(&mut self.sender, n, sender_of(value));
    }

    /// Takes the pending SGI in a list register back.
    pub(super) fn return_sender(&mut self, n: u32, value: u64) {
        let senders = self.senders(n) | 1u8.wrapping_shl(sender_of(value).into());
        self.set_senders(n, senders);
    }

    /// Adds a sender of SGI `n`.
    #[inline(always)]
    pub(super) fn add_senders(&mut self, n: u32, senders: u8) {
        let all = self.senders(n) | senders;
        self.set_senders(n, all);
    }

    /// Forgets senders of SGI `n`, which is in no list register.
    pub(super) fn drop_senders(&mut self, n: u32, senders: u8) {
        let rest = self.senders(n) & !senders;
        self.set_senders(n, rest);
    }

    /// Sets who sent SGI `n`: it is pending if anybody did.
    #[inline(always)]
    fn set_senders(&mut self, n: u32, senders: u8) {
        super::bank::set(&mut self.senders, n, senders);
        let bit = mask(n);
        self.pending = (self.pending & !bit) | if senders != 0 { bit } else { 0 };
    }

    /// Returns who sent SGI `n`, given what its list register holds, if it has one.
    pub(super) fn senders_seen(&self, n: u32, value: Option<u64>) -> u8 {
        let there = match value {
            Some(value) if value & lr::PENDING != 0 => 1u8.wrapping_shl(sender_of(value).into()),
            _ => 0,
        };
        self.senders(n) | there
    }
}
