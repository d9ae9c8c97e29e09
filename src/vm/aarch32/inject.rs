//! Exceptions injected into an AArch32 EL1: what the CPU does when it takes one there.

use crate::{
    bits::{bit, with_field},
    isa::{
        aarch32::{
            fault::{self, Fault},
            link_register, mode, psr,
        },
        esr::{Esr, class, status},
        features::Features,
        sysreg::SysReg,
    },
    vm::vcpu::Vcpu,
};

/// An exception of AArch32: its mode, its vector, and how far LR is beyond what it returns to (Arm
/// ARM, G1.12.4 "Exception vectors and the exception base address", G1.12.6).
struct Exception {
    mode: u64,
    vector: u64,
    link: u64,
    /// Where the mode keeps its saved PSR.
    spsr: SysReg,
}

const PREFETCH_ABORT: Exception = Exception {
    mode: mode::ABORT,
    vector: 0x0c,
    link: 4,
    spsr: SysReg::SPSR_abt,
};
const DATA_ABORT: Exception = Exception {
    vector: 0x10,
    link: 8,
    ..PREFETCH_ABORT
};

impl Vcpu {
    /// Makes an AArch32 EL1 take an Undefined Instruction exception for its current instruction.
    pub(in crate::vm) fn inject_undefined_32(&mut self) {
        let thumb = self.sysregs().pstate() & psr::T != 0;
        self.take_exception_32(&Exception {
            mode: mode::UNDEFINED,
            vector: 0x04,
            link: if thumb { 2 } else { 4 },
            spsr: SysReg::SPSR_und,
        });
    }

    /// Makes an AArch32 EL1 take an abort with an AArch64 fault status `code`, for the access that
    /// exited with `esr`.
    pub(in crate::vm) fn inject_abort_32(&mut self, esr: Esr, code: u64, address: u64) {
        const WALK: u64 = status::EXTERNAL_WALK;
        let fault = match code {
            status::ALIGNMENT => Fault::Alignment,
            _ if code & !0b11 == WALK => Fault::Walk((code & 0b11) as u8),
            _ => Fault::External,
        };
        let long = bit(self.sysregs().read(SysReg::TCR_EL1), fault::EAE);
        let status = fault.status(long);
        let far = self.sysregs().read(SysReg::FAR_EL1);
        // DFAR is its lower half, IFAR its upper.
        if esr.class() == class::INSTRUCTION_ABORT {
            let regs = self.sysregs_mut();
            regs.write(SysReg::IFSR32_EL2, status);
            regs.write(SysReg::FAR_EL1, with_field(far, 32, 32, address));
            self.take_exception_32(&PREFETCH_ABORT);
        } else {
            let maintenance = esr.is_cache_maintenance();
            let mut status = status;
            if maintenance || esr.is_write() {
                status |= fault::WRITE;
            }
            if maintenance {
                status |= fault::CACHE_MAINTENANCE;
            }
            let regs = self.sysregs_mut();
            regs.write(SysReg::ESR_EL1, status);
            regs.write(SysReg::FAR_EL1, with_field(far, 0, 32, address));
            self.take_exception_32(&DATA_ABORT);
        }
    }

    /// Makes an AArch32 EL1 take its own BKPT (Arm ARM, G2.3.2): a Prefetch Abort exception, with
    /// DBGDSCRext.MOE saying what it was. IFAR is UNKNOWN, so it stays.
    pub(in crate::vm) fn inject_bkpt_32(&mut self) {
        const MOE: u32 = 2;
        const BKPT: u64 = 0b0011;
        let regs = self.sysregs_mut();
        let long = bit(regs.read(SysReg::TCR_EL1), fault::EAE);
        regs.write(SysReg::IFSR32_EL2, Fault::Debug.status(long));
        let mdscr = regs.read(SysReg::MDSCR_EL1);
        regs.write(SysReg::MDSCR_EL1, with_field(mdscr, MOE, 4, BKPT));
        self.take_exception_32(&PREFETCH_ABORT);
    }

    /// Does what `AArch32.EnterMode` of the Arm ARM (J1.2.3) does. The frame must be complete, and
    /// all of it be reloaded: LR of the mode is one of X16 to X30.
    fn take_exception_32(&mut self, exception: &Exception) {
        const V: u32 = 13;
        /// Where the vectors are with SCTLR.V set.
        const HIGH: u64 = 0xffff_0000;
        let old = self.sysregs().pstate();
        let sctlr = self.sysregs().read(SysReg::SCTLR_EL1);
        let pc = self.sysregs().pc();
        let base = if bit(sctlr, V) {
            HIGH
        } else {
            self.sysregs().read(SysReg::VBAR_EL1) & 0xffff_ffe0
        };
        let new = self.entry_psr(old, sctlr, exception.mode);
        let link = pc.wrapping_add(exception.link) & 0xffff_ffff;
        self.frame.write(link_register(exception.mode), link);
        let regs = self.sysregs_mut();
        regs.write_any(exception.spsr, psr::to_aarch32(old));
        regs.set_pstate(new);
        regs.set_pc(base | exception.vector);
    }

    /// Returns PSTATE on entry to a mode.
    fn entry_psr(&self, old: u64, sctlr: u64, target: u64) -> u64 {
        const SPAN: u32 = 23;
        const EE: u32 = 25;
        const TE: u32 = 30;
        const DSSBS: u32 = 31;
        let kept = psr::NZCV | psr::Q | psr::GE | psr::DIT | psr::PAN | psr::A | psr::F;
        let mut new = old & kept | psr::I | target;
        if target == mode::ABORT {
            new |= psr::A;
        }
        let has_pan = self.sysregs().mode().features.has(Features::PAN);
        for (set, flag) in [
            (has_pan && !bit(sctlr, SPAN), psr::PAN),
            (bit(sctlr, EE), psr::E),
            (bit(sctlr, TE), psr::T),
            (bit(sctlr, DSSBS), psr::SSBS),
        ] {
            if set {
                new |= flag;
            }
        }
        new
    }
}
