use super::*;
use crate::mmio::Bench;

/// The registers of a GICv2 as ordinary memory.
pub(crate) struct Benches {
    distributor: Bench,
    interface: Bench,
    hypervisor: Bench,
}

impl Benches {
    /// Makes a GIC with 96 interrupts and four CPUs, of which this is number 2, and four list
    /// registers.
    pub(crate) fn new() -> Self {
        let mut benches = Self {
            distributor: Bench::new(gicd::SIZE),
            interface: Bench::new(gicc::SIZE),
            hypervisor: Bench::new(gich::SIZE),
        };
        let distributor = benches.distributor.window();
        distributor.write32(gicd::TYPER, 3 << 5 | 2);
        distributor.write32(gicd::ITARGETSR + 28, 0x0404_0404);
        benches.interface.window().write32(gicc::IIDR, 0x0202_143b);
        benches.hypervisor.window().write32(gich::VTR, 0x9000_0003);
        benches
    }

    /// Makes it QEMU's.
    pub(crate) fn identify_as_qemu(&mut self) {
        self.interface.window().write32(gicc::IIDR, 0x0002_043b);
    }

    /// Returns the register that says what was deactivated last.
    pub(crate) fn deactivated(&mut self) -> Mmio {
        self.interface.window().window(gicc::DIR, 8).unwrap()
    }

    /// Makes the driver.
    pub(crate) fn gic(&mut self) -> Result<Gic, Refusal> {
        Gic::new(
            self.distributor.window(),
            self.interface.window(),
            self.hypervisor.window(),
        )
    }
}

#[test]
fn another_revision_is_refused() {
    let mut benches = Benches::new();
    benches.interface.window().write32(gicc::IIDR, 0x0001_043b);
    let refusal = benches.gic().unwrap_err();
    assert!(refusal.0.contains("revision is 1"), "{refusal}");
}

#[test]
fn windows_that_are_too_small_are_refused() {
    let mut benches = Benches::new();
    benches.interface = Bench::new(0x1000);
    let refusal = benches.gic().unwrap_err();
    assert!(refusal.0.contains("CPU interface has 0x1000"), "{refusal}");
}

#[test]
fn start_up_silences_what_is_shared() {
    let mut benches = Benches::new();
    let registers = benches.distributor.window();
    registers.write32(gicd::ICFGR + 8, 0xaaaa_aaaa);
    registers.write32(gicd::ITARGETSR + 92, 0x0101_0101);
    let gic = benches.gic().unwrap();
    gic.init();
    assert_eq!(registers.read32(gicd::CTLR), 1);
    for word in 1..3 {
        assert_eq!(registers.read32(gicd::ICENABLER + 4 * word), !0);
        assert_eq!(registers.read32(gicd::ICPENDR + 4 * word), !0);
        assert_eq!(registers.read32(gicd::ICACTIVER + 4 * word), !0);
    }
    assert_eq!(registers.read32(gicd::ICFGR + 8), 0);
    assert_eq!(registers.read8(gicd::IPRIORITYR + 95), DEFAULT_PRIORITY);
    assert_eq!(registers.read32(gicd::ITARGETSR + 92), 0);
    // The private ones are each CPU's own matter, and what is not there is left alone.
    assert_eq!(registers.read32(gicd::ICENABLER), 0);
    assert_eq!(registers.read32(gicd::ITARGETSR + 28), 0x0404_0404);
    assert_eq!(registers.read32(gicd::ICENABLER + 12), 0);
    assert!(gic.has_spi(32) && gic.has_spi(95));
    assert!(!gic.has_spi(31) && !gic.has_spi(96));
}

#[test]
fn a_cpu_starts_with_its_private_interrupts_off() {
    let mut benches = Benches::new();
    let gic = benches.gic().unwrap();
    assert_eq!(gic.init_cpu().unwrap(), Target::from_bits(4));
    let (distributor, interface) = (benches.distributor.window(), benches.interface.window());
    assert_eq!(distributor.read32(gicd::ICENABLER), !0);
    assert_eq!(distributor.read32(gicd::CPENDSGIR + 12), !0);
    assert_eq!(distributor.read8(gicd::IPRIORITYR + 31), DEFAULT_PRIORITY);
    assert_eq!(distributor.read32(gicd::ICENABLER + 4), 0);
    assert_eq!(interface.read32(gicc::CTLR), 0x201);
    assert_eq!(interface.read32(gicc::PMR), 0xff);
    gic.stop_cpu();
    assert_eq!(interface.read32(gicc::CTLR), 0);
}

#[test]
fn a_cpu_must_know_its_number_unless_it_is_alone() {
    let mut benches = Benches::new();
    let distributor = benches.distributor.window();
    distributor.write32(gicd::ITARGETSR + 28, 0);
    assert!(benches.gic().unwrap().init_cpu().is_err());
    distributor.write32(gicd::TYPER, 2);
    let target = benches.gic().unwrap().init_cpu().unwrap();
    assert_eq!(target.bits(), 1);
    distributor.write32(gicd::ITARGETSR, 0x0101_0101);
    distributor.write32(gicd::ITARGETSR + 4, 0x0202_0202);
    assert!(benches.gic().unwrap().init_cpu().is_err());
}

#[test]
fn an_sgi_is_ended_with_its_sender() {
    let mut benches = Benches::new();
    let gic = benches.gic().unwrap();
    let interface = benches.interface.window();
    interface.write32(gicc::IAR, 3 << 10 | 7);
    interface.write32(gicc::HPPIR, 5 << 10 | 1);
    let taken = (&gic).acknowledge();
    assert_eq!(taken.intid(), 7);
    assert_eq!((&gic).highest_pending(), 1);
    (&gic).priority_drop(taken);
    assert_eq!(interface.read32(gicc::EOIR), 3 << 10 | 7);
    (&gic).deactivate(taken);
    assert_eq!(interface.read32(gicc::DIR), 3 << 10 | 7);
    (&gic).deactivate(Taken::from_intid(27));
    assert_eq!(interface.read32(gicc::DIR), 27);
}

#[test]
fn sgis_go_to_a_mask() {
    let mut benches = Benches::new();
    let gic = benches.gic().unwrap();
    gic.send_sgi(7, Target::from_bits(0x84));
    let distributor = benches.distributor.window();
    assert_eq!(distributor.read32(gicd::SGIR), 0x84_0007);
}

#[test]
fn one_interrupt_is_one_bit_byte_or_pair() {
    let mut benches = Benches::new();
    let gic = benches.gic().unwrap();
    let registers = benches.distributor.window();
    type Change = fn(&Gic);
    let bits: [(Change, usize); 6] = [
        (|gic| gic.enable(70), gicd::ISENABLER),
        (|gic| gic.disable(70), gicd::ICENABLER),
        (|gic| gic.set_pending(70, true), gicd::ISPENDR),
        (|gic| gic.set_pending(70, false), gicd::ICPENDR),
        (|gic| gic.set_active(70, true), gicd::ISACTIVER),
        (|gic| gic.set_active(70, false), gicd::ICACTIVER),
    ];
    for (change, base) in bits {
        change(&gic);
        assert_eq!(registers.read32(base + 8), 1 << 6, "{base:#x}");
    }
    assert!(gic.is_active(70) && !gic.is_active(71));
    gic.set_priority(71, 0x80);
    gic.route(71, Target::from_bits(8));
    assert_eq!(registers.read32(gicd::IPRIORITYR + 68), 0x8000_0000);
    assert_eq!(registers.read32(gicd::ITARGETSR + 68), 0x0800_0000);
    registers.write32(gicd::ICFGR + 16, 0x5555_5555);
    gic.configure(70, Trigger::Edge);
    assert_eq!(registers.read32(gicd::ICFGR + 16), 0x5555_7555);
    gic.configure(70, Trigger::Level);
    assert_eq!(registers.read32(gicd::ICFGR + 16), 0x5555_5555);
}

#[test]
#[should_panic(expected = "there is no interrupt 1020")]
fn special_numbers_are_no_interrupts() {
    let mut benches = Benches::new();
    benches.gic().unwrap().enable(1020);
}

#[test]
fn pages_64_kib_apart_meet() {
    assert_eq!(pages_offset(0x2000), 0);
    assert_eq!(pages_offset(0x1_0000), 0);
    assert_eq!(pages_offset(0x2_0000), 0xf000);
}
