//! Which of a VM's vCPUs are on, for several of them to ask and change at once.

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::unwrap_used,
        clippy::panic
    )
)]

mod switch;
#[cfg(test)]
mod tests;

pub use switch::{Claim, Power, Switch};

use crate::{
    isa::{
        affinity::Affinity,
        psci::Error,
        sysreg::{self, Class, SysReg},
    },
    vm::{smccc::Start, sysregs::SysRegs, vcpu::Vcpu},
};

/// Turns a vCPU on (CPU_ON); returns its index, for the caller to wake it.
///
/// # Errors
///
/// INVALID_PARAMETERS when there is no such vCPU, ALREADY_ON, ON_PENDING.
pub fn cpu_on(switches: &[Switch], target: Affinity, start: Start) -> Result<usize, Error> {
    let (index, switch) = switches
        .iter()
        .enumerate()
        .find(|(_, switch)| switch.affinity() == target)
        .ok_or(Error::InvalidParameters)?;
    switch.claim()?.publish(start);
    Ok(index)
}

/// Tells what is on (AFFINITY_INFO): of all vCPUs that agree with `target` in the affinity fields
/// from `level` up, on when one is, else pending when one is, else off.
///
/// # Errors
///
/// INVALID_PARAMETERS when there is none.
pub fn affinity_info(switches: &[Switch], target: Affinity, level: u32) -> Result<Power, Error> {
    switches
        .iter()
        .filter(|switch| switch.affinity().same_instance(target, level))
        .map(Switch::power)
        .min_by_key(|power| match power {
            Power::On => 0,
            Power::OnPending => 1,
            Power::Off => 2,
        })
        .ok_or(Error::InvalidParameters)
}

/// Returns whether every vCPU is off: nothing in the VM can turn one on again.
pub fn all_off(switches: &[Switch]) -> bool {
    switches.iter().all(|switch| switch.power() == Power::Off)
}

/// Returns the x0 a call gives: the code of the error, or what `success` makes of the result.
pub fn answer<T>(result: Result<T, Error>, success: impl FnOnce(T) -> u64) -> u64 {
    result.map_or_else(Error::code, success)
}

impl Vcpu {
    /// Starts this vCPU anew, for the caller to let it wait for an interrupt first
    /// (SYSTEM_SUSPEND). The general registers but x0 stay: PSCI promises nothing of them.
    ///
    /// # Errors
    ///
    /// DENIED when another vCPU is on, or about to be.
    pub(super) fn suspend_system(&mut self, start: Start) -> Result<(), Error> {
        let mut others = (0..).zip(&self.vm.switches);
        if others.any(|(n, switch)| n != self.index && switch.power() != Power::Off) {
            return Err(Error::Denied);
        }
        self.put_fp();
        restart(self.sysregs_mut(), start.entry);
        self.frame.write(0, start.context);
        Ok(())
    }
}

/// Puts the registers of a loaded vCPU back to reset, but for those that say which vCPU it is, and
/// for its timers: the device tree calls them always on.
fn restart(regs: &mut SysRegs, entry: u64) {
    let aarch32 = regs.is_aarch32();
    regs.put();
    for reg in sysreg::ALL {
        let is_timer = matches!(reg, SysReg::CNTV_CVAL_EL0 | SysReg::CNTP_CVAL_EL0);
        match reg.class() {
            Class::Deferred | Class::MemoryOnly if !is_timer && regs.has(reg) => {
                regs.write_any(reg, reg.reset(aarch32));
            }
            Class::Deferred32 if aarch32 => regs.write_any(reg, reg.reset(aarch32)),
            _ => {}
        }
    }
    regs.set_start(entry);
    regs.load();
}
