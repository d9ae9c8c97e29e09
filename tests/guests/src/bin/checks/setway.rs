//! Cache maintenance by set/way, and the registers of stage 1 that are trapped after it.

use core::arch::asm;

use guests::rt::trap;
use guests::{checks, expect, expect_eq, mrs, msr, outcome::TestResult};

checks! {
    everywhere maintenance_by_set_way;
    everywhere registers_of_stage_1_after_it;
    everywhere caches_off_and_on_after_it;
}

macro_rules! by_set_way {
    ($operation:literal) => {
        // SAFETY: invalidating by set/way also cleans in a guest (HCR_EL2.SWIO); without a
        // hypervisor only those are used that clean.
        unsafe {
            asm!(
                concat!("dc ", $operation, ", xzr"),
                "dsb sy",
                options(nostack)
            )
        }
    };
}

fn maintenance_by_set_way() -> TestResult {
    let marked = [0x5a_u8; 4096];
    let fault = trap::catch(|| {
        by_set_way!("csw");
        by_set_way!("cisw");
        by_set_way!("cisw");
    });
    expect_eq!(fault, None);
    expect_eq!(core::hint::black_box(&marked), &[0x5a; 4096]);
    Ok(())
}

/// Data and unified caches of EL1 are on.
const C: u64 = 1 << 2;

/// Writes are trapped after set/way maintenance, whether the caches are on or off, until they are
/// turned on; what is read back is what the CPU has.
fn registers_of_stage_1_after_it() -> TestResult {
    let sctlr = mrs!("SCTLR_EL1");
    let on = registers_hold();
    msr!("SCTLR_EL1", sctlr & !C);
    let off = registers_hold();
    msr!("SCTLR_EL1", sctlr);
    on?;
    off?;
    registers_hold()
}

/// Writes each register after an operation by set/way of its own, and again, and reads it back.
fn registers_hold() -> TestResult {
    macro_rules! hold {
        ($($name:literal $bits:literal;)*) => {$(
            let before = mrs!($name);
            for value in [before ^ $bits, before] {
                by_set_way!("cisw");
                msr!($name, value);
                expect_eq!(mrs!($name), value);
                msr!($name, before);
                msr!($name, value);
                expect_eq!(mrs!($name), value);
            }
        )*};
    }
    hold! {
        "FAR_EL1" 0xffff_1234_5678_9abc;
        "ESR_EL1" 0x5600_0001;
        "CONTEXTIDR_EL1" 0x7654_3210;
        // Nothing is in the upper half, and AttrIndx 7 is used by nothing.
        "TTBR1_EL1" 0x0000_0000_4444_0000;
        "MAIR_EL1" 0x0400_0000_0000_0000;
        // HPD1, or reserved.
        "TCR_EL1" 0x0000_0400_0000_0000;
        // nTWE.
        "SCTLR_EL1" 0x0004_0000;
        // The tables stay; the ASID is not used by what is global.
        "TTBR0_EL1" 0x0001_0000_0000_0000;
    }
    // Implementation defined: some CPUs keep nothing in them.
    macro_rules! hold_or_ignore {
        ($($name:literal)*) => {$(
            let before = mrs!($name);
            by_set_way!("cisw");
            msr!($name, before ^ 0x5a5a);
            let seen = mrs!($name);
            expect!(seen == before ^ 0x5a5a || seen == before, "{} is {seen:#x}", $name);
            msr!($name, before);
            expect_eq!(mrs!($name), before);
        )*};
    }
    hold_or_ignore! { "AFSR0_EL1" "AFSR1_EL1" "AMAIR_EL1" }
    Ok(())
}

/// Memory is the same with the data cache off, and on again.
fn caches_off_and_on_after_it() -> TestResult {
    let mut cells = [0_u64; 64];
    for round in 1..=3 {
        cells.fill(round);
        by_set_way!("cisw");
        let sctlr = mrs!("SCTLR_EL1");
        msr!("SCTLR_EL1", sctlr & !C);
        let seen_off = core::hint::black_box(&cells)
            .iter()
            .all(|&cell| cell == round);
        core::hint::black_box(&mut cells).fill(round + 10);
        msr!("SCTLR_EL1", sctlr);
        let seen_on = core::hint::black_box(&cells)
            .iter()
            .all(|&cell| cell == round + 10);
        expect_eq!(mrs!("SCTLR_EL1"), sctlr);
        expect_eq!((seen_off, seen_on), (true, true));
    }
    Ok(())
}
