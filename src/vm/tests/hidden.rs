//! What a guest is not shown, and why nothing of it is left for the next guest: every register that
//! a hidden feature brings is trapped, or it is switched with the vCPU.

use super::fixture::{HCR_EL2, peek};
use crate::{
    cpu::fake,
    isa::{
        encoding::Encoding,
        sysreg::{Class, Present, SysReg},
    },
    vm::{
        sysregs::{HostMode, SysRegs},
        traps,
    },
};

const fn el2(crn: u8, crm: u8, op2: u8) -> u32 {
    Encoding::new(3, 4, crn, crm, op2).iss()
}

const MDCR_EL2: u32 = el2(1, 1, 1);
const CPTR_EL2: u32 = el2(1, 1, 2);
const HCRX_EL2: u32 = el2(1, 2, 2);
const HFGRTR_EL2: u32 = el2(1, 1, 4);
const HFGWTR_EL2: u32 = el2(1, 1, 5);
const HDFGRTR_EL2: u32 = el2(3, 1, 4);
const HDFGWTR_EL2: u32 = el2(3, 1, 5);
const HDFGRTR2_EL2: u32 = el2(3, 1, 0);
const HDFGWTR2_EL2: u32 = el2(3, 1, 1);
const HFGRTR2_EL2: u32 = el2(3, 1, 2);
const HFGWTR2_EL2: u32 = el2(3, 1, 3);
const MPAM2_EL2: u32 = el2(10, 5, 0);

/// What keeps a hidden register from one guest to the next.
enum Guard {
    /// These bits of a register of EL2 are set, and that traps.
    Set(u32, u64),
    /// These bits are clear, and that traps.
    Clear(u32, u64),
    /// Nothing traps; its row is moved with every vCPU.
    Switched(SysReg),
}

use Guard::{Clear, Set, Switched};

const fn bits<const N: usize>(numbers: [u32; N]) -> u64 {
    let mut mask = 0;
    let mut n = 0;
    while n < N {
        mask |= 1 << numbers[n];
        n += 1;
    }
    mask
}

/// What holds in both host modes: Arm ARM, D24.2, by register.
const HIDDEN: [(&str, Guard); 31] = [
    ("PMU: TPM, TPMCR", Set(MDCR_EL2, bits([6, 5]))),
    ("profiling: TPMS", Set(MDCR_EL2, bits([14]))),
    ("profiling buffer: E2PB", Clear(MDCR_EL2, bits([12, 13]))),
    ("trace filter: TTRF", Set(MDCR_EL2, bits([19]))),
    ("trace buffer: E2TB", Clear(MDCR_EL2, bits([24, 25]))),
    ("debug: TDA, TDOSA, TDRA", Set(MDCR_EL2, bits([9, 10, 11]))),
    ("debug channel: TDCC", Set(MDCR_EL2, bits([27]))),
    ("reads of claim tags", Set(HDFGRTR_EL2, bits([5, 6, 10]))),
    ("writes of claim tags", Set(HDFGWTR_EL2, bits([5, 10]))),
    (
        "more than 16 breakpoints: EBWE",
        Clear(MDCR_EL2, bits([43])),
    ),
    ("activity monitors: TAM", Set(CPTR_EL2, bits([30]))),
    ("LORegions: TLOR", Set(HCR_EL2, bits([35]))),
    ("error records: TERR", Set(HCR_EL2, bits([36]))),
    ("deferred SErrors", Switched(SysReg::VDISR_EL2)),
    ("tags: ATA", Clear(HCR_EL2, bits([56]))),
    ("tags: TID5, for GMID_EL1", Set(HCR_EL2, bits([58]))),
    ("SCXTNUM: EnSCXT", Clear(HCR_EL2, bits([53]))),
    ("ACTLR_EL1: TACR", Set(HCR_EL2, bits([21]))),
    ("implementation defined: TIDCP", Set(HCR_EL2, bits([20]))),
    ("ID registers: TID3", Set(HCR_EL2, bits([18]))),
    (
        "nested EL2: NV, NV1, AT, NV2",
        Clear(HCR_EL2, bits([42, 43, 44, 45])),
    ),
    (
        "MPAM: TRAPMPAM1EL1, TRAPMPAM0EL1",
        Set(MPAM2_EL2, bits([48, 49])),
    ),
    ("ALLINT: TALLINT", Set(HCRX_EL2, bits([6]))),
    // EnAS0, EnALS, EnASR, MSCEn, TCR2En, SCTLR2En, D128En, EnFPM, GCSEn.
    (
        "LS64, MOPS, TCR2, SCTLR2, D128, FPMR, GCS",
        Clear(HCRX_EL2, bits([0, 1, 2, 11, 14, 15, 17, 21, 22])),
    ),
    // nACCDATA, nGCS_EL0, nGCS_EL1, nSMPRI, nTPIDR2, nRCWMASK, nPIRE0, nPIR, nPOR_EL0, nPOR_EL1,
    // nS2POR, nMAIR2, nAMAIR2.
    (
        "reads of those and of SME, THE, S1PIE, S1POE",
        Clear(HFGRTR_EL2, u64::MAX << 50),
    ),
    ("writes of those", Clear(HFGWTR_EL2, u64::MAX << 50)),
    // nBRBIDR, nBRBCTL, nBRBDATA.
    (
        "reads of branch records",
        Clear(HDFGRTR_EL2, bits([59, 60, 61])),
    ),
    (
        "writes of branch records",
        Clear(HDFGWTR_EL2, bits([60, 61])),
    ),
    ("reads of what FGT2 guards", Clear(HFGRTR2_EL2, u64::MAX)),
    ("writes of what FGT2 guards", Clear(HFGWTR2_EL2, u64::MAX)),
    (
        "debug and PMU of 2023: see both",
        Clear(HDFGRTR2_EL2, u64::MAX),
    ),
];

/// What differs with HCR_EL2.E2H: CPTR_EL2's layout.
fn by_mode(vhe: bool) -> [(&'static str, Guard); 3] {
    if vhe {
        [
            ("SVE: ZEN", Clear(CPTR_EL2, bits([16, 17]))),
            ("SME: SMEN", Clear(CPTR_EL2, bits([24, 25]))),
            ("trace: TTA", Set(CPTR_EL2, bits([28]))),
        ]
    } else {
        [
            ("SVE: TZ", Set(CPTR_EL2, bits([8]))),
            ("SME: TSM", Set(CPTR_EL2, bits([12]))),
            ("trace: TTA", Set(CPTR_EL2, bits([20]))),
        ]
    }
}

#[test]
fn what_is_hidden_is_trapped_or_switched() {
    for vhe in [false, true] {
        fake::reset();
        let mode = HostMode {
            vhe,
            features: Present::ALL.features,
        };
        let nothing = Present {
            features: crate::isa::features::Features::NONE,
            ..Present::ALL
        };
        // All trap registers start as the machine may leave them: the wrong way round.
        for (_, guard) in HIDDEN {
            if let Set(iss, _) | Clear(iss, _) = guard {
                fake::with(|cpu| cpu.regs.insert(iss, u64::MAX));
            }
        }
        traps::configure_cpu(mode);
        let mut regs = SysRegs::new(mode, nothing);
        regs.write(SysReg::RUN_HCR_EL2, traps::hcr::for_guest(mode, false));
        regs.write(SysReg::RUN_CPTR_EL2, traps::cptr(mode, false));
        regs.load();
        for (what, guard) in HIDDEN.into_iter().chain(by_mode(vhe)) {
            match guard {
                Set(iss, mask) => assert_eq!(peek(iss) & mask, mask, "{what}"),
                Clear(iss, mask) => assert_eq!(peek(iss) & mask, 0, "{what}"),
                Switched(reg) => {
                    assert_eq!(reg.class(), Class::Deferred);
                    assert!(regs.state().present.has(reg), "{what}");
                }
            }
        }
        assert_eq!(peek(HDFGWTR2_EL2), 0);
    }
}
