//! Floating-point and vector registers over exits. Nothing else in this program uses them.

use guests::rt::fp::{Vectors, load, store};
use guests::rt::timer::{ENABLE, Timer, ticks, wait};
use guests::rt::{console, gic, irq, mmio, smccc, trap};
use guests::{checks, expect, expect_eq, mrs, msr, outcome::TestResult};

checks! {
    everywhere cpacr_is_the_guests;
    everywhere access_traps_when_cpacr_says_so;
    everywhere registers_over_exits;
    everywhere control_and_status_over_exits;
}

const FPEN: u64 = 3 << 20;

fn cpacr_is_the_guests() -> TestResult {
    let before = mrs!("CPACR_EL1");
    for fpen in [0, 1 << 20, FPEN] {
        msr!("CPACR_EL1", before & !FPEN | fpen);
        expect_eq!(mrs!("CPACR_EL1") & FPEN, fpen);
    }
    Ok(())
}

fn access_traps_when_cpacr_says_so() -> TestResult {
    const EC_FP_ACCESS: u64 = 0x07;
    let before = mrs!("CPACR_EL1");
    msr!("CPACR_EL1", before & !FPEN);
    let fault = trap::catch(|| _ = mrs!("S3_3_C4_C4_0"));
    msr!("CPACR_EL1", before | FPEN);
    expect_eq!(fault.map(trap::Fault::class), Some(EC_FP_ACCESS));
    expect_eq!(trap::catch(|| _ = mrs!("S3_3_C4_C4_0")), None);
    Ok(())
}

/// Hypercalls, device accesses, trapped registers and timer interrupts.
fn many_exits(round: usize) -> TestResult {
    let timer = Timer::Virtual;
    gic::enable(timer.intid());
    irq::unmask();
    for n in 0..20 {
        irq::reset();
        timer.set_cval(timer.count() + ticks(20));
        timer.set_ctl(ENABLE);
        smccc::call(smccc::PSCI_VERSION, [0; 3]);
        mmio::read32(console::FR);
        mmio::write32(console::IMSC, 0);
        let _ = mrs!("ID_AA64ISAR0_EL1");
        expect!(
            wait(1_000_000, || irq::taken() == 1),
            "no interrupt {n} of round {round}"
        );
    }
    irq::mask();
    Ok(())
}

fn registers_over_exits() -> TestResult {
    for round in 0..5 {
        let pattern =
            |n: usize| (n as u128 + 1) * 0x0123_4567_89ab_cdef_0f1e_2d3c_4b5a_6978 + round as u128;
        let values = Vectors(core::array::from_fn(pattern));
        load(&values);
        many_exits(round)?;
        for (n, (seen, value)) in store().0.into_iter().zip(values.0).enumerate() {
            expect!(seen == value, "Q{n} is {seen:#x}, expected {value:#x}");
        }
    }
    Ok(())
}

fn control_and_status_over_exits() -> TestResult {
    // Rounding mode, flush to zero, default NaN; the cumulative flags and QC.
    for (round, (fpcr, fpsr)) in [(3 << 22, 1 << 27), (3 << 24, 0x9f), (0, 0)]
        .into_iter()
        .enumerate()
    {
        msr!("S3_3_C4_C4_0", fpcr);
        msr!("S3_3_C4_C4_1", fpsr);
        many_exits(round)?;
        expect_eq!([mrs!("S3_3_C4_C4_0"), mrs!("S3_3_C4_C4_1")], [fpcr, fpsr]);
    }
    Ok(())
}
