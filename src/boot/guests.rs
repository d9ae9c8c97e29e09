//! Guests: from the bundle's list to running vCPUs.

mod make;

use super::{cpus, entropy::Source, memory};
use crate::{
    addr::PaRange,
    board::Board,
    config::{Config, sources},
    dev::{console, psci::Psci},
    error::Refusal,
    mem::{
        frames::{Frames, Owner},
        stage1,
        stage2::Stage2,
        table::heap_tables::HeapTables,
    },
    refuse,
    sync::SpinLock,
    vm::{Ending, Vm, host::Host, input, pvtime, vcpu::Vcpu},
};
use alloc::{boxed::Box, sync::Arc, vec::Vec};
use make::{ThisMachine, check_state, make_vm};

/// Reads what VMs there are; says what is wrong with those that can't be had.
pub fn bundle(board: &Board) -> Result<Config<'static>, Refusal> {
    let config = sources::read(board, |range| {
        stage1::map_boot_data(range).map_err(memory::refusal)
    })?;
    config.notes.iter().for_each(|note| log::warn!("{note}"));
    for refusal in &config.refused {
        log::error!("{refusal}");
    }
    if config.vms.is_empty() {
        return Err(refuse!("no VM can be started"));
    }
    Ok(config)
}

/// A VM that runs, and what has to be given back when it ends.
struct Running {
    vm: Arc<Vm>,
    /// Its place in the bundle's list.
    number: usize,
    stage2: Stage2<HeapTables<ThisMachine>>,
    memory: Memory,
}

/// The frames that a VM has.
struct Memory {
    vmid: u16,
    ram: Vec<PaRange>,
    stolen_time: PaRange,
}

/// All guests, and what new ones are made of.
struct Guests {
    config: Config<'static>,
    host: Arc<Host>,
    frames: Frames,
    entropy: Source,
    psci: Option<Psci>,
    /// The time of day at count 0, in seconds since 1970.
    time_at_count_0: u64,
    running: Vec<Running>,
    /// The CPU that the next vCPU goes to when its owner did not say.
    next_cpu: usize,
}

static GUESTS: SpinLock<Option<Guests>> = SpinLock::new(None);

/// Makes the VMs of the bundle and starts them. Those that can't be made are left out, with a line
/// each; with none left there is a refusal.
pub fn start(
    config: Config<'static>,
    host: &Arc<Host>,
    frames: Frames,
    entropy: Source,
    psci: Option<Psci>,
    time_at_count_0: u64,
) -> Result<(), Refusal> {
    let count = config.vms.len();
    // Held until all are made: one that ends before the last is made has to wait for its clearing up.
    let mut all = GUESTS.lock();
    let guests = all.insert(Guests {
        config,
        host: host.clone(),
        frames,
        entropy,
        psci,
        time_at_count_0,
        running: Vec::new(),
        next_cpu: 0,
    });
    for number in 0..count {
        match guests.start(number) {
            Err(refusal) if count == 1 => return Err(refusal),
            Err(refusal) => log::error!("{refusal}"),
            Ok(()) => {}
        }
    }
    if guests.running.is_empty() {
        return Err(refuse!("no guest could be started"));
    }
    Ok(())
}

/// Clears up after a VM whose last vCPU stopped: starts it anew if it asked for that, and turns the
/// machine off after the last.
pub fn ended(vm: &Arc<Vm>) {
    let mut guests = GUESTS.lock();
    if let Some(guests) = guests.as_mut() {
        guests.ended(vm);
    }
}

fn with<R>(f: impl FnOnce(&mut Guests) -> Result<R, Refusal>) -> Result<R, Refusal> {
    match GUESTS.lock().as_mut() {
        Some(guests) => f(guests),
        None => Err(refuse!("the VMs are being made")),
    }
}

/// Returns the VMs that run.
pub fn running() -> Vec<Arc<Vm>> {
    with(|guests| Ok(guests.running.iter().map(|r| r.vm.clone()).collect())).unwrap_or_default()
}

/// Returns the VM of this name, if it runs.
pub fn named(name: &str) -> Option<Arc<Vm>> {
    running().into_iter().find(|vm| vm.name == name)
}

fn end(name: &str, ending: Ending) -> Result<(), Refusal> {
    let vm = named(name).ok_or_else(|| refuse!("no VM named {name:?} runs"))?;
    vm.end(ending);
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
    end(name, Ending::Reset)
}

/// Stops all VMs; with the last, the machine goes off.
pub fn stop_all() {
    for vm in running() {
        vm.end(Ending::Off);
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
        guests.start(number)
    })
}

impl Guests {
    fn start(&mut self, number: usize) -> Result<(), Refusal> {
        let name = self.config.vms[number].name.clone();
        let (running, vcpus) = self
            .make(number)
            .map_err(|refusal| refuse!("vm.{name}: {refusal}"))?;
        if input::reader().is_none() {
            input::give_to(&running.vm, false);
        }
        self.running.push(running);
        console::show_names(self.running.len() > 1);
        let pins = self.config.vms[number].pin.clone();
        for (n, vcpu) in vcpus.into_iter().enumerate() {
            let cpu = match pins.get(n) {
                Some(&pin) => pin as usize,
                None => self.any_cpu(),
            };
            cpus::hand_over(&self.host, cpu, vcpu);
        }
        Ok(())
    }

    fn any_cpu(&mut self) -> usize {
        let cpu = self.next_cpu;
        self.next_cpu = (cpu + 1) % cpus::online();
        cpu
    }

    fn make(&mut self, number: usize) -> Result<(Running, Vec<Box<Vcpu>>), Refusal> {
        let vmid = self.free_vmid()?;
        let config = &self.config.vms[number];
        config.check_machine(cpus::online() as u32, self.frames.free_bytes())?;
        check_state(config, &self.host)?;
        let online = cpus::online();
        if config.cpus as usize > online {
            log::info!(
                "vm.{}: its {} vCPUs share {online} of the machine's CPUs",
                config.name,
                config.cpus
            );
        }
        let memory = self.allocate(vmid, config.memory, config.cpus)?;
        let config = &self.config.vms[number];
        let made = make_vm(
            config,
            &memory,
            &self.host,
            &self.frames,
            &mut self.entropy,
            self.time_at_count_0,
        );
        match made {
            Ok((vm, stage2)) => {
                let vcpus = (0..vm.switches.len()).map(|n| Vcpu::new(&vm, n)).collect();
                let running = Running {
                    vm,
                    number,
                    stage2,
                    memory,
                };
                Ok((running, vcpus))
            }
            Err(refusal) => {
                self.give_back(&memory);
                Err(refusal)
            }
        }
    }

    /// Takes the frames of a VM.
    fn allocate(&mut self, vmid: u16, size: u64, cpus: u32) -> Result<Memory, Refusal> {
        let owner = Owner::Vm(vmid);
        let stolen_time = self
            .frames
            .allocate(pvtime::size(cpus), owner)
            .map_err(|error| refuse!("no memory for its stolen time: {error}"))?;
        let ram = self.frames.allocate_blocks(size, owner);
        let memory = Memory {
            vmid,
            ram: ram.as_ref().cloned().unwrap_or_default(),
            stolen_time,
        };
        if ram.is_err() {
            self.give_back(&memory);
            return Err(refuse!(
                "it wants {} MiB of RAM, and {} MiB are free",
                size >> 20,
                self.frames.free_bytes() >> 20
            ));
        }
        Ok(memory)
    }

    /// Returns a VMID that no VM has. 0 is never used: it is what VTTBR_EL2 holds before the first.
    fn free_vmid(&self) -> Result<u16, Refusal> {
        (1..=u16::MAX)
            .find(|&vmid| {
                self.running
                    .iter()
                    .all(|running| running.memory.vmid != vmid)
            })
            .ok_or_else(|| refuse!("there are as many VMs as there are VMIDs"))
    }

    fn give_back(&mut self, memory: &Memory) {
        for &block in memory.ram.iter().chain([&memory.stolen_time]) {
            if let Err(error) = self.frames.free(block, Owner::Vm(memory.vmid)) {
                log::error!("the RAM at {block} is lost: {error:?}");
            }
        }
    }

    fn ended(&mut self, vm: &Arc<Vm>) {
        let Some(place) = self.running.iter().position(|r| Arc::ptr_eq(&r.vm, vm)) else {
            return;
        };
        let was_in_front = input::reader().is_some_and(|front| Arc::ptr_eq(&front, vm));
        let Running {
            number,
            stage2,
            memory,
            ..
        } = self.running.remove(place);
        // The tables go first: until then a CPU could still reach the frames.
        drop(stage2);
        self.give_back(&memory);
        match vm.ending() {
            Some(Ending::Reset) => {
                log::info!("{}: starts anew", vm.name);
                if let Err(refusal) = self.start(number) {
                    log::error!("{refusal}");
                }
            }
            Some(Ending::Crash) => log::info!("{}: stays stopped", vm.name),
            _ => log::info!("{}: powered off", vm.name),
        }
        if self.running.is_empty() {
            return self.power_off();
        }
        if was_in_front {
            self.choose_front(&vm.name);
        }
        console::show_names(self.running.len() > 1);
    }

    /// Brings a VM to the front after the one that was there ended: the same started anew, or the
    /// first.
    fn choose_front(&self, name: &str) {
        let same = self.running.iter().find(|running| running.vm.name == name);
        if let Some(next) = same.or(self.running.first()) {
            input::give_to(&next.vm, false);
        }
    }

    fn power_off(&self) {
        log::info!("no guest is left: powering off");
        match self.psci {
            Some(psci) => {
                let error = psci.system_off();
                log::error!("the firmware does not power off: {error:?}");
            }
            None => log::error!("there is no firmware to power off by"),
        }
    }
}
