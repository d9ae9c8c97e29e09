//! Takes what list registers hold back into the banks.

use super::bank::{Bits, at, mask};
use super::{Gic, Here, HwIntid, Kicks, ListRegisters, PRIVATE, list_register as lr};

impl Gic {
    /// Takes list register `slot` of the vCPU at hand back into its interrupt's bank.
    ///
    /// The list register itself is not written: the caller reuses or clears it.
    pub(super) fn fold<L: ListRegisters>(&mut self, here: &mut Here<'_, L>, slot: u32) -> Kicks {
        let value = here.lists.read(slot);
        let place = self.locate(here.vcpu, lr::vintid(value));
        if let Some(vcpu) = self.face_mut(here.vcpu) {
            vcpu.used &= !mask(slot);
        }
        let Some((id, n)) = place else {
            return Kicks::NONE;
        };
        let open = self.open;
        let Some((bank, vcpu)) = self.pair(id, here.vcpu) else {
            return Kicks::NONE;
        };
        if bank.unsettle(n, value) {
            deactivate(here, at(&bank.hw, n));
        }
        vcpu.note_folded(bank, mask(n));
        if bank.ready(open) & mask(n) != 0 && bank.holder(n) != here.vcpu {
            return self.route(here, id, n);
        }
        Kicks::NONE
    }

    /// Takes back the list registers that the guest has emptied, and clears them.
    pub(super) fn reclaim<L: ListRegisters>(&mut self, here: &mut Here<'_, L>) -> Kicks {
        let used = self.face(here.vcpu).map_or(0, |vcpu| vcpu.used);
        let mut kicks = Kicks::NONE;
        for slot in Bits(here.lists.empty() as u32 & used) {
            // ELRSR may not show yet what this exit wrote; the list register itself does.
            if here.lists.read(slot) & lr::STATE == 0 {
                kicks |= self.fold(here, slot);
                here.lists.write(slot, 0);
            }
        }
        kicks
    }

    /// Notes what the list registers at hand hold for the interrupts of a bank, and asks the vCPUs
    /// that know better about the others for a resync.
    pub(super) fn look<L: ListRegisters>(&mut self, here: &mut Here<'_, L>, id: usize) -> Kicks {
        let mut stale = self.count_ends(here);
        let Some(bank) = self.bank(id) else {
            return stale;
        };
        for n in Bits(bank.homed | bank.active) {
            let Some(bank) = self.bank_mut(id) else {
                break;
            };
            let homed = bank.homed & mask(n) != 0;
            let vcpu = if homed {
                at(&bank.home, n).vcpu()
            } else {
                bank.holder(n)
            };
            if vcpu != here.vcpu {
                let crowded = self.face(vcpu).is_some_and(|vcpu| vcpu.crowded);
                if homed || crowded {
                    stale |= self.ask_resync(vcpu);
                }
            } else if homed {
                bank.observe(n, here.lists.read(at(&bank.home, n).slot()));
            }
        }
        stale
    }

    /// Deactivates the physical interrupts that nothing in the guest will deactivate any more.
    ///
    /// A private one belongs to the CPU its vCPU is on: loaded elsewhere, that CPU is asked; not
    /// loaded at all, its active state is only a note to be dropped.
    #[inline(always)]
    pub(super) fn release_orphans<L: ListRegisters>(
        &mut self,
        here: &mut Here<'_, L>,
        id: usize,
        bits: u32,
    ) -> Kicks {
        match self.bank(id).map_or(0, |bank| bank.orphans() & bits) {
            0 => Kicks::NONE,
            orphans => self.release(here, id, orphans),
        }
    }

    #[inline(never)]
    fn release<L: ListRegisters>(
        &mut self,
        here: &mut Here<'_, L>,
        id: usize,
        orphans: u32,
    ) -> Kicks {
        let Some(bank) = self.bank(id) else {
            return Kicks::NONE;
        };
        let owner = bank.owner as usize;
        let at_hand = id < PRIVATE || owner == here.vcpu;
        if !at_hand && self.face(owner).is_some_and(|owner| owner.loaded) {
            return self.ask_resync(owner);
        }
        let Some(bank) = self.bank_mut(id) else {
            return Kicks::NONE;
        };
        bank.in_flight &= !orphans;
        for n in Bits(orphans).filter(|_| at_hand) {
            deactivate(here, at(&bank.hw, n));
        }
        Kicks::NONE
    }
}

/// Deactivates a physical interrupt by its number as a bank keeps it.
fn deactivate<L: ListRegisters>(here: &mut Here<'_, L>, number: u16) {
    if let Some(hw) = HwIntid::new(u32::from(number)) {
        here.lists.deactivate_physical(hw);
    }
}
