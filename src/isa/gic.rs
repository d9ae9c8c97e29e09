//! The generic interrupt controller as data: register offsets, encodings, fields
//! (Arm IHI 0069 for GICv3).
//!
//! Offsets are bytes from the frame's base. Encodings are in the form of
//! [`Encoding::iss`](crate::isa::encoding::Encoding::iss), which is what
//! [`cpu::regs`](crate::cpu::regs) takes.

use crate::isa::affinity::Affinity;

/// The first interrupt that is private to a CPU and not software generated.
pub const PPI_BASE: u32 = 16;
/// The first interrupt that all CPUs share.
pub const SPI_BASE: u32 = 32;
/// One more than the last shared interrupt.
pub const SPI_END: u32 = 1020;
/// What an acknowledge gives when nothing is pending.
pub const SPURIOUS: u32 = 1023;

/// How an interrupt's line asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trigger {
    /// By being high.
    Level,
    /// By going high.
    Edge,
}

/// Returns the value of ICC_SGI1R_EL1 that sends software interrupt `intid`, 0 to 15, to one CPU.
pub const fn sgi_to(intid: u32, target: Affinity) -> u64 {
    let aff0 = target.aff(0);
    (target.aff(3) << 48)
        | ((aff0 / 16) << 44)
        | (target.aff(2) << 32)
        | ((intid as u64 & 0xf) << 24)
        | (target.aff(1) << 16)
        | (1 << (aff0 % 16))
}

/// The distributor's registers.
pub mod gicd {
    /// Control.
    pub const CTLR: usize = 0x0;
    /// What is implemented.
    pub const TYPER: usize = 0x4;
    /// Who made it.
    pub const IIDR: usize = 0x8;
    /// What is implemented, GICv4.1.
    pub const TYPER2: usize = 0xc;
    /// Errors.
    pub const STATUSR: usize = 0x10;
    /// Raises a message-based shared interrupt.
    pub const SETSPI_NSR: usize = 0x40;
    /// Lowers a message-based shared interrupt.
    pub const CLRSPI_NSR: usize = 0x48;
    /// Group, a bit each.
    pub const IGROUPR: usize = 0x80;
    /// Set enable, a bit each.
    pub const ISENABLER: usize = 0x100;
    /// Clear enable, a bit each.
    pub const ICENABLER: usize = 0x180;
    /// Set pending, a bit each.
    pub const ISPENDR: usize = 0x200;
    /// Clear pending, a bit each.
    pub const ICPENDR: usize = 0x280;
    /// Set active, a bit each.
    pub const ISACTIVER: usize = 0x300;
    /// Clear active, a bit each.
    pub const ICACTIVER: usize = 0x380;
    /// Priority, a byte each.
    pub const IPRIORITYR: usize = 0x400;
    /// Targets, a byte each (GICv2).
    pub const ITARGETSR: usize = 0x800;
    /// Trigger, two bits each.
    pub const ICFGR: usize = 0xc00;
    /// Group modifier, a bit each.
    pub const IGRPMODR: usize = 0xd00;
    /// Non-secure access, two bits each.
    pub const NSACR: usize = 0xe00;
    /// Sends a software interrupt (GICv2).
    pub const SGIR: usize = 0xf00;
    /// Clears pending software interrupts (GICv2).
    pub const CPENDSGIR: usize = 0xf10;
    /// Sets pending software interrupts (GICv2).
    pub const SPENDSGIR: usize = 0xf20;
    /// Routing, eight bytes each, from interrupt 0 (the first 32 are reserved).
    pub const IROUTER: usize = 0x6000;
    /// Architecture revision.
    pub const PIDR2: usize = 0xffe8;

    /// The size of the frame in bytes.
    pub const SIZE: usize = 0x1_0000;

    /// CTLR: forwards group 1; the same bit in both security views where ARE is set.
    pub const CTLR_ENABLE_GRP1: u32 = 1 << 1;
    /// CTLR: all enables of groups, whichever view this is.
    pub const CTLR_ENABLE_ANY: u32 = 0b111;
    /// CTLR: affinity routing.
    pub const CTLR_ARE: u32 = 1 << 4;
    /// CTLR: one security state only.
    pub const CTLR_DS: u32 = 1 << 6;
    /// CTLR: a write is still under way.
    pub const CTLR_RWP: u32 = 1 << 31;
    /// IROUTER: to any CPU, not to the one named.
    pub const IROUTER_ANY: u64 = 1 << 31;
}

/// A redistributor's registers: the first frame, then (from [`SGI_BASE`](gicr::SGI_BASE)) the
/// second.
pub mod gicr {
    /// Control.
    pub const CTLR: usize = 0x0;
    /// Who made it.
    pub const IIDR: usize = 0x4;
    /// Whose it is and what it can do; 64 bits.
    pub const TYPER: usize = 0x8;
    /// Errors.
    pub const STATUSR: usize = 0x10;
    /// Power.
    pub const WAKER: usize = 0x14;
    /// Where message interrupts are configured; 64 bits.
    pub const PROPBASER: usize = 0x70;
    /// Where message interrupts pend; 64 bits.
    pub const PENDBASER: usize = 0x78;
    /// Architecture revision.
    pub const PIDR2: usize = 0xffe8;

    /// Where the frame of private interrupts begins; its registers follow.
    pub const SGI_BASE: usize = 0x1_0000;
    /// Group, a bit each.
    pub const IGROUPR0: usize = SGI_BASE + 0x80;
    /// Set enable, a bit each.
    pub const ISENABLER0: usize = SGI_BASE + 0x100;
    /// Clear enable, a bit each.
    pub const ICENABLER0: usize = SGI_BASE + 0x180;
    /// Set pending, a bit each.
    pub const ISPENDR0: usize = SGI_BASE + 0x200;
    /// Clear pending, a bit each.
    pub const ICPENDR0: usize = SGI_BASE + 0x280;
    /// Set active, a bit each.
    pub const ISACTIVER0: usize = SGI_BASE + 0x300;
    /// Clear active, a bit each.
    pub const ICACTIVER0: usize = SGI_BASE + 0x380;
    /// Priority, a byte each.
    pub const IPRIORITYR: usize = SGI_BASE + 0x400;
    /// Trigger of software interrupts, two bits each.
    pub const ICFGR0: usize = SGI_BASE + 0xc00;
    /// Trigger of the other private interrupts, two bits each.
    pub const ICFGR1: usize = SGI_BASE + 0xc04;
    /// Group modifier, a bit each.
    pub const IGRPMODR0: usize = SGI_BASE + 0xd00;
    /// Non-secure access, two bits each.
    pub const NSACR: usize = SGI_BASE + 0xe00;

    /// The size of a redistributor's two frames in bytes.
    pub const SIZE: usize = 0x2_0000;
    /// The same with the two frames for virtual message interrupts (GICv4).
    pub const SIZE_VLPIS: usize = 0x4_0000;

    /// CTLR: a write is still under way.
    pub const CTLR_RWP: u32 = 1 << 3;
    /// TYPER: virtual message interrupts, hence two more frames.
    pub const TYPER_VLPIS: u64 = 1 << 1;
    /// TYPER: the last redistributor of its region.
    pub const TYPER_LAST: u64 = 1 << 4;
    /// WAKER: the CPU asks to sleep.
    pub const WAKER_PROCESSOR_SLEEP: u32 = 1 << 1;
    /// WAKER: the interface to the CPU is quiet.
    pub const WAKER_CHILDREN_ASLEEP: u32 = 1 << 2;
}

/// The CPU interface's system registers.
pub mod icc {
    use crate::isa::encoding::Encoding;

    /// Priority mask.
    pub const PMR_EL1: u32 = Encoding::new(3, 0, 4, 6, 0).iss();
    /// Acknowledge, group 0.
    pub const IAR0_EL1: u32 = Encoding::new(3, 0, 12, 8, 0).iss();
    /// End of interrupt, group 0.
    pub const EOIR0_EL1: u32 = Encoding::new(3, 0, 12, 8, 1).iss();
    /// Highest pending, group 0.
    pub const HPPIR0_EL1: u32 = Encoding::new(3, 0, 12, 8, 2).iss();
    /// Binary point, group 0.
    pub const BPR0_EL1: u32 = Encoding::new(3, 0, 12, 8, 3).iss();
    /// Active priorities, group 0.
    pub const AP0R_EL1: [u32; 4] = [
        Encoding::new(3, 0, 12, 8, 4).iss(),
        Encoding::new(3, 0, 12, 8, 5).iss(),
        Encoding::new(3, 0, 12, 8, 6).iss(),
        Encoding::new(3, 0, 12, 8, 7).iss(),
    ];
    /// Active priorities, group 1.
    pub const AP1R_EL1: [u32; 4] = [
        Encoding::new(3, 0, 12, 9, 0).iss(),
        Encoding::new(3, 0, 12, 9, 1).iss(),
        Encoding::new(3, 0, 12, 9, 2).iss(),
        Encoding::new(3, 0, 12, 9, 3).iss(),
    ];
    /// Deactivate.
    pub const DIR_EL1: u32 = Encoding::new(3, 0, 12, 11, 1).iss();
    /// Running priority.
    pub const RPR_EL1: u32 = Encoding::new(3, 0, 12, 11, 3).iss();
    /// Send a software interrupt, group 1.
    pub const SGI1R_EL1: u32 = Encoding::new(3, 0, 12, 11, 5).iss();
    /// Send a software interrupt, the other security state's group 1.
    pub const ASGI1R_EL1: u32 = Encoding::new(3, 0, 12, 11, 6).iss();
    /// Send a software interrupt, group 0.
    pub const SGI0R_EL1: u32 = Encoding::new(3, 0, 12, 11, 7).iss();
    /// Acknowledge, group 1.
    pub const IAR1_EL1: u32 = Encoding::new(3, 0, 12, 12, 0).iss();
    /// End of interrupt, group 1.
    pub const EOIR1_EL1: u32 = Encoding::new(3, 0, 12, 12, 1).iss();
    /// Highest pending, group 1.
    pub const HPPIR1_EL1: u32 = Encoding::new(3, 0, 12, 12, 2).iss();
    /// Binary point, group 1.
    pub const BPR1_EL1: u32 = Encoding::new(3, 0, 12, 12, 3).iss();
    /// Control.
    pub const CTLR_EL1: u32 = Encoding::new(3, 0, 12, 12, 4).iss();
    /// System register enable, EL1.
    pub const SRE_EL1: u32 = Encoding::new(3, 0, 12, 12, 5).iss();
    /// Group 0 enable.
    pub const IGRPEN0_EL1: u32 = Encoding::new(3, 0, 12, 12, 6).iss();
    /// Group 1 enable.
    pub const IGRPEN1_EL1: u32 = Encoding::new(3, 0, 12, 12, 7).iss();
    /// System register enable, EL2.
    pub const SRE_EL2: u32 = Encoding::new(3, 4, 12, 9, 5).iss();

    /// CTLR: end of interrupt drops the priority only; deactivation is a step of its own.
    pub const CTLR_EOI_MODE: u64 = 1 << 1;
    /// CTLR: where the number of priority bits, less one, begins; three bits.
    pub const CTLR_PRI_BITS: u32 = 8;
    /// SRE: system registers, not memory.
    pub const SRE_SRE: u64 = 1 << 0;
    /// SRE: no bypass of FIQ.
    pub const SRE_DFB: u64 = 1 << 1;
    /// SRE: no bypass of IRQ.
    pub const SRE_DIB: u64 = 1 << 2;
    /// SRE_EL2: lower levels may use SRE_EL1.
    pub const SRE_ENABLE: u64 = 1 << 3;
}

/// The hypervisor's registers of the CPU interface.
pub mod ich {
    use crate::isa::encoding::Encoding;

    /// Active priorities, group 0.
    pub const AP0R_EL2: [u32; 4] = [
        Encoding::new(3, 4, 12, 8, 0).iss(),
        Encoding::new(3, 4, 12, 8, 1).iss(),
        Encoding::new(3, 4, 12, 8, 2).iss(),
        Encoding::new(3, 4, 12, 8, 3).iss(),
    ];
    /// Active priorities, group 1.
    pub const AP1R_EL2: [u32; 4] = [
        Encoding::new(3, 4, 12, 9, 0).iss(),
        Encoding::new(3, 4, 12, 9, 1).iss(),
        Encoding::new(3, 4, 12, 9, 2).iss(),
        Encoding::new(3, 4, 12, 9, 3).iss(),
    ];
    /// Control.
    pub const HCR_EL2: u32 = Encoding::new(3, 4, 12, 11, 0).iss();
    /// What is implemented.
    pub const VTR_EL2: u32 = Encoding::new(3, 4, 12, 11, 1).iss();
    /// Why a maintenance interrupt is asserted.
    pub const MISR_EL2: u32 = Encoding::new(3, 4, 12, 11, 2).iss();
    /// List registers whose interrupt ended.
    pub const EISR_EL2: u32 = Encoding::new(3, 4, 12, 11, 3).iss();
    /// List registers that are empty.
    pub const ELRSR_EL2: u32 = Encoding::new(3, 4, 12, 11, 5).iss();
    /// The virtual CPU interface's controls.
    pub const VMCR_EL2: u32 = Encoding::new(3, 4, 12, 11, 7).iss();

    /// Returns the encoding of list register `n`, 0 to 15.
    pub const fn lr_el2(n: u8) -> u32 {
        Encoding::new(3, 4, 12, 12 + n / 8, n % 8).iss()
    }

    /// HCR: the virtual CPU interface is on.
    pub const HCR_EN: u64 = 1 << 0;
    /// HCR: interrupt when at most one list register holds an interrupt.
    pub const HCR_UIE: u64 = 1 << 1;
    /// HCR: interrupt when the guest ends one that is in no list register.
    pub const HCR_LRENPIE: u64 = 1 << 2;
    /// HCR: interrupt when no list register is pending.
    pub const HCR_NPIE: u64 = 1 << 3;
    /// HCR: trap registers that both groups share.
    pub const HCR_TC: u64 = 1 << 10;
    /// HCR: trap group 0 registers.
    pub const HCR_TALL0: u64 = 1 << 11;
    /// HCR: trap group 1 registers.
    pub const HCR_TALL1: u64 = 1 << 12;
    /// HCR: trap deactivation, where VTR.TDS says so.
    pub const HCR_TDIR: u64 = 1 << 14;
    /// HCR: where the count of ended interrupts that were in no list register begins; five bits.
    pub const HCR_EOI_COUNT: u32 = 27;

    /// VTR: deactivation can be trapped on its own.
    pub const VTR_TDS: u64 = 1 << 19;
    /// VTR: where the number of list registers, less one, begins; five bits.
    pub const VTR_LIST_REGS: u32 = 0;
    /// VTR: where the number of preemption bits, less one, begins; three bits.
    pub const VTR_PRE_BITS: u32 = 26;
    /// VTR: where the number of priority bits, less one, begins; three bits.
    pub const VTR_PRI_BITS: u32 = 29;

    /// LR: where the physical interrupt begins, for one linked to hardware; ten bits.
    pub const LR_PINTID: u32 = 32;
    /// LR: ask for a maintenance interrupt on the end of one that is not linked to hardware.
    pub const LR_EOI: u64 = 1 << 41;
    /// LR: where the priority begins; eight bits.
    pub const LR_PRIORITY: u32 = 48;
    /// LR: group 1.
    pub const LR_GROUP1: u64 = 1 << 60;
    /// LR: linked to a physical interrupt.
    pub const LR_HW: u64 = 1 << 61;
    /// LR: pending.
    pub const LR_PENDING: u64 = 1 << 62;
    /// LR: active.
    pub const LR_ACTIVE: u64 = 1 << 63;

    /// VMCR: group 0 enabled.
    pub const VMCR_VENG0: u64 = 1 << 0;
    /// VMCR: group 1 enabled.
    pub const VMCR_VENG1: u64 = 1 << 1;
    /// VMCR: group 0 is signalled as FIQ.
    pub const VMCR_VFIQ_EN: u64 = 1 << 3;
    /// VMCR: one binary point for both groups.
    pub const VMCR_VCBPR: u64 = 1 << 4;
    /// VMCR: end of interrupt drops the priority only.
    pub const VMCR_VEOIM: u64 = 1 << 9;
    /// VMCR: where group 1's binary point begins; three bits.
    pub const VMCR_VBPR1: u32 = 18;
    /// VMCR: where group 0's binary point begins; three bits.
    pub const VMCR_VBPR0: u32 = 21;
    /// VMCR: where the priority mask begins; eight bits.
    pub const VMCR_VPMR: u32 = 24;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::encoding::Encoding;

    #[test]
    fn an_sgi_names_one_cpu() {
        assert_eq!(sgi_to(0, Affinity::default()), 1);
        let word = sgi_to(7, Affinity::new(1, 2, 3, 0x25));
        assert_eq!(
            word,
            1 << 48 | 2 << 44 | 2 << 32 | 7 << 24 | 3 << 16 | 1 << 5
        );
    }

    #[test]
    fn encodings_are_the_assemblers() {
        // Words of `mrs x0, NAME` as an assembler that knows the names gives them.
        let words = [
            (icc::PMR_EL1, 0xd538_4600_u32),
            (icc::IAR1_EL1, 0xd538_cc00),
            (icc::BPR1_EL1, 0xd538_cc60),
            (icc::CTLR_EL1, 0xd538_cc80),
            (icc::SRE_EL1, 0xd538_cca0),
            (icc::IGRPEN1_EL1, 0xd538_cce0),
            (icc::RPR_EL1, 0xd538_cb60),
            (icc::SRE_EL2, 0xd53c_c9a0),
            (ich::HCR_EL2, 0xd53c_cb00),
            (ich::VTR_EL2, 0xd53c_cb20),
            (ich::VMCR_EL2, 0xd53c_cbe0),
            (ich::lr_el2(0), 0xd53c_cc00),
            (ich::lr_el2(9), 0xd53c_cd20),
        ];
        for (iss, word) in words {
            assert_eq!(Encoding::from_iss(iss).mrs(0), word);
        }
    }
}
