//! Interrupts coming in: lines of emulated devices, edges, and physical interrupts.

use super::bank::{mask, set};
use super::interface::Vcpu;
use super::{Gic, Here, Kicks, ListRegisters, list_register as lr};

/// The INTID of a physical interrupt: a PPI or an SPI.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HwIntid(u16);

impl HwIntid {
    /// Makes one, or returns `None` for an SGI, a special INTID or anything beyond.
    pub const fn new(intid: u32) -> Option<Self> {
        match intid {
            16..=1019 => Some(Self(intid as u16)),
            _ => None,
        }
    }

    /// Returns the INTID.
    pub const fn get(self) -> u32 {
        self.0 as u32
    }
}

impl Gic {
    /// Says what level an interrupt's line has; `vcpu` tells whose line it is below INTID 32.
    ///
    /// For an interrupt configured as edge-triggered a rise makes it pending. For a
    /// hardware-linked one only a low line means anything: if the guest has not acknowledged it
    /// yet it is withdrawn and its physical interrupt deactivated. Interrupts that do not exist
    /// are ignored.
    pub fn set_level<L: ListRegisters>(
        &mut self,
        here: &mut Here<'_, L>,
        vcpu: usize,
        intid: u32,
        level: bool,
    ) -> Kicks {
        let Some((id, n)) = self.locate(vcpu, intid) else {
            return Kicks::NONE;
        };
        let Some(bank) = self.bank_mut(id) else {
            return Kicks::NONE;
        };
        let bit = mask(n);
        if bank.in_flight & bit != 0 {
            return match level {
                true => Kicks::NONE,
                false => self.unpend(here, id, bit),
            };
        }
        if (bank.level & bit != 0) == level {
            return Kicks::NONE;
        }
        bank.level ^= bit;
        let edge = bank.edge & bit != 0;
        let concerned = bank.homed & bit != 0 || level;
        match (edge, level) {
            (true, true) => self.pend(here, id, bit),
            (false, _) if concerned => self.refresh(here, id, bit),
            _ => Kicks::NONE,
        }
    }

    /// Makes an interrupt pending once; `vcpu` tells whose it is below INTID 32.
    pub fn pulse<L: ListRegisters>(
        &mut self,
        here: &mut Here<'_, L>,
        vcpu: usize,
        intid: u32,
    ) -> Kicks {
        match self.locate(vcpu, intid) {
            Some((id, n)) => self.pend(here, id, mask(n)),
            None => Kicks::NONE,
        }
    }

    /// Says that the physical interrupt `hw` fired for a virtual one and was left active (its
    /// priority dropped, not deactivated); `vcpu` tells whose it is below INTID 32.
    ///
    /// The guest's deactivation will deactivate the physical one.
    #[inline(always)]
    pub fn inject_hw<L: ListRegisters>(
        &mut self,
        here: &mut Here<'_, L>,
        vcpu: usize,
        intid: u32,
        hw: HwIntid,
    ) -> Kicks {
        let bit = mask(intid);
        if intid < 32 && vcpu == here.vcpu {
            if let Some(Vcpu { bank, .. }) = self.vcpus.get_mut(vcpu) {
                bank.in_flight |= bit;
                set(&mut bank.hw, intid, hw.0);
            }
            let link = lr::HW | (u64::from(hw.0) << lr::PINTID);
            return self.pend_here(here, intid, link);
        }
        self.inject_far(here, vcpu, intid, hw)
    }

    /// Does the same for any interrupt but the own private ones.
    #[inline(never)]
    fn inject_far<L: ListRegisters>(
        &mut self,
        here: &mut Here<'_, L>,
        vcpu: usize,
        intid: u32,
        hw: HwIntid,
    ) -> Kicks {
        let Some((id, n)) = self.locate(vcpu, intid) else {
            return Kicks::NONE;
        };
        if let Some(bank) = self.bank_mut(id) {
            bank.in_flight |= mask(n);
            set(&mut bank.hw, n, hw.0);
        }
        self.pend(here, id, mask(n))
    }
}
