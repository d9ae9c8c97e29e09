//! The register files that distributor and redistributors share, a bank at a time.

use super::bank::{Bank, at};
use super::{Answer, Gic, Here, Kicks, ListRegisters};

/// The register files of one bit per interrupt: offset / 0x80 (Arm IHI 0069, 12.8 and 12.10).
pub(super) mod row {
    pub const IGROUPR: u32 = 1;
    pub const ISENABLER: u32 = 2;
    pub const ICENABLER: u32 = 3;
    pub const ISPENDR: u32 = 4;
    pub const ICPENDR: u32 = 5;
    pub const ISACTIVER: u32 = 6;
    pub const ICACTIVER: u32 = 7;
}

impl Gic {
    /// Reads a register of one bit per interrupt.
    pub(super) fn word_read<L: ListRegisters>(
        &mut self,
        here: &mut Here<'_, L>,
        id: usize,
        row: u32,
    ) -> Answer {
        let stale = match row {
            row::ISPENDR..=row::ICACTIVER => self.look(here, id),
            _ => Kicks::NONE,
        };
        let value = self.bank(id).map_or(0, |bank| match row {
            row::IGROUPR => bank.group1,
            row::ISENABLER | row::ICENABLER => bank.enabled,
            row::ISPENDR | row::ICPENDR => bank.pending_seen(),
            row::ISACTIVER | row::ICACTIVER => bank.active_seen(),
            _ => 0,
        });
        Answer {
            value: u64::from(value),
            stale,
        }
    }

    /// Writes a register of one bit per interrupt.
    pub(super) fn word_write<L: ListRegisters>(
        &mut self,
        here: &mut Here<'_, L>,
        id: usize,
        row: u32,
        bits: u32,
    ) -> Kicks {
        match row {
            row::IGROUPR => self.regroup(here, id, bits),
            row::ISENABLER => self.enable(here, id, bits),
            row::ICENABLER => self.disable(here, id, bits),
            row::ISPENDR => self.pend(here, id, bits),
            row::ICPENDR => self.unpend(here, id, bits),
            row::ISACTIVER => self.activate(here, id, bits),
            row::ICACTIVER => self.deactivate(here, id, bits),
            _ => Kicks::NONE,
        }
    }

    /// Reads `size` bytes, 1 or 4, of IPRIORITYR from interrupt `n` of a bank up.
    pub(super) fn priority_read(&self, id: usize, n: u32, size: u32) -> u64 {
        let byte = |n| self.bank(id).map_or(0, |bank| at(&bank.priority, n));
        match size {
            1 => u64::from(byte(n)),
            _ => u64::from(u32::from_le_bytes([
                byte(n),
                byte(n | 1),
                byte(n | 2),
                byte(n | 3),
            ])),
        }
    }

    /// Writes `size` bytes, 1 or 4, of IPRIORITYR from interrupt `n` of a bank up.
    pub(super) fn priority_write<L: ListRegisters>(
        &mut self,
        here: &mut Here<'_, L>,
        id: usize,
        n: u32,
        (value, size): (u32, u32),
    ) -> Kicks {
        let mut kicks = Kicks::NONE;
        for (n, byte) in (n..).zip(value.to_le_bytes()).take(size as usize) {
            kicks |= self.prioritise(here, id, n, byte);
        }
        kicks
    }

    /// Reads the ICFGR of the lower (0) or upper (1) half of a bank.
    pub(super) fn config_read(&self, id: usize, half: u32) -> u64 {
        let edges = self.bank(id).map_or(0, |bank| bank.edge);
        u64::from(spread(edges.wrapping_shr(half.wrapping_mul(16))))
    }

    /// Writes the ICFGR of the lower (0) or upper (1) half of a bank.
    pub(super) fn config_write<L: ListRegisters>(
        &mut self,
        here: &mut Here<'_, L>,
        id: usize,
        half: u32,
        value: u32,
    ) -> Kicks {
        let shift = half.wrapping_mul(16);
        let old = self.bank(id).map_or(0, |bank: &Bank| bank.edge);
        let edges = (old & !0xffffu32.wrapping_shl(shift)) | gather(value).wrapping_shl(shift);
        self.configure(here, id, edges)
    }
}

/// Spreads the low 16 bits to the odd bits: ICFGR's upper bit of each pair says edge.
const fn spread(bits: u32) -> u32 {
    let mut x = bits & 0xffff;
    x = (x | (x << 8)) & 0x00ff_00ff;
    x = (x | (x << 4)) & 0x0f0f_0f0f;
    x = (x | (x << 2)) & 0x3333_3333;
    x = (x | (x << 1)) & 0x5555_5555;
    x << 1
}

/// Gathers the odd bits into the low 16.
const fn gather(value: u32) -> u32 {
    let mut x = (value >> 1) & 0x5555_5555;
    x = (x | (x >> 1)) & 0x3333_3333;
    x = (x | (x >> 2)) & 0x0f0f_0f0f;
    x = (x | (x >> 4)) & 0x00ff_00ff;
    (x | (x >> 8)) & 0xffff
}
