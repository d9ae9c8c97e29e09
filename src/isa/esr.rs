//! Syndromes: what ESR_EL2 says of an exit (Arm ARM, D24.2.40 "ESR_EL2").

use crate::bits::{bit, field};

/// Exception classes: ESR_ELx.EC.
pub mod class {
    /// Nothing else fits: UNDEFINED, among others.
    pub const UNKNOWN: u64 = 0x00;
    /// WFI or WFE, and their forms with a timeout.
    pub const WFX: u64 = 0x01;
    /// AArch32: MCR or MRC of coprocessor 15.
    pub const CP15_32: u64 = 0x03;
    /// AArch32: MCRR or MRRC of coprocessor 15.
    pub const CP15_64: u64 = 0x04;
    /// AArch32: MCR or MRC of coprocessor 14.
    pub const CP14_32: u64 = 0x05;
    /// AArch32: LDC or STC of coprocessor 14.
    pub const CP14_LOAD_STORE: u64 = 0x06;
    /// Access to FP or SIMD registers.
    pub const FP: u64 = 0x07;
    /// AArch32: VMRS of an ID register.
    pub const VMRS: u64 = 0x08;
    /// AArch32: MRRC of coprocessor 14.
    pub const CP14_64: u64 = 0x0c;
    /// HVC from AArch32.
    pub const HVC_32: u64 = 0x12;
    /// SMC from AArch32.
    pub const SMC_32: u64 = 0x13;
    /// HVC from AArch64.
    pub const HVC: u64 = 0x16;
    /// SMC from AArch64.
    pub const SMC: u64 = 0x17;
    /// MRS, MSR or a system instruction.
    pub const SYSTEM: u64 = 0x18;
    /// An instruction fetch that stage 2 refused, from EL0 or EL1.
    pub const INSTRUCTION_ABORT: u64 = 0x20;
    /// An instruction fetch of EL2 that failed.
    pub const INSTRUCTION_ABORT_SAME: u64 = 0x21;
    /// A load or store that stage 2 refused, from EL0 or EL1.
    pub const DATA_ABORT: u64 = 0x24;
    /// A load or store of EL2 that failed.
    pub const DATA_ABORT_SAME: u64 = 0x25;
    /// A breakpoint that EL0 or EL1 met.
    pub const BREAKPOINT: u64 = 0x30;
    /// A single step of EL0 or EL1.
    pub const SOFTWARE_STEP: u64 = 0x32;
    /// A watchpoint that EL0 or EL1 met.
    pub const WATCHPOINT: u64 = 0x34;
    /// BKPT in AArch32 state.
    pub const BKPT: u64 = 0x38;
    /// A vector catch in AArch32 state.
    pub const VECTOR_CATCH: u64 = 0x3a;
    /// BRK.
    pub const BRK: u64 = 0x3c;
}

/// The value of an ESR_ELx.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Esr(pub u64);

impl Esr {
    /// Returns the exception class.
    #[inline(always)]
    pub const fn class(self) -> u64 {
        field(self.0, 26, 6)
    }

    /// Returns the size of the instruction in bytes.
    #[inline(always)]
    pub const fn instruction_size(self) -> u64 {
        if bit(self.0, 25) { 4 } else { 2 }
    }

    /// Returns the instruction specific syndrome, the low 25 bits.
    #[inline(always)]
    pub const fn iss(self) -> u32 {
        field(self.0, 0, 25) as u32
    }

    /// Returns the general register of a trapped MRS or MSR.
    #[inline(always)]
    pub const fn system_rt(self) -> u8 {
        field(self.0, 5, 5) as u8
    }

    /// Returns whether a trapped system instruction was a read.
    #[inline(always)]
    pub const fn system_is_read(self) -> bool {
        bit(self.0, 0)
    }

    /// Returns what was trapped: the encoding as [`Encoding::iss`](super::encoding::Encoding::iss)
    /// writes it.
    #[inline(always)]
    pub const fn system_register(self) -> u32 {
        self.iss() & !(0x1f << 5) & !1
    }

    /// Returns whether the exit may come from an instruction of AArch32 whose condition failed.
    pub const fn may_have_failed(self) -> bool {
        /// Of an SMC: it was conditional, and may have failed (CCKNOWNPASS).
        const UNSURE: u32 = 19;
        match self.class() {
            class::WFX
            | class::CP15_32
            | class::CP15_64
            | class::CP14_32
            | class::CP14_LOAD_STORE
            | class::FP
            | class::VMRS
            | class::CP14_64 => true,
            class::SMC_32 => bit(self.0, UNSURE),
            _ => false,
        }
    }

    /// Returns the condition of an instruction of AArch32, where the syndrome has it (CV, COND).
    pub const fn condition(self) -> Option<u8> {
        if bit(self.0, 24) {
            Some(field(self.0, 20, 4) as u8)
        } else {
            None
        }
    }

    /// Returns opc1 of a trapped MCRR or MRRC.
    pub const fn pair_opc1(self) -> u8 {
        field(self.0, 16, 4) as u8
    }

    /// Returns the second general register of a trapped MCRR or MRRC.
    pub const fn pair_rt2(self) -> u8 {
        field(self.0, 10, 5) as u8
    }

    /// Returns the immediate of an HVC or SMC.
    #[inline(always)]
    pub const fn immediate(self) -> u16 {
        field(self.0, 0, 16) as u16
    }

    /// Returns whether a trapped wait was for an event, WFE or WFET, not for an interrupt.
    pub const fn is_wait_for_event(self) -> bool {
        bit(self.0, 0)
    }

    /// Returns the fault status code of an abort.
    #[inline(always)]
    pub const fn fault_status(self) -> u64 {
        field(self.0, 0, 6)
    }

    /// Returns whether the abort met an access that stage 1's walk made, not the program.
    #[inline(always)]
    pub const fn is_walk(self) -> bool {
        bit(self.0, 7)
    }

    /// Returns whether a data abort was by a store.
    pub const fn is_write(self) -> bool {
        bit(self.0, 6)
    }

    /// Returns whether a data abort was by cache maintenance (CM), which is no access.
    pub const fn is_cache_maintenance(self) -> bool {
        bit(self.0, 8)
    }

    /// Returns whether the address of an abort is not in FAR_ELx.
    pub const fn address_unknown(self) -> bool {
        bit(self.0, 10)
    }

    /// Returns the load or store behind a data abort, when the syndrome describes it (ISV).
    #[inline(always)]
    pub const fn access(self) -> Option<Access> {
        if !bit(self.0, 24) {
            return None;
        }
        Some(Access {
            size: 1 << field(self.0, 22, 2),
            rt: field(self.0, 16, 5) as u8,
            write: bit(self.0, 6),
            sign_extend: bit(self.0, 21),
            wide: bit(self.0, 15),
        })
    }
}

/// A load or store, as a data abort's syndrome describes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Access {
    /// Bytes: 1, 2, 4 or 8.
    pub size: u8,
    /// The register loaded or stored; 31 is the zero register.
    pub rt: u8,
    /// Whether it is a store.
    pub write: bool,
    /// Whether a load extends the sign.
    pub sign_extend: bool,
    /// Whether the register is 64 bits wide.
    pub wide: bool,
}

impl Access {
    /// Returns what the register holds after loading `value`: cut to the access, extended to the
    /// register, the rest zero.
    #[inline(always)]
    pub const fn extend(self, value: u64) -> u64 {
        let bits = 8 * self.size as u32;
        let cut = field(value, 0, bits);
        if !self.sign_extend {
            return cut;
        }
        let extended = crate::bits::sign_extend(cut, bits);
        if self.wide {
            extended
        } else {
            extended & 0xffff_ffff
        }
    }
}

/// Fault status codes: the low six bits of an abort's syndrome.
pub mod status {
    /// A translation fault at level 0; the levels follow.
    pub const TRANSLATION: u64 = 0b00_0100;
    /// An access flag fault at level 0.
    pub const ACCESS_FLAG: u64 = 0b00_1000;
    /// A permission fault at level 0.
    pub const PERMISSION: u64 = 0b00_1100;
    /// A synchronous external abort, not on a walk.
    pub const EXTERNAL: u64 = 0b01_0000;
    /// A synchronous external abort on a walk at level 0.
    pub const EXTERNAL_WALK: u64 = 0b01_0100;
    /// An alignment fault.
    pub const ALIGNMENT: u64 = 0b10_0001;
}

/// Says in words what an abort's fault status code means.
pub fn describe_status(code: u64) -> &'static str {
    match code {
        0x00..=0x03 => "address size fault",
        0x04..=0x07 => "translation fault: nothing is mapped there",
        0x08..=0x0b => "access flag fault",
        0x0c..=0x0f => "permission fault",
        status::EXTERNAL => "external abort: nothing answered",
        0x14..=0x17 => "external abort on a table walk",
        status::ALIGNMENT => "alignment fault",
        0x30 => "TLB conflict",
        _ => "abort",
    }
}

/// Says in words what an exception class means.
pub fn describe_class(class: u64) -> &'static str {
    match class {
        class::UNKNOWN => "undefined instruction",
        class::WFX => "trapped WFI or WFE",
        class::CP15_32 | class::CP15_64 | class::CP14_32 | class::CP14_64 => {
            "trapped coprocessor access"
        }
        class::FP => "trapped FP or SIMD instruction",
        0x0e => "illegal execution state",
        class::HVC | class::HVC_32 => "HVC",
        class::SMC | class::SMC_32 => "SMC",
        class::SYSTEM => "trapped system register access",
        class::INSTRUCTION_ABORT => "instruction abort from a lower level",
        class::INSTRUCTION_ABORT_SAME => "instruction abort",
        0x22 => "misaligned PC",
        class::DATA_ABORT => "data abort from a lower level",
        class::DATA_ABORT_SAME => "data abort",
        0x26 => "misaligned SP",
        0x2f => "SError",
        class::BREAKPOINT => "breakpoint",
        class::SOFTWARE_STEP => "single step",
        class::WATCHPOINT => "watchpoint",
        class::BRK => "BRK instruction",
        _ => "exception",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trapped_mrs_is_read_back() {
        // mrs x7, ID_AA64PFR0_EL1 = S3_0_C0_C4_0
        let encoding = crate::isa::encoding::Encoding::new(3, 0, 0, 4, 0);
        let esr = Esr(class::SYSTEM << 26 | 1 << 25 | u64::from(encoding.iss()) | 7 << 5 | 1);
        assert_eq!(esr.class(), class::SYSTEM);
        assert_eq!(esr.instruction_size(), 4);
        assert_eq!(esr.system_register(), encoding.iss());
        assert_eq!(esr.system_rt(), 7);
        assert!(esr.system_is_read());
    }

    #[test]
    fn an_access_without_syndrome_is_none() {
        assert_eq!(Esr(class::DATA_ABORT << 26).access(), None);
    }

    #[test]
    fn loads_extend_as_their_registers() {
        let load = |size, sign_extend, wide| Access {
            size,
            rt: 0,
            write: false,
            sign_extend,
            wide,
        };
        assert_eq!(load(1, false, true).extend(0x1ff), 0xff);
        assert_eq!(load(1, true, true).extend(0x80), 0xffff_ffff_ffff_ff80);
        assert_eq!(load(1, true, false).extend(0x80), 0xffff_ff80);
        assert_eq!(load(2, true, false).extend(0x1_7fff), 0x7fff);
        assert_eq!(
            load(4, true, true).extend(0x8000_0000),
            0xffff_ffff_8000_0000
        );
        assert_eq!(load(8, false, true).extend(u64::MAX), u64::MAX);
    }
}
