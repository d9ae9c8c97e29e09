//! Self-hosted debug: the OS lock and the breakpoint registers.

use core::arch::asm;

use guests::rt::points::{self, Hits, KDE, MDE};
use guests::rt::{smccc, sysreg::field, trap};
use guests::{checks, expect, expect_eq, mrs, msr, outcome::TestResult};

checks! {
    everywhere os_lock;
    everywhere os_double_lock_is_harmless;
    everywhere mdscr_holds;
    everywhere breakpoint_registers_answer;
    everywhere breakpoint_registers_hold;
    everywhere two_of_each_at_least;
    everywhere every_breakpoint_fires;
    everywhere every_watchpoint_fires;
    everywhere all_of_them_fire_together;
    everywhere none_fires_unless_all_enable_it;
    everywhere single_steps_are_of_one_instruction;
    everywhere brk_says_its_number;
    everywhere claim_tags_hold;
    hypervisor("QEMU's debug exceptions do not heed the OS lock") none_fires_under_the_os_lock;
    hypervisor("there is nobody to go to") they_hold_over_exits;
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

fn every_breakpoint_fires() -> TestResult {
    msr!("OSLAR_EL1", 0);
    for n in 0..points::counts().0 {
        points::set_breakpoint(n, points::instruction(20 + n), points::AT_INSTRUCTION);
        msr!("MDSCR_EL1", KDE | MDE);
        let hits = points::hits(points::walk);
        points::clear();
        let expected = Hits {
            instructions: 1 << (20 + n),
            ..Hits::default()
        };
        expect_eq!(hits, expected);
    }
    Ok(())
}

fn every_watchpoint_fires() -> TestResult {
    let (loads_only, stores_only) = (!(0b10 << 3), !(0b01 << 3));
    for n in 0..points::counts().1 {
        for (mask, stores, loads) in [(u64::MAX, 1, 1), (loads_only, 0, 1), (stores_only, 1, 0)] {
            points::set_watchpoint(n, points::word(5 + n), points::AT_ACCESS & mask);
            msr!("MDSCR_EL1", KDE | MDE);
            let hits = points::hits(points::touch);
            points::clear();
            let expected = Hits {
                stores: stores << (5 + n),
                loads: loads << (5 + n),
                ..Hits::default()
            };
            expect_eq!(hits, expected);
        }
    }
    Ok(())
}

fn all_of_them_fire_together() -> TestResult {
    let expected = points::set_all(3);
    msr!("MDSCR_EL1", KDE | MDE);
    let hits = points::hits(points::walk_and_touch);
    points::clear();
    expect_eq!(hits, expected);
    Ok(())
}

fn none_fires_unless_all_enable_it() -> TestResult {
    for mdscr in [0, KDE, MDE] {
        let _ = points::set_all(0);
        msr!("MDSCR_EL1", mdscr);
        let hits = points::hits(points::walk_and_touch);
        points::clear();
        expect_eq!(hits, Hits::default());
    }
    Ok(())
}

fn single_steps_are_of_one_instruction() -> TestResult {
    for _ in 0..3 {
        expect_eq!(points::single_steps(), points::STEPS);
    }
    Ok(())
}

fn brk_says_its_number() -> TestResult {
    let fault = trap::catch(|| {
        // SAFETY: the exception is caught.
        unsafe { asm!("brk #0x1234", options(nostack)) }
    });
    let esr = fault.map(|fault| fault.esr);
    expect_eq!(esr, Some(trap::EC_BRK << 26 | 1 << 25 | 0x1234));
    Ok(())
}

fn claim_tags_hold() -> TestResult {
    expect_eq!(mrs!("DBGCLAIMSET_EL1"), 0xff);
    // Tag 0 is an external debugger's.
    msr!("DBGCLAIMSET_EL1", 0b1010);
    msr!("DBGCLAIMSET_EL1", 0b0100);
    expect_eq!(mrs!("DBGCLAIMCLR_EL1"), 0b1110);
    msr!("DBGCLAIMCLR_EL1", 0b0110);
    expect_eq!(mrs!("DBGCLAIMCLR_EL1"), 0b1000);
    msr!("DBGCLAIMCLR_EL1", 0xff);
    expect_eq!(mrs!("DBGCLAIMCLR_EL1"), 0);
    Ok(())
}

fn none_fires_under_the_os_lock() -> TestResult {
    let expected = points::set_all(7);
    msr!("MDSCR_EL1", KDE | MDE);
    msr!("OSLAR_EL1", 1);
    let locked = points::hits(points::walk_and_touch);
    // They can be saved and restored meanwhile.
    let read = [mrs!("DBGBVR1_EL1"), mrs!("MDSCR_EL1") & (KDE | MDE)];
    msr!("OSLAR_EL1", 0);
    let unlocked = points::hits(points::walk_and_touch);
    points::clear();
    expect_eq!(locked, Hits::default());
    expect_eq!(read, [points::instruction(8), KDE | MDE]);
    expect_eq!(unlocked, expected);
    Ok(())
}

/// What an exit does is not the guest's instructions, and moves none of these registers.
fn they_hold_over_exits() -> TestResult {
    let expected = points::set_all(11);
    msr!("MDSCR_EL1", KDE | MDE);
    for _ in 0..20 {
        smccc::call(smccc::PSCI_VERSION, [0; 3]);
        let hits = points::hits(points::walk_and_touch);
        if hits != expected {
            points::clear();
            expect_eq!(hits, expected);
        }
    }
    points::clear();
    Ok(())
}
