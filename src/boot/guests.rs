//! Guests: from the bundle's list to running vCPUs.

use super::{entropy::Source, memory};
use crate::{
    addr::{Ipa, Va},
    board::Board,
    config::{self, Config, sources},
    cpu::{barrier, tlb},
    error::Refusal,
    isa::{
        affinity::Affinity,
        descriptor::{Level, stage2::Support},
        features::IdReg,
    },
    mem::{
        frames::{Frames, Owner},
        stage1,
        stage2::{IpaRange, Stage2},
        table::heap_tables::{HeapTables, Machine},
    },
    refuse,
    vm::{
        Parts, Vm,
        fdt::{GuestDescription, GuestMap, VIRT},
        host::{self, Host},
        image::Extent,
        load::{Files, Plan},
        memory::GuestMemory,
        smccc::Start,
        vcpu::{Exit, Vcpu},
    },
};
use alloc::{boxed::Box, sync::Arc, vec::Vec};

/// How the last guest ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// It turned itself off, or was stopped.
    Off,
    /// It asked for a reset.
    Reset,
}

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

/// A VM and its vCPU that is on.
pub struct Guest {
    vm: Arc<Vm>,
    boot: Box<Vcpu>,
    /// Kept for as long as the VM may run.
    _stage2: Stage2<HeapTables<ThisMachine>>,
}

/// The machine's physical addresses and TLBs, for guests' tables.
pub struct ThisMachine;

impl Machine for ThisMachine {
    fn pa_of(page: Va) -> crate::addr::Pa {
        stage1::to_pa(page.as_u64() as *const u8).expect("the heap is EL2's own memory")
    }

    fn publish() {
        barrier::dsb_ishst();
    }

    fn invalidate(ttbr: u64, address: u64, _: Level) {
        tlb::invalidate_ipa(ttbr, Ipa::new(address));
    }

    fn invalidate_all(ttbr: u64) {
        tlb::invalidate_vm(ttbr);
    }
}

/// Makes the VM that the bundle describes.
pub fn make(
    bundle: &Config<'_>,
    host: &Arc<Host>,
    frames: &mut Frames,
    entropy: &mut Source,
) -> Result<Guest, Refusal> {
    let [config] = bundle.vms.as_slice() else {
        return Err(refuse!(
            "vms.toml describes {} VMs, and only one can run yet: leave one [vm.*] table",
            bundle.vms.len()
        ));
    };
    make_vm(config, 1, host, frames, entropy)
        .map_err(|refusal| refuse!("vm.{}: {refusal}", config.name))
}

fn make_vm(
    config: &config::Vm<'_>,
    vmid: u16,
    host: &Arc<Host>,
    frames: &mut Frames,
    entropy: &mut Source,
) -> Result<Guest, Refusal> {
    refuse_unsupported(config)?;
    let affinities: Vec<_> = (0..config.cpus).map(affinity).collect();
    let ram = Extent::new(VIRT.ram, config.memory)
        .ok_or_else(|| refuse!("{} bytes of RAM do not fit", config.memory))?;
    let mpidrs: Vec<_> = affinities.iter().map(|cpu| cpu.mpidr()).collect();
    let plan = plan(config, ram, &mpidrs, host, entropy)?;
    let blocks = frames
        .allocate_blocks(config.memory, Owner::Vm(vmid))
        .map_err(|_| {
            refuse!(
                "it wants {} MiB of RAM, and {} MiB are free",
                config.memory >> 20,
                frames.free_bytes() >> 20
            )
        })?;
    let ids = &host.ids;
    let support = Support::from_id(ids.get(IdReg::ID_AA64MMFR0), ids.get(IdReg::ID_AA64MMFR1));
    let last = Ipa::new(ram.end().as_u64() - 1);
    let mut stage2 =
        Stage2::new(HeapTables::new(), last, vmid, support).map_err(|error| refuse!("{error}"))?;
    let range = IpaRange {
        start: ram.start,
        size: ram.size,
    };
    stage2
        .map_ram(frames, &[range], &blocks)
        .map_err(|error| refuse!("{error}"))?;
    let memory = GuestMemory::new(ram.start, blocks);
    let start = load(config, &plan, &memory)?;
    let vm = Vm::new(Parts {
        name: &config.name,
        host: host.clone(),
        map: &VIRT,
        memory,
        stage2: &stage2,
        affinities: &affinities,
        count: host::count(),
        time: 0,
    })?;
    let mut boot = Vcpu::new(&vm, 0);
    if let Some(switch) = vm.switches.first() {
        // A new VM's vCPUs are off: nobody else can have claimed it.
        if let Ok(claim) = switch.claim() {
            claim.publish(start);
        }
        if let Some(start) = switch.arrive() {
            boot.start_at(start);
        }
    }
    Ok(Guest {
        vm,
        boot,
        _stage2: stage2,
    })
}

/// Refuses what the file format allows and this version does not do.
fn refuse_unsupported(config: &config::Vm<'_>) -> Result<(), Refusal> {
    if config.cpus > 1 {
        return Err(refuse!("cpus = {}: a VM has one CPU yet", config.cpus));
    }
    if config.aarch32 {
        return Err(refuse!("aarch32 = true is not supported yet"));
    }
    Ok(())
}

/// Returns the affinity of vCPU `n`: 16 in a cluster, as GICv3's SGIs reach them.
fn affinity(n: u32) -> Affinity {
    Affinity::new(0, 0, (n >> 4) as u8, (n & 0xf) as u8)
}

/// Plans a guest's RAM: its kernel, ramdisk and device tree.
fn plan<'a>(
    config: &'a config::Vm<'_>,
    ram: Extent,
    affinities: &'a [u64],
    host: &Host,
    entropy: &mut Source,
) -> Result<Plan<'a>, Refusal> {
    let files = Files {
        kernel: config.kernel.bytes,
        load: config.load,
        ramdisk: config.ramdisk.map_or(&[][..], |file| file.bytes),
        dtb: config.dtb.map(|file| file.bytes),
        description: GuestDescription {
            map: MAP,
            cpus: affinities,
            ram,
            bootargs: &config.bootargs,
            ramdisk: None,
            rng_seed: entropy.bytes(),
            kaslr_seed: entropy.number(),
        },
    };
    Plan::new(&files, host.ids.for_guest(0).get(IdReg::ID_AA64MMFR0))
}

/// Fills a guest's RAM as planned.
fn load(config: &config::Vm<'_>, plan: &Plan<'_>, memory: &GuestMemory) -> Result<Start, Refusal> {
    plan.fill(memory)?;
    let layout = plan.layout;
    log::info!(
        "vm.{}: {} MiB, kernel at {}, device tree at {}",
        config.name,
        config.memory >> 20,
        layout.entry,
        layout.tree.start
    );
    Ok(Start {
        entry: layout.entry.as_u64(),
        context: layout.tree.start.as_u64(),
    })
}

const MAP: &GuestMap = &VIRT;

/// Runs a guest until it ends.
pub fn run(guest: Guest) -> Ending {
    let Guest { vm, mut boot, .. } = guest;
    boot.load();
    let ending = loop {
        match boot.run() {
            Exit::Resumable => {}
            Exit::Off | Exit::SystemOff => {
                log::info!("{}: powered off", vm.name);
                break Ending::Off;
            }
            Exit::SystemReset => break Ending::Reset,
            Exit::Stopped(reason) => {
                log::error!(
                    "{}: stopped: {reason} (pc {:#x})",
                    vm.name,
                    boot.sysregs().pc()
                );
                break Ending::Off;
            }
        }
    };
    boot.put();
    ending
}
