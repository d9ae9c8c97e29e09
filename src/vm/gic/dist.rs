//! The distributor's registers (Arm IHI 0069, 12.8), as a guest with one security state sees
//! them: affinity routing always on (GICD_CTLR.DS and ARE read as one).
//!
//! Reserved offsets, accesses of a wrong size and unaligned ones read as zero and are ignored.

use super::bank::{NOBODY, at, mask};
use super::setup::{Affinity, Version};
use super::word::row;
use super::{Answer, Gic, Here, Kicks, ListRegisters, Open};
use crate::bits::bit;

const CTLR: u32 = 0x0;
const TYPER: u32 = 0x4;
const IIDR: u32 = 0x8;
const SETSPI_NSR: u32 = 0x40;
const CLRSPI_NSR: u32 = 0x48;

/// GICD_CTLR: DS and ARE, always one.
const CTLR_FIXED: u32 = (1 << 6) | (1 << 4);
/// GICD_CTLR: EnableGrp1 and EnableGrp0.
const CTLR_GROUPS: u32 = 0b11;

/// GICD_IIDR and GICR_IIDR: product 'E', revision 0, with Arm's JEP106 code as software expects.
pub(super) const IDENTITY: u32 = 0x4500_043b;

impl Gic {
    /// Reads `size` bytes at an offset into the distributor's 64 KiB.
    pub fn dist_read<L: ListRegisters>(
        &mut self,
        here: &mut Here<'_, L>,
        offset: u32,
        size: u32,
    ) -> Answer {
        let id = bank_of(offset);
        match (size, offset >> 7) {
            (4, _) if offset & 3 != 0 => Answer::default(),
            (4, 0) => Answer::from(u64::from(self.dist_head(offset))),
            (4, row @ row::IGROUPR..=row::ICACTIVER) => self.word_read(here, id, row),
            (1 | 4, 8..=15) => self
                .priority_read((offset >> 5 & 31) as usize, offset & 31, size)
                .into(),
            (4, 0x18 | 0x19) => self
                .config_read((offset >> 3 & 31) as usize, offset >> 2 & 1)
                .into(),
            (4 | 8, 0xc0..=0xff) => self.router_read(offset, size).into(),
            (4, 0x1ff) => u64::from(id_register(offset)).into(),
            _ => Answer::default(),
        }
    }

    /// Writes `size` bytes at an offset into the distributor's 64 KiB.
    #[inline(always)]
    pub fn dist_write<L: ListRegisters>(
        &mut self,
        here: &mut Here<'_, L>,
        offset: u32,
        size: u32,
        value: u64,
    ) -> Kicks {
        // Masking and unmasking one interrupt is by far the most frequent.
        if size == 4 && offset & 3 == 0 && offset >> 7 == row::ICENABLER {
            return self.disable(here, bank_of(offset), value as u32);
        }
        self.dist_write_any(here, offset, (value, size))
    }

    #[inline(never)]
    fn dist_write_any<L: ListRegisters>(
        &mut self,
        here: &mut Here<'_, L>,
        offset: u32,
        (value, size): (u64, u32),
    ) -> Kicks {
        let (id, word) = (bank_of(offset), value as u32);
        match (size, offset >> 7) {
            (4, _) if offset & 3 != 0 => Kicks::NONE,
            (2 | 4, 0) => self.dist_head_write(here, offset, (word, size)),
            (4, row @ row::IGROUPR..=row::ICACTIVER) => self.word_write(here, id, row, word),
            (1 | 4, 8..=15) => {
                self.priority_write(here, (offset >> 5 & 31) as usize, offset & 31, (word, size))
            }
            (4, 0x18 | 0x19) => {
                self.config_write(here, (offset >> 3 & 31) as usize, offset >> 2 & 1, word)
            }
            (4 | 8, 0xc0..=0xff) => self.router_write(here, offset, (value, size)),
            _ => Kicks::NONE,
        }
    }

    fn dist_head(&self, offset: u32) -> u32 {
        match offset {
            CTLR => CTLR_FIXED | (self.open.group1 & 2) | (self.open.group0 & 1),
            TYPER => self.typer_v3(),
            IIDR => IDENTITY,
            _ => 0,
        }
    }

    /// Returns GICD_TYPER of whichever version this is.
    pub fn typer(&self) -> u32 {
        match self.version {
            Version::V2 => self.typer_v2(),
            Version::V3 => self.typer_v3(),
        }
    }

    /// Returns GICv3's GICD_TYPER: message-based SPIs (MBIS), 10 INTID bits, Aff3 may be used (A3V), SPIs
    /// go to one PE each (No1N), no LPIs; CPUNumber is 0 as without affinity routing there is none.
    const fn typer_v3(&self) -> u32 {
        let id_bits = 9 << 19;
        ((self.wide_aff0 as u32) << 26)
            | (1 << 25)
            | (1 << 24)
            | id_bits
            | (1 << 16)
            | self.spi_words
    }

    fn dist_head_write<L: ListRegisters>(
        &mut self,
        here: &mut Here<'_, L>,
        offset: u32,
        (word, size): (u32, u32),
    ) -> Kicks {
        match (offset, size) {
            (CTLR, 4) => self.open_groups(here, word & CTLR_GROUPS),
            (SETSPI_NSR, _) => self.message(here, word, true),
            (CLRSPI_NSR, _) => self.message(here, word, false),
            _ => Kicks::NONE,
        }
    }

    /// Forwards group 0 (bit 0) and group 1 (bit 1) interrupts, or stops.
    pub(super) fn open_groups<L: ListRegisters>(
        &mut self,
        here: &mut Here<'_, L>,
        groups: u32,
    ) -> Kicks {
        let all = |n| {
            if bit(u64::from(groups), n) {
                u32::MAX
            } else {
                0
            }
        };
        let (group0, group1) = (all(0), all(1));
        if (group0, group1) == (self.open.group0, self.open.group1) {
            return Kicks::NONE;
        }
        self.open = Open { group0, group1 };
        let mut kicks = Kicks::NONE;
        for n in 0..self.vcpus.len() {
            if let Some(vcpu) = self.face_mut(n) {
                vcpu.todo = u32::MAX;
                vcpu.acts = u32::MAX;
            }
            if n == here.vcpu {
                kicks |= self.sort(here);
            } else if self.has_deliverable(n) {
                kicks |= Kicks::one(n);
            }
            kicks |= match n == here.vcpu {
                true => Kicks::NONE,
                false => self.ask_resync(n),
            };
        }
        kicks
    }

    /// Does a message: sets or clears an SPI, as a level if it is configured so.
    fn message<L: ListRegisters>(&mut self, here: &mut Here<'_, L>, word: u32, set: bool) -> Kicks {
        let Some((id, n)) = self.locate(usize::MAX, word & 0x3ff) else {
            return Kicks::NONE;
        };
        let edge = self.bank(id).map_or(0, |bank| bank.edge) & mask(n) != 0;
        match (edge, set) {
            (false, _) => self.set_level(here, usize::MAX, word & 0x3ff, set),
            (true, true) => self.pend(here, id, mask(n)),
            (true, false) => self.unpend(here, id, mask(n)),
        }
    }

    /// Reads `GICD_IROUTER<n>` or a half of it.
    fn router_read(&self, offset: u32, size: u32) -> u64 {
        let Some(&affinity) = self.routers.get(router_index(offset)) else {
            return 0;
        };
        let whole = Affinity::from_u32(affinity).as_mpidr();
        match (size, offset & 7) {
            (8, 0) => whole,
            (4, 0) => whole & 0xffff_ffff,
            (4, 4) => whole >> 32,
            _ => 0,
        }
    }

    /// Writes `GICD_IROUTER<n>` or a half of it; Interrupt_Routing_Mode is RES0 (No1N).
    fn router_write<L: ListRegisters>(
        &mut self,
        here: &mut Here<'_, L>,
        offset: u32,
        (value, size): (u64, u32),
    ) -> Kicks {
        let index = router_index(offset);
        let intid = (offset >> 3) & 0x3ff;
        let Some((id, n)) = self.locate(usize::MAX, intid).filter(|_| intid >= 32) else {
            return Kicks::NONE;
        };
        let old = self.routers.get(index).copied().unwrap_or(0);
        let old = Affinity::from_u32(old).as_mpidr();
        let whole = match (size, offset & 7) {
            (8, 0) => value,
            (4, 0) => (old & !0xffff_ffff) | (value & 0xffff_ffff),
            (4, 4) => (old & 0xffff_ffff) | (value << 32),
            _ => return Kicks::NONE,
        };
        let affinity = Affinity::from_mpidr(whole);
        if let Some(router) = self.routers.get_mut(index) {
            *router = affinity.as_u32();
        }
        let target = self.vcpu_at(affinity);
        self.retarget(here, id, n, target)
    }

    /// Returns the vCPU that a shared interrupt is routed to, if there is one.
    pub fn target(&self, intid: u32) -> Option<usize> {
        let (id, n) = self.locate(usize::MAX, intid)?;
        let target = self.bank(id).map_or(NOBODY, |bank| at(&bank.target, n));
        (target != NOBODY).then_some(target as usize)
    }
}

/// Returns the bank that a register of one bit per interrupt is about.
#[inline(always)]
const fn bank_of(offset: u32) -> usize {
    (offset >> 2 & 31) as usize
}

/// Returns an IROUTER's place among the routers: GICD_IROUTER32 is the first.
const fn router_index(offset: u32) -> usize {
    (offset >> 3 & 0x3ff).wrapping_sub(32) as usize
}

/// Returns an identification register at 0xffd0 up: a GICv3 (PIDR2.ArchRev 3), by CoreSight's
/// conventions.
pub(super) const fn id_register(offset: u32) -> u32 {
    match offset & 0xfff {
        0xfd0 => 0x44,
        0xfe0 => 0x92,
        0xfe4 => 0xb4,
        0xfe8 => 0x3b,
        0xff0 => 0x0d,
        0xff4 => 0xf0,
        0xff8 => 0x05,
        0xffc => 0xb1,
        _ => 0,
    }
}
