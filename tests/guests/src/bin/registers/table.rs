//! The registers that a guest may write and that go with it from CPU to CPU, by hand: what the
//! hypervisor's own table is held against.

use guests::{mrs, msr};

/// A register, and those of its bits that the program does not live on.
pub struct Register {
    pub name: &'static str,
    /// As the assembler takes it.
    pub encoding: &'static str,
    pub mask: u64,
    pub read: fn() -> u64,
    pub write: fn(u64),
}

macro_rules! registers {
    ($($(#[$why:meta])* $name:literal $encoding:literal $mask:literal;)*) => {
        pub static REGISTERS: &[Register] = &[$(
            Register {
                name: $name,
                encoding: $encoding,
                mask: $mask,
                read: || mrs!($encoding),
                write: |value| msr!($encoding, value),
            },
        )*];
    };
}

// By encoding: the assembler does not know all of the names. MDCCINT_EL1 is not among them: QEMU's CPUs
// keep nothing in it.
registers! {
    "CSSELR_EL1" "S3_2_C0_C0_0" 0xf;
    /// E0E, SPAN, nTWE, nTWI, UCT, DZE, UMA, and the pointer authentication that nothing here uses.
    "SCTLR_EL1" "S3_0_C1_C0_0" 0xc985_e200;
    "ACTLR_EL1" "S3_0_C1_C0_1" 0xffff_ffff_ffff_ffff;
    /// TTA, SMEN, ZEN.
    "CPACR_EL1" "S3_0_C1_C0_2" 0x1303_0000;
    "SCTLR2_EL1" "S3_0_C1_C0_3" 0x0;
    /// The ASID: all translations are global.
    "TTBR0_EL1" "S3_0_C2_C0_0" 0x00ff_0000_0000_0000;
    /// Nothing is in the upper half.
    "TTBR1_EL1" "S3_0_C2_C0_1" 0xffff_ffff_ffff_fffe;
    /// T1SZ, A1, IRGN1, ORGN1, SH1, TBI1, HPD1: the upper half.
    "TCR_EL1" "S3_0_C2_C0_2" 0x0000_0440_3f7f_0000;
    "TCR2_EL1" "S3_0_C2_C0_3" 0x3000;
    "APIAKEYLO_EL1" "S3_0_C2_C1_0" 0xffff_ffff_ffff_ffff;
    "APIAKEYHI_EL1" "S3_0_C2_C1_1" 0xffff_ffff_ffff_ffff;
    "APIBKEYLO_EL1" "S3_0_C2_C1_2" 0xffff_ffff_ffff_ffff;
    "APIBKEYHI_EL1" "S3_0_C2_C1_3" 0xffff_ffff_ffff_ffff;
    "APDAKEYLO_EL1" "S3_0_C2_C2_0" 0xffff_ffff_ffff_ffff;
    "APDAKEYHI_EL1" "S3_0_C2_C2_1" 0xffff_ffff_ffff_ffff;
    "APDBKEYLO_EL1" "S3_0_C2_C2_2" 0xffff_ffff_ffff_ffff;
    "APDBKEYHI_EL1" "S3_0_C2_C2_3" 0xffff_ffff_ffff_ffff;
    "APGAKEYLO_EL1" "S3_0_C2_C3_0" 0xffff_ffff_ffff_ffff;
    "APGAKEYHI_EL1" "S3_0_C2_C3_1" 0xffff_ffff_ffff_ffff;
    "SPSR_EL1" "S3_0_C4_C0_0" 0xffff_ffff;
    "ELR_EL1" "S3_0_C4_C0_1" 0xffff_ffff_ffff_ffff;
    "SP_EL0" "S3_0_C4_C1_0" 0xffff_ffff_ffff_ffff;
    "AFSR0_EL1" "S3_0_C5_C1_0" 0xffff_ffff;
    "AFSR1_EL1" "S3_0_C5_C1_1" 0xffff_ffff;
    "ESR_EL1" "S3_0_C5_C2_0" 0xffff_ffff;
    "FAR_EL1" "S3_0_C6_C0_0" 0xffff_ffff_ffff_ffff;
    "PAR_EL1" "S3_0_C7_C4_0" 0xffff_ffff_ffff_ffff;
    /// Attributes 0 and 1 are in use.
    "MAIR_EL1" "S3_0_C10_C2_0" 0xffff_ffff_ffff_0000;
    "PIRE0_EL1" "S3_0_C10_C2_2" 0xffff_ffff_ffff_ffff;
    "PIR_EL1" "S3_0_C10_C2_3" 0xffff_ffff_ffff_ffff;
    "POR_EL1" "S3_0_C10_C2_4" 0xffff_ffff_ffff_ffff;
    "POR_EL0" "S3_3_C10_C2_4" 0xffff_ffff_ffff_ffff;
    "AMAIR_EL1" "S3_0_C10_C3_0" 0xffff_ffff_ffff_ffff;
    /// No exception is taken meanwhile.
    "VBAR_EL1" "S3_0_C12_C0_0" 0xffff_ffff_ffff_f800;
    "DISR_EL1" "S3_0_C12_C1_1" 0x81ff_ffff;
    "CONTEXTIDR_EL1" "S3_0_C13_C0_1" 0xffff_ffff;
    "TPIDR_EL1" "S3_0_C13_C0_4" 0xffff_ffff_ffff_ffff;
    "TPIDR_EL0" "S3_3_C13_C0_2" 0xffff_ffff_ffff_ffff;
    "TPIDRRO_EL0" "S3_3_C13_C0_3" 0xffff_ffff_ffff_ffff;
    "CNTKCTL_EL1" "S3_0_C14_C1_0" 0x3ff;
    "CNTV_CVAL_EL0" "S3_3_C14_C3_2" 0xffff_ffff_ffff_ffff;
    "CNTP_CVAL_EL0" "S3_3_C14_C2_2" 0xffff_ffff_ffff_ffff;
    "FPCR" "S3_3_C4_C4_0" 0x07c0_0000;
    "FPSR" "S3_3_C4_C4_1" 0xf800_009f;
    /// TDCC, KDE.
    "MDSCR_EL1" "S2_0_C0_C2_2" 0x3000;
    "DBGBVR0_EL1" "S2_0_C0_C0_4" 0x0000_007f_ffff_fffc;
    "DBGBVR1_EL1" "S2_0_C0_C1_4" 0x0000_007f_ffff_fffc;
    /// All but E: without MDSCR_EL1.MDE no more than a value either way.
    "DBGBCR0_EL1" "S2_0_C0_C0_5" 0xe006;
    "DBGWVR0_EL1" "S2_0_C0_C0_6" 0x0000_007f_ffff_fffc;
    "DBGWVR1_EL1" "S2_0_C0_C1_6" 0x0000_007f_ffff_fffc;
    "DBGWCR0_EL1" "S2_0_C0_C0_7" 0x1ffe;
}
