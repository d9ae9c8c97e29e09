//! What AArch32 calls the table's registers: each coprocessor access and its AArch64 twin.
//!
//! A 64-bit register often has two names here, one for each half, or a third that moves both (MCRR).
//! An instruction that AArch64 has as well (DC CISW, a write of ICC_SGI1R_EL1) stands here by its
//! AArch64 encoding. The architecture's own mapping is told at each AArch32 register (Arm ARM, G8).

use super::SysReg;
use crate::isa::{encoding::Encoding, features::IdReg};

/// What an access to a coprocessor names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Name {
    /// MCR or MRC.
    Word {
        /// The coprocessor: 14 or 15.
        coproc: u8,
        /// Opc1.
        opc1: u8,
        /// CRn.
        crn: u8,
        /// CRm.
        crm: u8,
        /// Opc2.
        opc2: u8,
    },
    /// MCRR or MRRC.
    Pair {
        /// The coprocessor: 14 or 15.
        coproc: u8,
        /// Opc1.
        opc1: u8,
        /// CRm.
        crm: u8,
    },
}

/// Which bits of the twin an access moves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// All; what is wider than the access is zero.
    Whole,
    /// Bits 31:0; the others stay.
    Low,
    /// Bits 63:32; the others stay.
    High,
}

/// What is behind a coprocessor access.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Twin {
    /// A register of the table, that the guest has whatever the table says of EL2.
    Row(SysReg, Part),
    /// What AArch64 reaches by this encoding.
    Encoded(Encoding),
    /// An ID register.
    Id(IdReg),
    /// Reads as zero, and writes are ignored.
    Zero,
    /// DBGDIDR: what debug there is.
    DebugId,
    /// DBGDSCRint: what of MDSCR_EL1 may be read everywhere.
    DebugStatus,
    /// DBGOSLAR, which a key locks.
    OsLock,
}

/// Returns whether User mode may name it: DBGDIDR, DBGDSCRint, DBGDTRxXint, DBGDRAR, DBGDSAR.
const fn is_for_user(name: Name) -> bool {
    match name {
        Name::Word {
            coproc: 14,
            opc1: 0,
            crn,
            crm,
            opc2: 0,
        } => matches!((crn, crm), (0, 0 | 1 | 5) | (1 | 2, 0)),
        Name::Word { .. } => false,
        Name::Pair { coproc, crm, .. } => coproc == 14 && matches!(crm, 1 | 2),
    }
}

impl Name {
    /// Returns what is behind an access; `None` for what there is not.
    pub const fn twin(self) -> Option<Twin> {
        match self {
            Self::Word {
                coproc: 14,
                opc1,
                crn,
                crm,
                opc2,
            } => debug(opc1, crn, crm, opc2),
            Self::Word {
                coproc: 15,
                opc1,
                crn: 0,
                crm,
                opc2,
            } if crm != 0 => id(opc1, crm, opc2),
            _ => named(self),
        }
    }

    /// Returns the same where it may be accessed in User mode.
    pub const fn twin_for_user(self) -> Option<Twin> {
        if is_for_user(self) { self.twin() } else { None }
    }
}

/// ID registers: their encodings are the same in AArch64, but for those of CRm 3 that AArch32 reads
/// by VMRS. What is unallocated up to CRm 7 reads as zero.
const fn id(opc1: u8, crm: u8, opc2: u8) -> Option<Twin> {
    match (opc1, crm, opc2) {
        (0, 3, 0..=3) => Some(Twin::Zero),
        (0, 1..=3, _) => Some(Twin::Encoded(Encoding::new(3, 0, 0, crm, opc2))),
        (0, 4..=7, _) => Some(Twin::Zero),
        _ => None,
    }
}

/// Returns what a VMRS of an ID register reads, by the number of the register.
pub const fn vmrs(register: u8) -> Option<Twin> {
    match register {
        0b0111 => Some(Twin::Id(IdReg::MVFR0)),
        0b0110 => Some(Twin::Id(IdReg::MVFR1)),
        0b0101 => Some(Twin::Id(IdReg::MVFR2)),
        _ => None,
    }
}

/// Coprocessor 14. Most encodings are AArch64's with op0 = 2.
const fn debug(opc1: u8, crn: u8, crm: u8, opc2: u8) -> Option<Twin> {
    let same = Some(Twin::Encoded(Encoding::new(2, 0, crn, crm, opc2)));
    match (opc1, crn, crm, opc2) {
        (0, 0, 0, 0) => Some(Twin::DebugId),
        (0, 0, 1, 0) => Some(Twin::DebugStatus),
        // DBGDTRRXint, DBGDTRTXint.
        (0, 0, 5, 0) => Some(Twin::Encoded(Encoding::new(2, 3, 0, 5, 0))),
        // DBGWFAR tells nothing any more.
        (0, 0, 6, 0) => Some(Twin::Zero),
        (0, 0, 7, 0) => Some(Twin::Row(SysReg::DBGVCR32_EL2, Part::Whole)),
        // DBGDTRRXext, DBGDCCINT, DBGDSCRext, DBGDTRTXext, DBGOSECCR.
        (0, 0, 0, 2) | (0, 0, 2, 0 | 2) | (0, 0, 3 | 6, 2) => same,
        // Breakpoints and watchpoints; the upper halves of the former are DBGBXVR<n>.
        (0, 0, _, 4..=7) => numbered(crm, opc2, Part::Low),
        (0, 1, _, 1) => numbered(crm, 4, Part::High),
        (0, 1, 0, 4) => Some(Twin::OsLock),
        // DBGDRAR, DBGOSLSR, DBGOSDLR, DBGPRCR.
        (0, 1, 0, 0) | (0, 1, 1 | 3 | 4, 4) => same,
        // DBGDSAR, DBGDEVID2, DBGDEVID1, DBGDEVID.
        (0, 2, 0, 0) | (0, 7, 0..=2, 7) => Some(Twin::Zero),
        // DBGCLAIMSET, DBGCLAIMCLR, DBGAUTHSTATUS.
        (0, 7, 8 | 9 | 14, 6) => same,
        // JIDR, JOSCR, JMCR: Jazelle is trivial.
        (7, 0..=2, 0, 0) => Some(Twin::Zero),
        _ => None,
    }
}

const fn numbered(crm: u8, op2: u8, part: Part) -> Option<Twin> {
    match SysReg::from_encoding(Encoding::new(2, 0, 0, crm, op2)) {
        Some(reg) => Some(Twin::Row(reg, part)),
        None => None,
    }
}

macro_rules! names {
    (
        words { $($word:ident $opc1:literal $crn:literal $crm:literal $opc2:literal
            $reg:ident $part:ident;)* }
        pairs { $($pair:ident $pair_opc1:literal $pair_crm:literal $pair_reg:ident;)* }
        instructions { $($inst:ident $i1:literal $in:literal $im:literal $i2:literal
            = $o0:literal $o1:literal $on:literal $om:literal $o2:literal;)* }
        pair_instructions { $($twice:ident $t1:literal $tm:literal
            = $p0:literal $p1:literal $pn:literal $pm:literal $p2:literal;)* }
    ) => {
        /// Coprocessor 15, but for the ID registers. Two rows of one name fail the build.
        const fn named(name: Name) -> Option<Twin> {
            #[deny(unreachable_patterns)]
            match name {
                $(Name::Word { coproc: 15, opc1: $opc1, crn: $crn, crm: $crm, opc2: $opc2 } => {
                    Some(Twin::Row(SysReg::$reg, Part::$part))
                })*
                $(Name::Pair { coproc: 15, opc1: $pair_opc1, crm: $pair_crm } => {
                    Some(Twin::Row(SysReg::$pair_reg, Part::Whole))
                })*
                $(Name::Word { coproc: 15, opc1: $i1, crn: $in, crm: $im, opc2: $i2 } => {
                    Some(Twin::Encoded(Encoding::new($o0, $o1, $on, $om, $o2)))
                })*
                $(Name::Pair { coproc: 15, opc1: $t1, crm: $tm } => {
                    Some(Twin::Encoded(Encoding::new($p0, $p1, $pn, $pm, $p2)))
                })*
                // DBGDRAR, DBGDSAR: nothing is mapped in memory.
                Name::Pair { coproc: 14, opc1: 0, crm: 1 | 2 } => Some(Twin::Zero),
                _ => None,
            }
        }

        /// Every name of a row, with what it is called, for tests.
        #[cfg(test)]
        const WORDS: &[(&str, Name, SysReg, Part)] = &[$((
            stringify!($word),
            Name::Word { coproc: 15, opc1: $opc1, crn: $crn, crm: $crm, opc2: $opc2 },
            SysReg::$reg,
            Part::$part,
        )),*];

        /// The same of those that move 64 bits.
        #[cfg(test)]
        const PAIRS: &[(&str, Name, SysReg)] = &[$((
            stringify!($pair),
            Name::Pair { coproc: 15, opc1: $pair_opc1, crm: $pair_crm },
            SysReg::$pair_reg,
        )),*];

        /// What is no register of the table, with its AArch64 encoding.
        #[cfg(test)]
        const OTHERS: &[(&str, Name, Encoding)] = &[
            $((
                stringify!($inst),
                Name::Word { coproc: 15, opc1: $i1, crn: $in, crm: $im, opc2: $i2 },
                Encoding::new($o0, $o1, $on, $om, $o2),
            ),)*
            $((
                stringify!($twice),
                Name::Pair { coproc: 15, opc1: $t1, crm: $tm },
                Encoding::new($p0, $p1, $pn, $pm, $p2),
            ),)*
        ];
    };
}

names! {
    // name         opc1 CRn CRm opc2 twin      part
    words {
        CSSELR        2  0  0 0 CSSELR_EL1      Whole;
        SCTLR         0  1  0 0 SCTLR_EL1       Whole;
        ACTLR         0  1  0 1 ACTLR_EL1       Low;
        CPACR         0  1  0 2 CPACR_EL1       Whole;
        ACTLR2        0  1  0 3 ACTLR_EL1       High;
        TTBR0         0  2  0 0 TTBR0_EL1       Low;
        TTBR1         0  2  0 1 TTBR1_EL1       Low;
        TTBCR         0  2  0 2 TCR_EL1         Low;
        TTBCR2        0  2  0 3 TCR_EL1         High;
        DACR          0  3  0 0 DACR32_EL2      Whole;
        DFSR          0  5  0 0 ESR_EL1         Whole;
        IFSR          0  5  0 1 IFSR32_EL2      Whole;
        ADFSR         0  5  1 0 AFSR0_EL1       Whole;
        AIFSR         0  5  1 1 AFSR1_EL1       Whole;
        DFAR          0  6  0 0 FAR_EL1         Low;
        IFAR          0  6  0 2 FAR_EL1         High;
        PAR           0  7  4 0 PAR_EL1         Low;
        PRRR_MAIR0    0 10  2 0 MAIR_EL1        Low;
        NMRR_MAIR1    0 10  2 1 MAIR_EL1        High;
        AMAIR0        0 10  3 0 AMAIR_EL1       Low;
        AMAIR1        0 10  3 1 AMAIR_EL1       High;
        VBAR          0 12  0 0 VBAR_EL1        Whole;
        DISR          0 12  1 1 DISR_EL1        Whole;
        CONTEXTIDR    0 13  0 1 CONTEXTIDR_EL1  Whole;
        TPIDRURW      0 13  0 2 TPIDR_EL0       Low;
        TPIDRURO      0 13  0 3 TPIDRRO_EL0     Low;
        TPIDRPRW      0 13  0 4 TPIDR_EL1       Low;
        CNTKCTL       0 14  1 0 CNTKCTL_EL1     Whole;
        CNTP_TVAL     0 14  2 0 CNTP_TVAL_EL0   Whole;
        CNTP_CTL      0 14  2 1 CNTP_CTL_EL0    Whole;
        CNTV_TVAL     0 14  3 0 CNTV_TVAL_EL0   Whole;
        CNTV_CTL      0 14  3 1 CNTV_CTL_EL0    Whole;
    }
    // name         opc1 CRm twin
    pairs {
        TTBR0_64      0  2 TTBR0_EL1;
        TTBR1_64      1  2 TTBR1_EL1;
        PAR_64        0  7 PAR_EL1;
        CNTP_CVAL     2 14 CNTP_CVAL_EL0;
        CNTV_CVAL     3 14 CNTV_CVAL_EL0;
    }
    // name         opc1 CRn CRm opc2 = op0 op1 CRn CRm op2
    instructions {
        DCISW         0  7  6 2 = 1 0  7  6 2;
        DCCSW         0  7 10 2 = 1 0  7 10 2;
        DCCISW        0  7 14 2 = 1 0  7 14 2;
        ICC_DIR       0 12 11 1 = 3 0 12 11 1;
        ICC_SRE       0 12 12 5 = 3 0 12 12 5;
    }
    // name         opc1 CRm = op0 op1 CRn CRm op2
    pair_instructions {
        ICC_SGI1R     0 12 = 3 0 12 11 5;
        ICC_ASGI1R    1 12 = 3 0 12 11 6;
        ICC_SGI0R     2 12 = 3 0 12 11 7;
    }
}

#[cfg(test)]
mod tests;
