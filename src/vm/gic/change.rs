//! What a guest's writes do to 32 interrupts, whatever register they came through.

use super::bank::{Bits, NOBODY, at, mask, set};
use super::{Gic, Here, Kicks, ListRegisters};

impl Gic {
    /// Enables interrupts.
    ///
    /// A hardware-linked level that waited disabled may have fallen since: its physical interrupt
    /// is deactivated instead, and fires again if the line is still high.
    pub(super) fn enable<L: ListRegisters>(
        &mut self,
        here: &mut Here<'_, L>,
        id: usize,
        bits: u32,
    ) -> Kicks {
        let Some(bank) = self.bank_mut(id) else {
            return Kicks::NONE;
        };
        let fresh = bits & bank.valid & !bank.enabled;
        bank.enabled |= fresh;
        bank.pending &= !(fresh & bank.in_flight & !bank.edge & !bank.homed & !bank.active);
        let concerned = fresh & (bank.pended() | bank.active | bank.homed | bank.in_flight);
        match concerned {
            0 => Kicks::NONE,
            bits => self.refresh(here, id, bits),
        }
    }

    /// Disables interrupts; those in list registers are withdrawn from there.
    #[inline(always)]
    pub(super) fn disable<L: ListRegisters>(
        &mut self,
        here: &mut Here<'_, L>,
        id: usize,
        bits: u32,
    ) -> Kicks {
        let Some(bank) = self.bank_mut(id) else {
            return Kicks::NONE;
        };
        bank.enabled &= !bits;
        match bank.homed & bits {
            0 => Kicks::NONE,
            homed => self.refresh(here, id, homed),
        }
    }

    /// Sets the pending latches.
    pub(super) fn pend<L: ListRegisters>(
        &mut self,
        here: &mut Here<'_, L>,
        id: usize,
        bits: u32,
    ) -> Kicks {
        let open = self.open;
        let Some(bank) = self.bank_mut(id) else {
            return Kicks::NONE;
        };
        bank.pending |= bits & bank.valid;
        let concerned = bits & bank.valid & (bank.homed | bank.ready(open) | bank.active);
        match concerned {
            0 => Kicks::NONE,
            bits => self.refresh(here, id, bits),
        }
    }

    /// Clears the pending latches; a level-sensitive interrupt stays pending while its line is high.
    pub(super) fn unpend<L: ListRegisters>(
        &mut self,
        here: &mut Here<'_, L>,
        id: usize,
        bits: u32,
    ) -> Kicks {
        let Some(bank) = self.bank_mut(id) else {
            return Kicks::NONE;
        };
        bank.pending &= !bits;
        bank.clear_pending |= bits & bank.homed;
        match bits & (bank.homed | bank.in_flight) {
            0 => Kicks::NONE,
            bits => self.refresh(here, id, bits),
        }
    }

    /// Makes interrupts active without an acknowledge.
    pub(super) fn activate<L: ListRegisters>(
        &mut self,
        here: &mut Here<'_, L>,
        id: usize,
        bits: u32,
    ) -> Kicks {
        let Some(bank) = self.bank_mut(id) else {
            return Kicks::NONE;
        };
        let fresh = bits & bank.valid & !bank.active;
        for n in Bits(fresh & !bank.homed).filter(|_| bank.owner == NOBODY) {
            let vcpu = match at(&bank.target, n) {
                NOBODY => here.vcpu & 63,
                vcpu => vcpu as usize,
            };
            set(&mut bank.home, n, super::bank::Home::new(vcpu, 0));
        }
        bank.active |= fresh;
        self.refresh(here, id, fresh)
    }

    /// Makes interrupts inactive.
    pub(super) fn deactivate<L: ListRegisters>(
        &mut self,
        here: &mut Here<'_, L>,
        id: usize,
        bits: u32,
    ) -> Kicks {
        let kicks = self.count_ends(here);
        let Some(bank) = self.bank_mut(id) else {
            return kicks;
        };
        let concerned = bits & (bank.active | bank.homed);
        bank.active &= !bits;
        bank.acked &= !(bits & !bank.homed);
        bank.clear_active |= bits & bank.homed;
        match concerned {
            0 => kicks,
            bits => kicks | self.refresh(here, id, bits),
        }
    }

    /// Assigns all 32 interrupts to groups: 1 where a bit is set.
    pub(super) fn regroup<L: ListRegisters>(
        &mut self,
        here: &mut Here<'_, L>,
        id: usize,
        groups: u32,
    ) -> Kicks {
        let Some(bank) = self.bank_mut(id) else {
            return Kicks::NONE;
        };
        let groups = groups & bank.valid;
        let changed = groups ^ bank.group1;
        bank.group1 = groups;
        self.refresh_concerned(here, id, changed)
    }

    /// Sets one interrupt's priority.
    pub(super) fn prioritise<L: ListRegisters>(
        &mut self,
        here: &mut Here<'_, L>,
        id: usize,
        n: u32,
        priority: u8,
    ) -> Kicks {
        let priority = priority & self.priority_mask;
        let Some(bank) = self.bank_mut(id) else {
            return Kicks::NONE;
        };
        if bank.valid & mask(n) == 0 || at(&bank.priority, n) == priority {
            return Kicks::NONE;
        }
        set(&mut bank.priority, n, priority);
        self.refresh_concerned(here, id, mask(n))
    }

    /// Makes interrupts edge-triggered where `edges` has a bit, level-sensitive where it has not.
    pub(super) fn configure<L: ListRegisters>(
        &mut self,
        here: &mut Here<'_, L>,
        id: usize,
        edges: u32,
    ) -> Kicks {
        let Some(bank) = self.bank_mut(id) else {
            return Kicks::NONE;
        };
        let edges = edges & bank.valid;
        let changed = edges ^ bank.edge;
        bank.edge = edges;
        self.refresh_concerned(here, id, changed)
    }

    /// Routes one shared interrupt to a vCPU, or to nobody.
    pub(super) fn retarget<L: ListRegisters>(
        &mut self,
        here: &mut Here<'_, L>,
        id: usize,
        n: u32,
        target: u8,
    ) -> Kicks {
        let Some(bank) = self.bank_mut(id) else {
            return Kicks::NONE;
        };
        if at(&bank.target, n) == target {
            return Kicks::NONE;
        }
        set(&mut bank.target, n, target);
        self.refresh_concerned(here, id, mask(n))
    }

    /// Refreshes those of `bits` that are or should be in a list register.
    fn refresh_concerned<L: ListRegisters>(
        &mut self,
        here: &mut Here<'_, L>,
        id: usize,
        bits: u32,
    ) -> Kicks {
        let concerned = self
            .bank(id)
            .map_or(0, |bank| bits & (bank.homed | bank.wanting(self.open)));
        match concerned {
            0 => Kicks::NONE,
            bits => self.refresh(here, id, bits),
        }
    }
}
