//! Decides who gets a list register when not everybody can have one.

use super::bank::{Bank, Bits, at, mask};
use super::deliver::place;
use super::interface::{hcr, vmcr};
use super::{Gic, Here, Kicks, ListRegisters, private};

/// Who goes first: the class, then the priority, then the lower INTID.
///
/// - [`DELIVERABLE`]: pending, and the guest's group enable lets it through;
/// - [`ACTIVE`]: only kept for the deactivation to come, which is also noticed without;
/// - [`HELD_BACK`]: pending in a group that the guest's CPU interface has disabled.
const DELIVERABLE: u32 = 0;
const ACTIVE: u32 = 1;
const HELD_BACK: u32 = 2;

/// The best candidates so far, best first.
struct Podium {
    keys: [u32; 16],
    taken: usize,
    places: usize,
    /// The classes of those left out, a bit each.
    left_out: u32,
}

impl Podium {
    fn new(places: u32) -> Self {
        Self {
            keys: [u32::MAX; 16],
            taken: 0,
            places: places as usize,
            left_out: 0,
        }
    }

    /// Lets a candidate in where it belongs; somebody may drop out.
    #[inline(always)]
    fn offer(&mut self, class: u32, priority: u8, intid: u32) {
        let mut key = (class << 24) | (u32::from(priority) << 16) | intid;
        for held in self.keys.iter_mut().take(self.taken) {
            if key < *held {
                core::mem::swap(held, &mut key);
            }
        }
        match self.keys.get_mut(self.taken) {
            Some(end) if self.taken < self.places => {
                *end = key;
                self.taken = self.taken.wrapping_add(1);
            }
            _ => self.left_out |= mask(key >> 24),
        }
    }

    /// Returns the INTIDs of those on the podium.
    #[inline(always)]
    fn intids(&self) -> impl Iterator<Item = u32> {
        self.keys.iter().take(self.taken).map(|key| key & 0xffff)
    }
}

impl Gic {
    /// Takes back all list registers at hand and gives them out again, highest priority first.
    ///
    /// Asks for the maintenance interrupts that tell when those left out can have a turn.
    pub(super) fn sort<L: ListRegisters>(&mut self, here: &mut Here<'_, L>) -> Kicks {
        let old = self.face(here.vcpu).map_or(0, |vcpu| vcpu.used);
        let mut kicks = self.fold_all(here);
        let control = here.lists.vmcr();
        let podium = self.choose(here.vcpu, control);
        for (slot, intid) in podium.intids().enumerate() {
            self.seat(here, slot as u32, intid);
        }
        let Some(vcpu) = self.face_mut(here.vcpu) else {
            return kicks;
        };
        for slot in Bits(old & !vcpu.used) {
            here.lists.write(slot, 0);
        }
        vcpu.resync = false;
        vcpu.crowded = podium.left_out != 0;
        if !vcpu.crowded {
            (vcpu.todo, vcpu.acts) = (0, 0);
        }
        here.lists
            .set_hcr(self.base_hcr(here) | maintenance(podium.left_out, control, here));
        kicks |= self.release_orphans(here, private(here.vcpu), u32::MAX);
        kicks
    }

    /// Takes back all list registers at hand, EOIcount first: it speaks of those that have none.
    pub(super) fn fold_all<L: ListRegisters>(&mut self, here: &mut Here<'_, L>) -> Kicks {
        let mut kicks = self.count_ends(here);
        let used = self.face(here.vcpu).map_or(0, |vcpu| vcpu.used);
        for slot in Bits(used) {
            kicks |= self.fold(here, slot);
        }
        kicks
    }

    /// Does the deactivations that hardware counted because no list register was found.
    ///
    /// To be called before anything without a list register is looked at or given one: the
    /// maintenance interrupt that tells may come later than the exit being handled.
    #[inline(always)]
    pub(super) fn count_ends<L: ListRegisters>(&mut self, here: &mut Here<'_, L>) -> Kicks {
        if self.face(here.vcpu).is_some_and(|vcpu| vcpu.crowded) {
            self.end_counted(here)
        } else {
            Kicks::NONE
        }
    }

    #[inline(never)]
    fn end_counted<L: ListRegisters>(&mut self, here: &mut Here<'_, L>) -> Kicks {
        let control = here.lists.hcr();
        let count = (control & hcr::EOICOUNT_MASK) >> hcr::EOICOUNT;
        if count != 0 {
            here.lists.set_hcr(control & !hcr::EOICOUNT_MASK);
        }
        let mut kicks = Kicks::NONE;
        for _ in 0..count {
            kicks |= self.end_without_register(here);
        }
        kicks
    }

    /// Returns ICH_HCR_EL2 without what depends on the moment.
    ///
    /// With several vCPUs a DIR may concern an interrupt in another one's list registers, which
    /// hardware would count without saying which, so it is trapped where it can be.
    #[inline(always)]
    pub(super) fn base_hcr<L: ListRegisters>(&self, here: &Here<'_, L>) -> u64 {
        match self.vcpus.len() > 1 && here.lists.traps_dir() {
            true => hcr::EN | hcr::TDIR,
            false => hcr::EN,
        }
    }

    /// Finds out who of a vCPU's interrupts should be in its list registers.
    #[inline(always)]
    fn choose(&self, vcpu: usize, control: u64) -> Podium {
        let Some(me) = self.face(vcpu) else {
            return Podium::new(0);
        };
        let mut podium = Podium::new(me.all.count_ones());
        for summary in Bits(me.todo | me.acts) {
            let Some(bank) = self.bank_of(vcpu, summary) else {
                continue;
            };
            let wanting = bank.wanting(self.open);
            for n in Bits(wanting) {
                if bank.holder(n) == vcpu {
                    podium.offer(bank.class(n, control), at(&bank.priority, n), bank.intid(n));
                }
            }
        }
        podium
    }

    /// Returns the bank that a bit of a vCPU's summary words stands for.
    #[inline(always)]
    pub(super) fn bank_of(&self, vcpu: usize, summary: u32) -> Option<&Bank> {
        match summary {
            0 => self.bank(private(vcpu)),
            word => self.bank(word as usize),
        }
    }

    /// Gives list register `slot` to an interrupt.
    #[inline(always)]
    fn seat<L: ListRegisters>(&mut self, here: &mut Here<'_, L>, slot: u32, intid: u32) {
        let open = self.open;
        if let Some((id, n)) = self.locate(here.vcpu, intid)
            && let Some((bank, vcpu)) = self.pair(id, here.vcpu)
        {
            let state = bank.state(n, open);
            place((bank, vcpu), n, state, slot, here);
        }
    }

    /// Ends the interrupt that a deactivation without a list register must have meant: of those
    /// acknowledged and without one, the one running at the highest priority (IHI 0069, ICH_HCR_EL2.EOIcount).
    fn end_without_register<L: ListRegisters>(&mut self, here: &mut Here<'_, L>) -> Kicks {
        let acts = self.face(here.vcpu).map_or(0, |vcpu| vcpu.acts);
        let best = Bits(acts)
            .filter_map(|summary| self.bank_of(here.vcpu, summary))
            .flat_map(|bank| {
                Bits(bank.active & bank.acked & !bank.homed)
                    .filter(|&n| bank.holder(n) == here.vcpu)
                    .map(|n| (at(&bank.running, n), bank.intid(n)))
            })
            .min();
        let Some((id, n)) = best.and_then(|(_, intid)| self.locate(here.vcpu, intid)) else {
            return Kicks::NONE;
        };
        let open = self.open;
        if let Some((bank, vcpu)) = self.pair(id, here.vcpu) {
            bank.active &= !mask(n);
            bank.acked &= !mask(n);
            vcpu.note(bank);
            if bank.ready(open) & mask(n) != 0 && bank.holder(n) != here.vcpu {
                return self.route(here, id, n);
            }
        }
        self.release_orphans(here, id, mask(n))
    }
}

impl Bank {
    #[inline(always)]
    fn class(&self, n: u32, control: u64) -> u32 {
        let enable = match self.group1 & mask(n) {
            0 => vmcr::VENG0,
            _ => vmcr::VENG1,
        };
        if self.active & mask(n) != 0 {
            ACTIVE
        } else if control & enable != 0 {
            DELIVERABLE
        } else {
            HELD_BACK
        }
    }
}

/// Returns the bits of ICH_HCR_EL2 that tell when those left out can have a turn.
///
/// Nothing pending any more (a pending one left out has its turn: no earlier, since those in
/// list registers go first); a deactivation without list register; a group switched on or off.
#[inline(always)]
fn maintenance<L: ListRegisters>(left_out: u32, control: u64, here: &Here<'_, L>) -> u64 {
    let mut bits = 0;
    if left_out & mask(DELIVERABLE) != 0 {
        bits |= hcr::NPIE;
    }
    if left_out & mask(ACTIVE) != 0 {
        bits |= hcr::LRENPIE;
        if here.lists.traps_dir() {
            bits |= hcr::TDIR;
        }
    }
    if left_out & (mask(DELIVERABLE) | mask(HELD_BACK)) != 0 {
        for (enable, shift) in [(vmcr::VENG0, 0), (vmcr::VENG1, 2)] {
            bits |= match control & enable {
                0 => hcr::VGRP0EIE << shift,
                _ => hcr::VGRP0DIE << shift,
            };
        }
    }
    bits
}
