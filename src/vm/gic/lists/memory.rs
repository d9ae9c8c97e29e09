//! The virtual CPU interface of a GICv2, by registers in memory (GICH; Arm IHI 0048, chapter 5).
//!
//! Its control registers have GICv3's layout as far as they go; list registers are converted.

use super::{ActivePriorities, ListRegisters};
use crate::bits::field;
use crate::dev::gic::v2::{Gic, gich};
use crate::dev::gic::{CpuInterface, Taken};
use crate::vm::gic::HwIntid;
use crate::vm::gic::list_register as lr;

/// This CPU's virtual interface.
#[derive(Clone, Copy, Debug)]
pub struct MemoryLists {
    gic: &'static Gic,
}

/// `GICH_LR<n>`: where fields begin, and how many bits they have.
const VIRTUAL_ID: (u32, u32) = (0, 10);
const PHYSICAL_ID: (u32, u32) = (10, 10);
const PRIORITY: (u32, u32) = (23, 5);
const STATE: (u32, u32) = (28, 2);
const GROUP1: u32 = 30;
const HW: u32 = 31;

/// GICv3's priority has eight bits, of which these are below GICv2's five.
const PRIORITY_SHIFT: u32 = 3;

/// Moves a field of a list register from one place to another.
#[inline(always)]
const fn moved(value: u64, from: u32, (to, bits): (u32, u32)) -> u64 {
    field(value, from, bits) << to
}

/// Returns the bits of a field in its place.
const fn mask((at, bits): (u32, u32)) -> u32 {
    (1u32.wrapping_shl(bits).wrapping_sub(1)).wrapping_shl(at)
}

/// Makes a GICv2's list register of a GICv3's.
///
/// The physical INTID's ten bits hold the sender of an SGI and the request for maintenance when
/// there is no physical interrupt, in both.
#[inline(always)]
const fn narrow(value: u64) -> u32 {
    let word = moved(value, 0, VIRTUAL_ID)
        | moved(value, lr::PINTID, PHYSICAL_ID)
        | moved(value, lr::PRIORITY + PRIORITY_SHIFT, PRIORITY)
        | moved(value, lr::PENDING.trailing_zeros(), STATE)
        | moved(value, lr::GROUP1, (GROUP1, 1))
        | moved(value, lr::HW.trailing_zeros(), (HW, 1));
    word as u32
}

/// Makes a GICv3's list register of a GICv2's.
const fn widen(word: u32) -> u64 {
    let value = word as u64;
    moved(value, VIRTUAL_ID.0, (0, VIRTUAL_ID.1))
        | moved(value, PHYSICAL_ID.0, (lr::PINTID, PHYSICAL_ID.1))
        | moved(
            value,
            PRIORITY.0,
            (lr::PRIORITY + PRIORITY_SHIFT, PRIORITY.1),
        )
        | moved(value, STATE.0, (lr::PENDING.trailing_zeros(), STATE.1))
        | moved(value, GROUP1, (lr::GROUP1, 1))
        | moved(value, HW, (lr::HW.trailing_zeros(), 1))
}

/// Makes a list register that is linked to a physical interrupt one that asks for maintenance
/// when it has ended: the state machine then deactivates the physical interrupt itself.
const fn unlinked(value: u64) -> u64 {
    const LINK: u64 = lr::HW | 0x1fff << lr::PINTID;
    value & !LINK | lr::EOI
}

/// Returns the offset of `GICH_LR<n>`; `n` is below 16.
#[inline(always)]
const fn list_register(n: u32) -> usize {
    gich::LR | (n as usize & 15) << 2
}

impl MemoryLists {
    /// Takes this CPU's virtual interface.
    pub(super) const fn new(gic: &'static Gic) -> Self {
        Self { gic }
    }

    /// Returns GICH_VTR, which has the layout of ICH_VTR_EL2.
    pub(super) fn kind(self) -> u64 {
        self.gic.virtual_kind().into()
    }

    /// Writes a list register that there is.
    #[inline(always)]
    fn set(self, n: u32, value: u64) {
        let value = match value & lr::HW != 0 && !self.gic.has_links() {
            true => unlinked(value),
            false => value,
        };
        self.gic.write_virtual(list_register(n), narrow(value));
    }

    fn register(&self, offset: usize) -> u64 {
        self.gic.read_virtual(offset).into()
    }

    /// Reads a register of two words, the lower one first.
    fn pair(&self, offset: usize) -> u64 {
        self.register(offset) | self.register(offset.wrapping_add(4)) << 32
    }
}

impl CpuInterface for MemoryLists {
    #[inline(always)]
    fn acknowledge(self) -> Taken {
        self.gic.acknowledge()
    }

    #[inline(always)]
    fn highest_pending(self) -> u32 {
        self.gic.highest_pending()
    }

    #[inline(always)]
    fn priority_drop(self, taken: Taken) {
        self.gic.priority_drop(taken);
    }

    #[inline(always)]
    fn deactivate(self, taken: Taken) {
        self.gic.deactivate(taken);
    }
}

impl ListRegisters for MemoryLists {
    #[inline(always)]
    fn count(&self) -> u32 {
        (field(self.kind(), 0, 6) as u32).min(15).wrapping_add(1)
    }

    fn traps_dir(&self) -> bool {
        false
    }

    #[inline(always)]
    fn read(&self, n: u32) -> u64 {
        match n < self.count() {
            true => widen(self.gic.read_virtual(list_register(n))),
            false => 0,
        }
    }

    #[inline(always)]
    fn write(&mut self, n: u32, value: u64) {
        if n < self.count() {
            self.set(n, value);
        }
    }

    #[inline(always)]
    fn fill(&mut self, n: u32, value: u64) -> bool {
        let mask = mask(STATE);
        let free = n < self.count() && self.gic.read_virtual(list_register(n)) & mask == 0;
        if free {
            self.set(n, value);
        }
        free
    }

    fn empty(&self) -> u64 {
        self.pair(gich::ELRSR)
    }

    fn hcr(&self) -> u64 {
        self.register(gich::HCR)
    }

    fn set_hcr(&mut self, value: u64) {
        self.gic.write_virtual(gich::HCR, value as u32);
    }

    fn vmcr(&self) -> u64 {
        self.register(gich::VMCR)
    }

    fn set_vmcr(&mut self, value: u64) {
        self.gic.write_virtual(gich::VMCR, value as u32);
    }

    /// GICv2 has one register for both groups; it counts as group 0's.
    fn take_active_priorities(&mut self, to: &mut ActivePriorities) {
        to[0][0] = self.register(gich::APR);
        self.gic.write_virtual(gich::APR, 0);
    }

    fn set_active_priorities(&mut self, from: &ActivePriorities) {
        self.gic.write_virtual(gich::APR, from[0][0] as u32);
    }

    fn misr(&self) -> u64 {
        self.register(gich::MISR)
    }

    fn eisr(&self) -> u64 {
        self.pair(gich::EISR)
    }

    fn deactivate_physical(&mut self, hw: HwIntid) {
        self.gic.deactivate(Taken::from_intid(hw.get()));
    }
}

#[cfg(test)]
mod tests;
