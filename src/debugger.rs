//! Debugging a guest from outside, without its doing: what a debugger's stub stands on.
//!
//! A [`Debugger`] makes a VM stand still ([`Debugger::halt`]), looks at its vCPUs and changes them
//! ([`Debugger::with_vcpu`]: all of a vCPU's state is in memory then), sets breakpoints and
//! watchpoints, and lets it go on, all vCPUs or one by a single instruction. The VM stands still again
//! when one of them meets something ([`Debugger::stops`]).
//!
//! The guest notices nothing but the time: the CPU's breakpoints are the hypervisor's meanwhile, and
//! what the guest itself writes to its debug registers is kept in memory. Its own breakpoints and single
//! steps do nothing until the debugger is gone; its BRK instructions work.

#[cfg(target_os = "none")]
pub mod commands;
#[cfg(target_os = "none")]
pub use commands::{forget, halted};

use crate::vm::{
    Vm,
    debug::{
        control::Parked,
        session::{Plan, Stop, Watch},
    },
    vcpu::Vcpu,
};
use alloc::{sync::Arc, vec::Vec};

/// All breakpoints, or all watchpoints, of the CPU are in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoneLeft;

/// A debugger of one VM.
///
/// What it changes takes effect when the VM goes on. `give` in its functions hands a vCPU back to its
/// CPU.
pub struct Debugger {
    vm: Arc<Vm>,
    plan: Plan,
}

impl Debugger {
    /// Makes the debugger of a VM. The VM runs on until [`Debugger::halt`].
    pub fn new(vm: &Arc<Vm>) -> Self {
        Self {
            vm: vm.clone(),
            plan: Plan::default(),
        }
    }

    /// Returns the VM.
    pub const fn vm(&self) -> &Arc<Vm> {
        &self.vm
    }

    /// Asks for the VM to stand still. It does as soon as all CPUs have handed their vCPUs over:
    /// [`Debugger::is_halted`].
    pub fn halt(&self) {
        self.vm.halt();
    }

    /// Returns whether the VM stands still.
    pub fn is_halted(&self) -> bool {
        self.vm.is_halted()
    }

    /// Returns which vCPUs stopped by themselves, and why.
    pub fn stops(&self) -> Vec<(usize, Stop)> {
        let all = 0..self.vm.switches.len();
        all.filter_map(|index| Some((index, self.with_vcpu(index, |vcpu| vcpu.debug_stop())??)))
            .collect()
    }

    /// Lets `f` look at a vCPU and change it; nothing happens where it does not stand still.
    pub fn with_vcpu<R>(&self, index: usize, f: impl FnOnce(&mut Vcpu) -> R) -> Option<R> {
        self.vm.with_parked(index, f)
    }

    /// Stops the VM before the instruction at this virtual address.
    ///
    /// # Errors
    ///
    /// [`NoneLeft`].
    pub fn break_at(&mut self, address: u64) -> Result<(), NoneLeft> {
        let most = self.vm.debug_registers().0;
        add(&mut self.plan.breakpoints, address, most)
    }

    /// Does not stop it there any more.
    pub fn do_not_break_at(&mut self, address: u64) {
        self.plan.breakpoints.retain(|&it| it != address);
    }

    /// Stops the VM before accesses to a range.
    ///
    /// # Errors
    ///
    /// [`NoneLeft`].
    pub fn watch(&mut self, range: Watch) -> Result<(), NoneLeft> {
        let most = self.vm.debug_registers().1;
        add(&mut self.plan.watchpoints, range, most)
    }

    /// Does not stop it there any more.
    pub fn do_not_watch(&mut self, range: Watch) {
        self.plan.watchpoints.retain(|&it| it != range);
    }

    /// Stops the VM nowhere any more.
    pub fn clear(&mut self) {
        self.plan = Plan::default();
    }

    /// Lets the VM, which stands still, go on until it meets something.
    pub fn go(&self, give: impl FnMut(Parked)) {
        self.give_back(None, false, give);
    }

    /// Lets one vCPU do one instruction; the others stand still.
    pub fn step(&self, index: usize, give: impl FnMut(Parked)) {
        self.give_back(Some(index), true, give);
    }

    fn give_back(&self, which: Option<usize>, step: bool, mut give: impl FnMut(Parked)) {
        for mut parked in self.vm.unpark(which) {
            parked.vcpu.debug_by(self.plan.clone());
            parked.vcpu.debug_go(step);
            give(parked);
        }
    }

    /// Lets the VM go on undisturbed; it need not stand still completely.
    pub fn detach(self, mut give: impl FnMut(Parked)) {
        for mut parked in self.vm.unpark(None) {
            parked.vcpu.debug_no_more();
            give(parked);
        }
    }
}

fn add<T: PartialEq>(list: &mut Vec<T>, new: T, most: u8) -> Result<(), NoneLeft> {
    if list.contains(&new) {
        return Ok(());
    }
    if list.len() >= most.into() {
        return Err(NoneLeft);
    }
    list.push(new);
    Ok(())
}
