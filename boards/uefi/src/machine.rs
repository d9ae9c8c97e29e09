//! What the hypervisor has to know of a machine.

use alloc::string::String;
use alloc::vec::Vec;

/// A range of physical addresses that is not empty and does not wrap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Its first address.
    pub start: u64,
    /// Its size in bytes.
    pub size: u64,
}

impl Place {
    /// Makes a range; `None` at 0, where nothing is, without a size, or where it leaves 48 bits.
    pub fn new(start: u64, size: u64) -> Option<Self> {
        let end = start.checked_add(size)?;
        let sane = start != 0 && size != 0 && end <= 1 << 48;
        sane.then_some(Self { start, size })
    }

    /// Returns the address after its last.
    pub fn end(self) -> u64 {
        self.start.saturating_add(self.size)
    }
}

/// An interrupt, by the GIC's number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Line {
    /// Its number (INTID).
    pub number: u32,
    /// Whether a change of the line is the interrupt, not its level.
    pub edge: bool,
    /// Whether the line is low when it asks.
    pub low: bool,
}

/// A CPU that may be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cpu {
    /// The affinity fields of its MPIDR_EL1.
    pub mpidr: u64,
}

/// The instruction that calls PSCI.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Conduit {
    /// To EL3.
    Smc,
    /// To a hypervisor below.
    Hvc,
}

/// The interrupt controller.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Gic {
    /// GICv2.
    V2 {
        /// GICD, GICC, GICH, GICV.
        interfaces: [Place; 4],
        /// The maintenance interrupt.
        maintenance: Line,
    },
    /// GICv3 or GICv4.
    V3 {
        /// GICD.
        distributor: Place,
        /// GICR, one region or more.
        regions: Vec<Place>,
        /// The maintenance interrupt.
        maintenance: Line,
        /// The ITSs.
        translators: Vec<Its>,
    },
}

/// A translator of message-signalled interrupts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Its {
    /// The number that IORT knows it by.
    pub id: u32,
    /// Its registers.
    pub registers: Place,
}

/// The generic timers' interrupts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timer {
    /// EL3's.
    pub secure: Option<Line>,
    /// The EL1 physical timer's.
    pub physical: Line,
    /// The virtual timer's.
    pub virtual_: Line,
    /// The EL2 physical timer's.
    pub hypervisor: Line,
    /// The EL2 virtual timer's, on CPUs that have it.
    pub hypervisor_virtual: Option<Line>,
}

/// The kinds of serial ports we know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UartKind {
    /// Arm's PL011.
    Pl011,
    /// The part of a PL011 that Arm's SBSA asks for.
    Sbsa,
    /// 16550 and what is compatible with it.
    Ns16550,
}

/// A serial port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Uart {
    /// What it is.
    pub kind: UartKind,
    /// Its registers.
    pub registers: Place,
    /// A register's number is shifted left by this to make its offset.
    pub shift: u32,
    /// The width of an access in bytes.
    pub width: u32,
    /// Its interrupt's number, if it goes to the GIC.
    pub interrupt: Option<u32>,
}

/// A part of PCI with a configuration space of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment {
    /// Its number.
    pub number: u16,
    /// The configuration space of its buses, from the first on.
    pub space: Place,
    /// Its first bus.
    pub first_bus: u8,
    /// Its last bus.
    pub last_bus: u8,
}

/// The configuration space of a bus, in bytes: 4096 for each of 256 functions.
const BUS: u64 = 1 << 20;

impl Segment {
    /// Makes a segment whose bus 0 has, or would have, its configuration space at `base`.
    pub fn new(base: u64, number: u16, first_bus: u8, last_bus: u8) -> Option<Self> {
        let buses = u64::from(last_bus.checked_sub(first_bus)?) + 1;
        let start = base.checked_add(u64::from(first_bus) * BUS)?;
        let space = Place::new(start, buses * BUS).filter(|place| place.start % BUS == 0)?;
        Some(Self {
            number,
            space,
            first_bus,
            last_bus,
        })
    }
}

/// SMMUs, and how devices of PCI reach them and the ITSs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Remapping {
    /// The SMMUs.
    pub smmus: Vec<Smmu>,
    /// The roots of PCI.
    pub roots: Vec<RootComplex>,
}

/// An SMMUv3.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Smmu {
    /// The number that mappings know it by.
    pub id: u32,
    /// Its registers.
    pub registers: Place,
    /// Whether its table walks see the CPUs' caches.
    pub coherent: bool,
    /// The event queue's interrupt.
    pub event: Option<u32>,
    /// The interrupt of global errors.
    pub error: Option<u32>,
    /// What becomes of its stream numbers.
    pub mappings: Vec<Mapping>,
}

/// A root complex.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RootComplex {
    /// The segment it makes.
    pub segment: u32,
    /// What becomes of its functions' numbers.
    pub mappings: Vec<Mapping>,
}

/// A range of device numbers, and what it is elsewhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mapping {
    /// The first number.
    pub from: u32,
    /// How many numbers there are.
    pub size: u32,
    /// What the first number is at the target.
    pub to: u32,
    /// Where the numbers are used.
    pub target: Target,
}

/// Who uses device numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// The ITS of this number.
    Its(u32),
    /// The SMMU of this number.
    Smmu(u32),
}

/// A machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Machine {
    /// What it calls itself.
    pub model: String,
    /// The CPUs that may be used.
    pub cpus: Vec<Cpu>,
    /// How PSCI is called, if there is PSCI.
    pub psci: Option<Conduit>,
    /// The interrupt controller.
    pub gic: Gic,
    /// The timers.
    pub timer: Timer,
    /// The console.
    pub uart: Option<Uart>,
    /// PCI.
    pub segments: Vec<Segment>,
    /// SMMUs and ITSs.
    pub remapping: Remapping,
    /// What was wrong and could be done without, each a line for a person.
    pub notes: Vec<String>,
}
