//! VMs that the boot loader put into memory, as a configuration.

use alloc::vec::Vec;

use super::vms::{
    DEFAULT_MEMORY, DEFAULT_ON_CRASH, DEFAULT_ON_REBOOT, MAX_CPUS, MEMORY_UNIT, MIN_MEMORY, size,
};
use super::{Config, File, Vm};
use crate::addr::PaRange;
use crate::board::Board;
use crate::board::modules::Guest;
use crate::error::Refusal;
use crate::refuse;
use crate::sched::DEFAULT_WEIGHT;

/// What the hypervisor's own arguments say of a guest about which the loader says nothing.
#[derive(Clone, Copy)]
struct Defaults {
    cpus: u32,
    memory: u64,
}

/// Makes the configuration of what the loader put into memory; `map` makes it readable.
///
/// # Errors
///
/// Refuses arguments of the hypervisor's that make no sense. What is wrong with a guest is
/// in the configuration.
pub(super) fn read<'a>(
    board: &Board,
    map: &dyn Fn(PaRange) -> Result<&'a [u8], Refusal>,
) -> Result<Config<'a>, Refusal> {
    let defaults = Defaults::read(&board.chosen.bootargs)?;
    let mut config = Config::default();
    for guest in &board.guests {
        let vm = guest.as_ref().map_err(Clone::clone).and_then(|guest| {
            let vm = vm(guest, board.cpus.len() as u32, defaults, map)
                .map_err(|refusal| refuse!("vm.{}: {refusal}", guest.name))?;
            if config.vms.iter().any(|other| other.name == vm.name) {
                return Err(refuse!("vm.{}: a second VM of that name", vm.name));
            }
            config.notes.extend_from_slice(&guest.notes);
            Ok(vm)
        });
        config.add(vm);
    }
    Ok(config)
}

impl Defaults {
    /// Reads `guest.cpus=` and `guest.memory=` among the hypervisor's arguments.
    fn read(bootargs: &str) -> Result<Self, Refusal> {
        let mut defaults = Self {
            cpus: 1,
            memory: DEFAULT_MEMORY,
        };
        for word in bootargs.split_ascii_whitespace() {
            let bad = || refuse!("bootargs: {word:?} makes no sense");
            if let Some(cpus) = word.strip_prefix("guest.cpus=") {
                defaults.cpus = cpus.parse().map_err(|_| bad())?;
            } else if let Some(memory) = word.strip_prefix("guest.memory=") {
                defaults.memory = size(memory).ok_or_else(bad)?;
            }
        }
        Ok(defaults)
    }
}

fn vm<'a>(
    guest: &Guest,
    host_cpus: u32,
    defaults: Defaults,
    map: &dyn Fn(PaRange) -> Result<&'a [u8], Refusal>,
) -> Result<Vm<'a>, Refusal> {
    let cpus = guest.cpus.unwrap_or(defaults.cpus);
    if !(1..=MAX_CPUS).contains(&cpus) {
        return Err(refuse!("cpus is {cpus}, but a VM has 1 to {MAX_CPUS}"));
    }
    let memory = guest.memory.unwrap_or(defaults.memory);
    let memory = match memory.checked_next_multiple_of(MEMORY_UNIT) {
        Some(memory) if memory >= MIN_MEMORY => memory,
        _ => {
            return Err(refuse!(
                "memory is {} KiB, but a VM has at least 16 MiB",
                memory >> 10
            ));
        }
    };
    let file = |name, range: PaRange| {
        Ok(File {
            name,
            bytes: map(range)?,
        })
    };
    let optional = |name, range: Option<PaRange>| range.map(|range| file(name, range)).transpose();
    Ok(Vm {
        name: guest.name.clone(),
        kernel: file("the kernel module", guest.kernel)?,
        ramdisk: optional("the ramdisk module", guest.ramdisk)?,
        dtb: optional("the device tree module", guest.dtb)?,
        bootargs: guest.bootargs.clone(),
        cpus,
        memory,
        pin: pins(&guest.affinities, cpus, host_cpus)?,
        load: None,
        aarch32: false,
        weight: DEFAULT_WEIGHT,
        background: false,
        on_reboot: DEFAULT_ON_REBOOT,
        on_crash: DEFAULT_ON_CRASH,
    })
}

/// Chooses a physical CPU for each virtual one: of those it is bound to, the lowest that no
/// other one of the VM has yet; for one that isn't bound, the lowest of all.
///
/// Nothing is chosen where nothing is bound.
fn pins(bound: &[(u32, Vec<u32>)], cpus: u32, host_cpus: u32) -> Result<Vec<u32>, Refusal> {
    if bound.is_empty() {
        return Ok(Vec::new());
    }
    if let Some((id, _)) = bound.iter().find(|&&(id, _)| id >= cpus) {
        return Err(refuse!("vCPU {id} is bound, but there are {cpus}"));
    }
    let mut pins = Vec::new();
    let all: Vec<u32> = (0..host_cpus).collect();
    for vcpu in 0..cpus {
        let allowed = bound.iter().find(|&&(id, _)| id == vcpu);
        let allowed = allowed.map_or(&all, |(_, cpus)| cpus);
        if let Some(cpu) = allowed.iter().find(|&&cpu| cpu >= host_cpus) {
            return Err(refuse!(
                "vCPU {vcpu} is bound to CPU {cpu}, and the machine has CPUs 0 to {}",
                host_cpus.saturating_sub(1)
            ));
        }
        let free = allowed.iter().find(|cpu| !pins.contains(*cpu));
        pins.extend(free.or(allowed.first()));
    }
    Ok(pins)
}

#[cfg(test)]
mod tests;
