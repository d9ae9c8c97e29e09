//! The virtual CPU interface as EL2 sees it: list registers and what controls them.

#![expect(unsafe_code, reason = "ICH_* registers are written by MSR")]

use super::HwIntid;
use super::list_register::STATE;
use crate::bits::{bit, field};
use crate::cpu::regs;
use crate::isa::encoding::Encoding;

/// The list registers of one CPU, and the registers beside them.
///
/// Values have the layout of GICv3's registers (Arm IHI 0069, chapter 12); a GICv2 host converts.
/// Numbers at or past [`count`](Self::count) read as zero and are not written.
pub trait ListRegisters {
    /// Returns how many list registers there are, at most 16.
    fn count(&self) -> u32;
    /// Returns how many active-priority registers each group has, at most 4.
    fn active_priority_count(&self) -> u32;
    /// Returns whether ICC_DIR_EL1 can be trapped on its own (ICH_VTR_EL2.TDS).
    fn traps_dir(&self) -> bool;
    /// Reads `ICH_LR<n>_EL2`.
    fn read(&self, n: u32) -> u64;
    /// Writes `ICH_LR<n>_EL2`.
    fn write(&mut self, n: u32, value: u64);
    /// Writes `ICH_LR<n>_EL2` if its state is inactive; returns whether it was.
    fn fill(&mut self, n: u32, value: u64) -> bool {
        let free = self.read(n) & STATE == 0;
        if free {
            self.write(n, value);
        }
        free
    }
    /// Reads ICH_ELRSR_EL2: the list registers that hold no interrupt, a bit each.
    fn empty(&self) -> u64;
    /// Reads ICH_HCR_EL2.
    fn hcr(&self) -> u64;
    /// Writes ICH_HCR_EL2.
    fn set_hcr(&mut self, value: u64);
    /// Reads ICH_VMCR_EL2.
    fn vmcr(&self) -> u64;
    /// Writes ICH_VMCR_EL2.
    fn set_vmcr(&mut self, value: u64);
    /// Reads `ICH_AP0R<n>_EL2` (`group` 0) or `ICH_AP1R<n>_EL2` (`group` 1).
    fn active_priority(&self, group: u32, n: u32) -> u64;
    /// Writes `ICH_AP0R<n>_EL2` or `ICH_AP1R<n>_EL2`.
    fn set_active_priority(&mut self, group: u32, n: u32, value: u64);
    /// Reads ICH_MISR_EL2: why there is a maintenance interrupt.
    fn misr(&self) -> u64;
    /// Reads ICH_EISR_EL2: the list registers whose interrupt ended and asked to be told.
    fn eisr(&self) -> u64;
    /// Deactivates a physical interrupt (ICC_DIR_EL1), this CPU's own if it is a private one.
    fn deactivate(&mut self, hw: HwIntid);
}

/// The encoding of a register of EL2's virtual interface control, S3_4_C12_C`crm`_`op2`.
const fn ich(crm: u8, op2: u8) -> u32 {
    Encoding::new(3, 4, 12, crm, op2).iss()
}

const ICC_DIR_EL1: u32 = Encoding::new(3, 0, 12, 11, 1).iss();
const ICH_HCR_EL2: u32 = ich(11, 0);
const ICH_VTR_EL2: u32 = ich(11, 1);
const ICH_MISR_EL2: u32 = ich(11, 2);
const ICH_EISR_EL2: u32 = ich(11, 3);
const ICH_ELRSR_EL2: u32 = ich(11, 5);
const ICH_VMCR_EL2: u32 = ich(11, 7);

/// Writes a register of the virtual CPU interface, or ICC_DIR_EL1.
#[inline(always)]
fn write<const ISS: u32>(value: u64) {
    // SAFETY: every caller in this file names an ICH_*_EL2 register, which only decides what
    // interrupts the guest is shown, or ICC_DIR_EL1, which ends a physical interrupt's active
    // state. EL2's own memory and control flow depend on neither.
    unsafe { regs::write::<ISS>(value) }
}

/// Writes a list register if its state is inactive; returns whether it was.
#[inline(always)]
fn fill<const ISS: u32>(value: u64) -> bool {
    let free = regs::read::<ISS>() & STATE == 0;
    if free {
        write::<ISS>(value);
    }
    free
}

/// This CPU's virtual interface, by system registers.
#[derive(Clone, Copy, Debug)]
pub struct HostLists {
    vtr: u64,
}

impl HostLists {
    /// Reads what this CPU's virtual interface can do (ICH_VTR_EL2).
    ///
    /// ICC_SRE_EL2.SRE must be 1. CPUs of one machine may differ: make one on each.
    pub fn probe() -> Self {
        Self {
            vtr: regs::read::<ICH_VTR_EL2>(),
        }
    }

    /// Returns how many priority bits a guest has: for [`Config`](super::Config).
    pub fn priority_bits(&self) -> u32 {
        (field(self.vtr, 29, 3) as u32).wrapping_add(1)
    }
}

/// Reaches a register by number. Many machines have four list registers and the first are the
/// most used, so the first four are told apart by two bits, before any jump table.
macro_rules! by_number {
    (first $n:expr, $zero:expr, $one:expr, $two:expr, $three:expr, $rest:expr) => {
        match ($n >> 2 == 0, $n & 2 == 0, $n & 1 == 0) {
            (true, true, true) => $zero,
            (true, true, false) => $one,
            (true, false, true) => $two,
            (true, false, false) => $three,
            _ => $rest,
        }
    };
    (read $n:expr, $($number:literal => $iss:expr),+) => {
        match $n {
            $($number => regs::read::<{ $iss }>(),)+
            _ => 0,
        }
    };
    (fill $value:expr, $n:expr, $($number:literal => $iss:expr),+) => {
        match $n {
            $($number => fill::<{ $iss }>($value),)+
            _ => false,
        }
    };
    (write $value:expr, $n:expr, $($number:literal => $iss:expr),+) => {
        match $n {
            $($number => write::<{ $iss }>($value),)+
            _ => {}
        }
    };
}

/// Gives `by_number` the list registers: CRm 12 holds the first eight, CRm 13 the rest.
macro_rules! list_registers {
    ($($how:tt)*) => {
        by_number!($($how)*,
            0 => ich(12, 0), 1 => ich(12, 1), 2 => ich(12, 2), 3 => ich(12, 3),
            4 => ich(12, 4), 5 => ich(12, 5), 6 => ich(12, 6), 7 => ich(12, 7),
            8 => ich(13, 0), 9 => ich(13, 1), 10 => ich(13, 2), 11 => ich(13, 3),
            12 => ich(13, 4), 13 => ich(13, 5), 14 => ich(13, 6), 15 => ich(13, 7))
    };
}

/// Gives `by_number` the active priorities: group 0 at CRm 8, group 1 at CRm 9.
macro_rules! active_priorities {
    ($($how:tt)*) => {
        by_number!($($how)*,
            0 => ich(8, 0), 1 => ich(8, 1), 2 => ich(8, 2), 3 => ich(8, 3),
            4 => ich(9, 0), 5 => ich(9, 1), 6 => ich(9, 2), 7 => ich(9, 3))
    };
}

impl ListRegisters for HostLists {
    #[inline(always)]
    fn count(&self) -> u32 {
        (field(self.vtr, 0, 5) as u32).min(15).wrapping_add(1)
    }

    fn active_priority_count(&self) -> u32 {
        match field(self.vtr, 26, 3) {
            0..=4 => 1,
            5 => 2,
            _ => 4,
        }
    }

    fn traps_dir(&self) -> bool {
        bit(self.vtr, 19)
    }

    #[inline(always)]
    fn read(&self, n: u32) -> u64 {
        by_number!(first n,
            regs::read::<{ ich(12, 0) }>(),
            regs::read::<{ ich(12, 1) }>(),
            regs::read::<{ ich(12, 2) }>(),
            regs::read::<{ ich(12, 3) }>(),
            list_registers!(read n))
    }

    #[inline(always)]
    fn write(&mut self, n: u32, value: u64) {
        by_number!(first n,
            write::<{ ich(12, 0) }>(value),
            write::<{ ich(12, 1) }>(value),
            write::<{ ich(12, 2) }>(value),
            write::<{ ich(12, 3) }>(value),
            list_registers!(write value, n));
    }

    #[inline(always)]
    fn fill(&mut self, n: u32, value: u64) -> bool {
        by_number!(first n,
            fill::<{ ich(12, 0) }>(value),
            fill::<{ ich(12, 1) }>(value),
            fill::<{ ich(12, 2) }>(value),
            fill::<{ ich(12, 3) }>(value),
            list_registers!(fill value, n))
    }

    #[inline(always)]
    fn empty(&self) -> u64 {
        regs::read::<ICH_ELRSR_EL2>()
    }

    #[inline(always)]
    fn hcr(&self) -> u64 {
        regs::read::<ICH_HCR_EL2>()
    }

    #[inline(always)]
    fn set_hcr(&mut self, value: u64) {
        write::<ICH_HCR_EL2>(value);
    }

    #[inline(always)]
    fn vmcr(&self) -> u64 {
        regs::read::<ICH_VMCR_EL2>()
    }

    #[inline(always)]
    fn set_vmcr(&mut self, value: u64) {
        write::<ICH_VMCR_EL2>(value);
    }

    fn active_priority(&self, group: u32, n: u32) -> u64 {
        active_priorities!(read(group << 2) | n)
    }

    fn set_active_priority(&mut self, group: u32, n: u32, value: u64) {
        active_priorities!(write value, (group << 2) | n);
    }

    fn misr(&self) -> u64 {
        regs::read::<ICH_MISR_EL2>()
    }

    fn eisr(&self) -> u64 {
        regs::read::<ICH_EISR_EL2>()
    }

    fn deactivate(&mut self, hw: HwIntid) {
        write::<ICC_DIR_EL1>(u64::from(hw.get()));
    }
}
