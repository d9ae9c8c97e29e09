//! Which of a VM's vCPUs are on, for several of them to ask and change at once.
//!
//! A vCPU's state is one atomic word, and a vCPU is turned on in three steps by two parties:
//! somebody *claims* it (of many who try at once, one wins), *publishes* where it starts, and the
//! vCPU itself *arrives*. Between claim and arrival others are told that it is pending. Only the
//! vCPU turns itself off.

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::unwrap_used,
        clippy::panic
    )
)]

#[cfg(test)]
mod tests;

use crate::{
    isa::{
        affinity::Affinity,
        psci::Error,
        sysreg::{self, Class, SysReg},
    },
    vm::{smccc::Start, sysregs::SysRegs, vcpu::Vcpu},
};
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// A vCPU's state as AFFINITY_INFO gives it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Power {
    /// It runs, or could.
    On = 0,
    /// It waits to be turned on.
    Off = 1,
    /// It was turned on and has not arrived.
    OnPending = 2,
}

const ON: u8 = Power::On as u8;
const OFF: u8 = Power::Off as u8;
const ON_PENDING: u8 = Power::OnPending as u8;
/// Claimed, and where it starts is being written: pending to all but the vCPU itself.
const CLAIMED: u8 = 3;

/// One vCPU's power switch.
#[derive(Debug)]
pub struct Switch {
    affinity: Affinity,
    state: AtomicU8,
    entry: AtomicU64,
    context: AtomicU64,
    rest: [AtomicU64; 2],
}

/// The right to start a vCPU, which one of those who tried to turn it on has.
#[derive(Debug)]
#[must_use = "until it is published the vCPU stays pending"]
pub struct Claim<'a>(&'a Switch);

impl Switch {
    /// Makes the switch of the vCPU with this affinity, off.
    pub const fn new(affinity: Affinity) -> Self {
        Self {
            affinity,
            state: AtomicU8::new(OFF),
            entry: AtomicU64::new(0),
            context: AtomicU64::new(0),
            rest: [const { AtomicU64::new(0) }; 2],
        }
    }

    /// Returns whose switch it is.
    pub const fn affinity(&self) -> Affinity {
        self.affinity
    }

    /// Returns the state as others see it.
    pub fn power(&self) -> Power {
        match self.state.load(Ordering::Acquire) {
            ON => Power::On,
            OFF => Power::Off,
            _ => Power::OnPending,
        }
    }

    /// Claims a vCPU that is off, to start it.
    ///
    /// # Errors
    ///
    /// ALREADY_ON, or ON_PENDING when somebody else was first.
    pub fn claim(&self) -> Result<Claim<'_>, Error> {
        // Acquire: what the vCPU wrote before it went off is seen by who turns it on.
        let order = (Ordering::Acquire, Ordering::Relaxed);
        match self.state.compare_exchange(OFF, CLAIMED, order.0, order.1) {
            Ok(_) => Ok(Claim(self)),
            Err(ON) => Err(Error::AlreadyOn),
            Err(_) => Err(Error::OnPending),
        }
    }

    /// Arrives, if this vCPU was turned on; returns where it starts. For the vCPU itself.
    pub fn arrive(&self) -> Option<Start> {
        // Acquire: pairs with the release that published the start.
        self.state
            .compare_exchange(ON_PENDING, ON, Ordering::Acquire, Ordering::Relaxed)
            .ok()?;
        Some(Start {
            entry: self.entry.load(Ordering::Relaxed),
            context: self.context.load(Ordering::Relaxed),
            rest: self.rest.each_ref().map(|x| x.load(Ordering::Relaxed)),
        })
    }

    /// Turns off. For the vCPU itself, as the last thing it does: from here on another may start
    /// it anew.
    pub fn turn_off(&self) {
        self.state.store(OFF, Ordering::Release);
    }
}

impl Claim<'_> {
    /// Says where the vCPU starts. The caller then wakes whoever runs it.
    pub fn publish(self, start: Start) {
        self.0.entry.store(start.entry, Ordering::Relaxed);
        self.0.context.store(start.context, Ordering::Relaxed);
        for (x, value) in self.0.rest.iter().zip(start.rest) {
            x.store(value, Ordering::Relaxed);
        }
        self.0.state.store(ON_PENDING, Ordering::Release);
    }
}

/// Turns a vCPU on (CPU_ON); returns its index, for the caller to wake it.
///
/// # Errors
///
/// INVALID_PARAMETERS when there is no such vCPU, ALREADY_ON, ON_PENDING.
pub fn cpu_on(switches: &[Switch], target: Affinity, start: Start) -> Result<usize, Error> {
    let (index, switch) = switches
        .iter()
        .enumerate()
        .find(|(_, switch)| switch.affinity == target)
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
        .filter(|switch| switch.affinity.same_instance(target, level))
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
            Class::Deferred | Class::MemoryOnly if !is_timer => {
                regs.write(reg, reg.reset(aarch32));
            }
            Class::Deferred32 if aarch32 => regs.write(reg, reg.reset(aarch32)),
            _ => {}
        }
    }
    regs.set_start(entry);
    regs.load();
}
