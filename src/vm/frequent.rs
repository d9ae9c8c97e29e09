//! The exits that guests cause most, answered with as few instructions as can be.
//!
//! Whatever is done here, [`guest_synchronous`] does too, for every register and every access;
//! what is not recognised here goes there. These functions call nothing but as their last act,
//! so that the compiler saves no registers at their start: that is half of what an exit costs.

#![expect(unsafe_code, reason = "the vectors find these by name")]

use super::{
    bus,
    exits::guest_synchronous,
    fault,
    fdt::{GuestGic, GuestMap},
    gic::{Gic, Here, Kicks},
    stats::Reason,
    traps::hcr,
    vcpu::{Exit, Vcpu},
};
use crate::{
    cpu::switch::Next,
    isa::{encoding::Encoding, esr::Esr, sysreg::SysReg},
};

/// Addresses of a VM's device registers, and what never changes in one.
pub(super) struct Registers {
    gicd: u64,
    uart_flags: u64,
    /// GICD_TYPER.
    typer: u32,
}

impl Registers {
    pub(super) fn new(map: &GuestMap, gic: &Gic) -> Self {
        let (GuestGic::V2 { distributor, .. } | GuestGic::V3 { distributor, .. }) = map.gic;
        Self {
            gicd: distributor.0,
            uart_flags: map.uart.base + bus::UART_FLAGS,
            typer: gic.typer(),
        }
    }
}

/// Where GICD_ICENABLER<n> are, in units of 128 bytes.
const GICD_ICENABLERS: u64 = 0x180 >> 7;

/// Where a GICv2 has GICD_SGIR.
const GICD_SGIR: u64 = 0xf00;

/// Where an encoding has op0.
const OP0: u32 = 20;
const ICC_SGI1R_EL1: u32 = Encoding::new(3, 0, 12, 11, 5).iss();
const ACTLR_EL1: u32 = Encoding::new(3, 0, 1, 0, 1).iss();
const OSLAR_EL1: u32 = Encoding::new(2, 0, 1, 0, 4).iss();
const DC_ISW: u32 = Encoding::new(1, 0, 7, 6, 2).iss();
const DC_CSW: u32 = Encoding::new(1, 0, 7, 10, 2).iss();
const DC_CISW: u32 = Encoding::new(1, 0, 7, 14, 2).iss();

/// Answers a trapped MRS, MSR or system instruction. The assembly has x19 to x29 in the frame, and
/// takes them from there, when one of them is named.
// SAFETY: no other symbol has this name.
#[unsafe(no_mangle)]
// SAFETY: the section is code, which the linker keeps together.
#[unsafe(link_section = ".text.hot")]
pub(super) extern "C" fn guest_system_register(vcpu: &mut Vcpu, esr: u64) -> Next {
    let esr = Esr(esr);
    let (register, rt) = (esr.system_register(), esr.system_rt());
    if esr.system_is_read() {
        let value = match vcpu.vm.ids.read_iss(register) {
            Some(value) => value,
            None if register == ACTLR_EL1 => vcpu.read_sys_reg(SysReg::ACTLR_EL1),
            None => return guest_synchronous(vcpu, esr.0),
        };
        vcpu.frame.write(rt, value);
        return resume_at_next(vcpu, esr, Reason::Register);
    }
    let value = vcpu.frame.read(rt);
    // By op0 first: to compare with a whole encoding takes four instructions.
    let is_done = match register >> OP0 {
        3 if register == ICC_SGI1R_EL1 => return send_sgi(vcpu, esr, value),
        3 if register == ACTLR_EL1 => {
            vcpu.write_sys_reg(SysReg::ACTLR_EL1, value);
            true
        }
        2 => register == OSLAR_EL1 && vcpu.os_lock_stays(value),
        1 => is_set_way(register) && memory_is_clean(vcpu),
        _ => false,
    };
    if is_done {
        return resume_at_next(vcpu, esr, Reason::Register);
    }
    guest_synchronous(vcpu, esr.0)
}

/// Returns whether an instruction maintains a data cache by set and way.
#[inline(always)]
const fn is_set_way(register: u32) -> bool {
    matches!(register, DC_ISW | DC_CSW | DC_CISW)
}

/// Returns whether all of the guest's memory was cleaned already: until its caches are on, which
/// TVM tells EL2 of, that is enough.
#[inline(always)]
fn memory_is_clean(vcpu: &Vcpu) -> bool {
    vcpu.read_sys_reg(SysReg::RUN_HCR_EL2) & hcr::TVM != 0
}

#[inline(never)]
// SAFETY: the section is code, which the linker keeps together.
#[unsafe(link_section = ".text.hot")]
fn send_sgi(vcpu: &mut Vcpu, esr: Esr, value: u64) -> Next {
    let mut here = Here::new(vcpu.index, &mut vcpu.lists.system);
    let Some(kicks) = vcpu.vm.gic.lock().sgi1r_at_once(&mut here, value) else {
        return guest_synchronous(vcpu, esr.0);
    };
    resume_after_sgi(vcpu, esr, Reason::Register, kicks)
}

/// Goes on after an SGI that concerns these vCPUs.
#[inline(always)]
fn resume_after_sgi(vcpu: &mut Vcpu, esr: Esr, reason: Reason, kicks: Kicks) -> Next {
    if kicks.is_empty() {
        return resume_at_next(vcpu, esr, reason);
    }
    vcpu.count(reason);
    if !vcpu.sysregs_mut().skip_ordinary() {
        skip_unusual(vcpu, esr);
    }
    wake_others(vcpu, kicks)
}

#[cold]
#[inline(never)]
fn skip_unusual(vcpu: &mut Vcpu, esr: Esr) {
    vcpu.skip(esr);
}

/// Tells others that they have an SGI, and goes on: with the CPU's next turn, if one of them is in
/// its care.
#[inline(never)]
// SAFETY: the section is code, which the linker keeps together.
#[unsafe(link_section = ".text.hot")]
fn wake_others(vcpu: &mut Vcpu, kicks: Kicks) -> Next {
    if vcpu.vm.kick_or_end_turn(kicks) {
        vcpu.leave(Exit::Interrupted)
    } else {
        Next::resume(&mut vcpu.frame)
    }
}

/// Answers a data abort, with x19 to x29 as for [`guest_system_register`].
// SAFETY: no other symbol has this name.
#[unsafe(no_mangle)]
// SAFETY: the section is code, which the linker keeps together.
#[unsafe(link_section = ".text.hot")]
pub(super) extern "C" fn guest_data_abort(vcpu: &mut Vcpu, esr: u64) -> Next {
    /// ISV, SAS, SSE, S1PTW and the fault status but for its level.
    const KIND: u64 = 1 << 24 | 0b11 << 22 | 1 << 21 | 1 << 7 | 0b11_1100;
    /// A 32-bit access that a translation fault at stage 2 stopped.
    const WORD: u64 = 1 << 24 | 0b10 << 22 | 0b00_0100;
    const WRITE: u64 = 1 << 6;
    let rt = (esr >> 16 & 0x1f) as u8;
    if esr & KIND != WORD {
        return guest_synchronous(vcpu, esr);
    }
    let at = fault::ipa().as_u64();
    let registers = &vcpu.vm.registers;
    let gicd_offset = at.wrapping_sub(registers.gicd);
    let value = if esr & WRITE != 0 {
        if gicd_offset >> 7 == GICD_ICENABLERS {
            return write_distributor(vcpu, Esr(esr), gicd_offset as u32);
        }
        if gicd_offset == GICD_SGIR {
            return write_sgir(vcpu, Esr(esr));
        }
        return guest_synchronous(vcpu, esr);
    } else if gicd_offset == 4 {
        registers.typer
    } else if at == registers.uart_flags {
        vcpu.vm.uart.lock().flags()
    } else {
        return guest_synchronous(vcpu, esr);
    };
    vcpu.frame.write(rt, value.into());
    resume_at_next(vcpu, Esr(esr), Reason::Device)
}

/// Does a store to GICD_SGIR, by which GICv2's SGIs are sent and which GICv3 reserves.
#[inline(never)]
// SAFETY: the section is code, which the linker keeps together.
#[unsafe(link_section = ".text.hot")]
fn write_sgir(vcpu: &mut Vcpu, esr: Esr) -> Next {
    let value = vcpu.frame.read((esr.0 >> 16 & 0x1f) as u8);
    let kicks = match vcpu.lists.memory {
        Some(lists) => bus::write_sgir(vcpu, lists, value),
        None => Kicks::NONE,
    };
    resume_after_sgi(vcpu, esr, Reason::Device, kicks)
}

/// Does a store to GICD_ICENABLER<n>, by which interrupts are masked while they are handled.
#[inline(never)]
// SAFETY: the section is code, which the linker keeps together.
#[unsafe(link_section = ".text.hot")]
fn write_distributor(vcpu: &mut Vcpu, esr: Esr, offset: u32) -> Next {
    let value = vcpu.frame.read((esr.0 >> 16 & 0x1f) as u8) & 0xffff_ffff;
    bus::write_distributor(vcpu, offset, 4, value);
    resume_at_next(vcpu, esr, Reason::Device)
}

/// Goes on with the guest's next instruction.
#[inline(always)]
fn resume_at_next(vcpu: &mut Vcpu, esr: Esr, reason: Reason) -> Next {
    vcpu.count(reason);
    if vcpu.sysregs_mut().skip_ordinary() {
        Next::resume(&mut vcpu.frame)
    } else {
        resume_at_next_unusual(vcpu, esr)
    }
}

#[cold]
fn resume_at_next_unusual(vcpu: &mut Vcpu, esr: Esr) -> Next {
    vcpu.skip(esr);
    Next::resume(&mut vcpu.frame)
}
