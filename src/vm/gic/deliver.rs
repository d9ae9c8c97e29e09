//! Moves interrupts from the banks into list registers: at once where that is simple.

use super::bank::{Bank, Bits, Home, mask};
use super::interface::{Face, Vcpu};
use super::{Gic, Here, Kicks, ListRegisters, list_register as lr, private};

/// Puts interrupt `n` into the free list register `slot`.
#[inline(always)]
pub(super) fn place<L: ListRegisters>(
    (bank, vcpu): (&mut Bank, &mut Face),
    n: u32,
    state: u64,
    slot: u32,
    here: &mut Here<'_, L>,
) {
    here.lists.write(slot, bank.entry(n, state));
    bank.settle(n, state, Home::new(here.vcpu, slot));
    vcpu.used |= mask(slot);
}

impl Gic {
    /// Makes private interrupt `n` of the vCPU at hand, an edge or a hardware-linked one, pending
    /// and signals it; `link` is what links its list register to a physical interrupt, or 0.
    #[inline(always)]
    pub(super) fn pend_here<L: ListRegisters>(
        &mut self,
        here: &mut Here<'_, L>,
        n: u32,
        link: u64,
    ) -> Kicks {
        if self.pend_at_once(here, n, link) {
            return Kicks::NONE;
        }
        self.pend(here, private(here.vcpu), mask(n))
    }

    /// Does the same if a list register is free, or the interrupt's last one has been emptied by
    /// the guest; else does nothing. Returns whether it did.
    ///
    /// This is the way of SGIs and of the timer, so it is written to be short, and calls nothing.
    #[inline(always)]
    pub(super) fn pend_at_once<L: ListRegisters>(
        &mut self,
        here: &mut Here<'_, L>,
        n: u32,
        link: u64,
    ) -> bool {
        let (open, bit) = (self.open, mask(n));
        let Some(Vcpu { bank, face }) = self.vcpus.get_mut(here.vcpu) else {
            return false;
        };
        if bank.allowed(open) & !(bank.active | bank.pending) & bit == 0 {
            return false;
        }
        let value = bank.fields(n) | u64::from(n) | lr::PENDING | link;
        if bank.homed & bit == 0 {
            let slot = face.free().trailing_zeros();
            if slot == u32::BITS {
                return false;
            }
            here.lists.write(slot, value);
            bank.homed |= bit;
            super::bank::set(&mut bank.home, n, Home::new(here.vcpu, slot));
            face.used |= mask(slot);
        } else {
            let slot = super::bank::at(&bank.home, n).slot();
            let asked = bank.clear_pending | bank.clear_active | bank.lr_active;
            if asked & bit != 0 || !here.lists.fill(slot, value) {
                return false;
            }
        }
        bank.lr_pending |= bit;
        true
    }

    /// Makes private interrupt `n` of another vCPU pending and notifies that one if need be.
    #[inline(always)]
    pub(super) fn pend_far(&mut self, target: usize, n: u32) -> Kicks {
        let (open, bit) = (self.open, mask(n));
        let Some((bank, vcpu)) = self.pair(private(target), target) else {
            return Kicks::NONE;
        };
        bank.pending |= bit;
        if (bank.ready(open) | bank.homed) & bit == 0 {
            return Kicks::NONE;
        }
        vcpu.todo |= mask(bank.summary);
        Kicks::one(target)
    }

    /// Brings the list registers up to date after `bits` of a bank changed.
    ///
    /// Homed interrupts are taken back, then everything that wants a list register is offered
    /// one. What is another CPU's to do is noted there, and that vCPU is returned.
    #[inline(never)]
    pub(super) fn refresh<L: ListRegisters>(
        &mut self,
        here: &mut Here<'_, L>,
        id: usize,
        bits: u32,
    ) -> Kicks {
        let mut kicks = self.count_ends(here);
        kicks |= self.recall(here, id, bits);
        kicks |= self.release_orphans(here, id, bits);
        let wanting = match self.bank(id) {
            Some(bank) => bank.wanting(self.open) & bits,
            None => 0,
        };
        for n in Bits(wanting) {
            kicks |= self.route(here, id, n);
        }
        if self.face(here.vcpu).is_some_and(|vcpu| vcpu.crowded) {
            kicks |= self.sort(here);
        }
        kicks
    }

    /// Takes homed interrupts back into the bank: now where the list register is at hand, else by
    /// asking for a resync.
    pub(super) fn recall<L: ListRegisters>(
        &mut self,
        here: &mut Here<'_, L>,
        id: usize,
        bits: u32,
    ) -> Kicks {
        let mut kicks = Kicks::NONE;
        let homed = self.bank(id).map_or(0, |bank| bank.homed & bits);
        for n in Bits(homed) {
            let Some(bank) = self.bank(id) else {
                break;
            };
            let home = super::bank::at(&bank.home, n);
            if home.vcpu() == here.vcpu {
                kicks |= self.fold(here, home.slot());
                here.lists.write(home.slot(), 0);
            } else {
                kicks |= self.ask_resync(home.vcpu());
            }
        }
        kicks
    }

    /// Marks a vCPU, loaded elsewhere, for a resync.
    pub(super) fn ask_resync(&mut self, vcpu: usize) -> Kicks {
        match self.face_mut(vcpu) {
            Some(there) if there.loaded => {
                there.resync = true;
                Kicks::one(vcpu)
            }
            _ => Kicks::NONE,
        }
    }

    /// Offers interrupt `n`, which wants a list register, to the vCPU it belongs to.
    ///
    /// Without a free list register the vCPU at hand is left crowded, and the caller sorts.
    pub(super) fn route<L: ListRegisters>(
        &mut self,
        here: &mut Here<'_, L>,
        id: usize,
        n: u32,
    ) -> Kicks {
        let open = self.open;
        let holder = self.bank(id).map_or(usize::MAX, |bank| bank.holder(n));
        let mut kicks = Kicks::NONE;
        if holder == here.vcpu && self.face(holder).is_some_and(|v| v.free() == 0) {
            kicks |= self.reclaim(here);
        }
        let Some((bank, vcpu)) = self.pair(id, holder) else {
            return kicks;
        };
        let active = bank.active & mask(n) != 0;
        if holder != here.vcpu {
            vcpu.note(bank);
            vcpu.resync |= active && vcpu.loaded;
            return match active && !vcpu.loaded {
                true => kicks,
                false => kicks | Kicks::one(holder),
            };
        }
        match vcpu.free().trailing_zeros() {
            u32::BITS => {
                vcpu.note(bank);
                vcpu.crowded = true;
            }
            slot => {
                let state = bank.state(n, open);
                place((bank, vcpu), n, state, slot, here);
            }
        }
        kicks
    }

    /// Does what other CPUs left for the vCPU at hand, if it is one SGI with a short way into a list
    /// register; else does nothing. Returns whether it did.
    #[inline(always)]
    pub fn sync_at_once<L: ListRegisters>(&mut self, here: &mut Here<'_, L>) -> bool {
        let open = self.open;
        let Some(Vcpu { bank, face }) = self.vcpus.get_mut(here.vcpu) else {
            return false;
        };
        let wanting = bank.ready(open) | bank.homed & bank.pending;
        let is_one_sgi = wanting.is_power_of_two() && wanting & SGIS != 0;
        if face.resync || face.crowded || face.todo != OWN_BANK || !is_one_sgi {
            return false;
        }
        if wanting & bank.sourced != 0 {
            return self.sync_sent_at_once(here, wanting.trailing_zeros());
        }
        bank.pending &= !wanting;
        if self.pend_at_once(here, wanting.trailing_zeros(), 0) {
            if let Some(face) = self.face_mut(here.vcpu) {
                face.todo = 0;
            }
            return true;
        }
        if let Some(bank) = self.bank_mut(private(here.vcpu)) {
            bank.pending |= wanting;
        }
        false
    }

    /// Does what other CPUs left for the vCPU at hand.
    pub(super) fn catch_up<L: ListRegisters>(&mut self, here: &mut Here<'_, L>) -> Kicks {
        let Some(vcpu) = self.face_mut(here.vcpu) else {
            return Kicks::NONE;
        };
        if vcpu.resync || vcpu.crowded {
            return self.sort(here);
        }
        let todo = core::mem::take(&mut vcpu.todo);
        let mut kicks = match todo & OWN_BANK {
            0 => Kicks::NONE,
            _ => self.catch_up_private(here),
        };
        for word in Bits(todo & !OWN_BANK) {
            let id = word as usize;
            let open = self.open;
            let bits = self
                .bank(id)
                .map_or(0, |bank| bank.ready_for(here.vcpu, open));
            if bits != 0 {
                kicks |= self.refresh(here, id, bits);
            }
        }
        kicks
    }

    /// Does so for the private interrupts. SGIs take the short way of those to oneself.
    #[inline(always)]
    fn catch_up_private<L: ListRegisters>(&mut self, here: &mut Here<'_, L>) -> Kicks {
        let open = self.open;
        let Some(Vcpu { bank, .. }) = self.vcpus.get_mut(here.vcpu) else {
            return Kicks::NONE;
        };
        if bank.sourced != 0 {
            return self.catch_up_sent(here);
        }
        let wanting = bank.ready(open) | bank.homed & bank.pending;
        let short = wanting & SGIS;
        bank.pending &= !short;
        let mut kicks = Kicks::NONE;
        for n in Bits(short) {
            kicks |= self.pend_here(here, n, 0);
        }
        match wanting & !short {
            0 => kicks,
            others => kicks | self.refresh(here, private(here.vcpu), others),
        }
    }
}

/// The bit of a vCPU's own bank among the summary bits.
const OWN_BANK: u32 = 1;
/// The SGIs among a vCPU's private interrupts.
const SGIS: u32 = 0xffff;

impl Bank {
    /// Returns the list-register state that interrupt `n`, wanting one, is to have.
    #[inline(always)]
    pub(super) fn state(&self, n: u32, open: super::Open) -> u64 {
        let bit = mask(n);
        if self.active & bit == 0 {
            lr::PENDING
        } else if self.pending & self.allowed(open) & !self.sourced & bit != 0 {
            lr::ACTIVE | lr::PENDING
        } else {
            lr::ACTIVE
        }
    }

    /// Returns the interrupts ready for one vCPU.
    pub(super) fn ready_for(&self, vcpu: usize, open: super::Open) -> u32 {
        Bits(self.ready(open))
            .filter(|&n| self.holder(n) == vcpu)
            .fold(0, |word, n| word | mask(n))
    }
}
