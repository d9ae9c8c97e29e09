//! The virtual CPU interface as the architecture describes it, with a guest's hands on it.

use crate::vm::gic::{HwIntid, ListRegisters, lists::ActivePriorities};
use std::collections::BTreeSet;

const PENDING: u64 = 1 << 62;
const ACTIVE: u64 = 1 << 63;

/// One CPU: list registers and the physical interrupts that are active on it.
#[derive(Clone, Debug)]
pub struct Cpu {
    pub lr: Vec<u64>,
    pub hcr: u64,
    pub vmcr: u64,
    pub ap: [u64; 2],
    pub physical: BTreeSet<u32>,
    pub tds: bool,
}

impl Cpu {
    pub fn new(lists: u32) -> Self {
        Self {
            lr: vec![0; lists as usize],
            hcr: 0,
            vmcr: 0,
            ap: [0; 2],
            physical: BTreeSet::new(),
            tds: true,
        }
    }

    fn group_enabled(&self, group: u64) -> bool {
        self.vmcr >> group & 1 != 0
    }

    /// The list register whose interrupt is signalled to the guest, if any.
    fn signalled(&self) -> Option<usize> {
        let running = (self.ap[0] | self.ap[1]).trailing_zeros() as u64;
        (0..self.lr.len())
            .filter(|&n| self.lr[n] & (PENDING | ACTIVE) == PENDING)
            .filter(|&n| self.group_enabled(self.lr[n] >> 60 & 1))
            .map(|n| (self.lr[n] >> 48 & 0xff, n))
            .filter(|&(priority, _)| priority < self.vmcr >> 24 & 0xff && priority >> 3 < running)
            .min()
            .filter(|_| self.hcr & 1 != 0)
            .map(|(_, n)| n)
    }

    /// The interrupt a read of the IAR would return, with its priority.
    pub fn peek(&self) -> Option<(u32, u8)> {
        self.signalled()
            .map(|n| (self.lr[n] as u32, (self.lr[n] >> 48) as u8))
    }

    /// Acknowledges: a read of ICC_IAR0_EL1 or ICC_IAR1_EL1, whichever fits.
    pub fn iar(&mut self) -> Option<u32> {
        let n = self.signalled()?;
        let value = &mut self.lr[n];
        *value = *value & !PENDING | ACTIVE;
        self.ap[(*value >> 60 & 1) as usize] |= 1 << (*value >> 51 & 0x1f);
        Some(*value as u32)
    }

    /// Acknowledges: a read of GICC_IAR, with the CPU that sent the interrupt if it is an SGI.
    pub fn iar_with_sender(&mut self) -> Option<(u32, u32)> {
        let n = self.signalled()?;
        let sender = (self.lr[n] >> 32 & 7) as u32;
        self.iar().map(|intid| (intid, sender))
    }

    /// Drops the running priority and, with EOImode 0, deactivates.
    pub fn eoi(&mut self, intid: u32) {
        let group = usize::from(self.ap[1].trailing_zeros() < self.ap[0].trailing_zeros());
        self.ap[group] &= self.ap[group].wrapping_sub(1);
        if self.vmcr >> 9 & 1 == 0 {
            self.deactivate_virtual(intid);
        }
    }

    /// Writes ICC_DIR_EL1; false when that is trapped.
    #[must_use]
    pub fn dir(&mut self, intid: u32) -> bool {
        if self.hcr >> 14 & 1 != 0 {
            return false;
        }
        self.deactivate_virtual(intid);
        true
    }

    fn deactivate_virtual(&mut self, intid: u32) {
        let found = self
            .lr
            .iter_mut()
            .find(|lr| **lr as u32 == intid && **lr & ACTIVE != 0);
        match found {
            Some(lr) => {
                *lr &= !ACTIVE;
                if *lr >> 61 & 1 != 0 {
                    assert_eq!(
                        *lr & PENDING,
                        0,
                        "a linked interrupt was active and pending"
                    );
                    self.physical
                        .remove(&(*lr >> 32 & 0x1fff).try_into().unwrap());
                }
            }
            None => {
                assert_ne!(self.hcr >> 27, 0x1f, "EOIcount overflowed");
                self.hcr += 1 << 27;
            }
        }
    }

    /// Whether the interface asks for maintenance.
    pub fn wants_maintenance(&self) -> bool {
        self.misr() != 0
    }

    /// Checks what must hold of list registers at any time (Arm IHI 0069, "ICH_LR<n>_EL2").
    pub fn check(&self) {
        let mut seen = BTreeSet::new();
        for &lr in self.lr.iter().filter(|&lr| lr & (PENDING | ACTIVE) != 0) {
            assert!(
                seen.insert(lr as u32),
                "INTID {} is in two list registers",
                lr as u32
            );
            if lr >> 61 & 1 != 0 {
                assert_ne!(lr & (PENDING | ACTIVE), PENDING | ACTIVE);
                let physical = (lr >> 32 & 0x1fff) as u32;
                assert!(
                    self.physical.contains(&physical),
                    "linked to an inactive interrupt"
                );
            }
        }
    }
}

impl ListRegisters for Cpu {
    fn count(&self) -> u32 {
        self.lr.len() as u32
    }

    fn traps_dir(&self) -> bool {
        self.tds
    }

    fn read(&self, n: u32) -> u64 {
        self.lr[n as usize]
    }

    fn write(&mut self, n: u32, value: u64) {
        self.lr[n as usize] = value;
    }

    fn empty(&self) -> u64 {
        (0..self.lr.len())
            .filter(|&n| {
                let (state, hw, eoi) =
                    (self.lr[n] >> 62, self.lr[n] >> 61 & 1, self.lr[n] >> 41 & 1);
                state == 0 && (hw == 1 || eoi == 0)
            })
            .fold(0, |bits, n| bits | 1 << n)
    }

    fn hcr(&self) -> u64 {
        self.hcr
    }

    fn set_hcr(&mut self, value: u64) {
        self.hcr = value;
    }

    fn vmcr(&self) -> u64 {
        self.vmcr
    }

    fn set_vmcr(&mut self, value: u64) {
        self.vmcr = value;
    }

    fn take_active_priorities(&mut self, to: &mut ActivePriorities) {
        (to[0][0], to[1][0]) = self.ap.into();
        self.ap = [0; 2];
    }

    fn set_active_priorities(&mut self, from: &ActivePriorities) {
        self.ap = [from[0][0], from[1][0]];
    }

    fn misr(&self) -> u64 {
        if self.hcr & 1 == 0 {
            return 0;
        }
        let on = |n: u32, condition: bool| u64::from(self.hcr >> n & 1 != 0 && condition) << n;
        let valid = self.lr.iter().filter(|&lr| lr >> 62 != 0).count();
        let pending = self.lr.iter().any(|lr| lr & PENDING != 0);
        u64::from(self.eisr() != 0)
            | on(1, valid <= 1)
            | on(2, self.hcr >> 27 != 0)
            | on(3, !pending)
            | on(4, self.group_enabled(0))
            | on(5, !self.group_enabled(0))
            | on(6, self.group_enabled(1))
            | on(7, !self.group_enabled(1))
    }

    fn eisr(&self) -> u64 {
        (0..self.lr.len())
            .filter(|&n| self.lr[n] >> 61 == 0 && self.lr[n] >> 41 & 1 != 0)
            .fold(0, |bits, n| bits | 1 << n)
    }

    fn deactivate_physical(&mut self, hw: HwIntid) {
        assert!(
            self.physical.remove(&hw.get()),
            "deactivated what was not active"
        );
    }
}
