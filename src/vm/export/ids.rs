//! The ids of exported registers: pure arithmetic.
//!
//! An id is 64 bits: the architecture (arm64) in 63:56, the size in 55:52 as a power of two of
//! bytes, a space in 27:16, and a number in 15:0 whose meaning is the space's.

use crate::isa::{
    encoding::Encoding,
    sysreg::{ALL, Export, SysReg},
};
use core::fmt;

const ARM64: u64 = 0x60 << 56;
const U32: u64 = 2 << 52;
const U64: u64 = 3 << 52;
const U128: u64 = 4 << 52;

/// The spaces: KVM's, then our own from 0xf00 up.
mod space {
    /// 32-bit words into `struct kvm_regs`.
    pub const CORE: u64 = 0x010;
    /// Encodings of system registers.
    pub const SYSREG: u64 = 0x013;
    /// Firmware: 0 is PSCI_VERSION.
    pub const FIRMWARE: u64 = 0x014;
    /// PSCI's state of this vCPU: 0 is its power, as AFFINITY_INFO tells it.
    pub const POWER: u64 = 0xf00;
    /// The distributor's registers by offset, in 32-bit words.
    pub const DIST: u64 = 0xf01;
    /// The registers of this vCPU's redistributor by offset, in 32-bit words.
    pub const REDIST: u64 = 0xf02;
    /// This vCPU's virtual CPU interface: 0 is ICH_VMCR_EL2, 8 + n is `ICH_AP0R<n>_EL2`, 16 + n is
    /// `ICH_AP1R<n>_EL2`.
    pub const INTERFACE: u64 = 0xf03;
}

/// CNTV_CVAL_EL0's encoding, under which KVM has the virtual count.
const COUNT: Encoding = Encoding::new(3, 3, 14, 3, 2);

/// Words into `struct kvm_regs`.
const PC: u64 = 64;
const PSTATE: u64 = 66;
const VREGS: u64 = 84;
const FPSR: u64 = 212;
const FPCR: u64 = 213;

/// A part of the FP state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fp {
    /// A vector register.
    V(u8),
    /// FPSR.
    Status,
    /// FPCR.
    Control,
}

/// An exported register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Name {
    /// A general register.
    X(u8),
    /// The address of the next instruction.
    Pc,
    /// PSTATE in the format of an SPSR.
    Pstate,
    /// A part of the FP state.
    Fp(Fp),
    /// A row of the table.
    Row(SysReg),
    /// An ID register.
    Id(Encoding),
    /// The virtual count.
    Count,
    /// The version of PSCI.
    PsciVersion,
    /// Whether the vCPU is on.
    Power,
    /// A distributor register, by offset in bytes.
    Dist(u32),
    /// A register of the vCPU's redistributor, by offset in bytes.
    Redist(u32),
    /// A register of the vCPU's interrupt interface, by number.
    Interface(u8),
}

const fn id(size: u64, space: u64, number: u64) -> u64 {
    ARM64 | size | space << 16 | number
}

/// Returns an encoding as an id has it: as in the MRS instruction.
fn packed(e: Encoding) -> u64 {
    u64::from(e.op0) << 14
        | u64::from(e.op1) << 11
        | u64::from(e.crn) << 7
        | u64::from(e.crm) << 3
        | u64::from(e.op2)
}

fn unpacked(number: u64) -> Encoding {
    let part = |lsb: u32, mask: u64| (number >> lsb & mask) as u8;
    Encoding {
        op0: part(14, 3),
        op1: part(11, 7),
        crn: part(7, 15),
        crm: part(3, 15),
        op2: part(0, 7),
    }
}

/// Returns whether an encoding is in the space that HCR_EL2.TID3 traps: the ID registers.
fn is_id_register(e: Encoding) -> bool {
    (e.op0, e.op1, e.crn) == (3, 0, 0) && (1..8).contains(&e.crm)
}

impl Name {
    /// Iterates over what every vCPU has beside the rows of the table and the interrupt
    /// controller.
    pub fn fixed() -> impl Iterator<Item = Self> {
        let ids = (8..64).map(|n| Self::Id(Encoding::new(3, 0, 0, n >> 3, n & 7)));
        let single = [
            Self::Pc,
            Self::Pstate,
            Self::Fp(Fp::Status),
            Self::Fp(Fp::Control),
            Self::Count,
            Self::PsciVersion,
            Self::Power,
        ];
        (0..31)
            .map(Self::X)
            .chain((0..32).map(|n| Self::Fp(Fp::V(n))))
            .chain(single)
            .chain(ids)
    }

    /// Returns the id; 0 for a row that is not exported.
    pub fn id(self) -> u64 {
        let core = |words| id(U64, space::CORE, words);
        match self {
            Self::X(n) => core(2 * u64::from(n)),
            Self::Pc => core(PC),
            Self::Pstate => core(PSTATE),
            Self::Fp(Fp::V(n)) => id(U128, space::CORE, VREGS + 4 * u64::from(n)),
            Self::Fp(Fp::Status) => id(U32, space::CORE, FPSR),
            Self::Fp(Fp::Control) => id(U32, space::CORE, FPCR),
            Self::Row(reg) => match reg.info().export {
                Export::No => 0,
                Export::Own | Export::ReadOnly => {
                    id(U64, space::SYSREG, packed(reg.info().encoding))
                }
                Export::Core(words) => core(words.into()),
                Export::As(other) => id(U64, space::SYSREG, packed(other)),
            },
            Self::Id(encoding) => id(U64, space::SYSREG, packed(encoding)),
            Self::Count => id(U64, space::SYSREG, packed(COUNT)),
            Self::PsciVersion => id(U64, space::FIRMWARE, 0),
            Self::Power => id(U64, space::POWER, 0),
            Self::Dist(offset) => id(width(offset), space::DIST, u64::from(offset) / 4),
            Self::Redist(offset) => id(U32, space::REDIST, u64::from(offset) / 4),
            Self::Interface(n) => id(U64, space::INTERFACE, n.into()),
        }
    }

    /// Finds the register that an id names. Whether a vCPU has it is another question.
    pub fn from_id(wanted: u64) -> Option<Self> {
        let number = wanted & 0xffff;
        let name = match wanted >> 16 & 0xfff {
            space::CORE => Self::core(number)?,
            space::SYSREG => Self::sysreg(unpacked(number))?,
            space::FIRMWARE => Self::PsciVersion,
            space::POWER => Self::Power,
            space::DIST => Self::Dist(number as u32 * 4),
            space::REDIST => Self::Redist(number as u32 * 4),
            space::INTERFACE => Self::Interface(number as u8),
            _ => return None,
        };
        // Size, architecture and what of the number was not looked at must agree too.
        (name.id() == wanted).then_some(name)
    }

    fn core(words: u64) -> Option<Self> {
        Some(match words {
            0..62 => Self::X((words / 2) as u8),
            PC => Self::Pc,
            PSTATE => Self::Pstate,
            VREGS..FPSR => Self::Fp(Fp::V(((words - VREGS) / 4) as u8)),
            FPSR => Self::Fp(Fp::Status),
            FPCR => Self::Fp(Fp::Control),
            _ => Self::Row(row(|export| export == Export::Core(words as u16))?),
        })
    }

    fn sysreg(encoding: Encoding) -> Option<Self> {
        if encoding == COUNT {
            return Some(Self::Count);
        }
        if is_id_register(encoding) {
            return Some(Self::Id(encoding));
        }
        row(|export| export == Export::As(encoding))
            .or_else(|| SysReg::from_encoding(encoding))
            .map(Self::Row)
    }
}

/// GICD_IROUTER registers are 64 bits wide.
const fn width(offset: u32) -> u64 {
    if offset >= 0x6000 && offset < 0x8000 {
        U64
    } else {
        U32
    }
}

fn row(is_it: impl Fn(Export) -> bool) -> Option<SysReg> {
    ALL.into_iter().find(|reg| is_it(reg.info().export))
}

/// An id, to be shown as what it names.
pub struct Id(pub u64);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Name::from_id(self.0) {
            Some(Name::Row(reg)) => f.write_str(reg.name()),
            Some(Name::Id(e)) => write!(f, "ID register S3_0_C0_C{}_{}", e.crm, e.op2),
            Some(name) => write!(f, "{name:?}"),
            None => f.write_str("of no kind known"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    #[test]
    fn ids_are_kvms() {
        let row = |reg| Name::Row(reg).id();
        assert_eq!(Name::X(1).id(), 0x6030_0000_0010_0002);
        assert_eq!(row(SysReg::SP_EL0), 0x6030_0000_0010_003e);
        assert_eq!(Name::Pc.id(), 0x6030_0000_0010_0040);
        assert_eq!(Name::Pstate.id(), 0x6030_0000_0010_0042);
        assert_eq!(row(SysReg::SP_EL1), 0x6030_0000_0010_0044);
        assert_eq!(row(SysReg::ELR_EL1), 0x6030_0000_0010_0046);
        assert_eq!(row(SysReg::SPSR_EL1), 0x6030_0000_0010_0048);
        assert_eq!(row(SysReg::SPSR_fiq), 0x6030_0000_0010_0050);
        assert_eq!(Name::Fp(Fp::V(0)).id(), 0x6040_0000_0010_0054);
        assert_eq!(Name::Fp(Fp::V(31)).id(), 0x6040_0000_0010_00d0);
        assert_eq!(Name::Fp(Fp::Status).id(), 0x6020_0000_0010_00d4);
        assert_eq!(Name::Fp(Fp::Control).id(), 0x6020_0000_0010_00d5);
        assert_eq!(row(SysReg::SCTLR_EL1), 0x6030_0000_0013_c080);
        assert_eq!(row(SysReg::RUN_VMPIDR_EL2), 0x6030_0000_0013_c005);
        // Swapped: the compare value has the count's encoding and the other way round.
        assert_eq!(row(SysReg::CNTV_CVAL_EL0), 0x6030_0000_0013_df02);
        assert_eq!(Name::Count.id(), 0x6030_0000_0013_df1a);
        assert_eq!(row(SysReg::CNTV_CTL_EL0), 0x6030_0000_0013_df19);
        // EL2's exception state has no core ids.
        assert_eq!(row(SysReg::ELR_EL2), 0x6030_0000_0013_e201);
        assert_eq!(Name::PsciVersion.id(), 0x6030_0000_0014_0000);
    }

    #[test]
    fn every_id_is_one_registers_and_leads_back() {
        let mut seen = BTreeSet::new();
        let rows = ALL.into_iter().map(Name::Row).filter(|name| name.id() != 0);
        let others = [Name::Dist(0), Name::Dist(0x6100), Name::Redist(0x1_0080)];
        for name in Name::fixed()
            .chain(rows)
            .chain(others)
            .chain([0, 8, 19].map(Name::Interface))
        {
            assert!(seen.insert(name.id()), "{name:?}");
            assert_eq!(Name::from_id(name.id()), Some(name));
        }
        assert!(seen.len() > 300);
    }

    #[test]
    fn a_wrong_size_or_architecture_is_nobodys() {
        for id in [Name::X(3).id(), Name::Count.id(), Name::Power.id()] {
            for wrong in [id ^ 1 << 52, id ^ 1 << 60, id ^ 1 << 30, id ^ 1 << 27] {
                assert_eq!(Name::from_id(wrong), None, "{wrong:#x}");
            }
        }
        assert_eq!(Name::from_id(Name::X(3).id() + 1), None);
        assert_eq!(Name::from_id(0), None);
    }

    #[test]
    fn control_words_are_not_to_be_had() {
        for reg in [SysReg::RUN_HCR_EL2, SysReg::RUN_VTTBR_EL2] {
            assert_eq!(Name::Row(reg).id(), 0);
        }
    }
}
