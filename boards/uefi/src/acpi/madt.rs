//! MADT: the CPUs and the interrupt controller (ACPI 6.5, 5.2.12).

use alloc::vec;
use alloc::vec::Vec;

use super::bytes::Bytes;
use super::structures;
use crate::machine::{Cpu, Gic, Its, Line, Place};
use crate::{Refusal, refuse};

/// Where the list of structures begins in the table.
const LIST: usize = 44;

const GICC: u8 = 0x0b;
const GICD: u8 = 0x0c;
const GICR: u8 = 0x0e;
const ITS: u8 = 0x0f;

/// A redistributor's frames without those of virtual LPIs, in bytes.
const REDISTRIBUTOR: u64 = 0x2_0000;
/// What there is of a distributor with affinity routing, and of an ITS, in bytes.
const DISTRIBUTOR: u64 = 0x1_0000;
const TRANSLATOR: u64 = 0x2_0000;
/// The interfaces of a GICv2: distributor, CPU interface, control of the virtual one, virtual one.
const V2_SIZES: [u64; 4] = [0x1000, 0x2000, 0x2000, 0x2000];

/// What the table tells of.
pub(super) struct Madt {
    pub(super) cpus: Vec<Cpu>,
    pub(super) gic: Gic,
}

/// What the structure of a CPU says of its part of the GIC.
struct Interface {
    cpu_interface: u64,
    hypervisor_interface: u64,
    virtual_cpu_interface: u64,
    redistributor: u64,
    maintenance: u32,
    maintenance_edge: bool,
}

/// The structures of the table, sorted out.
#[derive(Default)]
struct Structures {
    cpus: Vec<Cpu>,
    interfaces: Vec<Interface>,
    /// Where the distributor is, and the GIC's version.
    distributor: Option<(u64, u8)>,
    regions: Vec<Place>,
    translators: Vec<Its>,
}

impl Structures {
    fn read(list: &[u8]) -> Self {
        let mut all = Self::default();
        for (kind, entry) in structures(list) {
            match kind {
                GICC => all.add_cpu(entry),
                GICD => {
                    let one = entry.u64_at(8).zip(entry.u8_at(20));
                    all.distributor = all.distributor.or(one);
                }
                GICR => all.regions.extend(region(entry)),
                ITS => all.translators.extend(its(entry)),
                _ => {}
            }
        }
        all
    }

    fn add_cpu(&mut self, entry: &[u8]) {
        if let Some((cpu, interface)) = cpu(entry)
            && self.cpus.iter().all(|other| other.mpidr != cpu.mpidr)
        {
            self.cpus.push(cpu);
            self.interfaces.push(interface);
        }
    }
}

/// Reads the table.
pub(super) fn read(table: &[u8]) -> Result<Madt, Refusal> {
    let all = Structures::read(table.get(LIST..).unwrap_or_default());
    let (distributor, version) = all
        .distributor
        .ok_or_else(|| refuse!("ACPI: APIC has no GIC distributor"))?;
    let first = all
        .interfaces
        .first()
        .ok_or_else(|| refuse!("ACPI: APIC has no enabled CPU"))?;
    let maintenance = Line {
        number: first.maintenance,
        edge: first.maintenance_edge,
        low: false,
    };
    if !(16..32).contains(&maintenance.number) {
        return Err(refuse!(
            "ACPI: APIC gives the GIC no maintenance interrupt: it can't serve guests"
        ));
    }
    let gic = if version == 2 {
        v2(distributor, first, maintenance)?
    } else {
        let mut regions = all.regions;
        if regions.is_empty() {
            regions = regions_of(&all.interfaces);
        }
        if regions.is_empty() {
            return Err(refuse!("ACPI: APIC has no GIC redistributors"));
        }
        Gic::V3 {
            distributor: place(distributor, DISTRIBUTOR)?,
            regions,
            maintenance,
            translators: all.translators,
        }
    };
    Ok(Madt {
        cpus: all.cpus,
        gic,
    })
}

/// Reads a GICC structure; `None` for a CPU that may not be used.
fn cpu(entry: &[u8]) -> Option<(Cpu, Interface)> {
    const ENABLED: u32 = 1;
    const MAINTENANCE_EDGE: u32 = 4;
    const AFFINITY: u64 = 0xff_00ff_ffff;
    let flags = entry.u32_at(12)?;
    let mpidr = entry.u64_at(68)? & AFFINITY;
    (flags & ENABLED != 0).then_some(())?;
    let interface = Interface {
        cpu_interface: entry.u64_at(32)?,
        virtual_cpu_interface: entry.u64_at(40)?,
        hypervisor_interface: entry.u64_at(48)?,
        maintenance: entry.u32_at(56)?,
        maintenance_edge: flags & MAINTENANCE_EDGE != 0,
        redistributor: entry.u64_at(60)?,
    };
    Some((Cpu { mpidr }, interface))
}

fn region(entry: &[u8]) -> Option<Place> {
    Place::new(entry.u64_at(4)?, entry.u32_at(12)?.into())
}

fn its(entry: &[u8]) -> Option<Its> {
    Some(Its {
        id: entry.u32_at(4)?,
        registers: Place::new(entry.u64_at(8)?, TRANSLATOR)?,
    })
}

/// Returns the regions of redistributors that the CPUs tell of one by one, those side by side as
/// one.
fn regions_of(interfaces: &[Interface]) -> Vec<Place> {
    let mut starts: Vec<u64> = interfaces.iter().map(|cpu| cpu.redistributor).collect();
    starts.retain(|&start| start != 0);
    starts.sort_unstable();
    starts.dedup();
    let mut regions: Vec<Place> = vec![];
    for start in starts {
        match regions.last_mut() {
            Some(last) if last.end() == start => last.size += REDISTRIBUTOR,
            _ => regions.extend(Place::new(start, REDISTRIBUTOR)),
        }
    }
    regions
}

fn v2(distributor: u64, cpu: &Interface, maintenance: Line) -> Result<Gic, Refusal> {
    let starts = [
        distributor,
        cpu.cpu_interface,
        cpu.hypervisor_interface,
        cpu.virtual_cpu_interface,
    ];
    let mut interfaces = [Place { start: 0, size: 0 }; 4];
    for (to, (start, size)) in interfaces.iter_mut().zip(starts.into_iter().zip(V2_SIZES)) {
        *to = place(start, size)?;
    }
    Ok(Gic::V2 {
        interfaces,
        maintenance,
    })
}

fn place(start: u64, size: u64) -> Result<Place, Refusal> {
    Place::new(start, size)
        .ok_or_else(|| refuse!("ACPI: APIC places a part of the GIC at {start:#x}"))
}
