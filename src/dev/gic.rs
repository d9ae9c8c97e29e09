//! The host's interrupt controller, of either version.
//!
//! What the CPU interface does is one trait, [`CpuInterface`], so that code which takes interrupts
//! while a guest runs is compiled for each version, and asks only once which one it is. The rest
//! asks [`Interface`] each time.

pub mod v2;
pub mod v3;

use crate::isa::gic::Trigger;
use crate::mmio::Mmio;

/// The priority interrupts have unless told otherwise: the middle, so that there is room on both
/// sides. The number is within what every security view can express.
pub const DEFAULT_PRIORITY: u8 = 0xa0;

/// An interrupt that was acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Taken {
    intid: u32,
    /// What the acknowledge gave, to be handed back whole: with GICv2 it names the CPU that sent
    /// an SGI.
    raw: u32,
}

impl Taken {
    /// Names an interrupt that is not an SGI, to be ended though somebody else took it.
    #[inline(always)]
    pub const fn from_intid(intid: u32) -> Self {
        Self { intid, raw: intid }
    }

    /// Returns its number; [`SPURIOUS`](crate::isa::gic::SPURIOUS) when nothing was pending.
    #[inline(always)]
    pub const fn intid(self) -> u32 {
        self.intid
    }
}

/// The CPU interface of the CPU this runs on.
pub trait CpuInterface: Copy {
    /// Takes the most urgent pending interrupt. From now until [`deactivate`](Self::deactivate) it
    /// is active.
    fn acknowledge(self) -> Taken;
    /// Returns the number of what [`acknowledge`](Self::acknowledge) would take, and takes nothing.
    fn highest_pending(self) -> u32;
    /// Lets this CPU take interrupts of this one's priority again. Interrupts are dropped in the
    /// reverse order of [`acknowledge`](Self::acknowledge).
    fn priority_drop(self, taken: Taken);
    /// Lets the interrupt come again.
    fn deactivate(self, taken: Taken);
}

/// The CPU interface of whichever version the machine has.
#[derive(Clone, Copy, Debug)]
pub enum Interface {
    /// By registers in memory.
    V2(&'static v2::Gic),
    /// By system registers.
    V3,
}

impl CpuInterface for Interface {
    fn acknowledge(self) -> Taken {
        match self {
            Self::V2(gic) => gic.acknowledge(),
            Self::V3 => v3::Interface.acknowledge(),
        }
    }

    fn highest_pending(self) -> u32 {
        match self {
            Self::V2(gic) => gic.highest_pending(),
            Self::V3 => v3::Interface.highest_pending(),
        }
    }

    fn priority_drop(self, taken: Taken) {
        match self {
            Self::V2(gic) => gic.priority_drop(taken),
            Self::V3 => v3::Interface.priority_drop(taken),
        }
    }

    fn deactivate(self, taken: Taken) {
        match self {
            Self::V2(gic) => gic.deactivate(taken),
            Self::V3 => v3::Interface.deactivate(taken),
        }
    }
}

/// Sets what an interrupt's line means, in the two bits it has from `base` on; the lower of them is
/// reserved.
fn configure(registers: &Mmio, base: usize, intid: u32, trigger: Trigger) {
    let register = base + 4 * (intid / 16) as usize;
    let edge = 2 << (2 * (intid % 16));
    let others = registers.read32(register) & !edge;
    let own = if trigger == Trigger::Edge { edge } else { 0 };
    registers.write32(register, others | own);
}
