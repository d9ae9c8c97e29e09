//! GICv2, as GIC-400: everything by registers in memory, for up to eight CPUs.
//!
//! One address serves all CPUs: the distributor's registers of private interrupts, the CPU
//! interface and the hypervisor's interface are *banked*, so each CPU reaches its own there. The
//! others hold a bit or byte per interrupt, which is set or cleared by one store. So one
//! [`Gic`] is shared by all CPUs without a lock.
//!
//! EL2 sees one group of interrupts: group 1 in a machine with two security states (the rest is
//! the firmware's, and reads as zero), group 0 in one without, where interrupts are left in the
//! group they are in at reset. Bit 0 of both control registers enables either.
//!
//! As with GICv3, interrupts end in two steps.

#![expect(unsafe_code, reason = "shares banked registers among CPUs")]

mod registers;

use super::{CpuInterface, DEFAULT_PRIORITY, Taken};
use crate::{
    bits::field,
    cpu::barrier::dsb_ishst,
    error::Refusal,
    isa::gic::{SPI_BASE, SPI_END, Trigger},
    mmio::{Fixed, Mmio},
    refuse,
    sync::{Rank, SpinLock},
};
use core::fmt;
pub use registers::gich;
use registers::{gicc, gicd};

/// The interrupt controller.
pub struct Gic {
    distributor: Fixed<{ gicd::SIZE }>,
    interface: Fixed<{ gicc::SIZE }>,
    hypervisor: Fixed<{ gich::SIZE }>,
    /// One more than the last interrupt there is; a multiple of 32, or 1020.
    end: u32,
    /// GICH_VTR: the same on all CPUs.
    kind: u32,
    /// Whether the guest's end of a linked interrupt is all that the physical one needs.
    links: bool,
    /// Held to change some bits of a register whose others are somebody else's.
    configuring: SpinLock<()>,
}

impl fmt::Debug for Gic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gic")
            .field("end", &self.end)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

// SAFETY: a window is not shared because drivers read, decide and write. Here each access but
// those of `configure`, which holds a lock, stands alone: it reaches a register of the CPU that
// does it, or sets or clears the bits or the byte of the interrupts it names.
unsafe impl Sync for Gic {}

/// GICC_IIDR.ProductID of QEMU's GICv2; GIC-400 has 0x20.
const QEMU: u64 = 0;

/// One CPU, as this GIC names it: a mask with the bit of its CPU interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Target(u8);

impl Target {
    /// Takes a mask as [`bits`](Self::bits) gave it; 0 is nobody.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// Returns the mask.
    pub const fn bits(self) -> u8 {
        self.0
    }
}

/// Returns where in a region of `size` bytes an interface's two pages lie one after the other.
///
/// Where pages are 64 KiB apart, each repeats sixteen times; the last of the first page's and the
/// first of the second's are neighbours (Arm's Server Base System Architecture, appendix on GICv2).
pub const fn pages_offset(size: u64) -> u64 {
    if size >= 0x2_0000 { 0xf000 } else { 0 }
}

impl Gic {
    /// Takes the GIC whose registers these are, and changes nothing.
    ///
    /// `interface` is GICC, with its two pages one after the other; `hypervisor` is GICH.
    ///
    /// # Errors
    ///
    /// Refuses windows that are too small and a GIC that is not version 2.
    pub fn new(distributor: Mmio, interface: Mmio, hypervisor: Mmio) -> Result<Self, Refusal> {
        let distributor = fixed(&distributor, "distributor")?;
        let interface = fixed(&interface, "CPU interface")?;
        let hypervisor = fixed(&hypervisor, "hypervisor interface")?;
        let identity = interface.read32(gicc::IIDR).into();
        let revision = field(identity, 16, 4);
        if revision != 2 {
            return Err(refuse!("the GIC's revision is {revision}, not 2"));
        }
        let lines = field(distributor.read32(gicd::TYPER).into(), 0, 5) as u32;
        Ok(Self {
            end: SPI_END.min(32 * (lines + 1)),
            kind: hypervisor.read32(gich::VTR),
            links: field(identity, 20, 12) != QEMU,
            distributor,
            interface,
            hypervisor,
            configuring: SpinLock::new(Rank::GicConfiguration, ()),
        })
    }

    /// Brings every shared interrupt to a known state (off, idle, level, middle priority, routed to
    /// nobody), then forwards interrupts.
    pub fn init(&self) {
        self.distributor.write32(gicd::CTLR, 0);
        for word in SPI_BASE / 32..self.end.div_ceil(32) {
            self.quiesce(word as usize);
            let word = word as usize;
            self.distributor.write32(gicd::ICFGR + 8 * word, 0);
            self.distributor.write32(gicd::ICFGR + 8 * word + 4, 0);
            for four in 0..8 {
                let targets = gicd::ITARGETSR + 32 * word + 4 * four;
                self.distributor.write32(targets, 0);
            }
        }
        self.distributor.write32(gicd::CTLR, gicd::CTLR_ENABLE);
    }

    /// Brings this CPU's private interrupts to a known state (off, idle, middle priority), and
    /// makes it take interrupts of any priority, in two steps. Returns which CPU it is.
    ///
    /// # Errors
    ///
    /// Refuses when no private interrupt says whose it is.
    pub fn init_cpu(&self) -> Result<Target, Refusal> {
        self.quiesce(0);
        let interface = &self.interface;
        interface.write32(gicc::CTLR, 0);
        // What whoever ran before took and never ended is forgotten.
        interface.write32(gicc::APR, 0);
        interface.write32(gicc::BPR, 0);
        interface.write32(gicc::PMR, 0xff);
        interface.write32(gicc::CTLR, gicc::CTLR_ENABLE | gicc::CTLR_EOI_MODE);
        self.hypervisor.write32(gich::HCR, 0);
        self.this_cpu()
    }

    /// Makes this CPU take no more interrupts, before it is turned off.
    pub fn stop_cpu(&self) {
        self.interface.write32(gicc::CTLR, 0);
    }

    /// Returns which CPU this is: what the targets of its own private interrupts read as. Not every
    /// one of them is implemented.
    fn this_cpu(&self) -> Result<Target, Refusal> {
        let mask = (0..8)
            .map(|n| self.distributor.read32(gicd::ITARGETSR + 4 * n))
            .fold(0, |all, targets| all | targets)
            .to_le_bytes()
            .into_iter()
            .fold(0, |all, byte| all | byte);
        match mask.count_ones() {
            1 => Ok(Target(mask)),
            // The only CPU need not be told from others, and targets read as zero.
            0 if field(self.distributor.read32(gicd::TYPER).into(), 5, 3) == 0 => Ok(Target(1)),
            _ => Err(refuse!("the GIC says that this is CPU mask {mask:#x}")),
        }
    }

    /// Returns whether there is a shared interrupt of this number.
    pub fn has_spi(&self, intid: u32) -> bool {
        (SPI_BASE..self.end).contains(&intid)
    }

    /// Returns GICH_VTR, which says what the virtual CPU interface can do.
    pub const fn virtual_kind(&self) -> u32 {
        self.kind
    }

    /// Returns whether list registers can be linked to physical interrupts.
    ///
    /// QEMU's GICv2 makes the physical interrupt inactive when the guest ends the virtual one, but
    /// does not look at its line again: a timer that asks by then is forgotten until something else
    /// happens to the GIC.
    pub const fn has_links(&self) -> bool {
        self.links
    }

    /// Lets an interrupt through; for private ones, this CPU's, as everywhere below.
    ///
    /// # Panics
    ///
    /// If the number is above 1019, here and below: a fault of the caller.
    pub fn enable(&self, intid: u32) {
        self.set_bit(gicd::ISENABLER, intid);
    }

    /// Stops an interrupt.
    pub fn disable(&self, intid: u32) {
        self.set_bit(gicd::ICENABLER, intid);
    }

    /// Sets whether an interrupt is pending, whatever its line says. Not for SGIs.
    pub fn set_pending(&self, intid: u32, pending: bool) {
        let base = if pending {
            gicd::ISPENDR
        } else {
            gicd::ICPENDR
        };
        self.set_bit(base, intid);
    }

    /// Sets whether an interrupt is active.
    pub fn set_active(&self, intid: u32, active: bool) {
        let base = if active {
            gicd::ISACTIVER
        } else {
            gicd::ICACTIVER
        };
        self.set_bit(base, intid);
    }

    /// Returns whether an interrupt is active.
    pub fn is_active(&self, intid: u32) -> bool {
        let (register, bit) = bit_of(gicd::ISACTIVER, intid);
        self.distributor.read32(register) & bit != 0
    }

    /// Sets an interrupt's priority; lower is more urgent.
    pub fn set_priority(&self, intid: u32, priority: u8) {
        check(intid);
        self.distributor
            .window()
            .write8(gicd::IPRIORITYR + intid as usize, priority);
    }

    /// Sends a shared interrupt to one CPU from now on.
    pub fn route(&self, intid: u32, target: Target) {
        check(intid);
        self.distributor
            .window()
            .write8(gicd::ITARGETSR + intid as usize, target.0);
    }

    /// Sets what an interrupt's line means; the interrupt must be disabled.
    pub fn configure(&self, intid: u32, trigger: Trigger) {
        check(intid);
        let _alone = self.configuring.lock();
        super::configure(&self.distributor.window(), gicd::ICFGR, intid, trigger);
    }

    /// Sends software interrupt `intid`, 0 to 15, to CPUs; what was stored before is seen there by
    /// the time it arrives.
    pub fn send_sgi(&self, intid: u32, to: Target) {
        dsb_ishst();
        let value = u32::from(to.0) << gicd::SGIR_TARGETS | (intid & 0xf);
        self.distributor.write32(gicd::SGIR, value);
    }

    /// Reads a register of this CPU's hypervisor interface, [`gich`].
    #[inline(always)]
    pub fn read_virtual(&self, register: usize) -> u32 {
        self.hypervisor.read32(register)
    }

    /// Writes a register of this CPU's hypervisor interface, [`gich`].
    #[inline(always)]
    pub fn write_virtual(&self, register: usize, value: u32) {
        self.hypervisor.write32(register, value);
    }

    /// Brings the 32 interrupts of one register to a known state.
    fn quiesce(&self, word: usize) {
        let registers = &self.distributor;
        registers.write32(gicd::ICENABLER + 4 * word, u32::MAX);
        registers.write32(gicd::ICPENDR + 4 * word, u32::MAX);
        registers.write32(gicd::ICACTIVER + 4 * word, u32::MAX);
        for four in 0..8 {
            let priorities = u32::from_ne_bytes([DEFAULT_PRIORITY; 4]);
            registers.write32(gicd::IPRIORITYR + 32 * word + 4 * four, priorities);
        }
        if word == 0 {
            for four in 0..4 {
                registers.write32(gicd::CPENDSGIR + 4 * four, u32::MAX);
            }
        }
    }

    fn set_bit(&self, base: usize, intid: u32) {
        let (register, bit) = bit_of(base, intid);
        self.distributor.write32(register, bit);
    }
}

impl CpuInterface for &Gic {
    #[inline(always)]
    fn acknowledge(self) -> Taken {
        let raw = self.interface.read32(gicc::IAR);
        Taken {
            intid: raw & gicc::IAR_INTID,
            raw,
        }
    }

    #[inline(always)]
    fn highest_pending(self) -> u32 {
        self.interface.read32(gicc::HPPIR) & gicc::IAR_INTID
    }

    #[inline(always)]
    fn priority_drop(self, taken: Taken) {
        self.interface.write32(gicc::EOIR, taken.raw);
    }

    #[inline(always)]
    fn deactivate(self, taken: Taken) {
        self.interface.write32(gicc::DIR, taken.raw);
    }
}

fn fixed<const SIZE: usize>(window: &Mmio, what: &str) -> Result<Fixed<SIZE>, Refusal> {
    Fixed::new(window).ok_or_else(|| {
        let has = window.size();
        refuse!("the GIC's {what} has {has:#x} bytes of registers")
    })
}

fn check(intid: u32) {
    assert!(intid < SPI_END, "there is no interrupt {intid}");
}

/// Returns the register of `base`'s kind that holds an interrupt's bit, and the bit.
fn bit_of(base: usize, intid: u32) -> (usize, u32) {
    check(intid);
    (base + 4 * (intid / 32) as usize, 1 << (intid % 32))
}

#[cfg(test)]
pub(crate) mod tests;
