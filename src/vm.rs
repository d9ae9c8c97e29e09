//! Everything a guest sees, and the vCPU it runs on.

mod aarch32;
mod bus;
mod counters;
pub mod debug;
mod decode;
pub mod dev;
mod emulate;
mod exits;
pub mod export;
mod fault;
pub mod fdt;
mod frequent;
pub mod gic;
pub mod host;
pub mod image;
mod inject;
pub mod input;
mod interrupts;
pub mod load;
pub mod memory;
pub mod psci;
pub mod pvtime;
mod requests;
mod setway;
pub mod smccc;
pub mod stats;
pub mod sysregs;
mod system;
pub mod traps;
pub mod trng;
pub mod vcpu;

#[cfg(test)]
pub(crate) mod tests;

use crate::{
    addr::Ipa,
    dev::console::Port,
    isa::{
        affinity::Affinity,
        features::{Features, IdRegs},
        speculation::Workarounds,
        sysreg::Present,
    },
    mem::{stage2::Stage2, table::Tables},
    sync::{Rank, SpinLock, doorbell::Doorbell},
};
use alloc::{boxed::Box, string::String, sync::Arc};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use counters::Counters;
use dev::{pl011::Pl011, pl031::Pl031};
use fdt::GuestMap;
use gic::Gic;
use host::Host;
use memory::GuestMemory;
use psci::Switch;
use pvtime::StolenTime;
use requests::Course;
pub use requests::Ending;
use stats::Published;
use trng::Generator;

/// One virtual machine: what its vCPUs share.
pub struct Vm {
    /// What its owner calls it.
    pub name: String,
    /// The machine it runs on.
    pub host: Arc<Host>,
    /// Where its devices are.
    map: &'static GuestMap,
    /// What is most often asked of them.
    registers: frequent::Registers,
    /// Its RAM.
    pub memory: GuestMemory,
    /// What its ID registers read as.
    ids: IdRegs,
    /// Which registers it has, by what they say.
    shown: Present,
    /// VTTBR_EL2 and VTCR_EL2.
    stage2: (u64, u64),
    /// CNTVOFF_EL2: the physical count when the VM was made.
    count_offset: u64,
    /// Which vCPUs are on.
    pub switches: Box<[Switch]>,
    gic: SpinLock<Gic>,
    uart: SpinLock<Pl011>,
    rtc: SpinLock<Pl031>,
    /// Its end of the console.
    pub port: Port,
    stats: Box<[Published]>,
    bells: Box<[Doorbell]>,
    course: Course,
    /// How many of its vCPUs are in some CPU's care.
    cared_for: AtomicUsize,
    /// What its vCPUs get of a CPU in proportion to others.
    pub weight: u32,
    /// What its guest is told of workarounds for what speculation leaks.
    workarounds: Workarounds,
    /// Which vCPU ran last on each CPU, plus 1.
    last_on: Box<[AtomicUsize]>,
    counters: Counters,
    /// What its guest's TRNG gives.
    trng: SpinLock<Generator>,
    /// How long its vCPUs were kept from running.
    pub stolen_time: StolenTime,
    /// Whether its guest asked for its memory to be erased at a reset, which it always is.
    mem_protect: AtomicBool,
    /// Whether its vCPUs shall stand still, and those that do.
    control: debug::control::Control,
}

/// What a VM is made of.
pub struct Parts<'a, T: Tables> {
    /// What its owner calls it.
    pub name: &'a str,
    /// The machine it runs on.
    pub host: Arc<Host>,
    /// Where its devices are.
    pub map: &'static GuestMap,
    /// Its RAM.
    pub memory: GuestMemory,
    /// Its stage 2, in which that RAM is mapped.
    pub stage2: &'a Stage2<T>,
    /// The affinities of its vCPUs.
    pub affinities: &'a [Affinity],
    /// The physical count now.
    pub count: u64,
    /// The time of day, in seconds since 1970.
    pub time: u64,
    /// Whether its EL1 is AArch32.
    pub aarch32: bool,
    /// Its random numbers.
    pub generator: Generator,
    /// Where its vCPUs' stolen time is.
    pub stolen_time: StolenTime,
    /// What its vCPUs get of a CPU in proportion to others.
    pub weight: u32,
}

/// How many SPIs a guest has: QEMU's `virt` uses fewer than 96.
const SPIS: u32 = 96;

impl Vm {
    /// Makes a VM, all vCPUs off.
    ///
    /// # Errors
    ///
    /// A [`Refusal`](crate::error::Refusal) when its interrupt controller can't serve so many
    /// vCPUs.
    pub fn new<T: Tables>(parts: Parts<'_, T>) -> Result<Arc<Self>, crate::error::Refusal> {
        let host = parts.host;
        let gic_affinities: Box<[_]> = parts
            .affinities
            .iter()
            .map(|affinity| gic::Affinity::from_mpidr(affinity.mpidr()))
            .collect();
        let gic = Gic::new(&gic::Config {
            version: host.gic_version,
            affinities: &gic_affinities,
            spis: SPIS,
            priority_bits: host.priority_bits,
        })?;
        let pa_size = parts.stage2.geometry().guest_pa_size();
        let pa_range = pa_size.map_or(0, crate::isa::descriptor::PaSize::encoding);
        let ids = host.ids.for_guest(pa_range, parts.aarch32);
        Ok(Arc::new(Self {
            name: parts.name.into(),
            map: parts.map,
            registers: frequent::Registers::new(parts.map, &gic),
            memory: parts.memory,
            shown: Present::from_ids(&ids),
            ids,
            stage2: (parts.stage2.vttbr(), parts.stage2.vtcr()),
            count_offset: parts.count,
            switches: parts.affinities.iter().copied().map(Switch::new).collect(),
            gic: SpinLock::new(Rank::Gic, gic),
            uart: SpinLock::new(Rank::Uart, Pl011::new()),
            rtc: SpinLock::new(Rank::Rtc, Pl031::new(parts.time, host.seconds(parts.count))),
            bells: parts.affinities.iter().map(|_| Doorbell::new()).collect(),
            port: Port::new(parts.name),
            stats: parts
                .affinities
                .iter()
                .map(|_| Published::default())
                .collect(),
            course: Course::new(),
            cared_for: AtomicUsize::new(parts.affinities.len()),
            last_on: host.cpus.iter().map(|_| AtomicUsize::new(0)).collect(),
            counters: Counters::default(),
            trng: SpinLock::new(Rank::Trng, parts.generator),
            stolen_time: parts.stolen_time,
            weight: parts.weight,
            workarounds: host.workarounds(),
            mem_protect: AtomicBool::new(false),
            control: debug::control::Control::new(),
            host,
        }))
    }

    /// Returns whether its EL1 is AArch32.
    pub const fn is_aarch32(&self) -> bool {
        self.shown.features.has(Features::AARCH32_EL1)
    }

    /// Returns VTTBR_EL2.
    pub const fn vttbr(&self) -> u64 {
        self.stage2.0
    }

    /// Returns how many breakpoints and watchpoints each of its vCPUs has.
    pub const fn debug_registers(&self) -> (u8, u8) {
        (self.shown.breakpoints, self.shown.watchpoints)
    }

    /// Returns the counts of its vCPUs.
    pub fn stats(&self) -> &[Published] {
        &self.stats
    }

    /// Notes that a CPU gave up one of the vCPUs; returns whether it was the last.
    pub fn lose_vcpu(&self) -> bool {
        self.cared_for.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// Notes that a vCPU is about to run on a CPU; returns whether a sibling was the last to, whose
    /// translations it must not meet: siblings share a VMID, but not what they map.
    pub fn note_run(&self, cpu: usize, vcpu: usize) -> bool {
        let now = vcpu + 1;
        self.last_on.get(cpu).is_some_and(|last| {
            let before = last.swap(now, Ordering::Relaxed);
            before != 0 && before != now
        })
    }

    const fn stage2_registers(&self) -> (u64, u64) {
        self.stage2
    }

    fn affinity(&self, index: usize) -> Affinity {
        self.switches
            .get(index)
            .map_or(Affinity::default(), Switch::affinity)
    }

    /// Returns whether all of a range, address and size in bytes, is the guest's RAM.
    fn has_memory(&self, ipa: u64, size: u64) -> bool {
        self.memory.contains(Ipa::new(ipa), size)
    }

    /// Answers a request for random numbers: x0 to x3.
    fn random(&self, request: trng::Request) -> [u64; 4] {
        let entropy = self.host.entropy;
        self.trng.lock().answer(request, || entropy.fresh())
    }
}
