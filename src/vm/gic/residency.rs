//! A vCPU comes to a CPU, stays, and goes: load, sync, maintenance, put.

use super::bank::{Bank, Bits, at, mask};
use super::interface::vmcr;
use super::{Gic, Here, Kicks, ListRegisters, list_register as lr, private};
use crate::bits::field;

impl Gic {
    /// Loads the vCPU that `here` names into this CPU's virtual interface, which must be as
    /// [`put`](Self::put) or reset left it, list registers zero.
    ///
    /// The caller makes the physical interrupts of [`hw_in_flight`](Self::hw_in_flight) active
    /// on this CPU, before the guest runs.
    pub fn load<L: ListRegisters>(&mut self, here: &mut Here<'_, L>) -> Kicks {
        let Some(vcpu) = self.face_mut(here.vcpu) else {
            return Kicks::NONE;
        };
        vcpu.loaded = true;
        vcpu.all = mask(here.lists.count()).wrapping_sub(1);
        here.lists.set_vmcr(vcpu.vmcr);
        here.lists.set_active_priorities(&vcpu.active_priorities);
        if vcpu.acts != 0 {
            return self.sort(here);
        }
        here.lists.set_hcr(self.base_hcr(here));
        self.catch_up(here)
    }

    /// Takes the vCPU that `here` names out of this CPU's virtual interface and leaves that zero.
    ///
    /// Everything in list registers goes back to the banks, so that while it is not loaded a vCPU
    /// is nothing but state. A physical interrupt in flight
    /// ([`hw_in_flight`](Self::hw_in_flight)) is the caller's to deactivate on this CPU.
    pub fn put<L: ListRegisters>(&mut self, here: &mut Here<'_, L>) -> Kicks {
        let used = self.face(here.vcpu).map_or(0, |vcpu| vcpu.used);
        let mut kicks = self.fold_all(here);
        kicks |= self.release_orphans(here, private(here.vcpu), u32::MAX);
        here.lists.set_hcr(0);
        for slot in Bits(used) {
            here.lists.write(slot, 0);
        }
        let Some(vcpu) = self.face_mut(here.vcpu) else {
            return kicks;
        };
        (vcpu.loaded, vcpu.resync, vcpu.crowded) = (false, false, false);
        (vcpu.all, vcpu.used) = (0, 0);
        vcpu.vmcr = here.lists.vmcr();
        here.lists.set_vmcr(0);
        here.lists
            .take_active_priorities(&mut vcpu.active_priorities);
        kicks
    }

    /// Returns whether nothing is known of these private interrupts of a vCPU: no line is high, none
    /// is pending, in a list register or in flight.
    pub fn are_silent(&self, vcpu: usize, bits: u32) -> bool {
        self.bank(private(vcpu)).is_none_or(|bank| {
            bits & (bank.level | bank.pending | bank.homed | bank.in_flight) == 0
        })
    }

    /// Borrows a word of the CPU interface of a vCPU that is not loaded: number 0 is ICH_VMCR_EL2,
    /// 8 + n is `ICH_AP0R<n>_EL2`, 16 + n is `ICH_AP1R<n>_EL2`.
    pub fn saved_interface(&mut self, vcpu: usize, number: u8) -> Option<&mut u64> {
        let face = self.face_mut(vcpu).filter(|face| !face.loaded)?;
        let n = usize::from(number & 7);
        match number >> 3 {
            0 => (n == 0).then_some(&mut face.vmcr),
            group => {
                let group = usize::from(group).wrapping_sub(1);
                face.active_priorities.get_mut(group)?.get_mut(n)
            }
        }
    }

    /// Does what other CPUs left for the loaded vCPU: to be called when it has been kicked.
    pub fn sync<L: ListRegisters>(&mut self, here: &mut Here<'_, L>) -> Kicks {
        self.catch_up(here)
    }

    /// Answers a maintenance interrupt of the loaded vCPU, whatever its reason.
    ///
    /// Ended level-sensitive interrupts are pended again if their line is still high, free list
    /// registers are filled, deactivations that met no list register are done.
    pub fn maintenance<L: ListRegisters>(&mut self, here: &mut Here<'_, L>) -> Kicks {
        self.sort(here)
    }

    /// Returns whether none of these vCPUs has a resync outstanding.
    pub fn is_synced(&self, vcpus: Kicks) -> bool {
        !vcpus
            .iter()
            .any(|n| self.face(n).is_some_and(|vcpu| vcpu.resync))
    }

    /// Returns which private interrupts of a vCPU have their physical interrupt active on their
    /// behalf, by bit. Exact after [`put`](Self::put); while loaded, the guest may have ended
    /// some since the state was last looked at.
    #[inline(always)]
    pub fn hw_in_flight(&self, vcpu: usize) -> u32 {
        self.bank(private(vcpu)).map_or(0, |bank| bank.in_flight)
    }

    /// Returns whether a vCPU that is not loaded has an interrupt to be woken for: pending,
    /// enabled, its group enabled in the distributor and in the CPU interface, and above the
    /// saved priority mask.
    ///
    /// What is active now is not held against it: WFI may end early, and this errs on that side.
    /// For a loaded vCPU it leaves out what is in list registers: see
    /// [`has_deliverable_here`](Self::has_deliverable_here).
    pub fn has_deliverable(&self, vcpu: usize) -> bool {
        self.face(vcpu).is_some_and(|me| self.waits(vcpu, me.vmcr))
    }

    /// Returns the same for the vCPU loaded here, list registers included.
    pub fn has_deliverable_here<L: ListRegisters>(&self, here: &Here<'_, L>) -> bool {
        let control = here.lists.vmcr();
        let used = self.face(here.vcpu).map_or(0, |vcpu| vcpu.used);
        let signalled = Bits(used).any(|slot| {
            let value = here.lists.read(slot);
            value & lr::STATE == lr::PENDING
                && passes(
                    control,
                    field(value, lr::PRIORITY, 8),
                    field(value, lr::GROUP1, 1),
                )
        });
        signalled || self.waits(here.vcpu, control)
    }

    /// Returns whether a bank has something for a vCPU with this VMCR.
    fn waits(&self, vcpu: usize, control: u64) -> bool {
        let todo = self.face(vcpu).map_or(0, |me| me.todo);
        Bits(todo)
            .filter_map(|summary| self.bank_of(vcpu, summary))
            .any(|bank| Bits(bank.ready_for(vcpu, self.open)).any(|n| bank.passes(n, control)))
    }
}

impl Bank {
    fn passes(&self, n: u32, control: u64) -> bool {
        let group = u64::from(self.group1 & mask(n) != 0);
        passes(control, u64::from(at(&self.priority, n)), group)
    }
}

/// Returns whether VMCR lets an interrupt of this priority and group through.
fn passes(control: u64, priority: u64, group: u64) -> bool {
    let enable = match group {
        0 => vmcr::VENG0,
        _ => vmcr::VENG1,
    };
    control & enable != 0 && priority < field(control, vmcr::VPMR, 8)
}
