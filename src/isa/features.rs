//! ID registers: what the CPU can do, and what of it a guest is shown.
//!
//! A guest is shown a feature only when everything it brings is virtualised; what is not shown is
//! also trapped (`vm::traps`), because hiding alone would let state leak between VMs.

use super::encoding::Encoding;
use crate::bits::{field, with_field};

/// Optional parts of the architecture that bring registers, or ways to run a guest, with them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Features(u32);

impl Features {
    /// FEAT_PAuth, with any algorithm: the keys.
    pub const PAUTH: Self = Self(1 << 0);
    /// FEAT_RAS: VDISR_EL2 and VSESR_EL2.
    pub const RAS: Self = Self(1 << 1);
    /// FEAT_HCX: HCRX_EL2.
    pub const HCX: Self = Self(1 << 2);
    /// FEAT_FGT: HFGRTR_EL2 and its like.
    pub const FGT: Self = Self(1 << 3);
    /// FEAT_FGT2: HFGRTR2_EL2 and its like.
    pub const FGT2: Self = Self(1 << 4);
    /// FEAT_MPAM: MPAM2_EL2.
    pub const MPAM: Self = Self(1 << 5);
    /// FEAT_SVE.
    pub const SVE: Self = Self(1 << 6);
    /// FEAT_SME.
    pub const SME: Self = Self(1 << 7);
    /// FEAT_AMUv1.
    pub const AMU: Self = Self(1 << 8);
    /// FEAT_PMUv3.
    pub const PMU: Self = Self(1 << 9);
    /// FEAT_VHE.
    pub const VHE: Self = Self(1 << 10);
    /// FEAT_LOR: the LORegion registers.
    pub const LOR: Self = Self(1 << 11);
    /// FEAT_MTE2, or its instructions alone.
    pub const MTE: Self = Self(1 << 12);
    /// FEAT_NMI.
    pub const NMI: Self = Self(1 << 13);
    /// FEAT_SPE: statistical profiling.
    pub const SPE: Self = Self(1 << 14);
    /// FEAT_TRF: trace filters.
    pub const TRF: Self = Self(1 << 15);
    /// FEAT_PAN.
    pub const PAN: Self = Self(1 << 16);
    /// AArch32 at EL1.
    pub const AARCH32_EL1: Self = Self(1 << 20);
    /// EL2: always a CPU's; of a guest, that it may be a hypervisor.
    pub const EL2: Self = Self(1 << 21);
    /// FEAT_NV2: VNCR_EL2.
    pub const NV2: Self = Self(1 << 22);
    /// FEAT_ECV's physical offset: CNTPOFF_EL2.
    pub const ECV: Self = Self(1 << 23);
    /// FEAT_TCR2.
    pub const TCR2: Self = Self(1 << 24);
    /// FEAT_SCTLR2.
    pub const SCTLR2: Self = Self(1 << 25);
    /// FEAT_S1PIE: permission indirection.
    pub const S1PIE: Self = Self(1 << 26);
    /// FEAT_S1POE: permission overlays.
    pub const S1POE: Self = Self(1 << 27);
    /// None of them.
    pub const NONE: Self = Self(0);
    /// All of them, for tests.
    #[cfg(test)]
    pub const ALL: Self = Self(u32::MAX);

    /// Returns whether all of `other` is there.
    #[inline(always)]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns what is in both.
    #[must_use]
    pub const fn only(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Takes `other` away, for tests.
    #[cfg(test)]
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Adds `other` when `there`.
    #[must_use]
    pub const fn with(self, other: Self, there: bool) -> Self {
        if there { Self(self.0 | other.0) } else { self }
    }
}

/// The ID registers: op0 = 3, op1 = 0, CRn = 0, CRm from 1 to 7, all op2.
///
/// HCR_EL2.TID3 traps this space whole; what is unallocated in it reads as zero.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IdRegs([u64; COUNT]);

const COUNT: usize = 8 * 8;

/// Hands every ID register to the macro `$use`.
macro_rules! id_registers {
    ($use:ident) => {
        $use! {
            /// AArch32 processor features 0.
            ID_PFR0 = 1 0;
            /// AArch32 processor features 1.
            ID_PFR1 = 1 1;
            /// AArch32 debug features.
            ID_DFR0 = 1 2;
            /// AArch32 memory model 0.
            ID_MMFR0 = 1 4;
            /// AArch32 memory model 1.
            ID_MMFR1 = 1 5;
            /// AArch32 memory model 2.
            ID_MMFR2 = 1 6;
            /// AArch32 memory model 3.
            ID_MMFR3 = 1 7;
            /// AArch32 instruction set 0.
            ID_ISAR0 = 2 0;
            /// AArch32 instruction set 1.
            ID_ISAR1 = 2 1;
            /// AArch32 instruction set 2.
            ID_ISAR2 = 2 2;
            /// AArch32 instruction set 3.
            ID_ISAR3 = 2 3;
            /// AArch32 instruction set 4.
            ID_ISAR4 = 2 4;
            /// AArch32 instruction set 5.
            ID_ISAR5 = 2 5;
            /// AArch32 memory model 4.
            ID_MMFR4 = 2 6;
            /// AArch32 instruction set 6.
            ID_ISAR6 = 2 7;
            /// AArch32 media and FP features 0.
            MVFR0 = 3 0;
            /// AArch32 media and FP features 1.
            MVFR1 = 3 1;
            /// AArch32 media and FP features 2.
            MVFR2 = 3 2;
            /// AArch32 processor features 2.
            ID_PFR2 = 3 4;
            /// AArch32 memory model 5.
            ID_MMFR5 = 3 6;
            /// Processor features 0.
            ID_AA64PFR0 = 4 0;
            /// Processor features 1.
            ID_AA64PFR1 = 4 1;
            /// Processor features 2.
            ID_AA64PFR2 = 4 2;
            /// SVE features.
            ID_AA64ZFR0 = 4 4;
            /// SME features.
            ID_AA64SMFR0 = 4 5;
            /// Debug features 0.
            ID_AA64DFR0 = 5 0;
            /// Debug features 1.
            ID_AA64DFR1 = 5 1;
            /// Instruction set 0.
            ID_AA64ISAR0 = 6 0;
            /// Instruction set 1.
            ID_AA64ISAR1 = 6 1;
            /// Instruction set 2.
            ID_AA64ISAR2 = 6 2;
            /// Memory model 0.
            ID_AA64MMFR0 = 7 0;
            /// Memory model 1.
            ID_AA64MMFR1 = 7 1;
            /// Memory model 2.
            ID_AA64MMFR2 = 7 2;
            /// Memory model 3.
            ID_AA64MMFR3 = 7 3;
            /// Memory model 4.
            ID_AA64MMFR4 = 7 4;
        }
    };
}
pub(crate) use id_registers;

macro_rules! define {
    ($($(#[$doc:meta])* $name:ident = $crm:literal $op2:literal;)*) => {
        /// An ID register; as a number, its place in [`IdRegs`].
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[expect(non_camel_case_types, reason = "the architecture's names")]
        #[repr(u8)]
        pub enum IdReg { $($(#[$doc])* $name = $crm * 8 + $op2),* }
    };
}
id_registers!(define);

impl IdRegs {
    /// All zero.
    pub const ZERO: Self = Self([0; COUNT]);

    /// Returns a register's value.
    pub const fn get(&self, reg: IdReg) -> u64 {
        self.0[reg as usize]
    }

    /// Changes a register's value.
    pub const fn set(&mut self, reg: IdReg, value: u64) {
        self.0[reg as usize] = value;
    }

    /// Returns what a trapped read of this space answers, by CRm and op2; `None` outside it.
    #[inline(always)]
    pub fn read(&self, encoding: Encoding) -> Option<u64> {
        match encoding {
            Encoding {
                op0: 3,
                op1: 0,
                crn: 0,
                crm,
                op2,
            } if crm != 0 => self.0.get(usize::from(crm * 8 + op2)).copied(),
            _ => None,
        }
    }

    /// Does the same for a syndrome's [`iss`](Encoding::iss), in few instructions.
    #[inline(always)]
    pub fn read_iss(&self, iss: u32) -> Option<u64> {
        /// Op0, Op1, CRn and the top bit of CRm: what all of the space have alike.
        const SPACE: u32 = 0b11 << 20 | 0b111 << 14 | 0b1111 << 10 | 0b1000 << 1;
        const OP0_3: u32 = 0b11 << 20;
        let (crm, op2) = (iss >> 1 & 0b111, iss >> 17 & 0b111);
        if iss & SPACE != OP0_3 || crm == 0 {
            return None;
        }
        self.0.get((crm << 3 | op2) as usize).copied()
    }

    const fn field(&self, reg: IdReg, lsb: u32) -> u64 {
        field(self.get(reg), lsb, 4)
    }

    /// Returns which optional parts this CPU has.
    pub const fn features(&self) -> Features {
        use IdReg::{
            ID_AA64DFR0, ID_AA64ISAR1, ID_AA64ISAR2, ID_AA64MMFR0, ID_AA64MMFR1, ID_AA64MMFR2,
            ID_AA64MMFR3, ID_AA64PFR0, ID_AA64PFR1,
        };
        let pauth = self.field(ID_AA64ISAR1, 4)
            | self.field(ID_AA64ISAR1, 8)
            | self.field(ID_AA64ISAR2, 12);
        let fgt = self.field(ID_AA64MMFR0, 56);
        let pmu = self.field(ID_AA64DFR0, 8);
        Features(0)
            .with(Features::PAUTH, pauth != 0)
            .with(Features::RAS, self.field(ID_AA64PFR0, 28) != 0)
            .with(Features::HCX, self.field(ID_AA64MMFR1, 40) != 0)
            .with(Features::FGT, fgt != 0)
            .with(Features::FGT2, fgt >= 2)
            .with(Features::MPAM, self.field(ID_AA64PFR0, 40) != 0)
            .with(Features::SVE, self.field(ID_AA64PFR0, 32) != 0)
            .with(Features::SME, self.field(ID_AA64PFR1, 24) != 0)
            .with(Features::AMU, self.field(ID_AA64PFR0, 44) != 0)
            .with(Features::PMU, pmu != 0 && pmu != 0xf)
            .with(Features::VHE, self.field(ID_AA64MMFR1, 8) != 0)
            .with(Features::LOR, self.field(ID_AA64MMFR1, 16) != 0)
            .with(Features::MTE, self.field(ID_AA64PFR1, 8) != 0)
            .with(Features::NMI, self.field(ID_AA64PFR1, 36) != 0)
            .with(Features::SPE, self.field(ID_AA64DFR0, 32) != 0)
            .with(Features::PAN, self.field(ID_AA64MMFR1, 20) != 0)
            .with(Features::TRF, self.field(ID_AA64DFR0, 40) != 0)
            .with(Features::AARCH32_EL1, self.field(ID_AA64PFR0, 4) == 2)
            .with(Features::EL2, self.field(ID_AA64PFR0, 8) != 0)
            .with(Features::NV2, self.field(ID_AA64MMFR2, 24) >= 2)
            .with(Features::ECV, self.field(ID_AA64MMFR0, 60) >= 2)
            .with(Features::TCR2, self.field(ID_AA64MMFR3, 0) != 0)
            .with(Features::SCTLR2, self.field(ID_AA64MMFR3, 4) != 0)
            .with(Features::S1PIE, self.field(ID_AA64MMFR3, 8) != 0)
            .with(Features::S1POE, self.field(ID_AA64MMFR3, 16) != 0)
    }

    /// Returns what a guest is shown on this CPU; `pa_range` is the ID_AA64MMFR0_EL1.PARange of its
    /// stage 2. A guest whose EL1 is AArch32 is what ID_AA64PFR0_EL1 tells of here, though it can't
    /// read that.
    pub fn for_guest(&self, pa_range: u64, aarch32: bool) -> Self {
        let mut guest = Self::ZERO;
        for rule in RULES {
            let mut value = 0;
            for (nibble, show) in (0..16).zip(rule.show) {
                let host = field(self.get(rule.reg), nibble * 4, 4);
                value = with_field(value, nibble * 4, 4, show.apply(host));
            }
            guest.set(rule.reg, value);
        }
        guest.set(
            IdReg::ID_AA64DFR0,
            self.debug_for_guest(guest.get(IdReg::ID_AA64DFR0)),
        );
        let mmfr0 = guest.get(IdReg::ID_AA64MMFR0);
        guest.set(IdReg::ID_AA64MMFR0, with_field(mmfr0, 0, 4, pa_range));
        if aarch32 {
            let pfr0 = guest.get(IdReg::ID_AA64PFR0);
            guest.set(IdReg::ID_AA64PFR0, with_field(pfr0, 4, 4, 2));
        }
        guest
    }
}

impl IdRegs {
    /// Returns a guest's ID_AA64DFR0_EL1 where the CPU has more than 16 breakpoints, which is all that
    /// a guest has. Those that match contexts are the last of the CPU's: as many of them as are not
    /// among the first 16 are taken off, though one is the least that can be shown.
    const fn debug_for_guest(&self, dfr0: u64) -> u64 {
        const CTX_CMPS: u32 = 28;
        let wide = self.get(IdReg::ID_AA64DFR1);
        let (last, last_context) = (field(wide, 8, 8), field(wide, 24, 8));
        if last < 16 {
            return dfr0;
        }
        let left = last_context.saturating_sub(last - 15);
        with_field(dfr0, CTX_CMPS, 4, if left < 15 { left } else { 15 })
    }
}

impl IdReg {
    /// Returns the register's encoding.
    pub const fn encoding(self) -> Encoding {
        Encoding::new(3, 0, 0, self as u8 / 8, self as u8 % 8)
    }
}

/// What a guest is shown of one four-bit field.
#[derive(Clone, Copy)]
enum Show {
    /// Nothing: zero, which says that the feature is absent.
    Hide,
    /// The CPU's value.
    All,
    /// The CPU's value, at most this.
    UpTo(u8),
    /// This, whatever the CPU has.
    Is(u8),
    /// The CPU's value, a signed number, at most zero.
    UpToZero,
}

impl Show {
    fn apply(self, host: u64) -> u64 {
        match self {
            Self::Hide => 0,
            Self::All => host,
            Self::UpTo(most) => host.min(u64::from(most)),
            Self::Is(value) => u64::from(value),
            Self::UpToZero if host < 8 => 0,
            Self::UpToZero => host,
        }
    }
}

struct Rule {
    reg: IdReg,
    /// What is shown of each field, from bit 0 up.
    show: [Show; 16],
}

const fn all_of(reg: IdReg) -> Rule {
    Rule {
        reg,
        show: [Show::All; 16],
    }
}

macro_rules! rule {
    ($reg:ident: $($show:expr),* $(,)?) => {
        Rule { reg: IdReg::$reg, show: { use Show::*; [$($show),*] } }
    };
}

/// One row a register; registers without a row, and unallocated ones, read as zero. Sixteen
/// fields a row, from bit 0 up (Arm ARM, D24.2, by register).
const RULES: &[Rule] = &[
    // EL0 EL1 EL2 EL3, FP AdvSIMD GIC RAS, SVE SEL2 MPAM AMU, DIT RME CSV2 CSV3.
    // CSV2 up to 1: 2 would bring SCXTNUM_ELx.
    rule!(ID_AA64PFR0: UpTo(2), Is(1), Hide, Hide, All, All, UpTo(1), Hide,
        Hide, Hide, Hide, Hide, UpTo(1), Hide, UpTo(1), All),
    // BT SSBS MTE RAS_frac, MPAM_frac - SME RNDR_trap, CSV2_frac NMI MTE_frac GCS, THE MTEX DF2 PFAR.
    rule!(ID_AA64PFR1: UpTo(1), UpTo(2), Hide, Hide, Hide, Hide, Hide, Hide,
        UpTo(1), Hide, Hide, Hide, Hide, Hide, Hide, Hide),
    // DebugVer TraceVer PMUVer BRPs, PMSS WRPs SEBEP CTX_CMPs, PMSVer DoubleLock TraceFilt
    // TraceBuffer, MTPMU BRBE ExtTrcBuff HPMN0. DoubleLock 0b1111: no double lock.
    rule!(ID_AA64DFR0: UpTo(8), Hide, Hide, All, Hide, All, Hide, All,
        Hide, Is(0xf), Hide, Hide, Hide, Hide, Hide, Hide),
    // - AES SHA1 SHA2, CRC32 Atomic TME RDM, SHA3 SM3 SM4 DP, FHM TS TLB RNDR.
    rule!(ID_AA64ISAR0: Hide, All, All, All, All, All, Hide, All,
        All, All, All, All, All, All, UpTo(2), All),
    // DPB APA API JSCVT, FCMA LRCPC GPA GPI, FRINTTS SB SPECRES BF16, DGH I8MM XS LS64.
    rule!(ID_AA64ISAR1: UpTo(2), All, All, UpTo(1), UpTo(1), UpTo(3), All, All,
        UpTo(1), UpTo(1), UpTo(2), UpTo(1), UpTo(1), UpTo(1), Hide, Hide),
    // WFxT RPRES GPA3 APA3, MOPS BC PAC_frac CLRBHB, SYSREG_128 SYSINSTR_128 PRFMSLC -,
    // RPRFM CSSC LUT ATS1A.
    rule!(ID_AA64ISAR2: Hide, UpTo(1), All, All, Hide, UpTo(1), UpTo(1), UpTo(1),
        Hide, Hide, Hide, Hide, UpTo(1), UpTo(1), Hide, Hide),
    // PARange ASIDBits BigEnd SNSMem, BigEndEL0 TGran16 TGran64 TGran4, TGran16_2 TGran64_2
    // TGran4_2 ExS, - - FGT ECV. PARange is set apart; TGran4 up to 0: 1 is FEAT_LPA2.
    rule!(ID_AA64MMFR0: Hide, All, All, Hide, All, UpTo(1), All, UpToZero,
        Hide, Hide, Hide, UpTo(1), Hide, Hide, Hide, UpTo(1)),
    // HAFDBS VMIDBits VH HPDS, LO PAN SpecSEI XNX, TWED ETS HCX AFP, nTLBPA TIDCP1 CMOW ECBHB.
    rule!(ID_AA64MMFR1: UpTo(2), Hide, Hide, UpTo(2), Hide, UpTo(3), Hide, Hide,
        Hide, All, Hide, UpTo(1), UpTo(1), UpTo(1), Hide, All),
    // CnP UAO LSM IESB, VARange CCIDX NV ST, AT IDS FWB -, TTL BBM EVT E0PD.
    rule!(ID_AA64MMFR2: UpTo(1), UpTo(1), UpTo(1), Hide, UpTo(1), UpTo(1), Hide, UpTo(1),
        UpTo(1), UpTo(1), Hide, Hide, UpTo(1), UpTo(2), Hide, UpTo(1)),
    // AArch32 at EL0 is the CPU's own, less what AArch64 hides of it: RAS AMU; virtualisation
    // and security; debug, trace and PMU.
    rule!(ID_PFR0: All, All, All, All, All, Hide, All, Hide,
        Hide, Hide, Hide, Hide, Hide, Hide, Hide, Hide),
    rule!(ID_PFR1: All, Hide, All, Hide, All, Hide, Hide, UpTo(1),
        Hide, Hide, Hide, Hide, Hide, Hide, Hide, Hide),
    rule!(ID_DFR0: UpTo(8), Hide, Hide, Hide, Hide, Hide, Hide, Hide,
        Hide, Hide, Hide, Hide, Hide, Hide, Hide, Hide),
    rule!(ID_PFR2: UpTo(1), UpTo(1), Hide, Hide, Hide, Hide, Hide, Hide,
        Hide, Hide, Hide, Hide, Hide, Hide, Hide, Hide),
    all_of(IdReg::ID_MMFR0),
    all_of(IdReg::ID_MMFR1),
    all_of(IdReg::ID_MMFR2),
    all_of(IdReg::ID_MMFR3),
    all_of(IdReg::ID_ISAR0),
    all_of(IdReg::ID_ISAR1),
    all_of(IdReg::ID_ISAR2),
    all_of(IdReg::ID_ISAR3),
    all_of(IdReg::ID_ISAR4),
    all_of(IdReg::ID_ISAR5),
    all_of(IdReg::ID_MMFR4),
    all_of(IdReg::ID_ISAR6),
    all_of(IdReg::MVFR0),
    all_of(IdReg::MVFR1),
    all_of(IdReg::MVFR2),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn everything() -> IdRegs {
        IdRegs([u64::MAX >> 4 | 7 << 60; COUNT])
    }

    #[test]
    fn the_short_way_to_read_answers_the_same() {
        let ids = IdRegs(core::array::from_fn(|n| n as u64 + 1));
        for iss in (0..1 << 22).step_by(2) {
            let encoding = Encoding::from_iss(iss);
            // Bits 9:5 name a general register, which is no part of the encoding.
            assert_eq!(ids.read_iss(iss), ids.read(encoding), "{iss:#x}");
        }
    }

    #[test]
    fn a_full_cpu_shows_nothing_that_is_not_virtualised() {
        let guest = everything().for_guest(2, false);
        let nibble = |reg, lsb| field(guest.get(reg), lsb, 4);
        for (reg, lsb, what) in [
            (IdReg::ID_AA64PFR0, 8, "EL2"),
            (IdReg::ID_AA64PFR0, 28, "RAS"),
            (IdReg::ID_AA64PFR0, 32, "SVE"),
            (IdReg::ID_AA64PFR0, 40, "MPAM"),
            (IdReg::ID_AA64PFR0, 44, "AMU"),
            (IdReg::ID_AA64PFR1, 8, "MTE"),
            (IdReg::ID_AA64PFR1, 24, "SME"),
            (IdReg::ID_AA64PFR1, 44, "GCS"),
            (IdReg::ID_AA64DFR0, 4, "trace"),
            (IdReg::ID_AA64DFR0, 8, "PMU"),
            (IdReg::ID_AA64DFR0, 32, "SPE"),
            (IdReg::ID_AA64DFR0, 52, "BRBE"),
            (IdReg::ID_AA64ISAR1, 60, "LS64"),
            (IdReg::ID_AA64ISAR2, 0, "WFxT"),
            (IdReg::ID_AA64ISAR2, 16, "MOPS"),
            (IdReg::ID_AA64MMFR1, 8, "VHE"),
            (IdReg::ID_AA64MMFR1, 16, "LORegions"),
            (IdReg::ID_AA64MMFR2, 24, "NV"),
            (IdReg::ID_DFR0, 24, "AArch32 PMU"),
            (IdReg::ID_PFR1, 12, "AArch32 virtualisation"),
        ] {
            assert_eq!(nibble(reg, lsb), 0, "{what} is shown");
        }
        for reg in [
            IdReg::ID_AA64MMFR3,
            IdReg::ID_AA64MMFR4,
            IdReg::ID_AA64ZFR0,
            IdReg::ID_AA64PFR2,
        ] {
            assert_eq!(guest.get(reg), 0, "{reg:?}");
        }
        assert_eq!(nibble(IdReg::ID_AA64MMFR0, 0), 2, "PARange is stage 2's");
        assert_ne!(nibble(IdReg::ID_AA64ISAR1, 4), 0, "APA is shown");
    }

    #[test]
    fn of_many_breakpoints_a_guest_is_shown_sixteen() {
        let mut host = IdRegs::ZERO;
        host.set(IdReg::ID_AA64DFR0, 0xf0f0_f009);
        for (wide, context) in [
            (0, 0xf),
            (0x0513_1300, 1),
            (0x0313_1300, 0),
            (0x3f1f_1f00, 15),
        ] {
            host.set(IdReg::ID_AA64DFR1, wide);
            let guest = host.for_guest(0, false);
            let dfr0 = guest.get(IdReg::ID_AA64DFR0);
            assert_eq!(field(dfr0, 28, 4), context, "{wide:#x}");
            assert_eq!((field(dfr0, 12, 4), field(dfr0, 20, 4)), (15, 15));
            assert_eq!(guest.get(IdReg::ID_AA64DFR1), 0);
        }
    }

    #[test]
    fn signed_fields_stay_absent() {
        let mut host = IdRegs::ZERO;
        host.set(IdReg::ID_AA64PFR0, 0xff << 16);
        host.set(IdReg::ID_AA64MMFR0, 0xf << 28 | 1 << 28);
        let guest = host.for_guest(0, false);
        assert_eq!(field(guest.get(IdReg::ID_AA64PFR0), 16, 8), 0xff, "no FP");
        assert_eq!(
            field(guest.get(IdReg::ID_AA64MMFR0), 28, 4),
            0xf,
            "no 4 KiB granule"
        );
        host.set(IdReg::ID_AA64MMFR0, 1 << 28);
        assert_eq!(
            field(host.for_guest(0, false).get(IdReg::ID_AA64MMFR0), 28, 4),
            0,
            "no LPA2"
        );
    }

    #[test]
    fn the_whole_space_answers_and_nothing_else() {
        let mut regs = IdRegs::ZERO;
        regs.set(IdReg::ID_AA64MMFR2, 5);
        for crm in 0..16 {
            for op2 in 0..8 {
                let read = regs.read(Encoding::new(3, 0, 0, crm, op2));
                assert_eq!(read.is_some(), (1..8).contains(&crm));
            }
        }
        assert_eq!(regs.read(IdReg::ID_AA64MMFR2.encoding()), Some(5));
        assert_eq!(regs.read(Encoding::new(3, 3, 0, 7, 2)), None);
    }

    #[test]
    fn features_are_read_from_their_fields() {
        let mut regs = IdRegs::ZERO;
        assert_eq!(regs.features(), Features::default());
        regs.set(IdReg::ID_AA64ISAR2, 1 << 12);
        regs.set(IdReg::ID_AA64DFR0, 0xf << 8);
        let features = regs.features();
        assert!(features.has(Features::PAUTH));
        assert!(
            !features.has(Features::PMU),
            "an implementation defined PMU is none"
        );
    }
}
