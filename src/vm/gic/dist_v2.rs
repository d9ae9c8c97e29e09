//! The registers of a GICv2's distributor (Arm IHI 0048, 4.3), as a guest without security
//! extensions sees them, with both groups. GIC-400 is the model where the architecture leaves a
//! choice: SGIs are always enabled, the trigger of private interrupts is fixed.
//!
//! A shared interrupt that targets several vCPUs goes to the first of them.
//!
//! Reserved offsets, accesses of a wrong size and unaligned ones read as zero and are ignored.

use super::bank::{Bits, NOBODY, at, mask};
use super::dist::IDENTITY;
use super::setup::Version;
use super::word::row;
use super::{Answer, Gic, Here, Kicks, ListRegisters, private};

const CTLR: u32 = 0x0;
const TYPER: u32 = 0x4;
const IIDR: u32 = 0x8;
const SGIR: u32 = 0xf00;

/// GICD_CTLR: EnableGrp1 and EnableGrp0.
const CTLR_GROUPS: u32 = 0b11;

impl Gic {
    /// Reads `size` bytes at an offset into the distributor.
    pub fn dist_v2_read<L: ListRegisters>(
        &mut self,
        here: &mut Here<'_, L>,
        offset: u32,
        size: u32,
    ) -> Answer {
        let whole = size == 4 && offset & 3 == 0;
        match offset >> 7 {
            0 if whole => u64::from(self.head_v2(offset)).into(),
            row @ row::IGROUPR..=row::ICACTIVER if whole => {
                let id = self.bank_v2(here, offset >> 2);
                self.word_read(here, id, row)
            }
            8..=15 if whole || size == 1 => {
                let id = self.bank_v2(here, offset >> 5);
                self.priority_read(id, offset & 31, size).into()
            }
            16..=23 if whole || size == 1 => self.targets_read(here, offset, size).into(),
            0x18 | 0x19 if whole => {
                let id = self.bank_v2(here, offset >> 3);
                self.config_read(id, offset >> 2 & 1).into()
            }
            0x1e if whole || size == 1 => self.senders_read(here, offset, size).into(),
            0x1f if whole => u64::from(id_register(offset)).into(),
            _ => Answer::default(),
        }
    }

    /// Writes `size` bytes at an offset into the distributor.
    #[inline(always)]
    pub fn dist_v2_write<L: ListRegisters>(
        &mut self,
        here: &mut Here<'_, L>,
        offset: u32,
        size: u32,
        value: u64,
    ) -> Kicks {
        let whole = size == 4 && offset & 3 == 0;
        // Masking and unmasking one interrupt is by far the most frequent.
        if whole && offset >> 7 == row::ICENABLER && offset & 0x7f != 0 {
            return self.disable(here, (offset >> 2 & 31) as usize, value as u32);
        }
        self.dist_v2_write_any(here, offset, (value as u32, size))
    }

    #[inline(never)]
    fn dist_v2_write_any<L: ListRegisters>(
        &mut self,
        here: &mut Here<'_, L>,
        offset: u32,
        (word, size): (u32, u32),
    ) -> Kicks {
        let whole = size == 4 && offset & 3 == 0;
        match offset >> 7 {
            0 if whole && offset == CTLR => self.open_groups(here, word & CTLR_GROUPS),
            row @ row::IGROUPR..=row::ICACTIVER if whole => {
                let id = self.bank_v2(here, offset >> 2);
                let bits = word & !self.fixed(id, row);
                self.word_write(here, id, row, bits)
            }
            8..=15 if whole || size == 1 => {
                let id = self.bank_v2(here, offset >> 5);
                self.priority_write(here, id, offset & 31, (word, size))
            }
            16..=23 if whole || size == 1 => self.targets_write(here, offset, (word, size)),
            0x18 | 0x19 if whole && offset >> 3 & 31 != 0 => {
                let id = self.bank_v2(here, offset >> 3);
                self.config_write(here, id, offset >> 2 & 1, word)
            }
            0x1e if whole && offset == SGIR => self.sgir(here, word),
            0x1e if whole || size == 1 => self.senders_write(here, offset, (word, size)),
            _ => Kicks::NONE,
        }
    }

    /// Reads `size` bytes at an offset into the distributor of whichever version this is.
    pub fn distributor_read<L: ListRegisters>(
        &mut self,
        here: &mut Here<'_, L>,
        offset: u32,
        size: u32,
    ) -> Answer {
        match self.version {
            Version::V2 => self.dist_v2_read(here, offset, size),
            Version::V3 => self.dist_read(here, offset, size),
        }
    }

    /// Writes `size` bytes at an offset into the distributor of whichever version this is.
    pub fn distributor_write<L: ListRegisters>(
        &mut self,
        here: &mut Here<'_, L>,
        offset: u32,
        size: u32,
        value: u64,
    ) -> Kicks {
        match self.version {
            Version::V2 => self.dist_v2_write(here, offset, size, value),
            Version::V3 => self.dist_write(here, offset, size, value),
        }
    }

    /// Returns the bank of the 32 interrupts of this number (modulo 32): the first are banked.
    fn bank_v2<L>(&self, here: &Here<'_, L>, number: u32) -> usize {
        match (number & 31, here.vcpu < self.vcpus.len()) {
            (0, true) => private(here.vcpu),
            // Without a vCPU the first bank is the empty one.
            (number, _) => number as usize,
        }
    }

    /// Returns the bits of a register that a write can't change: SGIs are always enabled, and made
    /// pending elsewhere.
    fn fixed(&self, id: usize, row: u32) -> u32 {
        match row {
            row::ICENABLER | row::ISPENDR | row::ICPENDR => {
                self.bank(id).map_or(0, |bank| bank.sourced)
            }
            _ => 0,
        }
    }

    fn head_v2(&self, offset: u32) -> u32 {
        match offset {
            CTLR => (self.open.group1 & 2) | (self.open.group0 & 1),
            TYPER => self.typer_v2(),
            IIDR => IDENTITY,
            _ => 0,
        }
    }

    /// Returns GICv2's GICD_TYPER: CPUNumber and ITLinesNumber.
    pub(super) fn typer_v2(&self) -> u32 {
        ((self.vcpus.len() as u32).wrapping_sub(1) & 7) << 5 | self.spi_words
    }

    /// Returns one bit for each vCPU there is.
    fn everybody(&self) -> u8 {
        mask(self.vcpus.len() as u32).wrapping_sub(1) as u8
    }

    /// Returns the targets that an interrupt can have: none if there is only one vCPU, where
    /// targets are not implemented (Arm IHI 0048, 4.3.12).
    fn target_bits(&self) -> u8 {
        match self.vcpus.len() {
            1 => 0,
            _ => self.everybody(),
        }
    }

    /// Returns the vCPU that an interrupt with these targets goes to.
    pub(super) fn first_of(&self, targets: u8) -> u8 {
        match (self.vcpus.len(), targets) {
            (1, _) => 0,
            (_, 0) => NOBODY,
            _ => targets.trailing_zeros() as u8,
        }
    }

    fn targets_read<L>(&self, here: &Here<'_, L>, offset: u32, size: u32) -> u64 {
        let own = 1u8.wrapping_shl(here.vcpu as u32) & self.target_bits();
        let byte = |intid: u32| match intid.checked_sub(32) {
            None => u32::from(own),
            Some(spi) => self.routers.get(spi as usize).copied().unwrap_or(0),
        };
        gather(offset & 0x3ff, size, byte)
    }

    fn targets_write<L: ListRegisters>(
        &mut self,
        here: &mut Here<'_, L>,
        offset: u32,
        (word, size): (u32, u32),
    ) -> Kicks {
        let mut kicks = Kicks::NONE;
        for (intid, byte) in bytes(offset & 0x3ff, size, word) {
            let targets = byte & self.target_bits();
            let Some((id, n)) = self.locate(usize::MAX, intid) else {
                continue;
            };
            if let Some(router) = self.routers.get_mut(intid.wrapping_sub(32) as usize) {
                *router = targets.into();
            }
            let target = self.first_of(targets);
            kicks |= self.retarget(here, id, n, target);
        }
        kicks
    }

    /// Does a write of GICD_SGIR.
    #[inline(always)]
    pub fn sgir<L: ListRegisters>(&mut self, here: &mut Here<'_, L>, word: u32) -> Kicks {
        let own = 1u8.wrapping_shl(here.vcpu as u32);
        let named = (word >> 16) as u8;
        let targets = match word >> 24 & 3 {
            0 => named,
            1 => !own,
            2 => own,
            _ => 0,
        } & self.everybody();
        if targets.is_power_of_two() {
            return self.raise_sgi(here, targets.trailing_zeros() as usize, word & 15, own);
        }
        self.send_to_several(here, targets, word & 15)
    }

    #[inline(never)]
    fn send_to_several<L: ListRegisters>(
        &mut self,
        here: &mut Here<'_, L>,
        targets: u8,
        n: u32,
    ) -> Kicks {
        let own = 1u8.wrapping_shl(here.vcpu as u32);
        let mut kicks = Kicks::NONE;
        for target in Bits(targets.into()) {
            kicks |= self.raise_sgi(here, target as usize, n, own);
        }
        kicks
    }

    /// Makes SGI `n` of a vCPU pending, from `senders`.
    #[inline(always)]
    fn raise_sgi<L: ListRegisters>(
        &mut self,
        here: &mut Here<'_, L>,
        target: usize,
        n: u32,
        senders: u8,
    ) -> Kicks {
        if target == here.vcpu {
            return self.raise_here(here, n, senders);
        }
        self.raise_far(target, n, senders)
    }

    /// Reads GICD_CPENDSGIR or GICD_SPENDSGIR: who sent each SGI.
    fn senders_read<L: ListRegisters>(&self, here: &Here<'_, L>, offset: u32, size: u32) -> u64 {
        let Some((_, first)) = senders_register(offset) else {
            return 0;
        };
        let id = self.bank_v2(here, 0);
        gather(first, size, |n| {
            self.bank(id).map_or(0, |bank| {
                let homed = bank.homed & mask(n) != 0;
                let value = homed.then(|| here.lists.read(at(&bank.home, n).slot()));
                bank.senders_seen(n, value).into()
            })
        })
    }

    fn senders_write<L: ListRegisters>(
        &mut self,
        here: &mut Here<'_, L>,
        offset: u32,
        (word, size): (u32, u32),
    ) -> Kicks {
        let Some((sets, first)) = senders_register(offset) else {
            return Kicks::NONE;
        };
        let id = self.bank_v2(here, 0);
        if id < super::PRIVATE {
            return Kicks::NONE;
        }
        let everybody = self.everybody();
        let mut kicks = Kicks::NONE;
        for (n, byte) in bytes(first, size, word) {
            kicks |= match (byte & everybody, sets) {
                (0, _) => Kicks::NONE,
                (senders, true) => self.raise_sgi(here, here.vcpu, n, senders),
                (senders, false) => self.withdraw_sgi(here, id, n, senders),
            };
        }
        kicks
    }

    /// Makes SGI `n` of the vCPU at hand pending no more, from `senders`.
    fn withdraw_sgi<L: ListRegisters>(
        &mut self,
        here: &mut Here<'_, L>,
        id: usize,
        n: u32,
        senders: u8,
    ) -> Kicks {
        let kicks = self.recall(here, id, mask(n));
        if let Some(bank) = self.bank_mut(id) {
            bank.drop_senders(n, senders);
        }
        kicks | self.refresh(here, id, mask(n))
    }
}

/// Returns whether an offset is in GICD_SPENDSGIR, not CPENDSGIR, and which SGI its byte is about.
const fn senders_register(offset: u32) -> Option<(bool, u32)> {
    match offset {
        0xf10..=0xf1f => Some((false, offset & 15)),
        0xf20..=0xf2f => Some((true, offset & 15)),
        _ => None,
    }
}

/// Reads `size` bytes, of interrupts from `first` up.
fn gather(first: u32, size: u32, byte: impl Fn(u32) -> u32) -> u64 {
    (first..)
        .zip([0, 8, 16, 24])
        .take(size as usize)
        .fold(0, |word, (n, shift)| word | u64::from(byte(n)) << shift)
}

/// Returns the bytes of a write of `size` bytes, each with its interrupt, from `first` up.
fn bytes(first: u32, size: u32, word: u32) -> impl Iterator<Item = (u32, u8)> {
    (first..).zip(word.to_le_bytes()).take(size as usize)
}

/// Returns an identification register at 0xfd0 up: GIC-400's (PIDR2.ArchRev 2).
const fn id_register(offset: u32) -> u32 {
    match offset {
        0xfd0 => 0x04,
        0xfe0 => 0x90,
        0xfe4 => 0xb4,
        0xfe8 => 0x2b,
        0xff0 => 0x0d,
        0xff4 => 0xf0,
        0xff8 => 0x05,
        0xffc => 0xb1,
        _ => 0,
    }
}
