//! Guests: from the bundle's list to running vCPUs.

mod commands;
mod endings;
mod make;
mod making;

pub use commands::{
    free_bytes, move_vcpu, named, restart, running, start_by_name, starting, stop, stop_all,
};

use super::{cpus, entropy::Source, memory, restarts::Restarts};
use crate::{
    addr::PaRange,
    board::Board,
    config::{Config, sources},
    cpu::{barrier, timer, tlb},
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
    sync::{Rank, SpinLock},
    vm::{Vm, host::Host, input, load::Filling, pvtime, vcpu::Vcpu},
};
use alloc::{boxed::Box, string::String, sync::Arc, vec::Vec};
use make::{Prepared, ThisMachine, check_state};
use making::{Making, News};

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
    /// The physical count when it began.
    since: u64,
}

/// A VM that is being made: its RAM is filled, outside of the lock.
struct Starting {
    number: usize,
    prepared: Prepared,
    memory: Memory,
    /// The CPU of each vCPU.
    homes: Vec<usize>,
    news: Arc<News>,
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
    starting: Vec<Starting>,
    vmids: Vmids,
    restarts: Restarts,
    /// The CPU that the next vCPU goes to when its owner did not say.
    next_cpu: usize,
    /// The VM that has the console to itself whenever it starts.
    front: Option<String>,
    /// The VM that comes to the front when it is made, as its place in the list.
    awaited: Option<usize>,
    /// Whether any VM ever ran.
    any_ran: bool,
    /// Whether nothing is to be started any more.
    is_ending: bool,
}

static GUESTS: SpinLock<Option<Guests>> = SpinLock::new(Rank::Guests, None);

/// Begins to make the VMs of the bundle, which start when they are made. Those that can't be are left
/// out, with a line each; with none left there is a refusal.
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
        starting: Vec::new(),
        vmids: Vmids::new(wide_vmids(host)),
        restarts: Restarts::new(host.frequency),
        next_cpu: 0,
        front,
        awaited: None,
        any_ran: false,
        is_ending: false,
    });
    for number in 0..count {
        match guests.begin(number, 0) {
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
    if guests.starting.is_empty() {
        return Err(refuse!("no guest could be started"));
    }
    Ok(())
}

/// Starts a VM whose RAM is filled, or gives up one for which that failed.
pub fn made(making: Making) {
    let mut guests = GUESTS.lock();
    let goes_on = guests.as_mut().is_none_or(|guests| guests.made(making));
    drop(guests);
    if !goes_on {
        log::error!("no guest could be started");
        barrier::halt();
    }
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

/// Returns whether all CPUs have VMIDs of 16 bits.
fn wide_vmids(host: &Host) -> bool {
    let ids = &host.ids;
    Support::from_id(ids.get(IdReg::ID_AA64MMFR0), ids.get(IdReg::ID_AA64MMFR1)).wide_vmid
}

impl Guests {
    /// Begins to make a VM, when the counter gets there.
    fn begin(&mut self, number: usize, when: u64) -> Result<(), Refusal> {
        let name = self.config.vms[number].name.clone();
        let (prepared, memory) = self
            .prepare(number)
            .map_err(|refusal| refuse!("vm.{name}: {refusal}"))?;
        let config = &self.config.vms[number];
        let (weight, pins) = (config.weight, config.pin.clone());
        let homes: Vec<_> = (0..config.cpus as usize)
            .map(|n| match pins.get(n) {
                Some(&pin) => pin as usize,
                None => self.any_cpu(),
            })
            .collect();
        let first = homes.first().copied().unwrap_or(0);
        let news = Arc::new(News::new(&name));
        let (prepared, filling) = prepared;
        let making = Making::new(filling, &news, weight, when);
        self.starting.push(Starting {
            number,
            prepared,
            memory,
            homes,
            news,
        });
        if input::reader().is_none() && self.awaited.is_none() {
            self.awaited = Some(number);
        }
        self.show_names();
        cpus::hand_over_work(&self.host, first, Box::new(making));
        Ok(())
    }

    fn any_cpu(&mut self) -> usize {
        let cpu = self.next_cpu;
        self.next_cpu = (cpu + 1) % cpus::online();
        cpu
    }

    fn show_names(&self) {
        console::show_names(self.running.len() + self.starting.len() > 1);
    }

    fn prepare(
        &mut self,
        number: usize,
    ) -> Result<((Prepared, Filling<'static>), Memory), Refusal> {
        let vmid = self.free_vmid()?;
        let config = &self.config.vms[number];
        let online = cpus::online();
        config.check_machine(online as u32, self.frames.free_bytes())?;
        check_state(config, &self.host)?;
        if config.cpus as usize > online {
            log::info!(
                "vm.{}: its {} vCPUs share {online} of the machine's CPUs",
                config.name,
                config.cpus
            );
        }
        let memory = self.allocate(vmid, config.memory, config.cpus)?;
        let config = &self.config.vms[number];
        let prepared = make::prepare(
            config,
            &memory,
            &self.host,
            &mut self.frames,
            &mut self.entropy,
        );
        match prepared {
            Ok(prepared) => Ok((prepared, memory)),
            Err(refusal) => {
                self.give_back(&memory);
                Err(refusal)
            }
        }
    }

    /// Starts a VM whose RAM is filled, or gives up one for which that failed. Returns false when
    /// that was the last hope for any.
    fn made(&mut self, making: Making) -> bool {
        let mut all = self.starting.iter();
        let Some(place) = all.position(|it| Arc::ptr_eq(&it.news, making.news())) else {
            return true;
        };
        let starting = self.starting.remove(place);
        let number = starting.number;
        let name = self.config.vms[number].name.clone();
        let is_wanted = !starting.news.is_cancelled();
        if let Err(refusal) = self.complete(starting, making) {
            match is_wanted {
                true => log::error!("vm.{name}: {refusal}"),
                false => log::info!("{name}: {refusal}"),
            }
            if self.awaited == Some(number) {
                self.choose_front(number);
            }
            self.show_names();
            return !self.is_over();
        }
        true
    }

    fn complete(&mut self, starting: Starting, making: Making) -> Result<(), Refusal> {
        let Starting {
            number,
            prepared,
            memory,
            homes,
            ..
        } = starting;
        let config = &self.config.vms[number];
        let vm = making
            .into_memory()
            .and_then(|ram| prepared.make(config, &memory, ram, &self.host, self.time_at_count_0));
        let (vm, stage2) = match vm {
            Ok(made) => made,
            Err(refusal) => {
                // Its tables are gone.
                self.give_back(&memory);
                return Err(refusal);
            }
        };
        self.any_ran = true;
        let alone = self.front.as_ref() == Some(&config.name);
        if alone || self.awaited == Some(number) {
            self.awaited = self.awaited.filter(|&awaited| awaited != number);
            input::give_to(&vm, alone);
        }
        self.running.push(Running {
            vm: vm.clone(),
            number,
            stage2,
            memory,
            since: timer::count(),
        });
        for (n, cpu) in homes.into_iter().enumerate() {
            cpus::hand_over(&self.host, cpu, Vcpu::new(&vm, n));
        }
        Ok(())
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
        let running = self.running.iter().map(|vm| vm.memory.vmid);
        let starting = self.starting.iter().map(|vm| vm.memory.vmid);
        let used: Vec<_> = running.chain(starting).collect();
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
}
