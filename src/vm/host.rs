//! What guests need to know of the machine they run on.

use super::{
    fdt::{GuestMap, VIRT},
    gic::{HostLists, Version},
    sysregs::HostMode,
};
use crate::{
    addr::PaRange,
    cpu::{id, local, regs, timer},
    dev::{
        entropy::Entropy,
        gic::{CpuInterface, Interface, Taken, v2, v3},
        smccc::Firmware,
    },
    isa::{affinity::Affinity, encoding::Encoding, features::IdRegs, speculation::Workarounds},
    sync::{Rank, SpinLock, doorbell::Attention},
};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU8, Ordering};

/// The interrupts of the machine that EL2 takes while a guest runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Interrupts {
    /// The virtual timer's PPI.
    pub virtual_timer: u32,
    /// The physical timer's PPI.
    pub physical_timer: u32,
    /// The virtual interrupt controller's maintenance PPI.
    pub maintenance: u32,
    /// EL2's own timer's PPI.
    pub hypervisor_timer: u32,
    /// The console's SPI, if it has one.
    pub console: Option<u32>,
}

/// The SGI by which one CPU makes another look up from its guest: anything may have changed.
pub const KICK: u32 = 7;
/// The SGI by which one CPU tells another that a vCPU of its has an interrupt. Where that vCPU is
/// the one that runs, it goes on at once.
pub const NUDGE: u32 = 6;

/// The machine, as far as guests are concerned.
pub struct Host {
    /// How guests run.
    pub mode: HostMode,
    /// The ID registers of the CPUs.
    pub ids: IdRegs,
    /// MIDR_EL1 of the CPUs.
    pub midr: u64,
    /// The CPUs' interfaces to the interrupt controller.
    pub gic: Interface,
    /// The architecture of the interrupt controller that guests are given.
    pub gic_version: Version,
    /// How many priority bits the virtual interrupt interface has.
    pub priority_bits: u32,
    /// Where a GICv2's virtual CPU interface is, which guests are given for theirs.
    pub virtual_interface: Option<PaRange>,
    /// Which interrupts mean what.
    pub interrupts: Interrupts,
    /// How fast the counter counts, in Hz.
    pub frequency: u64,
    /// What all CPUs so far are known to need or do about what speculation leaks.
    workarounds: SpinLock<Workarounds>,
    /// The firmware, if it can be asked for more than PSCI.
    pub firmware: Option<Firmware>,
    /// Where fresh random bits come from.
    pub entropy: Entropy,
    /// The CPUs, by number.
    pub cpus: Vec<PhysicalCpu>,
}

/// `virt`'s map with a GICv2.
static VIRT_V2: GuestMap = VIRT.with_gicv2();

/// The interrupt controller, as start-up leaves it.
pub struct HostGic {
    /// The CPUs' interfaces.
    pub interface: Interface,
    /// Where a GICv2's virtual CPU interface is.
    pub virtual_interface: Option<PaRange>,
    /// Each CPU's part.
    pub cpus: Vec<PhysicalCpu>,
}

/// One CPU of the machine.
pub struct PhysicalCpu {
    /// Its name.
    pub affinity: Affinity,
    /// Its part of the interrupt controller.
    pub gic: PrivatePart,
    /// Whether something is wanted of it, whatever the interrupt says that brings the news.
    pub attention: Attention,
    /// The same as `affinity`, for GICv3's software interrupts.
    target: v3::Target,
}

impl PhysicalCpu {
    /// Describes a CPU by its name and its part of the interrupt controller.
    pub fn new(affinity: Affinity, gic: PrivatePart) -> Self {
        Self {
            affinity,
            gic,
            attention: Attention::new(),
            target: v3::Target::new(affinity),
        }
    }
}

/// What other CPUs need to know of a CPU's part of the interrupt controller.
pub enum PrivatePart {
    /// Of a GICv2: its [`v2::Target`], 0 until it has come up.
    V2(AtomicU8),
    /// Of a GICv3.
    V3(SpinLock<v3::Redistributor>),
}

/// INTIDs of a guest's timers, as its device tree says.
pub const GUEST_VIRTUAL_TIMER: u32 = 27;
/// The same of its physical timer.
pub const GUEST_PHYSICAL_TIMER: u32 = 30;

const MIDR_EL1: u32 = Encoding::new(3, 0, 0, 0, 0).iss();
const HCR_EL2: u32 = Encoding::new(3, 4, 1, 1, 0).iss();

/// Finds out what the CPU this runs on needs, or its firmware does, about what speculation leaks.
fn workarounds_here(firmware: Option<Firmware>) -> Workarounds {
    let core = Workarounds::without_mitigation(regs::read::<MIDR_EL1>(), &id::registers());
    core.or(firmware.map_or(Workarounds::UNKNOWN, Firmware::workarounds))
}

impl Host {
    /// Looks at the CPU this runs on, which stands for all.
    pub fn probe(
        interrupts: Interrupts,
        gic: HostGic,
        firmware: Option<Firmware>,
        entropy: impl FnOnce(&IdRegs) -> Entropy,
    ) -> Self {
        let ids = id::registers();
        let midr = regs::read::<MIDR_EL1>();
        let lists = HostLists::probe(gic.interface);
        let e2h = regs::read::<HCR_EL2>() >> 34 & 1;
        Self {
            mode: HostMode {
                vhe: e2h != 0,
                features: ids.features(),
            },
            workarounds: SpinLock::new(Rank::Workarounds, workarounds_here(firmware)),
            firmware,
            entropy: entropy(&ids),
            ids,
            midr,
            gic: gic.interface,
            gic_version: lists.version(),
            priority_bits: lists.priority_bits(),
            virtual_interface: gic.virtual_interface,
            interrupts,
            frequency: timer::frequency(),
            cpus: gic.cpus,
        }
    }

    /// Returns what guests are told of workarounds for what speculation leaks: what holds on every
    /// CPU, as any may be theirs.
    pub fn workarounds(&self) -> Workarounds {
        *self.workarounds.lock()
    }

    /// Takes the CPU this runs on into account, before it runs guests.
    pub fn join(&self) {
        let here = workarounds_here(self.firmware);
        let mut all = self.workarounds.lock();
        *all = all.and(here);
    }

    /// Returns a count in whole seconds.
    pub const fn seconds(&self, count: u64) -> u64 {
        count / self.frequency
    }

    /// Makes the physical interrupts behind these private interrupts of a guest active, or not:
    /// they belong to the vCPU that is loaded.
    #[inline(always)]
    pub fn set_private_active(&self, guest: u32, active: bool) {
        if guest >> GUEST_VIRTUAL_TIMER & 1 != 0 {
            self.set_active(self.interrupts.virtual_timer, active);
        }
        if guest >> GUEST_PHYSICAL_TIMER & 1 != 0 {
            self.set_active(self.interrupts.physical_timer, active);
        }
    }

    fn set_active(&self, physical: u32, active: bool) {
        match active {
            true => self.activate(physical),
            false => self.gic.deactivate(Taken::from_intid(physical)),
        }
    }

    /// Makes a private interrupt of this CPU active.
    fn activate(&self, intid: u32) {
        match (self.gic, self.cpus.get(local::this().index)) {
            (Interface::V2(gic), _) => gic.set_active(intid, true),
            (Interface::V3, Some(cpu)) => {
                if let PrivatePart::V3(redistributor) = &cpu.gic {
                    redistributor.lock().set_active(intid, true);
                }
            }
            (Interface::V3, None) => {}
        }
    }

    /// Makes a CPU exit from its guest, or wake, and look up.
    pub fn kick(&self, cpu: usize) {
        self.signal(cpu, KICK);
    }

    /// Makes a CPU exit from its guest, or wake, and look which vCPU somebody rang for.
    #[inline(always)]
    pub fn nudge(&self, cpu: usize) {
        self.signal(cpu, NUDGE);
    }

    /// Does the same, but that the CPU this runs on gets no interrupt: it looks at the end of the
    /// turn. Returns whether it is this one.
    #[inline(always)]
    pub(super) fn nudge_other(&self, cpu: usize) -> bool {
        let is_here = cpu == local::this().index;
        if !is_here {
            self.nudge(cpu);
        } else if let Some(cpu) = self.cpus.get(cpu) {
            cpu.attention.call();
        }
        is_here
    }

    #[inline(always)]
    fn signal(&self, cpu: usize, sgi: u32) {
        let Some(cpu) = self.cpus.get(cpu) else {
            return;
        };
        cpu.attention.call();
        match (self.gic, &cpu.gic) {
            (Interface::V2(gic), PrivatePart::V2(target)) => {
                gic.send_sgi(sgi, v2::Target::from_bits(target.load(Ordering::Acquire)));
            }
            _ => v3::send_sgi(sgi, cpu.target),
        }
    }

    /// Returns where guests' devices are.
    pub const fn guest_map(&self) -> &'static GuestMap {
        match self.gic_version {
            Version::V2 => &VIRT_V2,
            Version::V3 => &VIRT,
        }
    }
}
