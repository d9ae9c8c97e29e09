//! Exceptions injected into a guest: what the CPU does when it takes one to EL1.

use super::vcpu::Vcpu;
use crate::{
    bits::bit,
    isa::{
        esr::{Esr, class, status},
        features::Features,
        sysreg::SysReg,
    },
};

/// PSTATE bits in an SPSR.
mod pstate {
    pub const EL1H: u64 = 0b00101;
    pub const DAIF: u64 = 0b1111 << 6;
    pub const SSBS: u64 = 1 << 12;
    pub const PAN: u64 = 1 << 22;
    pub const DIT: u64 = 1 << 24;
    pub const TCO: u64 = 1 << 25;
    pub const NZCV: u64 = 0b1111 << 28;
    pub const MODE: u64 = 0b11111;
    pub const AARCH32: u64 = 1 << 4;
}

impl Vcpu {
    /// Makes the guest take an UNDEFINED exception for its current instruction.
    pub fn inject_undefined(&mut self) {
        if self.vm.is_aarch32() {
            return self.inject_undefined_32();
        }
        self.take_exception(class::UNKNOWN, 0, None);
    }

    /// Makes the guest take its own BRK or BKPT, which came to EL2 with `esr`.
    pub fn inject_brk(&mut self, esr: Esr) {
        if self.vm.is_aarch32() {
            return self.inject_bkpt_32();
        }
        self.take_exception(esr.class(), esr.immediate().into(), None);
    }

    /// Makes the guest take a synchronous external abort for the access that exited with `esr`.
    pub fn inject_external_abort(&mut self, esr: Esr, address: u64) {
        let code = if esr.is_walk() {
            status::EXTERNAL_WALK | (esr.fault_status() & 0b11)
        } else {
            status::EXTERNAL
        };
        self.inject_abort(esr, code, address);
    }

    /// Makes the guest take an alignment fault for the access that exited with `esr`.
    pub fn inject_alignment_fault(&mut self, esr: Esr, address: u64) {
        self.inject_abort(esr, status::ALIGNMENT, address);
    }

    fn inject_abort(&mut self, esr: Esr, code: u64, address: u64) {
        /// A write; and whether cache maintenance was the access, which counts as one.
        const WNR_CM: u64 = 1 << 6 | 1 << 8;
        if self.vm.is_aarch32() {
            return self.inject_abort_32(esr, code, address);
        }
        let from_el0 = self.sysregs().pstate() & 0xf == 0;
        let fetch = esr.class() == class::INSTRUCTION_ABORT;
        let class = match (fetch, from_el0) {
            (true, true) => class::INSTRUCTION_ABORT,
            (true, false) => class::INSTRUCTION_ABORT_SAME,
            (false, true) => class::DATA_ABORT,
            (false, false) => class::DATA_ABORT_SAME,
        };
        let kind = if fetch { 0 } else { esr.0 & WNR_CM };
        self.take_exception(class, kind | code, Some(address));
    }

    /// Does what `AArch64.TakeException` of the Arm ARM (J1.1.2) does for a synchronous exception
    /// to EL1. IL is 1 in every syndrome made here: UNDEFINED, an instruction abort, or a data abort
    /// without ISV (D24.2.40, "IL").
    fn take_exception(&mut self, class: u64, iss: u64, far: Option<u64>) {
        let old = self.sysregs().pstate();
        let sctlr = self.sysregs().read(SysReg::SCTLR_EL1);
        let pc = self.sysregs().pc();
        let offset = match old & pstate::MODE {
            pstate::EL1H => 0x200,
            mode if mode & pstate::AARCH32 != 0 => 0x600,
            mode if mode & 0xf == 0 => 0x400,
            _ => 0,
        };
        // What the guest wrote to the reserved low bits may still be there.
        let vector = self.sysregs().read(SysReg::VBAR_EL1) & !0x7ff | offset;
        let new = self.entry_pstate(old, sctlr);
        let regs = self.sysregs_mut();
        regs.write(SysReg::SPSR_EL1, old);
        regs.write(SysReg::ELR_EL1, pc);
        regs.write(SysReg::ESR_EL1, class << 26 | IL | iss);
        if let Some(far) = far {
            regs.write(SysReg::FAR_EL1, far);
        }
        regs.set_pstate(new);
        regs.set_pc(vector);
    }

    /// Returns whether the guest is at the start of the vector that an exception there would bring it
    /// to: nothing would have changed. Aborts of AArch32 go on as they come.
    pub(super) fn is_at_own_vector(&self) -> bool {
        let regs = self.sysregs();
        let vector = regs.read(SysReg::VBAR_EL1) & !0x7ff | 0x200;
        regs.pstate() & pstate::MODE == pstate::EL1H && regs.pc() == vector
    }

    /// Returns PSTATE on entry to EL1: interrupts masked, flags kept, the rest as SCTLR_EL1 says.
    fn entry_pstate(&self, old: u64, sctlr: u64) -> u64 {
        const SPAN: u32 = 23;
        const DSSBS: u32 = 44;
        let features = self.sysregs().mode().features;
        let mut new = old & (pstate::NZCV | pstate::PAN | pstate::DIT);
        new |= pstate::EL1H | pstate::DAIF;
        if features.has(Features::PAN) && !bit(sctlr, SPAN) {
            new |= pstate::PAN;
        }
        if bit(sctlr, DSSBS) {
            new |= pstate::SSBS;
        }
        if features.has(Features::MTE) {
            new |= pstate::TCO;
        }
        new
    }
}

/// ESR_ELx.IL: a 32-bit instruction, or one of unknown length.
const IL: u64 = 1 << 25;
