//! The redistributor: the interrupts private to one CPU.

use super::{DEFAULT_PRIORITY, configure};
use crate::{
    bits::field,
    dev::{PATIENCE, poll},
    error::Refusal,
    isa::{
        affinity::Affinity,
        gic::{SPI_BASE, Trigger, gicr},
    },
    mmio::Mmio,
    refuse,
};

/// A run of redistributors, as the device tree lists them.
#[derive(Debug)]
pub struct Region {
    /// All their frames.
    pub registers: Mmio,
    /// The distance from one to the next in bytes, where the tree says it
    /// (`redistributor-stride`); else the redistributors themselves do.
    pub stride: Option<usize>,
}

/// One CPU's redistributor.
#[derive(Debug)]
pub struct Redistributor {
    registers: Mmio,
}

impl Redistributor {
    /// Finds the redistributor of the CPU with this affinity, and changes nothing.
    ///
    /// # Errors
    ///
    /// Refuses when no region has one.
    pub fn find(regions: &[Region], cpu: Affinity) -> Result<Self, Refusal> {
        regions
            .iter()
            .find_map(|region| region.find(cpu))
            .map(|registers| Self { registers })
            .ok_or_else(|| refuse!("no GIC redistributor says it is CPU {cpu}'s"))
    }

    /// Wakes it and brings every private interrupt to a known state: off, idle, group 1, middle
    /// priority.
    ///
    /// # Errors
    ///
    /// Refuses when the hardware does not wake or does not finish its writes.
    pub fn init(&mut self) -> Result<(), Refusal> {
        self.wake()?;
        let registers = &self.registers;
        registers.write32(gicr::ICENABLER0, u32::MAX);
        self.settle()?;
        registers.write32(gicr::ICPENDR0, u32::MAX);
        registers.write32(gicr::ICACTIVER0, u32::MAX);
        registers.write32(gicr::IGROUPR0, u32::MAX);
        for four in 0..8 {
            let priorities = u32::from_ne_bytes([DEFAULT_PRIORITY; 4]);
            registers.write32(gicr::IPRIORITYR + 4 * four, priorities);
        }
        self.settle()
    }

    /// Tells it that its CPU takes interrupts. In a machine with two security states this is the
    /// firmware's to do, and reads as done.
    ///
    /// # Errors
    ///
    /// Refuses when the hardware does not wake.
    pub fn wake(&mut self) -> Result<(), Refusal> {
        let waker = self.registers.read32(gicr::WAKER);
        self.registers
            .write32(gicr::WAKER, waker & !gicr::WAKER_PROCESSOR_SLEEP);
        let awake = || self.registers.read32(gicr::WAKER) & gicr::WAKER_CHILDREN_ASLEEP == 0;
        if poll(PATIENCE, awake) {
            Ok(())
        } else {
            Err(refuse!("a GIC redistributor does not wake"))
        }
    }

    /// Lets a private interrupt, 0 to 31, through.
    ///
    /// # Panics
    ///
    /// If the number is above 31, here and below: a fault of the caller.
    pub fn enable(&mut self, intid: u32) {
        self.registers.write32(gicr::ISENABLER0, bit(intid));
    }

    /// Stops a private interrupt; on return the CPU will not be given it any more.
    ///
    /// # Errors
    ///
    /// Refuses when the hardware does not finish its write.
    pub fn disable(&mut self, intid: u32) -> Result<(), Refusal> {
        self.registers.write32(gicr::ICENABLER0, bit(intid));
        self.settle()
    }

    /// Sets whether a private interrupt is active.
    pub fn set_active(&mut self, intid: u32, active: bool) {
        let register = if active {
            gicr::ISACTIVER0
        } else {
            gicr::ICACTIVER0
        };
        self.registers.write32(register, bit(intid));
    }

    /// Returns whether a private interrupt is active.
    pub fn is_active(&self, intid: u32) -> bool {
        self.registers.read32(gicr::ISACTIVER0) & bit(intid) != 0
    }

    /// Sets whether a private interrupt is pending, whatever its line says.
    pub fn set_pending(&mut self, intid: u32, pending: bool) {
        let register = if pending {
            gicr::ISPENDR0
        } else {
            gicr::ICPENDR0
        };
        self.registers.write32(register, bit(intid));
    }

    /// Sets a private interrupt's priority; lower is more urgent.
    pub fn set_priority(&mut self, intid: u32, priority: u8) {
        assert!(intid < SPI_BASE, "interrupt {intid} is not private");
        self.registers
            .write8(gicr::IPRIORITYR + intid as usize, priority);
    }

    /// Sets what a private interrupt's line means, where the hardware lets it be set; the
    /// interrupt must be disabled.
    pub fn configure(&mut self, intid: u32, trigger: Trigger) {
        assert!(intid < SPI_BASE, "interrupt {intid} is not private");
        configure(&self.registers, gicr::ICFGR0, intid, trigger);
    }

    /// Waits until earlier writes count everywhere.
    fn settle(&self) -> Result<(), Refusal> {
        let done = || self.registers.read32(gicr::CTLR) & gicr::CTLR_RWP == 0;
        if poll(PATIENCE, done) {
            Ok(())
        } else {
            Err(refuse!("a GIC redistributor does not finish a write"))
        }
    }
}

impl Region {
    /// Returns the frames of the redistributor whose TYPER names `cpu`.
    fn find(&self, cpu: Affinity) -> Option<Mmio> {
        let mut offset = 0;
        loop {
            let frames = self.registers.window(offset, gicr::SIZE)?;
            // Where nothing answers, reads give zeros or ones, and TYPER means nothing.
            if !matches!(field(frames.read32(gicr::PIDR2).into(), 4, 4), 3 | 4) {
                return None;
            }
            let kind = frames.read64(gicr::TYPER);
            if Affinity::from_packed((kind >> 32) as u32) == cpu {
                return Some(frames);
            }
            if kind & gicr::TYPER_LAST != 0 {
                return None;
            }
            offset += self.step(kind);
        }
    }

    /// Returns the distance to the next redistributor after one of this kind.
    fn step(&self, kind: u64) -> usize {
        match self.stride {
            Some(stride) => stride.max(gicr::SIZE),
            None if kind & gicr::TYPER_VLPIS != 0 => gicr::SIZE_VLPIS,
            None => gicr::SIZE,
        }
    }
}

fn bit(intid: u32) -> u32 {
    assert!(intid < SPI_BASE, "interrupt {intid} is not private");
    1 << intid
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mmio::Bench;

    const LAST: u64 = gicr::TYPER_LAST;
    const VLPIS: u64 = gicr::TYPER_VLPIS;

    /// A region with a redistributor at each offset, of this TYPER.
    fn region(size: usize, at: &[(usize, u64)], stride: Option<usize>) -> (Bench, Region) {
        let mut bench = Bench::new(size);
        let registers = bench.window();
        for (offset, kind) in at {
            registers.write32(offset + gicr::PIDR2, 0x3b);
            registers.write64(offset + gicr::TYPER, *kind);
        }
        (bench, Region { registers, stride })
    }

    fn cpu(n: u8) -> Affinity {
        Affinity::new(0, 0, 0, n)
    }

    /// Puts a mark at an offset of the region and finds out who has it.
    fn found_at(regions: &[Region], n: u8, region: usize, offset: usize) -> bool {
        let mark = 0xcafe + u32::from(n);
        regions[region]
            .registers
            .write32(offset + gicr::STATUSR, mark);
        Redistributor::find(regions, cpu(n))
            .is_ok_and(|found| found.registers.read32(gicr::STATUSR) == mark)
    }

    #[test]
    fn each_cpu_finds_its_own_in_several_regions() {
        let (_a, first) = region(0x4_0000, &[(0, 0), (0x2_0000, 1 << 32 | LAST)], None);
        let (_b, second) = region(
            0x8_0000,
            &[(0, 2 << 32 | VLPIS), (0x4_0000, 3 << 32 | VLPIS | LAST)],
            None,
        );
        let regions = [first, second];
        assert!(found_at(&regions, 0, 0, 0));
        assert!(found_at(&regions, 1, 0, 0x2_0000));
        assert!(found_at(&regions, 2, 1, 0));
        assert!(found_at(&regions, 3, 1, 0x4_0000));
        let refusal = Redistributor::find(&regions, cpu(4)).unwrap_err();
        assert!(refusal.0.contains("0.0.0.4"));
    }

    #[test]
    fn the_trees_stride_wins() {
        let at = [(0, VLPIS), (0x3_0000, 1 << 32 | LAST)];
        let (_bench, region) = region(0x5_0000, &at, Some(0x3_0000));
        assert!(found_at(&[region], 1, 0, 0x3_0000));
    }

    #[test]
    fn the_last_one_and_the_regions_end_are_ends() {
        let at = [(0, LAST), (0x2_0000, 1 << 32)];
        let (_bench, after_last) = region(0x4_0000, &at, None);
        assert!(Redistributor::find(&[after_last], cpu(1)).is_err());
        let (_bench, endless) = region(0x4_0000, &[(0, 0), (0x2_0000, 0)], None);
        assert!(Redistributor::find(&[endless], cpu(1)).is_err());
        let (_bench, silent) = region(0x4_0000, &[], Some(0));
        assert!(Redistributor::find(&[silent], cpu(0)).is_err());
    }

    #[test]
    fn private_interrupts_are_brought_to_rest() {
        let (_bench, region) = region(0x2_0000, &[(0, LAST)], None);
        region
            .registers
            .write32(gicr::WAKER, gicr::WAKER_PROCESSOR_SLEEP);
        let regions = [region];
        let mut gic = Redistributor::find(&regions, cpu(0)).unwrap();
        gic.init().unwrap();
        let registers = &regions[0].registers;
        assert_eq!(registers.read32(gicr::WAKER), 0);
        let all = [0x1_0180, 0x1_0280, 0x1_0380, 0x1_0080].map(|at| registers.read32(at));
        assert_eq!(all, [u32::MAX; 4]);
        assert_eq!(registers.read32(0x1_0100), 0);
        assert!((0..32).all(|n| registers.read8(0x1_0400 + n) == 0xa0));
        assert_eq!(registers.read8(0x1_0420), 0);
    }

    #[test]
    fn one_private_interrupt_is_one_bit() {
        let (_bench, region) = region(0x2_0000, &[(0, LAST)], None);
        let regions = [region];
        let mut gic = Redistributor::find(&regions, cpu(0)).unwrap();
        gic.enable(27);
        gic.disable(27).unwrap();
        gic.set_pending(27, true);
        gic.set_pending(27, false);
        assert!(!gic.is_active(27));
        gic.set_active(27, true);
        gic.set_active(27, false);
        assert!(gic.is_active(27), "memory keeps what was set");
        let registers = &regions[0].registers;
        for at in [0x100, 0x180, 0x200, 0x280, 0x300, 0x380] {
            assert_eq!(registers.read32(gicr::SGI_BASE + at), 1 << 27);
        }
        gic.set_priority(27, 0x20);
        assert_eq!(registers.read8(0x1_041b), 0x20);
        gic.configure(27, Trigger::Edge);
        assert_eq!(registers.read32(gicr::ICFGR1), 2 << 22);
    }

    #[test]
    #[should_panic(expected = "not private")]
    fn a_shared_interrupt_has_no_business_here() {
        bit(32);
    }

    #[test]
    fn hardware_that_does_not_answer_is_refused() {
        let (_bench, region) = region(0x2_0000, &[(0, LAST)], None);
        let regions = [region];
        let mut gic = Redistributor::find(&regions, cpu(0)).unwrap();
        regions[0].registers.write32(gicr::CTLR, gicr::CTLR_RWP);
        assert!(gic.disable(1).is_err());
        regions[0]
            .registers
            .write32(gicr::WAKER, gicr::WAKER_CHILDREN_ASLEEP);
        assert!(gic.init().is_err());
    }
}
