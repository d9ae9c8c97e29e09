//! Cache maintenance by set and way, and the cache enables.
//!
//! Maintenance by set/way speaks of one CPU's cache, and a guest's lines may be in any: the
//! operation can't be passed through. What a guest wants of it is that memory holds what the caches
//! hold, around turning them on or off. So the first one cleans all of the guest's memory by
//! address, and from then on writes of the registers that control stage 1 are trapped
//! (HCR_EL2.TVM): when the guest changes its cache enables, in either direction, memory is cleaned
//! again. Once the caches are on the traps end, until the next operation by set/way.
//!
//! Cleaning is done a window at a time and gives way to interrupts of the machine: the vCPU then
//! leaves and goes on with it when it runs again. The guest itself does not run before it is done.

use super::{
    interrupts,
    memory::Cleaning,
    system::Detour,
    traps::hcr,
    vcpu::{Exit, Vcpu},
};
use crate::{
    cpu::regs,
    isa::{encoding::Encoding, sysreg::SysReg},
};

/// ISR_EL1: at EL2, the interrupts of the machine that are pending.
const ISR_EL1: u32 = Encoding::new(3, 0, 12, 1, 0).iss();

/// Does an operation by set/way.
///
/// # Errors
///
/// [`Detour::Clean`] for the first since the caches were on.
#[cold]
pub(super) fn maintained(vcpu: &mut Vcpu) -> Result<(), Detour> {
    let hcr = vcpu.read_sys_reg(SysReg::RUN_HCR_EL2);
    if hcr & hcr::TVM != 0 {
        return Ok(());
    }
    vcpu.write_sys_reg(SysReg::RUN_HCR_EL2, hcr | hcr::TVM);
    vcpu.cleaning = Some(Cleaning::default());
    Err(Detour::Clean)
}

/// Writes SCTLR_EL1 for a guest whose writes of it are trapped.
///
/// # Errors
///
/// [`Detour::Clean`] when that turned the caches on or off.
#[cold]
pub(super) fn write_sctlr(vcpu: &mut Vcpu, value: u64) -> Result<(), Detour> {
    let before = has_caches(vcpu.read_sys_reg(SysReg::SCTLR_EL1));
    let after = has_caches(value);
    vcpu.write_sys_reg(SysReg::SCTLR_EL1, value);
    if after {
        let hcr = vcpu.read_sys_reg(SysReg::RUN_HCR_EL2);
        vcpu.write_sys_reg(SysReg::RUN_HCR_EL2, hcr & !hcr::TVM);
    }
    if before == after {
        return Ok(());
    }
    vcpu.cleaning = Some(Cleaning::default());
    Err(Detour::Clean)
}

/// Returns whether data accesses of EL1 go through the caches: SCTLR_EL1.M and C.
const fn has_caches(sctlr: u64) -> bool {
    const M: u64 = 1 << 0;
    const C: u64 = 1 << 2;
    sctlr & (M | C) == M | C
}

impl Vcpu {
    /// Goes on with the cleaning that the guest waits for.
    ///
    /// # Errors
    ///
    /// What to leave with instead of running the guest: [`Exit::Interrupted`] after an interrupt of
    /// the machine came between.
    #[cold]
    pub(super) fn clean_memory(&mut self) -> Result<(), Exit> {
        while let Some(progress) = &mut self.cleaning {
            match self.vm.memory.clean_some(progress) {
                Ok(true) => self.cleaning = None,
                Ok(false) if regs::read::<ISR_EL1>() != 0 => {
                    // Whatever it says, the guest does not go on before its memory is clean.
                    let _ = interrupts::take(self);
                    return Err(Exit::Interrupted);
                }
                Ok(false) => {}
                Err(_) => return Err(Exit::Stopped(UNREACHABLE)),
            }
        }
        Ok(())
    }
}

const UNREACHABLE: &str = "its memory could not be reached to clean it";
