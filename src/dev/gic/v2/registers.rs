//! The memory-mapped interfaces of a GICv2 (Arm IHI 0048), by offset in bytes.
//!
//! The distributor's registers that GICv3 has too are in [`crate::isa::gic::gicd`].

/// The distributor.
pub mod gicd {
    pub use crate::isa::gic::gicd::*;

    /// The size of the frame in bytes.
    pub const SIZE: usize = 0x1000;
    /// CTLR: forwards interrupts; those of group 1 where EL2 sees only these.
    pub const CTLR_ENABLE: u32 = 1 << 0;
    /// SGIR: where the list of target CPUs begins; eight bits.
    pub const SGIR_TARGETS: u32 = 16;
}

/// The CPU interface.
pub mod gicc {
    /// Control.
    pub const CTLR: usize = 0x0;
    /// Priority mask.
    pub const PMR: usize = 0x4;
    /// Binary point.
    pub const BPR: usize = 0x8;
    /// Acknowledge.
    pub const IAR: usize = 0xc;
    /// End of interrupt.
    pub const EOIR: usize = 0x10;
    /// Highest pending.
    pub const HPPIR: usize = 0x18;
    /// Active priorities.
    pub const APR: usize = 0xd0;
    /// Who made it.
    pub const IIDR: usize = 0xfc;
    /// Deactivate.
    pub const DIR: usize = 0x1000;
    /// The size of the frames in bytes.
    pub const SIZE: usize = 0x2000;

    /// CTLR: signals interrupts to the CPU.
    pub const CTLR_ENABLE: u32 = 1 << 0;
    /// CTLR: an end of interrupt drops the priority only.
    pub const CTLR_EOI_MODE: u32 = 1 << 9;
    /// IAR: the number of the interrupt; above it is the CPU that sent it, if it is an SGI.
    pub const IAR_INTID: u32 = 0x3ff;
}

/// The hypervisor's control of the virtual CPU interface.
pub mod gich {
    /// Control.
    pub const HCR: usize = 0x0;
    /// What is implemented.
    pub const VTR: usize = 0x4;
    /// What the guest has set in its interface.
    pub const VMCR: usize = 0x8;
    /// Why a maintenance interrupt is asserted.
    pub const MISR: usize = 0x10;
    /// List registers whose interrupt ended; 64 bits in two words.
    pub const EISR: usize = 0x20;
    /// List registers that are empty; 64 bits in two words.
    pub const ELRSR: usize = 0x30;
    /// Active priorities.
    pub const APR: usize = 0xf0;
    /// List registers, four bytes each.
    pub const LR: usize = 0x100;
    /// The size of the frame in bytes.
    pub const SIZE: usize = 0x200;
}
