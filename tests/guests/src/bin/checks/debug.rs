//! Self-hosted debug: the OS lock and the breakpoint registers.

use guests::rt::sysreg::field;
use guests::{checks, expect, expect_eq, mrs, msr, outcome::TestResult};

checks! {
    everywhere os_lock;
    everywhere os_double_lock_is_harmless;
    everywhere mdscr_holds;
    everywhere breakpoint_registers_answer;
    everywhere breakpoint_registers_hold;
    everywhere two_of_each_at_least;
}

fn os_lock() -> TestResult {
    let locked = 1 << 1;
    msr!("OSLAR_EL1", 1);
    expect_eq!(mrs!("OSLSR_EL1") & locked, locked);
    msr!("OSLAR_EL1", 0);
    expect_eq!(mrs!("OSLSR_EL1") & locked, 0);
    Ok(())
}

fn os_double_lock_is_harmless() -> TestResult {
    msr!("OSDLR_EL1", 0);
    expect_eq!(mrs!("OSDLR_EL1") & 1, 0);
    Ok(())
}

/// TDCC and KDE: kept, and of no consequence here.
fn mdscr_holds() -> TestResult {
    let (tdcc, kde) = (1 << 12, 1 << 13);
    let before = mrs!("MDSCR_EL1");
    for value in [tdcc, kde, tdcc | kde, 0] {
        msr!("MDSCR_EL1", value);
        expect_eq!(mrs!("MDSCR_EL1") & (tdcc | kde), value);
    }
    msr!("MDSCR_EL1", before);
    Ok(())
}

fn breakpoint_registers_answer() -> TestResult {
    let _ = [
        mrs!("DBGBVR0_EL1"),
        mrs!("DBGBCR0_EL1"),
        mrs!("DBGWVR0_EL1"),
        mrs!("DBGWCR0_EL1"),
    ];
    msr!("DBGBCR0_EL1", 0);
    msr!("DBGWCR0_EL1", 0);
    expect_eq!(mrs!("DBGBCR0_EL1") & 1, 0);
    Ok(())
}

fn breakpoint_registers_hold() -> TestResult {
    for value in [0x4000_1000, 0x4abc_def0, 0] {
        msr!("DBGBVR0_EL1", value);
        msr!("DBGWVR0_EL1", value >> 3 << 3);
        expect_eq!(mrs!("DBGBVR0_EL1"), value);
        expect_eq!(mrs!("DBGWVR0_EL1"), value >> 3 << 3);
    }
    // BAS all ones, EL1 and EL0, not enabled.
    msr!("DBGBCR0_EL1", 0xf << 5 | 3 << 1);
    expect_eq!(mrs!("DBGBCR0_EL1") & (0xf << 5 | 7), 0xf << 5 | 3 << 1);
    msr!("DBGBCR0_EL1", 0);
    Ok(())
}

/// As many breakpoints as ID_AA64DFR0_EL1 shows are there: two are the least.
fn two_of_each_at_least() -> TestResult {
    let dfr0 = mrs!("ID_AA64DFR0_EL1");
    expect!(
        field(dfr0, 12, 4) >= 1 && field(dfr0, 20, 4) >= 1,
        "ID_AA64DFR0_EL1 {dfr0:#x}"
    );
    msr!("DBGBVR1_EL1", 0x1000);
    msr!("DBGWVR1_EL1", 0x2000);
    expect_eq!([mrs!("DBGBVR1_EL1"), mrs!("DBGWVR1_EL1")], [0x1000, 0x2000]);
    Ok(())
}
