//! Making a VM: stage 2, what goes into RAM, and what its vCPUs share.

use super::Memory;
use crate::{
    addr::{Ipa, Pa, PaRange, Va},
    boot::entropy::Source,
    config,
    cpu::{barrier, timer, tlb},
    error::Refusal,
    isa::{
        affinity::Affinity,
        descriptor::{Level, stage2::Support},
        features::{Features, IdReg},
    },
    mem::{
        frames::Frames,
        stage1,
        stage2::{IpaRange, Stage2},
        table::heap_tables::{HeapTables, Machine},
    },
    refuse,
    vm::{
        Parts, Vm,
        fdt::{GuestDescription, GuestGic, GuestMap},
        host::Host,
        image::Extent,
        load::{Files, Filling, Plan},
        memory::GuestMemory,
        pvtime::{self, StolenTime},
        smccc::Start,
        trng::Generator,
    },
};
use alloc::{sync::Arc, vec::Vec};

/// The machine's physical addresses and TLBs, for guests' tables.
pub struct ThisMachine;

impl Machine for ThisMachine {
    fn pa_of(page: Va) -> Pa {
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

/// A VM but for what is in its RAM.
pub struct Prepared {
    /// Its RAM as it sees it.
    stage2: Stage2<HeapTables<ThisMachine>>,
    /// Where its first vCPU starts.
    start: Start,
    generator: Generator,
}

/// Prepares a VM in its memory, and says what goes into its RAM. Nothing of that is touched here.
pub fn prepare(
    config: &config::Vm<'static>,
    frames_of: &Memory,
    host: &Arc<Host>,
    frames: &mut Frames,
    entropy: &mut Source,
) -> Result<(Prepared, Filling<'static>), Refusal> {
    let map = host.guest_map();
    let ram = Extent::new(map.ram, config.memory)
        .ok_or_else(|| refuse!("{} bytes of RAM do not fit", config.memory))?;
    let mpidrs: Vec<_> = affinities(config).map(|cpu| cpu.mpidr()).collect();
    let plan = plan(config, ram, &mpidrs, host, entropy)?;
    let ids = &host.ids;
    let support = Support::from_id(ids.get(IdReg::ID_AA64MMFR0), ids.get(IdReg::ID_AA64MMFR1));
    let last = Ipa::new(ram.end().as_u64() - 1);
    let mut stage2 = Stage2::new(HeapTables::new(), last, frames_of.vmid, support)
        .map_err(|error| refuse!("{error}"))?;
    let range = IpaRange {
        start: ram.start,
        size: ram.size,
    };
    stage2
        .map_ram(frames, &[range], &frames_of.ram)
        .map_err(|error| refuse!("{error}"))?;
    if let Some(interface) = host.virtual_interface {
        map_cpu_interface(&mut stage2, frames, map, interface)?;
    }
    stage2
        .map_rom(frames, pvtime::place(config.cpus), frames_of.stolen_time)
        .map_err(|error| refuse!("{error}"))?;
    let prepared = Prepared {
        stage2,
        start: start(config, &plan),
        generator: entropy.generator(),
    };
    let memory = GuestMemory::new(ram.start, frames_of.ram.clone());
    Ok((prepared, plan.fill(memory)))
}

impl Prepared {
    /// Makes the VM with its RAM filled, its first vCPU about to start. Apart, so that what it takes of
    /// the stack is free again when the vCPUs are made.
    #[inline(never)]
    pub fn make(
        self,
        config: &config::Vm<'_>,
        frames_of: &Memory,
        memory: GuestMemory,
        host: &Arc<Host>,
        time_at_count_0: u64,
    ) -> Result<(Arc<Vm>, Stage2<HeapTables<ThisMachine>>), Refusal> {
        let affinities: Vec<_> = affinities(config).collect();
        let stolen_time = StolenTime::new(config.cpus, frames_of.stolen_time, host.frequency)
            .map_err(|error| refuse!("its stolen time can't be written: {error:?}"))?;
        let count = timer::count();
        let vm = Vm::new(Parts {
            name: &config.name,
            host: host.clone(),
            map: host.guest_map(),
            memory,
            stage2: &self.stage2,
            affinities: &affinities,
            count,
            time: time_at_count_0.saturating_add(host.seconds(count)),
            aarch32: config.aarch32,
            generator: self.generator,
            stolen_time,
            weight: config.weight,
        })?;
        if let Some(boot) = vm.switches.first()
            // A new VM's vCPUs are off: nobody else can have claimed it.
            && let Ok(claim) = boot.claim()
        {
            claim.publish(self.start);
        }
        log::info!(
            "vm.{}: {} MiB, kernel at {:#x}, device tree at {:#x}",
            config.name,
            config.memory >> 20,
            self.start.entry,
            self.start.context.max(self.start.rest[1]),
        );
        Ok((vm, self.stage2))
    }
}

/// Gives a guest a GICv2's virtual CPU interface, in the place of its CPU interface.
fn map_cpu_interface(
    stage2: &mut Stage2<HeapTables<ThisMachine>>,
    frames: &mut Frames,
    map: &GuestMap,
    interface: PaRange,
) -> Result<(), Refusal> {
    let GuestGic::V2 { cpu_interface, .. } = map.gic else {
        return Ok(());
    };
    frames
        .grant_device(interface, stage2.vmid())
        .map_err(|error| refuse!("the GIC's virtual interface can't be granted: {error:?}"))?;
    stage2
        .map_device(frames, Ipa::new(cpu_interface.0), interface)
        .map_err(|error| refuse!("{error}"))
}

/// Refuses a VM for AArch32 on CPUs that do not have that at EL1.
pub fn check_state(config: &config::Vm<'_>, host: &Host) -> Result<(), Refusal> {
    if config.aarch32 && !host.mode.features.has(Features::AARCH32_EL1) {
        return Err(refuse!(
            "aarch32 = true, but EL1 of this machine's CPUs is AArch64 only"
        ));
    }
    Ok(())
}

/// Returns the affinities of a VM's vCPUs.
fn affinities(config: &config::Vm<'_>) -> impl Iterator<Item = Affinity> + use<> {
    (0..config.cpus).map(affinity)
}

/// Returns the affinity of vCPU `n`: 16 in a cluster, as GICv3's SGIs reach them.
fn affinity(n: u32) -> Affinity {
    Affinity::new(0, 0, (n >> 4) as u8, (n & 0xf) as u8)
}

/// Plans a guest's RAM: its kernel, ramdisk and device tree.
fn plan(
    config: &config::Vm<'static>,
    ram: Extent,
    affinities: &[u64],
    host: &Host,
    entropy: &mut Source,
) -> Result<Plan<'static>, Refusal> {
    let files = Files {
        kernel: config.kernel.bytes,
        aarch32: config.aarch32,
        load: config.load,
        ramdisk: config.ramdisk.map_or(&[][..], |file| file.bytes),
        dtb: config.dtb.map(|file| file.bytes),
        description: GuestDescription {
            map: host.guest_map(),
            cpus: affinities,
            ram,
            bootargs: &config.bootargs,
            ramdisk: None,
            rng_seed: entropy.bytes(),
            kaslr_seed: entropy.number(),
        },
    };
    Plan::new(
        &files,
        host.ids
            .for_guest(0, config.aarch32)
            .get(IdReg::ID_AA64MMFR0),
    )
}

/// Returns where a guest starts, and what it finds in its registers.
fn start(config: &config::Vm<'_>, plan: &Plan<'_>) -> Start {
    let layout = plan.layout;
    let tree = layout.tree.start.as_u64();
    // Linux, Documentation/arch: arm64 finds the tree in x0; arm has zero in r0, a number that
    // stands for no board in r1, and the tree in r2.
    let (context, rest) = if config.aarch32 {
        (0, [0xffff_ffff, tree])
    } else {
        (tree, [0; 2])
    };
    Start {
        entry: layout.entry.as_u64(),
        context,
        rest,
    }
}
