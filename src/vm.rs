//! Everything a guest sees, and the vCPU it runs on.

mod aarch32;
mod bus;
mod counters;
pub mod dev;
mod exits;
pub mod export;

mod fault;
pub mod fdt;
pub mod gic;
pub mod host;
pub mod image;
mod inject;
mod interrupts;
pub mod memory;
pub mod psci;
mod setway;
pub mod smccc;
pub mod sysregs;
mod system;
pub mod traps;
pub mod vcpu;

#[cfg(test)]
mod tests;

use crate::{
    addr::Ipa,
    isa::{affinity::Affinity, features::IdRegs, sysreg::Present},
    mem::{stage2::Stage2, table::Tables},
    sync::SpinLock,
};
use alloc::{boxed::Box, string::String, sync::Arc};
use counters::Counters;
use dev::{pl011::Pl011, pl031::Pl031};
use fdt::GuestMap;
use gic::{Gic, Kicks};
use host::Host;
use memory::GuestMemory;
use psci::Switch;

/// One virtual machine: what its vCPUs share.
pub struct Vm {
    /// What its owner calls it.
    pub name: String,
    /// The machine it runs on.
    pub host: Arc<Host>,
    /// Where its devices are.
    map: &'static GuestMap,
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
    counters: Counters,
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
            affinities: &gic_affinities,
            spis: SPIS,
            priority_bits: host.priority_bits,
        })?;
        let pa_size = parts.stage2.geometry().guest_pa_size();
        let pa_range = pa_size.map_or(0, crate::isa::descriptor::PaSize::encoding);
        let ids = host.ids.for_guest(pa_range);
        Ok(Arc::new(Self {
            name: parts.name.into(),
            map: parts.map,
            memory: parts.memory,
            shown: Present::from_ids(&ids),
            ids,
            stage2: (parts.stage2.vttbr(), parts.stage2.vtcr()),
            count_offset: parts.count,
            switches: parts.affinities.iter().copied().map(Switch::new).collect(),
            gic: SpinLock::new(gic),
            uart: SpinLock::new(Pl011::new()),
            rtc: SpinLock::new(Pl031::new(parts.time, host.seconds(parts.count))),
            counters: Counters::default(),
            host,
        }))
    }

    const fn stage2_registers(&self) -> (u64, u64) {
        self.stage2
    }

    fn affinity(&self, index: usize) -> Affinity {
        self.switches
            .get(index)
            .map_or(Affinity::default(), Switch::affinity)
    }

    /// Tells the CPUs of these vCPUs that there is something for them.
    ///
    /// One vCPU runs, on the CPU that asks: it needs no telling.
    fn kick(&self, _kicks: Kicks) {}

    /// Returns whether the guest has RAM at an address.
    fn has_memory_at(&self, ipa: u64) -> bool {
        self.memory.contains(Ipa::new(ipa), 1)
    }
}
