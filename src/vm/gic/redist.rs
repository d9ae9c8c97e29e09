//! The redistributors' registers (Arm IHI 0069, 12.10): two frames of 64 KiB for each vCPU, one
//! after the other. Any vCPU may use any of them.
//!
//! Reserved offsets, accesses of a wrong size and unaligned ones read as zero and are ignored.

use super::dist::{IDENTITY, id_register};
use super::word::row;
use super::{Answer, Gic, Here, Kicks, ListRegisters, private};

/// The size of one vCPU's two frames, in bytes.
pub const REDIST_SIZE: u64 = 0x2_0000;

const IIDR: u32 = 0x4;
const TYPER: u32 = 0x8;
const TYPER_HIGH: u32 = 0xc;
const WAKER: u32 = 0x14;

/// GICR_WAKER: ProcessorSleep; ChildrenAsleep, one bit up, follows at once.
const PROCESSOR_SLEEP: u32 = 1 << 1;
const ASLEEP: u32 = 0b11 << 1;

impl Gic {
    /// Reads `size` bytes at an offset into the redistributors, of which the first is vCPU 0's.
    pub fn redist_read<L: ListRegisters>(
        &mut self,
        here: &mut Here<'_, L>,
        offset: u64,
        size: u32,
    ) -> Answer {
        let Some((vcpu, at)) = self.whose(offset) else {
            return Answer::default();
        };
        let id = private(vcpu);
        match (size, at) {
            (4 | 8, TYPER) => self.redist_typer(vcpu, size).into(),
            (1 | 4, 0x1_0400..=0x1_041f) if size == 1 || at & 3 == 0 => {
                self.priority_read(id, at & 31, size).into()
            }
            (4, TYPER_HIGH) => (self.redist_typer(vcpu, 8) >> 32).into(),
            (4, IIDR) => u64::from(IDENTITY).into(),
            (4, WAKER) => self.waker(vcpu).into(),
            (4, 0xffd0..=0xffff) => u64::from(id_register(at)).into(),
            (4, 0x1_0080..=0x1_03ff) if at & 0x7f == 0 => self.word_read(here, id, at >> 7 & 7),
            (4, 0x1_0c00 | 0x1_0c04) => self.config_read(id, at >> 2 & 1).into(),
            _ => Answer::default(),
        }
    }

    /// Writes `size` bytes at an offset into the redistributors, of which the first is vCPU 0's.
    ///
    /// ICFGR is read-only: SGIs are edge-triggered, and the PPIs there are level-sensitive.
    pub fn redist_write<L: ListRegisters>(
        &mut self,
        here: &mut Here<'_, L>,
        offset: u64,
        size: u32,
        value: u64,
    ) -> Kicks {
        let Some((vcpu, at)) = self.whose(offset) else {
            return Kicks::NONE;
        };
        let (id, word) = (private(vcpu), value as u32);
        const ICENABLER0: u32 = 0x1_0000 | row::ICENABLER << 7;
        match (size, at) {
            (4, ICENABLER0) => self.disable(here, id, word),
            (4, 0x1_0080..=0x1_03ff) if at & 0x7f == 0 => {
                self.word_write(here, id, at >> 7 & 7, word)
            }
            (1 | 4, 0x1_0400..=0x1_041f) if size == 1 || at & 3 == 0 => {
                self.priority_write(here, id, at & 31, (word, size))
            }
            (4, WAKER) => {
                if let Some(vcpu) = self.face_mut(vcpu) {
                    vcpu.asleep = word & PROCESSOR_SLEEP != 0;
                }
                Kicks::NONE
            }
            _ => Kicks::NONE,
        }
    }

    /// Splits an offset into the vCPU and the offset into its two frames.
    #[inline(always)]
    fn whose(&self, offset: u64) -> Option<(usize, u32)> {
        let vcpu = (offset >> 17) as usize;
        (vcpu < self.vcpus.len()).then_some((vcpu, (offset & 0x1_ffff) as u32))
    }

    /// Returns GICR_TYPER, or its lower half: affinity, number, and whether it is the last.
    fn redist_typer(&self, vcpu: usize, size: u32) -> u64 {
        let affinity = self.face(vcpu).map_or(0, |vcpu| vcpu.affinity);
        let last = u64::from(vcpu.wrapping_add(1) == self.vcpus.len()) << 4;
        let low = (vcpu as u64) << 8 | last;
        match size {
            8 => u64::from(affinity) << 32 | low,
            _ => low,
        }
    }

    fn waker(&self, vcpu: usize) -> u64 {
        match self.face(vcpu).is_some_and(|vcpu| vcpu.asleep) {
            true => u64::from(ASLEEP),
            false => 0,
        }
    }
}
