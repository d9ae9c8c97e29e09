//! Features the hypervisor does not virtualise: not advertised, and not usable either.

use guests::rt::sysreg::field;
use guests::rt::trap::{self, EC_UNKNOWN};
use guests::text::Text;
use guests::{checks, expect, expect_eq, fail, mrs, msr, outcome::TestResult};

checks! {
    hypervisor("the machine advertises what it has") id_registers_hide_them;
    hypervisor("the machine has what it has") pmu;
    hypervisor("the machine has what it has") sve;
    hypervisor("the machine has what it has") sve_instruction;
    hypervisor("the machine has what it has") sme;
    hypervisor("the machine has what it has") sme_start;
    hypervisor("the machine has what it has") mte;
    hypervisor("the machine has what it has") trace;
    hypervisor("the machine has what it has") trace_buffer;
    hypervisor("the machine has what it has") profiling;
    hypervisor("the machine has what it has") branch_record;
    hypervisor("the machine has what it has") activity_monitors;
    hypervisor("the machine has what it has") mpam;
    hypervisor("the machine has what it has") lo_regions;
    hypervisor("the machine has what it has") ls64;
    everywhere el2;
    everywhere el12_aliases;
}

/// A register that the guest must not get at.
struct Hidden {
    name: &'static str,
    read: fn() -> u64,
    write: fn(u64),
}

/// Makes a check of each list: `rw` registers are read and written, `ro` only read and
/// `wo` only written.
macro_rules! hidden {
    ($($check:ident { $($access:ident $name:ident $encoding:literal;)* })*) => {$(
        fn $check() -> TestResult {
            unusable(&[$(hidden!(@row $access $name $encoding)),*])
        }
    )*};
    (@row rw $name:ident $encoding:literal) => {
        Hidden { name: stringify!($name), read: || mrs!($encoding), write: |v| write!($encoding, v) }
    };
    (@row ro $name:ident $encoding:literal) => {
        Hidden { name: stringify!($name), read: || mrs!($encoding), write: |_| {} }
    };
    (@row wo $name:ident $encoding:literal) => {
        Hidden { name: stringify!($name), read: || 0, write: |v| write!($encoding, v) }
    };
}

macro_rules! write {
    ($encoding:literal, $value:expr) => {{
        let value: u64 = $value;
        // SAFETY: a register that a guest has no right to: the write is refused, or it
        // changes nothing, or it is the bug that this check is there to find.
        unsafe {
            core::arch::asm!(concat!("msr ", $encoding, ", {}"), in(reg) value, options(nostack));
        }
    }};
}

/// Returns whether an access was refused: UNDEFINED, or trapped to EL1 by the CPU itself, which
/// QEMU does for GMID_EL1 where there is no tag memory.
fn is_refusal(fault: &trap::Fault) -> bool {
    const EC_SYSTEM: u64 = 0x18;
    matches!(fault.class(), EC_UNKNOWN | EC_SYSTEM)
}

/// Reads a register; `None` when that is refused.
fn read(register: &Hidden) -> Result<Option<u64>, trap::Fault> {
    let mut value = 0;
    match trap::catch(|| value = (register.read)()) {
        None => Ok(Some(value)),
        Some(fault) if is_refusal(&fault) => Ok(None),
        Some(fault) => Err(fault),
    }
}

/// Returns whether reads are UNDEFINED, or zero even after ones were written.
fn is_unusable(register: &Hidden) -> bool {
    let Ok(before) = read(register) else {
        return false;
    };
    let write = trap::catch(|| (register.write)(u64::MAX));
    let refused = write.is_none_or(|fault| is_refusal(&fault));
    let after = read(register);
    let unusable = refused && before.unwrap_or(0) == 0 && after == Ok(before);
    if !unusable {
        trap::catch(|| (register.write)(before.unwrap_or(0)));
    }
    unusable
}

/// CPACR_EL1.ZEN, FPEN and SMEN: with these set, nothing but the hypervisor is in the way.
const ALL_ENABLED: u64 = 0b11 << 16 | 0b11 << 20 | 0b11 << 24;

fn unusable(registers: &[Hidden]) -> TestResult {
    let cpacr = mrs!("CPACR_EL1");
    msr!("CPACR_EL1", cpacr | ALL_ENABLED);
    let result = all_unusable(registers);
    msr!("CPACR_EL1", cpacr);
    result
}

fn all_unusable(registers: &[Hidden]) -> TestResult {
    let mut usable = Text::<160>::new();
    for register in registers.iter().filter(|register| !is_unusable(register)) {
        let _ = core::fmt::Write::write_fmt(&mut usable, format_args!(" {}", register.name));
    }
    expect!(usable.is_empty(), "usable:{usable}");
    Ok(())
}

hidden! {
    pmu {
        rw PMCR_EL0 "S3_3_C9_C12_0";
        rw PMCNTENSET_EL0 "S3_3_C9_C12_1";
        rw PMCNTENCLR_EL0 "S3_3_C9_C12_2";
        rw PMOVSCLR_EL0 "S3_3_C9_C12_3";
        wo PMSWINC_EL0 "S3_3_C9_C12_4";
        rw PMSELR_EL0 "S3_3_C9_C12_5";
        ro PMCEID0_EL0 "S3_3_C9_C12_6";
        ro PMCEID1_EL0 "S3_3_C9_C12_7";
        rw PMCCNTR_EL0 "S3_3_C9_C13_0";
        rw PMXEVTYPER_EL0 "S3_3_C9_C13_1";
        rw PMXEVCNTR_EL0 "S3_3_C9_C13_2";
        rw PMUSERENR_EL0 "S3_3_C9_C14_0";
        rw PMOVSSET_EL0 "S3_3_C9_C14_3";
        rw PMINTENSET_EL1 "S3_0_C9_C14_1";
        rw PMINTENCLR_EL1 "S3_0_C9_C14_2";
        ro PMMIR_EL1 "S3_0_C9_C14_6";
        rw PMSSCR_EL1 "S3_0_C9_C13_3";
        rw PMUACR_EL1 "S3_0_C9_C14_4";
        rw PMECR_EL1 "S3_0_C9_C14_5";
        rw PMICNTR_EL0 "S3_3_C9_C4_0";
        rw PMICFILTR_EL0 "S3_3_C9_C6_0";
        rw PMEVCNTR0_EL0 "S3_3_C14_C8_0";
        rw PMEVCNTR5_EL0 "S3_3_C14_C8_5";
        rw PMEVCNTR30_EL0 "S3_3_C14_C11_6";
        rw PMEVTYPER0_EL0 "S3_3_C14_C12_0";
        rw PMEVTYPER5_EL0 "S3_3_C14_C12_5";
        rw PMEVTYPER30_EL0 "S3_3_C14_C15_6";
        rw PMCCFILTR_EL0 "S3_3_C14_C15_7";
    }
    sve {
        rw ZCR_EL1 "S3_0_C1_C2_0";
        ro ID_AA64ZFR0_EL1 "S3_0_C0_C4_4";
    }
    sme {
        rw SMCR_EL1 "S3_0_C1_C2_6";
        rw SMPRI_EL1 "S3_0_C1_C2_4";
        rw SVCR "S3_3_C4_C2_2";
        rw TPIDR2_EL0 "S3_3_C13_C0_5";
        ro SMIDR_EL1 "S3_1_C0_C0_6";
        ro ID_AA64SMFR0_EL1 "S3_0_C0_C4_5";
    }
    mte {
        rw RGSR_EL1 "S3_0_C1_C0_5";
        rw GCR_EL1 "S3_0_C1_C0_6";
        rw TFSR_EL1 "S3_0_C5_C6_0";
        rw TFSRE0_EL1 "S3_0_C5_C6_1";
        ro GMID_EL1 "S3_1_C0_C0_4";
    }
    trace {
        rw TRFCR_EL1 "S3_0_C1_C2_1";
        rw TRCPRGCTLR "S2_1_C0_C1_0";
        rw TRCTRACEIDR "S2_1_C0_C0_1";
        rw TRCVICTLR "S2_1_C0_C0_2";
        ro TRCIDR0 "S2_1_C0_C8_7";
        ro TRCOSLSR "S2_1_C1_C1_4";
        rw TRCCLAIMSET "S2_1_C7_C8_6";
        ro TRCAUTHSTATUS "S2_1_C7_C14_6";
    }
    trace_buffer {
        rw TRBLIMITR_EL1 "S3_0_C9_C11_0";
        rw TRBPTR_EL1 "S3_0_C9_C11_1";
        rw TRBBASER_EL1 "S3_0_C9_C11_2";
        rw TRBSR_EL1 "S3_0_C9_C11_3";
        rw TRBMAR_EL1 "S3_0_C9_C11_4";
        rw TRBTRG_EL1 "S3_0_C9_C11_6";
        ro TRBIDR_EL1 "S3_0_C9_C11_7";
    }
    profiling {
        rw PMSCR_EL1 "S3_0_C9_C9_0";
        rw PMSNEVFR_EL1 "S3_0_C9_C9_1";
        rw PMSICR_EL1 "S3_0_C9_C9_2";
        rw PMSIRR_EL1 "S3_0_C9_C9_3";
        rw PMSFCR_EL1 "S3_0_C9_C9_4";
        rw PMSEVFR_EL1 "S3_0_C9_C9_5";
        rw PMSLATFR_EL1 "S3_0_C9_C9_6";
        ro PMSIDR_EL1 "S3_0_C9_C9_7";
        rw PMBLIMITR_EL1 "S3_0_C9_C10_0";
        rw PMBPTR_EL1 "S3_0_C9_C10_1";
        rw PMBSR_EL1 "S3_0_C9_C10_3";
        ro PMBIDR_EL1 "S3_0_C9_C10_7";
    }
    branch_record {
        rw BRBCR_EL1 "S2_1_C9_C0_0";
        rw BRBFCR_EL1 "S2_1_C9_C0_1";
        rw BRBTS_EL1 "S2_1_C9_C0_2";
        rw BRBINFINJ_EL1 "S2_1_C9_C1_0";
        ro BRBIDR0_EL1 "S2_1_C9_C2_0";
        ro BRBINF0_EL1 "S2_1_C8_C0_0";
        ro BRBSRC0_EL1 "S2_1_C8_C0_1";
        ro BRBTGT0_EL1 "S2_1_C8_C0_2";
    }
    activity_monitors {
        rw AMCR_EL0 "S3_3_C13_C2_0";
        ro AMCFGR_EL0 "S3_3_C13_C2_1";
        ro AMCGCR_EL0 "S3_3_C13_C2_2";
        rw AMUSERENR_EL0 "S3_3_C13_C2_3";
        rw AMCNTENCLR0_EL0 "S3_3_C13_C2_4";
        rw AMCNTENSET0_EL0 "S3_3_C13_C2_5";
        rw AMCNTENCLR1_EL0 "S3_3_C13_C3_0";
        rw AMCNTENSET1_EL0 "S3_3_C13_C3_1";
        rw AMEVCNTR00_EL0 "S3_3_C13_C4_0";
        ro AMEVTYPER00_EL0 "S3_3_C13_C6_0";
        rw AMEVCNTR10_EL0 "S3_3_C13_C12_0";
        rw AMEVTYPER10_EL0 "S3_3_C13_C14_0";
    }
    mpam {
        rw MPAM0_EL1 "S3_0_C10_C5_1";
        rw MPAM1_EL1 "S3_0_C10_C5_0";
        ro MPAMIDR_EL1 "S3_0_C10_C4_4";
    }
    lo_regions {
        rw LORSA_EL1 "S3_0_C10_C4_0";
        rw LOREA_EL1 "S3_0_C10_C4_1";
        rw LORN_EL1 "S3_0_C10_C4_2";
        rw LORC_EL1 "S3_0_C10_C4_3";
        ro LORID_EL1 "S3_0_C10_C4_7";
    }
    ls64 {
        rw ACCDATA_EL1 "S3_0_C13_C0_5";
    }
    el2 {
        rw HCR_EL2 "S3_4_C1_C1_0";
        rw SCTLR_EL2 "S3_4_C1_C0_0";
        rw VTTBR_EL2 "S3_4_C2_C1_0";
        rw VBAR_EL2 "S3_4_C12_C0_0";
        rw VNCR_EL2 "S3_4_C2_C2_0";
        rw ICH_HCR_EL2 "S3_4_C12_C11_0";
        rw ICH_LR0_EL2 "S3_4_C12_C12_0";
        rw CNTHCTL_EL2 "S3_4_C14_C1_0";
        rw TPIDR_EL2 "S3_4_C13_C0_2";
        rw SCTLR_EL3 "S3_6_C1_C0_0";
    }
    el12_aliases {
        rw SCTLR_EL12 "S3_5_C1_C0_0";
        rw TTBR0_EL12 "S3_5_C2_C0_0";
        rw VBAR_EL12 "S3_5_C12_C0_0";
        rw CNTV_CTL_EL02 "S3_5_C14_C3_1";
    }
}

/// Expects the four bits at `lsb` of an ID register to be zero, or `also`.
fn absent(name: &str, register: u64, lsb: u32, also: u64) -> TestResult {
    let value = field(register, lsb, 4);
    expect!(value == 0 || value == also, "{name} is {value:#x}");
    Ok(())
}

fn id_registers_hide_them() -> TestResult {
    let pfr0 = mrs!("ID_AA64PFR0_EL1");
    absent("PFR0.SVE", pfr0, 32, 0)?;
    absent("PFR0.MPAM", pfr0, 40, 0)?;
    absent("PFR0.AMU", pfr0, 44, 0)?;
    let pfr1 = mrs!("ID_AA64PFR1_EL1");
    absent("PFR1.MTE", pfr1, 8, 0)?;
    absent("PFR1.MPAM_frac", pfr1, 16, 0)?;
    absent("PFR1.SME", pfr1, 24, 0)?;
    let dfr0 = mrs!("ID_AA64DFR0_EL1");
    absent("DFR0.TraceVer", dfr0, 4, 0)?;
    absent("DFR0.PMUVer", dfr0, 8, 0xf)?;
    absent("DFR0.PMSVer", dfr0, 32, 0)?;
    absent("DFR0.TraceFilt", dfr0, 40, 0)?;
    absent("DFR0.TraceBuffer", dfr0, 44, 0)?;
    absent("DFR0.BRBE", dfr0, 52, 0)?;
    absent("ISAR1.LS64", mrs!("ID_AA64ISAR1_EL1"), 60, 0)?;
    absent("ISAR2.WFxT", mrs!("S3_0_C0_C6_2"), 0, 0)?;
    absent("MMFR1.LO", mrs!("ID_AA64MMFR1_EL1"), 16, 0)?;
    absent("MMFR2.NV", mrs!("S3_0_C0_C7_2"), 24, 0)?;
    absent("MMFR4.NV_frac", mrs!("S3_0_C0_C7_4"), 20, 0)?;
    expect_eq!(mrs!("S3_0_C0_C4_4"), 0);
    expect_eq!(mrs!("S3_0_C0_C4_5"), 0);
    Ok(())
}

/// An instruction of a hidden extension is UNDEFINED even where CPACR_EL1 lets it through:
/// EC 0, not the "access trapped" that would tell of its presence.
macro_rules! undefined_instructions {
    ($($check:ident $undo:literal: $($words:literal)*;)*) => {$(
        fn $check() -> TestResult {
            let cpacr = mrs!("CPACR_EL1");
            let (zen, smen) = (3 << 16, 3 << 24);
            guests::msr!("CPACR_EL1", cpacr | zen | smen);
            let faults = [$(trap::catch(|| {
                // SAFETY: faults, or changes X9 and vector state that nothing here uses.
                unsafe {
                    core::arch::asm!(concat!(".inst ", $words), out("x9") _, options(nostack))
                }
            })),*];
            if faults.contains(&None) {
                trap::catch(|| {
                    // SAFETY: undoes the one before.
                    unsafe { core::arch::asm!(concat!(".inst ", $undo), options(nostack)) }
                });
            }
            guests::msr!("CPACR_EL1", cpacr);
            for (word, fault) in [$($words),*].iter().zip(faults) {
                match fault {
                    Some(fault) => expect_eq!(fault.class(), EC_UNKNOWN),
                    None => fail!("{word} was executed"),
                }
            }
            Ok(())
        }
    )*};
}

undefined_instructions! {
    // rdvl x9, #1; ptrue p0.b
    sve_instruction "0xd503201f": "0x04bf5029" "0x2518e3e0";
    // rdsvl x9, #1; smstart; undone by smstop
    sme_start "0xd503467f": "0x04bf5829" "0xd503477f";
}
