//! What the hypervisor's console asks of the VMs.

use super::{GUESTS, News, with};
use crate::{
    boot::cpus,
    dev::power::Last,
    error::Refusal,
    refuse,
    vm::{Ending, Vm},
};
use alloc::{sync::Arc, vec::Vec};

/// Returns the VMs that run.
pub fn running() -> Vec<Arc<Vm>> {
    with(|guests| Ok(guests.running.iter().map(|r| r.vm.clone()).collect())).unwrap_or_default()
}

/// Returns how much of the machine's RAM no VM has, in bytes.
pub fn free_bytes() -> u64 {
    with(|guests| Ok(guests.frames.free_bytes())).unwrap_or_default()
}

/// Returns what is known of the VMs that are being made.
pub fn starting() -> Vec<Arc<News>> {
    with(|guests| Ok(guests.starting.iter().map(|s| s.news.clone()).collect())).unwrap_or_default()
}

/// Returns the VM of this name, if it runs.
pub fn named(name: &str) -> Option<Arc<Vm>> {
    running().into_iter().find(|vm| vm.name == name)
}

/// Moves a vCPU to another CPU.
///
/// # Errors
///
/// A refusal when there is no such vCPU or no such CPU.
pub fn move_vcpu(name: &str, vcpu: usize, cpu: usize) -> Result<(), Refusal> {
    let vm = named(name).ok_or_else(|| refuse!("no VM named {name:?} runs"))?;
    if vcpu >= vm.switches.len() {
        return Err(refuse!(
            "{name} has vCPUs 0 to {}",
            vm.switches.len().saturating_sub(1)
        ));
    }
    if cpu >= cpus::online() {
        return Err(refuse!(
            "the machine has CPUs 0 to {}",
            cpus::online().saturating_sub(1)
        ));
    }
    vm.ask_move(vcpu, cpu);
    Ok(())
}

fn end(name: &str, ending: Ending) -> Result<(), Refusal> {
    if let Some(news) = starting().into_iter().find(|news| news.name == name) {
        if ending == Ending::Off {
            news.cancel();
            return Ok(());
        }
        return Err(refuse!("{name} is being started"));
    }
    let vm = named(name).ok_or_else(|| refuse!("no VM named {name:?} runs"))?;
    vm.end(ending);
    // vCPUs that stand still leave as all do.
    crate::debugger::forget(&vm);
    Ok(())
}

/// Stops a VM.
///
/// # Errors
///
/// A refusal when it does not run.
pub fn stop(name: &str) -> Result<(), Refusal> {
    end(name, Ending::Off)
}

/// Stops a VM and starts it anew.
///
/// # Errors
///
/// A refusal when it does not run.
pub fn restart(name: &str) -> Result<(), Refusal> {
    end(name, Ending::Restart)
}

/// Stops all VMs; with the last, this becomes of the machine.
pub fn stop_all(last: Last) {
    if let Some(guests) = GUESTS.lock().as_mut() {
        guests.last = last;
        guests.stop_all();
    }
}

/// Starts a VM of the bundle that does not run.
///
/// # Errors
///
/// A refusal when there is none of this name, when it runs, or when it can't be made.
pub fn start_by_name(name: &str) -> Result<(), Refusal> {
    with(|guests| {
        let mut vms = guests.config.vms.iter();
        let number = vms
            .position(|vm| vm.name == name)
            .ok_or_else(|| refuse!("the bundle has no VM named {name:?}"))?;
        if guests
            .running
            .iter()
            .any(|running| running.number == number)
        {
            return Err(refuse!("{name} runs already"));
        }
        if guests.starting.iter().any(|it| it.number == number) {
            return Err(refuse!("{name} is being started"));
        }
        if guests.is_ending {
            return Err(refuse!("all VMs are being stopped"));
        }
        guests.begin(number, 0)
    })
}
