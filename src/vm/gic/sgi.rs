//! Software-generated interrupts (Arm IHI 0069, ICC_SGI1R_EL1) and trapped deactivations.

use super::bank::{Bits64, mask, mask64};
use super::interface::vmcr;
use super::setup::Version;
use super::{Gic, Here, Kicks, ListRegisters, private};
use crate::bits::field;

/// IRM: everybody but the sender.
const ALL_BUT_SELF: u64 = 1 << 40;
/// Aff3, RS, Aff2 and Aff1: which sixteen PEs the target list speaks of.
const KEY: u64 = (0xff << 48) | (0xf << 44) | (0xff << 32) | (0xff << 16);
/// The target list.
const LIST: u64 = 0xffff;

/// An [`address`] that no SGI register's value names.
pub(super) const NOWHERE: (u64, u64) = (u64::MAX, 0);

/// Returns the affinity as the [`KEY`] fields give it, and its bit in the target list.
pub(super) const fn address(affinity: u32) -> (u64, u64) {
    let [aff0, aff1, aff2, aff3] = affinity.to_le_bytes();
    let key = ((aff3 as u64) << 48)
        | ((aff0 as u64 >> 4) << 44)
        | ((aff2 as u64) << 32)
        | ((aff1 as u64) << 16);
    (key, mask64((aff0 & 15) as u32))
}

impl Gic {
    /// Does a write of ICC_SGI1R_EL1, which GICv2 has not, as it has none of the others here: with one security state it raises SGIs of either group.
    pub fn sgi1r<L: ListRegisters>(&mut self, here: &mut Here<'_, L>, value: u64) -> Kicks {
        self.send(here, value, false)
    }

    /// Does the same where it has one target and a short way to it; else does nothing.
    #[inline(always)]
    pub fn sgi1r_at_once<L: ListRegisters>(
        &mut self,
        here: &mut Here<'_, L>,
        value: u64,
    ) -> Option<Kicks> {
        let target = self.only_target(value)?;
        let n = field(value, 24, 4) as u32;
        if target == here.vcpu {
            return self.pend_at_once(here, n, 0).then_some(Kicks::NONE);
        }
        Some(self.pend_far(target, n))
    }

    /// Does a write of ICC_SGI0R_EL1: only SGIs that their target has in group 0.
    pub fn sgi0r<L: ListRegisters>(&mut self, here: &mut Here<'_, L>, value: u64) -> Kicks {
        self.send(here, value, true)
    }

    /// Does a write of ICC_ASGI1R_EL1: the other security state's group 1, which with one
    /// security state leaves only SGIs that their target has in group 0.
    pub fn asgi1r<L: ListRegisters>(&mut self, here: &mut Here<'_, L>, value: u64) -> Kicks {
        self.send(here, value, true)
    }

    #[inline(never)]
    fn send<L: ListRegisters>(
        &mut self,
        here: &mut Here<'_, L>,
        value: u64,
        group0_only: bool,
    ) -> Kicks {
        if self.version == Version::V2 {
            return Kicks::NONE;
        }
        let n = field(value, 24, 4) as u32;
        let mut kicks = Kicks::NONE;
        for target in Bits64(self.targets(here.vcpu, value)) {
            let target = target as usize;
            let group1 = self
                .bank(private(target))
                .is_some_and(|bank| bank.group1 & mask(n) != 0);
            if group0_only && group1 {
                continue;
            }
            kicks |= match target == here.vcpu {
                true => self.pend_here(here, n, 0),
                false => self.pend_far(target, n),
            };
        }
        kicks
    }

    /// Returns the one vCPU that an SGI register's value names, where it is the one whose number
    /// the affinity spells out, 16 vCPUs to a value of Aff1: then nobody has to be searched for.
    #[inline(always)]
    fn only_target(&self, value: u64) -> Option<usize> {
        let list = value & LIST;
        let guess = (field(value, 16, 8) << 4) as usize | list.trailing_zeros() as usize;
        let hit = value & (KEY | LIST | ALL_BUT_SELF);
        self.face(guess)
            .is_some_and(|face| hit == face.sgi_key | face.sgi_bit)
            .then_some(guess)
    }

    /// Returns the vCPUs that an SGI register's value names, a bit each.
    fn targets(&self, from: usize, value: u64) -> u64 {
        let mut found = 0;
        for (n, vcpu) in self.vcpus.iter().enumerate() {
            let hit = match value & ALL_BUT_SELF {
                0 => value & KEY == vcpu.face.sgi_key && value & LIST & vcpu.face.sgi_bit != 0,
                _ => n != from,
            };
            if hit {
                found |= mask64(n as u32);
            }
        }
        found
    }

    /// Does a trapped write of ICC_DIR_EL1: deactivates the interrupt, wherever it is active.
    ///
    /// Ignored while the guest's EOImode is 0 and for INTIDs that do not exist, as hardware may
    /// (Arm IHI 0069, "ICC_DIR_EL1").
    pub fn dir<L: ListRegisters>(&mut self, here: &mut Here<'_, L>, value: u64) -> Kicks {
        let intid = field(value, 0, 24) as u32;
        if self.version == Version::V2 {
            return Kicks::NONE;
        }
        match self.locate(here.vcpu, intid) {
            Some((id, n)) if here.lists.vmcr() & vmcr::VEOIM != 0 => {
                self.deactivate(here, id, mask(n))
            }
            _ => Kicks::NONE,
        }
    }
}
