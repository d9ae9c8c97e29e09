//! The interrupt controller: distributor, redistributor and CPU interface together.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use guests::rt::timer::{pause, wait};
use guests::rt::{gic, irq, mmio};
use guests::{checks, expect, expect_eq, ignore, mrs, msr, outcome::TestResult};

/// SPIs that no device of the machine drives.
pub const SPI: u32 = 44;
const OTHER_SPI: u32 = 45;

/// How long, in microseconds, an interrupt may take on a development machine under load.
pub const SOON: u64 = 1_000_000;
const A_WHILE: u64 = 300;

checks! {
    everywhere distributor_identifies_itself;
    everywhere redistributor_is_this_cpus;
    everywhere priority_bytes;
    everywhere enable_bits;
    everywhere sgi_to_self;
    everywhere all_sgis_in_turn;
    everywhere sgi_waits_for_enable;
    everywhere sgi_is_withdrawn;
    everywhere disabled_while_pending;
    everywhere spi_by_ispendr;
    everywhere spi_waits_for_enable;
    everywhere spi_is_withdrawn;
    everywhere more_pending_than_list_registers;
    everywhere acknowledge_without_interrupt;
    everywhere mask_by_pmr;
    everywhere mask_by_igrpen;
    everywhere highest_priority_first;
    everywhere equals_are_all_taken;
    everywhere higher_priority_preempts;
    everywhere equal_priority_does_not_preempt;
}

fn distributor_identifies_itself() -> TestResult {
    let typer = mmio::read32(gic::GICD + 4);
    let lines = ((typer & 0x1f) + 1) * 32;
    expect!((64..=1024).contains(&lines), "GICD_TYPER {typer:#x}");
    let iidr = mmio::read32(gic::GICD + 8);
    expect!(iidr & 0xfff != 0, "GICD_IIDR {iidr:#x} has no implementer");
    if gic::is_v2() {
        expect_eq!(mmio::read32(gic::GICD + 0xfe8) >> 4 & 0xf, 2);
        return Ok(());
    }
    let architecture = mmio::read32(gic::GICD + 0xffe8) >> 4 & 0xf;
    expect!(
        architecture == 3 || architecture == 4,
        "GICD_PIDR2.ArchRev {architecture}"
    );
    expect!(mrs!("ICC_SRE_EL1") & 1 == 1, "ICC_SRE_EL1.SRE is clear");
    Ok(())
}

fn redistributor_is_this_cpus() -> TestResult {
    if gic::is_v2() {
        ignore!("a GICv2 has no redistributors");
    }
    let own = gic::affinity();
    let frame = gic::redistributor();
    let typer = mmio::read64(frame + 8);
    expect_eq!(typer >> 32, (own >> 8 & 0xff00_0000) | (own & 0xff_ffff));
    let architecture = mmio::read32(frame + 0xffe8) >> 4 & 0xf;
    expect!(
        architecture == 3 || architecture == 4,
        "GICR_PIDR2.ArchRev {architecture}"
    );

    let halves = [mmio::read32(frame + 8), mmio::read32(frame + 12)];
    expect_eq!(u64::from(halves[0]) | u64::from(halves[1]) << 32, typer);

    let mut last = gic::GICR;
    while mmio::read64(last + 8) & 1 << 4 == 0 {
        last += gic::GICR_STRIDE;
        expect!(last < 0x0900_0000, "no GICR_TYPER.Last");
    }
    Ok(())
}

fn priority_bytes() -> TestResult {
    for intid in [0, 27, SPI] {
        let word = gic::priority_register(intid & !3);
        mmio::write32(word, 0xf0e0_d0c0);
        gic::set_priority(intid, 0x50);
        let lane = 8 * (intid % 4);
        let expected = 0xf0e0_d0c0 & !(0xff << lane) | 0x50 << lane;
        expect_eq!(mmio::read32(word), expected);
        expect_eq!(gic::priority(intid), 0x50);
    }
    Ok(())
}

fn enable_bits() -> TestResult {
    let sgi = if gic::is_v2() { None } else { Some(0) };
    for intid in sgi.into_iter().chain([27, SPI]) {
        gic::enable(intid);
        expect!(gic::is_enabled(intid), "{intid} was not enabled");
        gic::disable(intid);
        expect!(!gic::is_enabled(intid), "{intid} was not disabled");
    }
    Ok(())
}

/// Expects this interrupt, once.
pub fn expect_taken(intid: u32) -> TestResult {
    expect!(
        wait(SOON, || irq::taken() != 0),
        "INTID {intid} was not taken"
    );
    expect_eq!(irq::nth(0), intid);
    pause(A_WHILE);
    expect_eq!(irq::taken(), 1);
    Ok(())
}

/// Expects no interrupt.
pub fn expect_none() -> TestResult {
    pause(A_WHILE);
    expect!(irq::taken() == 0, "INTID {} was taken", irq::nth(0));
    Ok(())
}

fn sgi_to_self() -> TestResult {
    gic::enable(3);
    irq::unmask();
    gic::send_to_self(3);
    expect_taken(3)
}

fn all_sgis_in_turn() -> TestResult {
    irq::unmask();
    for sgi in 0..16 {
        irq::reset();
        gic::enable(sgi);
        gic::send_to_self(sgi);
        expect!(wait(SOON, || irq::taken() == 1), "SGI {sgi} was not taken");
        expect_eq!(irq::nth(0), sgi);
    }
    Ok(())
}

fn sgi_waits_for_enable() -> TestResult {
    if gic::is_v2() {
        ignore!("a GICv2's SGIs are always enabled");
    }
    irq::unmask();
    gic::send_to_self(4);
    expect_none()?;
    expect!(gic::is_pending(4));
    gic::enable(4);
    expect_taken(4)
}

fn sgi_is_withdrawn() -> TestResult {
    gic::enable(5);
    gic::send_to_self(5);
    expect!(wait(SOON, || gic::is_pending(5)), "SGI 5 is not pending");
    gic::unpend(5);
    irq::unmask();
    pause(A_WHILE);
    expect!(
        irq::taken() == 0 || irq::nth(0) >= gic::SPECIAL,
        "taken though withdrawn"
    );
    expect!(!gic::is_pending(5));
    Ok(())
}

/// Masked by DAIF, so that it is on its way to the CPU when it is disabled.
fn disabled_while_pending() -> TestResult {
    edge(SPI);
    let sgi = if gic::is_v2() { None } else { Some(13) };
    for intid in sgi.into_iter().chain([SPI]) {
        irq::reset();
        gic::enable(intid);
        gic::pend(intid);
        pause(A_WHILE);
        gic::disable(intid);
        irq::unmask();
        pause(A_WHILE);
        expect!(
            irq::taken() == 0 || irq::nth(0) >= gic::SPECIAL,
            "{intid} was taken while disabled"
        );
        irq::reset();
        gic::enable(intid);
        expect_taken(intid)?;
        irq::mask();
    }
    Ok(())
}

/// Makes an SPI edge-triggered.
pub fn edge(spi: u32) {
    gic::set_edge(spi, true);
}

fn spi_by_ispendr() -> TestResult {
    edge(SPI);
    gic::enable(SPI);
    irq::unmask();
    gic::pend(SPI);
    expect_taken(SPI)
}

fn spi_waits_for_enable() -> TestResult {
    edge(SPI);
    irq::unmask();
    gic::pend(SPI);
    expect_none()?;
    gic::enable(SPI);
    expect_taken(SPI)
}

fn spi_is_withdrawn() -> TestResult {
    edge(SPI);
    gic::enable(SPI);
    gic::pend(SPI);
    expect!(gic::is_pending(SPI));
    gic::unpend(SPI);
    irq::unmask();
    pause(A_WHILE);
    expect!(
        irq::taken() == 0 || irq::nth(0) >= gic::SPECIAL,
        "taken though withdrawn"
    );
    Ok(())
}

/// All sixteen SGIs at once: no implementation has as many list registers to spare.
fn more_pending_than_list_registers() -> TestResult {
    for sgi in 0..16 {
        gic::enable(sgi);
        gic::send_to_self(sgi);
    }
    edge(SPI);
    gic::enable(SPI);
    gic::pend(SPI);
    irq::unmask();
    expect!(
        wait(SOON, || irq::taken() >= 17),
        "{} of 17 taken",
        irq::taken()
    );
    pause(A_WHILE);
    expect_eq!(irq::taken(), 17);
    let seen = (0..17).fold(0_u64, |seen, n| seen | 1 << irq::nth(n));
    expect_eq!(seen, 0xffff | 1 << SPI);
    Ok(())
}

fn acknowledge_without_interrupt() -> TestResult {
    expect_eq!(gic::acknowledge(), 1023);
    expect_eq!(gic::highest_pending(), 1023);
    expect_eq!(gic::running_priority(), 0xff);
    Ok(())
}

fn mask_by_pmr() -> TestResult {
    gic::enable(6);
    gic::set_mask(gic::DEFAULT_PRIORITY);
    irq::unmask();
    gic::send_to_self(6);
    expect_none()?;
    gic::set_mask(gic::DEFAULT_PRIORITY + 0x10);
    expect_taken(6)
}

fn mask_by_igrpen() -> TestResult {
    gic::enable(6);
    gic::set_signalled(false);
    irq::unmask();
    gic::send_to_self(6);
    expect_none()?;
    gic::set_signalled(true);
    expect_taken(6)
}

fn highest_priority_first() -> TestResult {
    edge(SPI);
    for (intid, priority) in [(1, 0xc0), (2, 0x40), (7, 0x80), (SPI, 0x20)] {
        gic::set_priority(intid, priority);
        gic::enable(intid);
        gic::pend(intid);
    }
    expect_eq!(gic::highest_pending(), SPI);
    irq::unmask();
    expect!(
        wait(SOON, || irq::taken() == 4),
        "{} of 4 taken",
        irq::taken()
    );
    expect_eq!([0, 1, 2, 3].map(irq::nth), [SPI, 2, 7, 1]);
    Ok(())
}

/// Which of them comes first is the implementation's choice.
fn equals_are_all_taken() -> TestResult {
    for spi in [OTHER_SPI, SPI] {
        edge(spi);
    }
    for intid in [OTHER_SPI, SPI, 9, 8] {
        gic::enable(intid);
        gic::pend(intid);
    }
    irq::unmask();
    expect!(
        wait(SOON, || irq::taken() == 4),
        "{} of 4 taken",
        irq::taken()
    );
    let seen = (0..4).fold(0_u64, |seen, n| seen | 1 << irq::nth(n));
    expect_eq!(seen, 1 << OTHER_SPI | 1 << SPI | 1 << 9 | 1 << 8);
    Ok(())
}

const LOW: u32 = 1;
const HIGH: u32 = 2;
static RUNNING_PRIORITY: AtomicU32 = AtomicU32::new(0);
static NESTED: AtomicU32 = AtomicU32::new(0);

/// Handles [`LOW`] with interrupts unmasked and sends [`HIGH`] meanwhile.
fn nest(intid: u32) {
    irq::note(intid);
    if intid == LOW {
        RUNNING_PRIORITY.store(gic::running_priority(), Relaxed);
        let (elr, spsr) = (mrs!("ELR_EL1"), mrs!("SPSR_EL1"));
        irq::unmask();
        gic::send_to_self(HIGH);
        pause(A_WHILE);
        irq::mask();
        NESTED.store(irq::taken() as u32, Relaxed);
        msr!("ELR_EL1", elr);
        msr!("SPSR_EL1", spsr);
    }
    gic::end(intid);
}

fn run_nested(high: u8) -> TestResult {
    gic::set_priority(LOW, 0x80);
    gic::set_priority(HIGH, high);
    gic::enable(LOW);
    gic::enable(HIGH);
    irq::handle_by(nest);
    irq::unmask();
    gic::send_to_self(LOW);
    expect!(
        wait(SOON, || irq::taken() == 2),
        "{} of 2 taken",
        irq::taken()
    );
    irq::mask();
    expect_eq!([irq::nth(0), irq::nth(1)], [LOW, HIGH]);
    expect_eq!(RUNNING_PRIORITY.load(Relaxed), 0x80);
    expect_eq!(gic::running_priority(), 0xff);
    Ok(())
}

fn higher_priority_preempts() -> TestResult {
    run_nested(0x40)?;
    expect_eq!(NESTED.load(Relaxed), 2);
    Ok(())
}

fn equal_priority_does_not_preempt() -> TestResult {
    run_nested(0x80)?;
    expect_eq!(NESTED.load(Relaxed), 1);
    Ok(())
}
