//! Trapped system registers and instructions: what the guest reads, and what a write does.

use super::{debug::Access, setway, vcpu::Vcpu};
use crate::{
    error::GuestError,
    isa::{encoding::Encoding, esr::Esr, sysreg::SysReg},
};

/// Why the guest does not go on with its next instruction at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Detour {
    /// The access was refused.
    Refused(GuestError),
    /// The access was done, and the guest's memory must be cleaned first.
    Clean,
    /// The access was not done: the CPU's loop gives the guest what it needs to do it itself.
    Again,
    /// The access was done, and the CPU's loop must look at what changed.
    LookUp,
}

impl From<GuestError> for Detour {
    fn from(error: GuestError) -> Self {
        Self::Refused(error)
    }
}

macro_rules! encodings {
    ($($name:ident = $op0:literal $op1:literal $crn:literal $crm:literal $op2:literal;)*) => {
        $(const $name: Encoding = Encoding::new($op0, $op1, $crn, $crm, $op2);)*
    };
}
encodings! {
    ICC_SGI1R_EL1 = 3 0 12 11 5;
    ICC_ASGI1R_EL1 = 3 0 12 11 6;
    ICC_SGI0R_EL1 = 3 0 12 11 7;
    ICC_DIR_EL1 = 3 0 12 11 1;
    OSLAR_EL1 = 2 0 1 0 4;
    OSDLR_EL1 = 2 0 1 3 4;
    DBGPRCR_EL1 = 2 0 1 4 4;
    DBGCLAIMSET_EL1 = 2 0 7 8 6;
    DBGAUTHSTATUS_EL1 = 2 0 7 14 6;
    MDRAR_EL1 = 2 0 1 0 0;
    MDCCSR_EL0 = 2 3 0 1 0;
    DBGDTR_EL0 = 2 3 0 4 0;
    DBGDTRRX_EL0 = 2 3 0 5 0;
    OSDTRRX_EL1 = 2 0 0 0 2;
    OSDTRTX_EL1 = 2 0 0 3 2;
    OSECCR_EL1 = 2 0 0 6 2;
    DC_ISW = 1 0 7 6 2;
    DC_CSW = 1 0 7 10 2;
    DC_CISW = 1 0 7 14 2;
}

/// op0 of the debug registers.
const DEBUG: u8 = 2;

/// Does a trapped MRS, MSR or system instruction.
///
/// # Errors
///
/// [`GuestError::Undefined`] for what the guest does not have; [`Detour::Clean`].
#[inline(always)]
pub(super) fn access(vcpu: &mut Vcpu, esr: Esr) -> Result<(), Detour> {
    let encoding = Encoding::from_iss(esr.system_register());
    let rt = esr.system_rt();
    if encoding.op0 == DEBUG && vcpu.debug_access(encoding) == Access::Again {
        return Err(Detour::Again);
    }
    if esr.system_is_read() {
        let value = match vcpu.vm.ids.read(encoding) {
            Some(value) => value,
            None => read(vcpu, encoding)?,
        };
        vcpu.frame.write(rt, value);
        return Ok(());
    }
    let value = vcpu.frame.read(rt);
    if encoding == ICC_SGI1R_EL1 {
        vcpu.with_gic(|gic, here| gic.sgi1r(here, value));
        return Ok(());
    }
    write(vcpu, encoding, value)
}

/// Reads what a trapped MRS names, unless it is an ID register.
///
/// # Errors
///
/// [`GuestError::Undefined`] for what the guest does not have.
pub(super) fn read(vcpu: &Vcpu, encoding: Encoding) -> Result<u64, GuestError> {
    match SysReg::from_encoding(encoding) {
        Some(reg) if vcpu.vm.shown.is_guests(reg) => return Ok(vcpu.sysregs().read_any(reg)),
        _ => {}
    }
    match encoding {
        // Nobody is at the other end of the channel, there is no double lock, no ROM table and no
        // external debug; no power-down is emulated.
        MDCCSR_EL0 | DBGDTR_EL0 | DBGDTRRX_EL0 | OSDTRRX_EL1 | OSDTRTX_EL1 | OSECCR_EL1
        | MDRAR_EL1 | OSDLR_EL1 | DBGPRCR_EL1 | DBGAUTHSTATUS_EL1 => Ok(0),
        // All eight claim tags are implemented.
        DBGCLAIMSET_EL1 => Ok(0xff),
        _ => undefined(vcpu, encoding, "read"),
    }
}

/// Does what a trapped MSR or system instruction names.
///
/// # Errors
///
/// As [`access`].
pub(super) fn write(vcpu: &mut Vcpu, encoding: Encoding, value: u64) -> Result<(), Detour> {
    match SysReg::from_encoding(encoding) {
        Some(SysReg::OSLSR_EL1) | None => {}
        Some(SysReg::DBGCLAIMCLR_EL1) => {
            vcpu.change_claim(|tags| tags & !value);
            return Ok(());
        }
        Some(SysReg::SCTLR_EL1) => return setway::write_sctlr(vcpu, value),
        Some(reg) if vcpu.vm.shown.is_guests(reg) => {
            // What is kept in memory may come to the CPU later.
            let is_debug = encoding.op0 == DEBUG;
            let value = if is_debug {
                reg.info().settle(value)
            } else {
                value
            };
            vcpu.sysregs_mut().write_any(reg, value);
            return Ok(());
        }
        Some(_) => {}
    }
    match encoding {
        ICC_SGI1R_EL1 => vcpu.with_gic(|gic, here| gic.sgi1r(here, value)),
        ICC_SGI0R_EL1 => vcpu.with_gic(|gic, here| gic.sgi0r(here, value)),
        ICC_ASGI1R_EL1 => vcpu.with_gic(|gic, here| gic.asgi1r(here, value)),
        ICC_DIR_EL1 => vcpu.with_gic(|gic, here| gic.dir(here, value)),
        OSLAR_EL1 if vcpu.write_os_lock(value) => return Err(Detour::LookUp),
        OSLAR_EL1 => {}
        DBGCLAIMSET_EL1 => vcpu.change_claim(|tags| tags | value & 0xff),
        DBGDTR_EL0 | DBGDTRRX_EL0 | OSDTRRX_EL1 | OSDTRTX_EL1 | OSECCR_EL1 | OSDLR_EL1
        | DBGPRCR_EL1 => {}
        DC_ISW | DC_CSW | DC_CISW => setway::maintained(vcpu)?,
        _ => _ = undefined(vcpu, encoding, "write")?,
    }
    Ok(())
}

impl Vcpu {
    /// Sets or clears the guest's claim tags, which are in memory.
    fn change_claim(&mut self, change: impl FnOnce(u64) -> u64) {
        let tags = self.read_sys_reg(SysReg::DBGCLAIMCLR_EL1);
        self.write_sys_reg(SysReg::DBGCLAIMCLR_EL1, change(tags));
    }
}

#[cold]
fn undefined(vcpu: &Vcpu, e: Encoding, what: &str) -> Result<u64, GuestError> {
    vcpu.note_undefined(format_args!(
        "{what} of a register it does not have, S{}_{}_C{}_C{}_{}, at {:#x}",
        e.op0,
        e.op1,
        e.crn,
        e.crm,
        e.op2,
        vcpu.sysregs().pc()
    ));
    Err(GuestError::Undefined)
}
