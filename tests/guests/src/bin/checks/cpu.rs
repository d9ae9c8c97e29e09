//! The processor as the guest finds it: identification, undefined encodings, waiting.

use core::arch::asm;

use guests::rt::sysreg::field;
use guests::rt::timer::{ENABLE, Timer, ticks};
use guests::rt::trap::{self, EC_UNKNOWN};
use guests::rt::{gic, irq};
use guests::{checks, expect, expect_eq, fail, ignore, mrs, msr, outcome::TestResult};

checks! {
    everywhere undefined_register_read;
    everywhere undefined_register_write;
    everywhere undefined_instruction;
    everywhere id_space_is_readable;
    everywhere fp_and_simd_are_shown;
    everywhere mpidr_of_the_first_cpu;
    everywhere midr_is_told;
    everywhere caches_are_described;
    everywhere actlr_is_readable;
    everywhere wfi_sees_a_masked_interrupt;
    everywhere wfe_sees_an_event;
    everywhere wfet_and_wfit_end;
}

fn expect_undefined(f: impl FnOnce()) -> TestResult {
    match trap::catch(f) {
        Some(fault) => expect_eq!(fault.esr >> 26, EC_UNKNOWN),
        None => fail!("no exception"),
    }
    Ok(())
}

fn undefined_register_read() -> TestResult {
    expect_undefined(|| _ = mrs!("S3_3_C4_C7_7"))
}

fn undefined_register_write() -> TestResult {
    expect_undefined(|| msr!("S3_3_C4_C7_7", u64::MAX))
}

fn undefined_instruction() -> TestResult {
    let mut at = 0_u64;
    let fault = trap::catch(|| {
        // SAFETY: UDF faults, ADR before it only tells where.
        unsafe { asm!("adr {}, 2f", "2: udf #0", out(reg) at, options(nostack)) };
    });
    expect_eq!(
        fault.map(|fault| (fault.class(), fault.elr)),
        Some((EC_UNKNOWN, at))
    );
    Ok(())
}

/// The unallocated registers of the ID space read as zero instead of being undefined.
fn id_space_is_readable() -> TestResult {
    expect_eq!(mrs!("S3_0_C0_C7_7"), 0);
    expect_eq!(mrs!("S3_0_C0_C6_7"), 0);
    let _ = (
        mrs!("ID_AA64AFR0_EL1"),
        mrs!("ID_AA64DFR1_EL1"),
        mrs!("ID_MMFR4_EL1"),
    );
    let exception_levels = mrs!("ID_AA64PFR0_EL1") & 0xff;
    expect!(exception_levels & 0xf != 0 && exception_levels >> 4 != 0);
    Ok(())
}

fn fp_and_simd_are_shown() -> TestResult {
    let pfr0 = mrs!("ID_AA64PFR0_EL1");
    let (fp, simd) = (field(pfr0, 16, 4), field(pfr0, 20, 4));
    expect!(fp <= 1 && fp == simd, "FP {fp:#x} AdvSIMD {simd:#x}");
    Ok(())
}

fn mpidr_of_the_first_cpu() -> TestResult {
    expect_eq!(mrs!("MPIDR_EL1") & 1 << 31, 1 << 31);
    expect_eq!(gic::affinity(), 0);
    Ok(())
}

fn midr_is_told() -> TestResult {
    expect!(
        field(mrs!("MIDR_EL1"), 16, 4) == 0xf,
        "MIDR_EL1 {:#x}",
        mrs!("MIDR_EL1")
    );
    let _ = mrs!("REVIDR_EL1");
    Ok(())
}

fn caches_are_described() -> TestResult {
    let ctr = mrs!("CTR_EL0");
    expect_eq!(field(ctr, 14, 2) & 2, 2); // the instruction cache is VIPT or PIPT
    let clidr = mrs!("CLIDR_EL1");
    expect!(
        field(clidr, 0, 3) != 0,
        "CLIDR_EL1 {clidr:#x}: no level 1 cache"
    );
    for level in 0..7 {
        if field(clidr, 3 * level, 3) == 0 {
            break;
        }
        msr!("CSSELR_EL1", u64::from(level) << 1);
        expect_eq!(mrs!("CSSELR_EL1"), u64::from(level) << 1);
        expect!(
            mrs!("CCSIDR_EL1") != 0,
            "CCSIDR_EL1 of level {level} is zero"
        );
    }
    msr!("CSSELR_EL1", 0);
    Ok(())
}

fn actlr_is_readable() -> TestResult {
    let actlr = mrs!("ACTLR_EL1");
    expect_eq!(mrs!("ACTLR_EL1"), actlr);
    Ok(())
}

fn wfi_sees_a_masked_interrupt() -> TestResult {
    gic::enable(3);
    gic::send_to_self(3);
    for _ in 0..10 {
        // SAFETY: the interrupt is pending, so this does not wait.
        unsafe { asm!("dsb sy", "wfi", options(nostack)) };
    }
    expect_eq!(irq::taken(), 0);
    Ok(())
}

fn wfe_sees_an_event() -> TestResult {
    for _ in 0..10 {
        // SAFETY: the event is there when WFE looks.
        unsafe { asm!("sevl", "wfe", "sev", "wfe", options(nostack)) };
    }
    Ok(())
}

/// Where they are advertised, they return in time; under the hypervisor they are not.
fn wfet_and_wfit_end() -> TestResult {
    if field(mrs!("S3_0_C0_C6_2"), 0, 4) == 0 {
        ignore!("ID_AA64ISAR2_EL1 shows no WFxT");
    }
    for instruction in [wfet, wfit] {
        let timer = Timer::Virtual;
        gic::enable(timer.intid());
        let start = timer.count();
        // Should the instruction not end by itself, the timer ends it.
        timer.set_cval(start + ticks(2_000_000));
        timer.set_ctl(ENABLE);
        instruction(start + ticks(1000));
        expect!(
            timer.count() < start + ticks(1_000_000),
            "waited past its limit"
        );
    }
    Ok(())
}

fn wfet(limit: u64) {
    // SAFETY: WFET X0, encoded for assemblers that don't know it: waits.
    unsafe { asm!(".inst 0xd5031000", in("x0") limit, options(nostack)) };
}

fn wfit(limit: u64) {
    // SAFETY: WFIT X0: waits.
    unsafe { asm!(".inst 0xd5031020", in("x0") limit, options(nostack)) };
}
