//! The virtual CPU interface of a GICv3, by system registers.

#![expect(unsafe_code, reason = "ICH_* registers are written by MSR")]

use super::{ActivePriorities, ListRegisters};
use crate::bits::{bit, field};
use crate::cpu::regs;
use crate::dev::gic::{CpuInterface, Taken, v3};
use crate::isa::encoding::Encoding;
use crate::vm::gic::HwIntid;
use crate::vm::gic::list_register::STATE;

/// The encoding of a register of EL2's virtual interface control, S3_4_C12_C`crm`_`op2`.
const fn ich(crm: u8, op2: u8) -> u32 {
    Encoding::new(3, 4, 12, crm, op2).iss()
}

const ICH_HCR_EL2: u32 = ich(11, 0);
const ICH_VTR_EL2: u32 = ich(11, 1);
const ICH_MISR_EL2: u32 = ich(11, 2);
const ICH_EISR_EL2: u32 = ich(11, 3);
const ICH_ELRSR_EL2: u32 = ich(11, 5);
const ICH_VMCR_EL2: u32 = ich(11, 7);

/// Writes a register of the virtual CPU interface.
#[inline(always)]
fn write<const ISS: u32>(value: u64) {
    // SAFETY: every caller in this file names an ICH_*_EL2 register, which only decides what
    // interrupts the guest is shown. EL2's own memory and control flow don't depend on it.
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
pub struct SystemLists {
    /// ICH_VTR_EL2.
    pub(super) vtr: u64,
}

impl SystemLists {
    /// Reads what this CPU's virtual interface can do (ICH_VTR_EL2).
    ///
    /// ICC_SRE_EL2.SRE must be 1. CPUs of one machine may differ: make one on each.
    pub(super) fn probe() -> Self {
        Self {
            vtr: regs::read::<ICH_VTR_EL2>(),
        }
    }
}

impl CpuInterface for SystemLists {
    #[inline(always)]
    fn acknowledge(self) -> Taken {
        v3::Interface.acknowledge()
    }

    #[inline(always)]
    fn highest_pending(self) -> u32 {
        v3::Interface.highest_pending()
    }

    #[inline(always)]
    fn priority_drop(self, taken: Taken) {
        v3::Interface.priority_drop(taken);
    }

    #[inline(always)]
    fn deactivate(self, taken: Taken) {
        v3::Interface.deactivate(taken);
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
    (write $value:expr, $n:expr, $($number:literal => $iss:expr),+) => {
        match $n {
            $($number => write::<{ $iss }>($value),)+
            _ => {}
        }
    };
}

/// Gives `by_number` the list registers from the fifth on: CRm 12 holds the first eight, CRm 13 the
/// rest.
macro_rules! further {
    ($($how:tt)*) => {
        by_number!($($how)*,
            4 => ich(12, 4), 5 => ich(12, 5), 6 => ich(12, 6), 7 => ich(12, 7),
            8 => ich(13, 0), 9 => ich(13, 1), 10 => ich(13, 2), 11 => ich(13, 3),
            12 => ich(13, 4), 13 => ich(13, 5), 14 => ich(13, 6), 15 => ich(13, 7))
    };
}

#[inline(never)]
fn read_further(n: u32) -> u64 {
    further!(read n)
}

#[inline(never)]
fn write_further(n: u32, value: u64) {
    further!(write value, n);
}

fn fill_further(n: u32, value: u64) -> bool {
    let free = n < 16 && read_further(n) & STATE == 0;
    if free {
        write_further(n, value);
    }
    free
}

/// Does something for each number of active-priority registers that there are.
macro_rules! active_priorities {
    ($lists:expr, $one:ident) => {
        // Each takes 32 of the levels that preempt: 16 or 32, 64, 128.
        let bits = field($lists.vtr, 26, 3);
        $one!(0);
        if bits >= 5 {
            $one!(1);
        }
        if bits >= 6 {
            $one!(2);
            $one!(3);
        }
    };
}

impl ListRegisters for SystemLists {
    #[inline(always)]
    fn count(&self) -> u32 {
        (field(self.vtr, 0, 5) as u32).min(15).wrapping_add(1)
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
            read_further(n))
    }

    #[inline(always)]
    fn write(&mut self, n: u32, value: u64) {
        by_number!(first n,
            write::<{ ich(12, 0) }>(value),
            write::<{ ich(12, 1) }>(value),
            write::<{ ich(12, 2) }>(value),
            write::<{ ich(12, 3) }>(value),
            write_further(n, value));
    }

    #[inline(always)]
    fn fill(&mut self, n: u32, value: u64) -> bool {
        by_number!(first n,
            fill::<{ ich(12, 0) }>(value),
            fill::<{ ich(12, 1) }>(value),
            fill::<{ ich(12, 2) }>(value),
            fill::<{ ich(12, 3) }>(value),
            fill_further(n, value))
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

    #[inline(always)]
    fn take_active_priorities(&mut self, to: &mut ActivePriorities) {
        macro_rules! one {
            ($n:literal) => {
                to[0][$n] = regs::read::<{ ich(8, $n) }>();
                to[1][$n] = regs::read::<{ ich(9, $n) }>();
                write::<{ ich(8, $n) }>(0);
                write::<{ ich(9, $n) }>(0);
            };
        }
        active_priorities!(self, one);
    }

    #[inline(always)]
    fn set_active_priorities(&mut self, from: &ActivePriorities) {
        macro_rules! one {
            ($n:literal) => {
                write::<{ ich(8, $n) }>(from[0][$n]);
                write::<{ ich(9, $n) }>(from[1][$n]);
            };
        }
        active_priorities!(self, one);
    }

    fn misr(&self) -> u64 {
        regs::read::<ICH_MISR_EL2>()
    }

    fn eisr(&self) -> u64 {
        regs::read::<ICH_EISR_EL2>()
    }

    fn deactivate_physical(&mut self, hw: HwIntid) {
        v3::deactivate(hw.get());
    }
}
