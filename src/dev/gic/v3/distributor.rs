//! The distributor: the interrupts all CPUs share.

use super::DEFAULT_PRIORITY;
use crate::{
    bits::field,
    dev::{PATIENCE, poll},
    error::Refusal,
    isa::{
        affinity::Affinity,
        gic::{SPI_BASE, SPI_END, Trigger, gicd},
    },
    mmio::Mmio,
    refuse,
};

/// The distributor of a GICv3 or GICv4.
#[derive(Debug)]
pub struct Distributor {
    registers: Mmio,
    /// One more than the last interrupt there is; a multiple of 32, or 1020.
    end: u32,
}

/// A shared interrupt that the distributor it came from has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Spi(u32);

impl Spi {
    /// Returns the interrupt's number.
    pub const fn intid(self) -> u32 {
        self.0
    }

    /// Returns the register of `base`'s kind that holds this interrupt's bit, and the bit.
    const fn bit(self, base: usize) -> (usize, u32) {
        (base + 4 * (self.0 / 32) as usize, 1 << (self.0 % 32))
    }
}

impl Distributor {
    /// Takes the distributor whose registers these are, and changes nothing.
    ///
    /// # Errors
    ///
    /// Refuses a window that is too small and a GIC that is not version 3 or 4.
    pub fn new(registers: Mmio) -> Result<Self, Refusal> {
        if registers.size() < gicd::SIZE {
            return Err(refuse!(
                "the GIC distributor has {:#x} bytes of registers",
                registers.size()
            ));
        }
        let revision = field(registers.read32(gicd::PIDR2).into(), 4, 4);
        if !matches!(revision, 3 | 4) {
            return Err(refuse!("the GIC's revision is {revision}, not 3 or 4"));
        }
        let lines = field(registers.read32(gicd::TYPER).into(), 0, 5) as u32;
        let end = SPI_END.min(32 * (lines + 1));
        Ok(Self { registers, end })
    }

    /// Brings every shared interrupt to a known state (off, idle, group 1, level, middle priority,
    /// routed to `boot`), then forwards group 1 by affinity.
    ///
    /// # Errors
    ///
    /// Refuses when the hardware does not finish its writes.
    pub fn init(&mut self, boot: Affinity) -> Result<(), Refusal> {
        // Affinity routing stays as it is: turning it off is UNPREDICTABLE.
        let control = self.registers.read32(gicd::CTLR);
        self.control(control & !gicd::CTLR_ENABLE_ANY)?;
        self.control(gicd::CTLR_ARE)?;
        for word in SPI_BASE / 32..self.end.div_ceil(32) {
            self.quiesce(word as usize);
        }
        for intid in SPI_BASE..self.end {
            self.route(Spi(intid), boot);
        }
        self.settle()?;
        self.control(gicd::CTLR_ARE | gicd::CTLR_ENABLE_GRP1)
    }

    /// Returns the shared interrupt of this number, if there is one.
    pub fn spi(&self, intid: u32) -> Option<Spi> {
        (SPI_BASE..self.end).contains(&intid).then_some(Spi(intid))
    }

    /// Returns one more than the number of the last shared interrupt.
    pub const fn end(&self) -> u32 {
        self.end
    }

    /// Lets an interrupt through.
    pub fn enable(&mut self, spi: Spi) {
        let (register, bit) = spi.bit(gicd::ISENABLER);
        self.registers.write32(register, bit);
    }

    /// Stops an interrupt; on return no CPU will be given it any more.
    ///
    /// # Errors
    ///
    /// Refuses when the hardware does not finish its write.
    pub fn disable(&mut self, spi: Spi) -> Result<(), Refusal> {
        let (register, bit) = spi.bit(gicd::ICENABLER);
        self.registers.write32(register, bit);
        self.settle()
    }

    /// Sets whether an interrupt is pending, whatever its line says.
    pub fn set_pending(&mut self, spi: Spi, pending: bool) {
        let base = if pending {
            gicd::ISPENDR
        } else {
            gicd::ICPENDR
        };
        let (register, bit) = spi.bit(base);
        self.registers.write32(register, bit);
    }

    /// Sets whether an interrupt is active.
    pub fn set_active(&mut self, spi: Spi, active: bool) {
        let base = if active {
            gicd::ISACTIVER
        } else {
            gicd::ICACTIVER
        };
        let (register, bit) = spi.bit(base);
        self.registers.write32(register, bit);
    }

    /// Sets an interrupt's priority; lower is more urgent.
    pub fn set_priority(&mut self, spi: Spi, priority: u8) {
        self.registers
            .write8(gicd::IPRIORITYR + spi.0 as usize, priority);
    }

    /// Sets what an interrupt's line means; the interrupt must be disabled.
    pub fn configure(&mut self, spi: Spi, trigger: Trigger) {
        super::configure(&self.registers, gicd::ICFGR, spi.0, trigger);
    }

    /// Sends an interrupt to one CPU from now on.
    pub fn route(&mut self, spi: Spi, target: Affinity) {
        self.registers
            .write64(gicd::IROUTER + 8 * spi.0 as usize, target.mpidr());
    }

    /// Brings the 32 interrupts of one register to a known state.
    fn quiesce(&self, word: usize) {
        let registers = &self.registers;
        registers.write32(gicd::ICENABLER + 4 * word, u32::MAX);
        registers.write32(gicd::ICPENDR + 4 * word, u32::MAX);
        registers.write32(gicd::ICACTIVER + 4 * word, u32::MAX);
        registers.write32(gicd::IGROUPR + 4 * word, u32::MAX);
        registers.write32(gicd::ICFGR + 8 * word, 0);
        registers.write32(gicd::ICFGR + 8 * word + 4, 0);
        for four in 0..8 {
            let priorities = u32::from_ne_bytes([DEFAULT_PRIORITY; 4]);
            registers.write32(gicd::IPRIORITYR + 32 * word + 4 * four, priorities);
        }
    }

    fn control(&self, value: u32) -> Result<(), Refusal> {
        self.registers.write32(gicd::CTLR, value);
        self.settle()
    }

    /// Waits until earlier writes count everywhere.
    fn settle(&self) -> Result<(), Refusal> {
        let done = || self.registers.read32(gicd::CTLR) & gicd::CTLR_RWP == 0;
        if poll(PATIENCE, done) {
            Ok(())
        } else {
            Err(refuse!("the GIC distributor does not finish a write"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mmio::Bench;

    /// A distributor with 96 interrupts.
    fn bench() -> Bench {
        let mut bench = Bench::new(gicd::SIZE);
        let registers = bench.window();
        registers.write32(gicd::PIDR2, 0x3b);
        registers.write32(gicd::TYPER, 2);
        bench
    }

    #[test]
    fn another_revision_is_refused() {
        let mut bench = bench();
        bench.window().write32(gicd::PIDR2, 0x2b);
        assert!(Distributor::new(bench.window()).is_err());
        assert!(Distributor::new(Bench::new(0x1000).window()).is_err());
    }

    #[test]
    fn the_last_interrupt_is_1019_however_many_lines() {
        let mut bench = bench();
        bench.window().write32(gicd::TYPER, 0x1f);
        let gic = Distributor::new(bench.window()).unwrap();
        assert_eq!(gic.end(), 1020);
        assert!(gic.spi(1019).is_some() && gic.spi(1020).is_none());
    }

    #[test]
    fn every_shared_interrupt_is_brought_to_rest_and_no_other() {
        let mut bench = bench();
        let registers = bench.window();
        let mut gic = Distributor::new(bench.window()).unwrap();
        gic.init(Affinity::new(1, 0, 0, 2)).unwrap();
        for base in [
            gicd::ICENABLER,
            gicd::ICACTIVER,
            gicd::ICPENDR,
            gicd::IGROUPR,
        ] {
            let words = [0, 4, 8, 12].map(|at| registers.read32(base + at));
            assert_eq!(words, [0, u32::MAX, u32::MAX, 0], "{base:#x}");
        }
        assert_eq!(registers.read8(gicd::IPRIORITYR + 31), 0);
        assert!((32..96).all(|n| registers.read8(gicd::IPRIORITYR + n) == 0xa0));
        assert_eq!(registers.read8(gicd::IPRIORITYR + 96), 0);
        assert!((32..96).all(|n| registers.read64(gicd::IROUTER + 8 * n) == 0x1_0000_0002));
        assert_eq!(registers.read64(gicd::IROUTER + 8 * 96), 0);
        assert_eq!(registers.read32(gicd::CTLR), 0x12);
    }

    #[test]
    fn one_interrupt_is_one_bit_of_one_register() {
        let mut bench = bench();
        let registers = bench.window();
        let mut gic = Distributor::new(bench.window()).unwrap();
        assert_eq!([0, 31, 96].map(|n| gic.spi(n)), [None; 3]);
        let spi = gic.spi(33).unwrap();
        assert_eq!(spi.intid(), 33);
        gic.enable(spi);
        gic.disable(spi).unwrap();
        gic.set_active(spi, true);
        gic.set_active(spi, false);
        gic.set_pending(spi, true);
        gic.set_pending(spi, false);
        let one_bit = [0x104, 0x184, 0x204, 0x284, 0x304, 0x384].map(|at| registers.read32(at));
        assert_eq!(one_bit, [2; 6]);
        gic.set_priority(spi, 0x40);
        assert_eq!(registers.read32(0x420), 0x4000);
        registers.write32(0xc08, u32::MAX);
        gic.configure(spi, Trigger::Level);
        assert_eq!(registers.read32(0xc08), !(2 << 2));
        gic.configure(spi, Trigger::Edge);
        assert_eq!(registers.read32(0xc08), u32::MAX);
        gic.route(spi, Affinity::new(0, 0, 1, 0));
        assert_eq!(registers.read64(0x6108), 0x100);
    }

    #[test]
    fn hardware_that_never_finishes_is_refused() {
        let mut bench = bench();
        let gic = Distributor::new(bench.window()).unwrap();
        bench.window().write32(gicd::CTLR, gicd::CTLR_RWP);
        assert!(gic.settle().is_err());
    }
}
