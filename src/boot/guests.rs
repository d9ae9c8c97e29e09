//! Guests: from the bundle's list to running vCPUs.

mod crashes;
mod make;

use super::{cpus, entropy::Source, memory};
use crate::{
    addr::PaRange,
    board::Board,
    config::{Config, sources, vms::Reaction},
    cpu::{timer, tlb},
    dev::{
        console,
        power::{Last, Power},
    },
    error::Refusal,
    isa::{descriptor::stage2::Support, features::IdReg},
    mem::{
        frames::{Frames, Owner},
        stage1,
        stage2::Stage2,
        table::heap_tables::HeapTables,
        vmids::Vmids,
    },
    refuse,
    sync::SpinLock,
    vm::{Ending, Vm, host::Host, input, pvtime, vcpu::Vcpu},
};
use alloc::{boxed::Box, string::String, sync::Arc, vec::Vec};
use crashes::Crashes;
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
    power: Option<Power>,
    /// What becomes of the machine after the last.
    last: Last,
    /// The time of day at count 0, in seconds since 1970.
    time_at_count_0: u64,
    running: Vec<Running>,
    vmids: Vmids,
    crashes: Crashes,
    /// The CPU that the next vCPU goes to when its owner did not say.
    next_cpu: usize,
    /// The VM that has the console to itself whenever it starts.
    front: Option<String>,
}

static GUESTS: SpinLock<Option<Guests>> = SpinLock::new(None);

/// Makes the VMs of the bundle and starts them. Those that can't be made are left out, with a line
/// each; with none left there is a refusal.
pub fn start(
    config: Config<'static>,
    host: &Arc<Host>,
    frames: Frames,
    entropy: Source,
    power: Option<Power>,
    time_at_count_0: u64,
    front: Option<String>,
) -> Result<(), Refusal> {
    let count = config.vms.len();
    // Held until all are made: one that ends before the last is made has to wait for its clearing up.
    let mut all = GUESTS.lock();
    let guests = all.insert(Guests {
        config,
        host: host.clone(),
        frames,
        entropy,
        power,
        last: Last::Off,
        time_at_count_0,
        running: Vec::new(),
        vmids: Vmids::new(wide_vmids(host)),
        crashes: Crashes::new(host.frequency),
        next_cpu: 0,
        front,
    });
    for number in 0..count {
        match guests.start(number) {
            Err(refusal) if count == 1 => return Err(refusal),
            Err(refusal) => log::error!("{refusal}"),
            Ok(()) => {}
        }
    }
    if let Some(front) = &guests.front
        && guests.config.vms.iter().all(|vm| vm.name != *front)
    {
        log::warn!("console={front}: there is no VM of that name");
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

/// Returns how much of the machine's RAM no VM has, in bytes.
pub fn free_bytes() -> u64 {
    with(|guests| Ok(guests.frames.free_bytes())).unwrap_or_default()
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
    }
    for vm in running() {
        vm.end(Ending::Off);
        crate::debugger::forget(&vm);
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

/// Returns whether all CPUs have VMIDs of 16 bits.
fn wide_vmids(host: &Host) -> bool {
    let ids = &host.ids;
    Support::from_id(ids.get(IdReg::ID_AA64MMFR0), ids.get(IdReg::ID_AA64MMFR1)).wide_vmid
}

impl Guests {
    fn start(&mut self, number: usize) -> Result<(), Refusal> {
        let name = self.config.vms[number].name.clone();
        let (running, vcpus) = self
            .make(number)
            .map_err(|refusal| refuse!("vm.{name}: {refusal}"))?;
        let alone = self.front.as_ref() == Some(&name);
        if alone || input::reader().is_none() {
            input::give_to(&running.vm, alone);
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
            &mut self.frames,
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

    /// Returns a VMID that no VM has.
    fn free_vmid(&mut self) -> Result<u16, Refusal> {
        let used: Vec<_> = self.running.iter().map(|vm| vm.memory.vmid).collect();
        let fresh = self
            .vmids
            .take(&used)
            .ok_or_else(|| refuse!("there are as many VMs as there are VMIDs"))?;
        if fresh.begins_generation {
            tlb::invalidate_guests();
        }
        Ok(fresh.vmid)
    }

    fn give_back(&mut self, memory: &Memory) {
        self.frames.revoke_devices(memory.vmid);
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
        crate::debugger::forget(vm);
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
        self.react(number, vm.ending());
        if self.running.is_empty() {
            return self.end_machine();
        }
        if was_in_front {
            self.choose_front(&vm.name);
        }
        console::show_names(self.running.len() > 1);
    }

    /// Does what the owner wants done after a VM has ended in this way.
    fn react(&mut self, number: usize, ending: Option<Ending>) {
        let config = &self.config.vms[number];
        let reaction = match ending {
            Some(Ending::Restart) => Reaction::Restart,
            Some(Ending::Reset) => config.on_reboot,
            Some(Ending::Crash) => match self.crashes.note(number, timer::count()) {
                true => config.on_crash,
                false => {
                    log::error!("{}: it keeps crashing", config.name);
                    Reaction::Stop
                }
            },
            _ => return log::info!("{}: powered off", config.name),
        };
        if reaction == Reaction::Stop {
            return log::info!("{}: stays stopped", config.name);
        }
        log::info!("{}: starts anew", config.name);
        if let Err(refusal) = self.start(number) {
            log::error!("{refusal}");
        }
    }

    /// Brings a VM to the front after the one that was there ended: the same started anew, or the
    /// first.
    fn choose_front(&self, name: &str) {
        let same = self.running.iter().find(|running| running.vm.name == name);
        if let Some(next) = same.or(self.running.first()) {
            let alone = self.front.as_ref() == Some(&next.vm.name);
            input::give_to(&next.vm, alone);
        }
    }

    fn end_machine(&self) {
        log::info!(
            "no guest is left: {}",
            match self.last {
                Last::Off => "powering off",
                Last::Reset => "starting the machine anew",
            }
        );
        let why = self.power.as_ref().map_or_else(
            || refuse!("nothing is known that turns this machine off"),
            |power| power.end(self.last),
        );
        log::error!("{why}");
    }
}
