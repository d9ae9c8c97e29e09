//! Active interrupts: taken once, ended in one step or two, and repaired when lost.

use guests::rt::timer::wait;
use guests::rt::{gic, irq};
use guests::{checks, expect, expect_eq, ignore, outcome::TestResult};

use crate::gic::{SOON, SPI, edge, expect_none, expect_taken};

checks! {
    everywhere active_is_not_taken_again;
    everywhere eoimode_1_deactivates_by_dir;
    everywhere icactiver_repairs_a_lost_dir;
    everywhere icactiver_repairs_a_lost_eoi;
    everywhere isactiver_blocks;
}

fn acknowledge_soon(intid: u32) -> TestResult {
    let mut seen = gic::SPECIAL;
    wait(SOON, || {
        seen = gic::acknowledge();
        seen < gic::SPECIAL
    });
    expect_eq!(seen, intid);
    Ok(())
}

fn active_is_not_taken_again() -> TestResult {
    edge(SPI);
    gic::enable(SPI);
    gic::pend(SPI);
    acknowledge_soon(SPI)?;
    expect!(
        gic::is_active(SPI) && !gic::is_pending(SPI),
        "not active alone"
    );
    gic::pend(SPI);
    expect!(
        gic::is_active(SPI) && gic::is_pending(SPI),
        "not active and pending"
    );
    expect_eq!(gic::acknowledge(), 1023);
    gic::end(SPI);
    acknowledge_soon(SPI)?;
    gic::end(SPI);
    expect!(
        wait(SOON, || !gic::is_active(SPI) && !gic::is_pending(SPI)),
        "not idle in the end"
    );
    Ok(())
}

fn eoimode_1_deactivates_by_dir() -> TestResult {
    gic::end_in_two_steps();
    for intid in [10, SPI] {
        gic::set_edge(SPI, true);
        gic::enable(intid);
        gic::pend(intid);
        acknowledge_soon(intid)?;
        gic::end(intid);
        expect_eq!(gic::running_priority(), 0xff);
        expect!(
            gic::is_active(intid),
            "{intid}: the priority drop deactivated"
        );
        gic::pend(intid);
        expect_eq!(gic::acknowledge(), 1023);
        gic::deactivate(intid);
        acknowledge_soon(intid)?;
        gic::end(intid);
        gic::deactivate(intid);
        expect!(
            wait(SOON, || !gic::is_active(intid)),
            "{intid}: DIR did not deactivate"
        );
    }
    Ok(())
}

fn icactiver_repairs_a_lost_dir() -> TestResult {
    gic::end_in_two_steps();
    edge(SPI);
    for intid in [11, SPI] {
        gic::enable(intid);
        gic::pend(intid);
        acknowledge_soon(intid)?;
        gic::end(intid);
        gic::pend(intid);
        expect_eq!(gic::acknowledge(), 1023);
        gic::clear_active(intid);
        expect!(
            wait(SOON, || !gic::is_active(intid)),
            "{intid} is still active"
        );
        acknowledge_soon(intid)?;
        gic::end(intid);
        gic::deactivate(intid);
    }
    Ok(())
}

fn icactiver_repairs_a_lost_eoi() -> TestResult {
    if gic::is_v2() {
        ignore!("QEMU's GICv2 keeps the running priority when GICC_APR is cleared");
    }
    gic::enable(12);
    gic::send_to_self(12);
    acknowledge_soon(12)?;
    // What a restarted system does that finds a priority still running.
    gic::clear_active(12);
    gic::clear_active_priorities();
    gic::send_to_self(12);
    acknowledge_soon(12)?;
    gic::end(12);
    expect!(wait(SOON, || !gic::is_active(12)));
    Ok(())
}

fn isactiver_blocks() -> TestResult {
    edge(SPI);
    gic::enable(SPI);
    gic::activate(SPI);
    expect!(gic::is_active(SPI));
    gic::pend(SPI);
    irq::unmask();
    expect_none()?;
    gic::clear_active(SPI);
    expect_taken(SPI)
}
