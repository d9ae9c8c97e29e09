//! The virtual CPU interface as EL2 sees it: list registers and what controls them.

mod memory;
mod system;

pub use memory::MemoryLists;
pub use system::SystemLists;

use super::HwIntid;
use super::list_register::STATE;
use super::setup::Version;
use crate::bits::field;
use crate::dev::gic::Interface;

/// `ICH_AP0R<n>_EL2`, then `ICH_AP1R<n>_EL2`. Those that a CPU does not have are zero.
pub type ActivePriorities = [[u64; 4]; 2];

/// The list registers of one CPU, and the registers beside them.
///
/// Values have the layout of GICv3's registers (Arm IHI 0069, chapter 12); a GICv2 host converts.
/// Numbers at or past [`count`](Self::count) read as zero and are not written.
pub trait ListRegisters {
    /// Returns how many list registers there are, at most 16.
    fn count(&self) -> u32;
    /// Returns whether ICC_DIR_EL1 can be trapped on its own (ICH_VTR_EL2.TDS).
    fn traps_dir(&self) -> bool;
    /// Reads `ICH_LR<n>_EL2`.
    fn read(&self, n: u32) -> u64;
    /// Writes `ICH_LR<n>_EL2`.
    fn write(&mut self, n: u32, value: u64);
    /// Writes `ICH_LR<n>_EL2` if its state is inactive; returns whether it was.
    fn fill(&mut self, n: u32, value: u64) -> bool {
        let free = self.read(n) & STATE == 0;
        if free {
            self.write(n, value);
        }
        free
    }
    /// Reads ICH_ELRSR_EL2: the list registers that hold no interrupt, a bit each.
    fn empty(&self) -> u64;
    /// Reads ICH_HCR_EL2.
    fn hcr(&self) -> u64;
    /// Writes ICH_HCR_EL2.
    fn set_hcr(&mut self, value: u64);
    /// Reads ICH_VMCR_EL2.
    fn vmcr(&self) -> u64;
    /// Writes ICH_VMCR_EL2.
    fn set_vmcr(&mut self, value: u64);
    /// Reads those of `ICH_AP0R<n>_EL2` and `ICH_AP1R<n>_EL2` that there are, and leaves them zero.
    fn take_active_priorities(&mut self, to: &mut ActivePriorities);
    /// Writes them.
    fn set_active_priorities(&mut self, from: &ActivePriorities);
    /// Reads ICH_MISR_EL2: why there is a maintenance interrupt.
    fn misr(&self) -> u64;
    /// Reads ICH_EISR_EL2: the list registers whose interrupt ended and asked to be told.
    fn eisr(&self) -> u64;
    /// Deactivates a physical interrupt (ICC_DIR_EL1), this CPU's own if it is a private one.
    fn deactivate_physical(&mut self, hw: HwIntid);
}

/// This CPU's virtual interface, of whichever version the machine has.
///
/// It is no [`ListRegisters`] itself, so that the state machine asks for the version once a call
/// and not at each register: `on_lists` does.
#[derive(Clone, Copy, Debug)]
pub struct HostLists {
    /// GICv3's. To be used in a machine with GICv3 only.
    pub system: SystemLists,
    /// GICv2's, in a machine with GICv2.
    pub memory: Option<MemoryLists>,
}

impl HostLists {
    /// Finds out what this CPU's virtual interface can do; [`Interface`] must be up.
    pub fn probe(interface: Interface) -> Self {
        match interface {
            Interface::V3 => Self {
                system: SystemLists::probe(),
                memory: None,
            },
            Interface::V2(gic) => Self {
                system: SystemLists { vtr: 0 },
                memory: Some(MemoryLists::new(gic)),
            },
        }
    }

    /// Returns how many priority bits a guest has: for [`Config`](super::Config).
    pub fn priority_bits(&self) -> u32 {
        let kind = match self.memory {
            None => self.system.vtr,
            Some(memory) => memory.kind(),
        };
        (field(kind, 29, 3) as u32).wrapping_add(1)
    }

    /// Returns which version a guest's controller has: for [`Config`](super::Config).
    pub const fn version(&self) -> Version {
        match self.memory {
            None => Version::V3,
            Some(_) => Version::V2,
        }
    }
}

/// Evaluates an expression with the list registers of the machine's version, from a [`HostLists`]
/// that can be changed.
macro_rules! on_lists {
    ($host:expr, $lists:ident => $call:expr) => {
        match $host.memory {
            None => {
                let $lists = &mut $host.system;
                $call
            }
            Some(ref mut $lists) => $call,
        }
    };
}
pub(in crate::vm) use on_lists;
