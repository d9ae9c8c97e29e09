//! Where a guest's devices are.

use crate::addr::Ipa;

/// A guest's memory map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GuestMap {
    /// The interrupt controller.
    pub gic: GuestGic,
    /// The PL011.
    pub uart: Device,
    /// The PL031 real-time clock.
    pub rtc: Device,
    /// Flash memory that is empty: it reads as ones and keeps nothing. Firmware looks there for
    /// its settings. Pairs are base and size in bytes.
    pub flash: (u64, u64),
    /// The start of RAM.
    pub ram: Ipa,
}

/// A guest's interrupt controller; pairs are base and size in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GuestGic {
    /// GICv2.
    V2 {
        /// GICD.
        distributor: (u64, u64),
        /// GICC.
        cpu_interface: (u64, u64),
    },
    /// GICv3.
    V3 {
        /// GICD.
        distributor: (u64, u64),
        /// The first CPU's GICR; the others follow.
        redistributors: u64,
        /// The size of one CPU's GICR in bytes.
        redistributor_size: u64,
    },
}

/// A device with one page of registers and one interrupt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Device {
    /// The address of its registers.
    pub base: u64,
    /// Their size in bytes.
    pub size: u64,
    /// Its shared peripheral interrupt: the INTID less 32.
    pub spi: u32,
}

/// The map of QEMU's `virt` machine.
pub const VIRT: GuestMap = GuestMap {
    gic: GuestGic::V3 {
        distributor: (0x0800_0000, 0x1_0000),
        redistributors: 0x080a_0000,
        redistributor_size: 0x2_0000,
    },
    uart: Device {
        base: 0x0900_0000,
        size: 0x1000,
        spi: 1,
    },
    rtc: Device {
        base: 0x0901_0000,
        size: 0x1000,
        spi: 2,
    },
    // The second of two banks: an access near address 0 is a mistake that a guest should hear of.
    flash: (0x0400_0000, 0x0400_0000),
    ram: Ipa::new(0x4000_0000),
};

impl Device {
    /// Returns how far into the device's registers an address lies, if it does.
    #[inline(always)]
    pub const fn offset_of(&self, at: u64) -> Option<u64> {
        offset(at, self.base, self.size)
    }

    /// Returns the INTID of the device's interrupt.
    pub const fn intid(&self) -> u32 {
        32 + self.spi
    }
}

#[inline(always)]
const fn offset(at: u64, base: u64, size: u64) -> Option<u64> {
    let offset = at.wrapping_sub(base);
    if offset < size { Some(offset) } else { None }
}

impl GuestMap {
    /// Returns how far into the distributor's registers an address lies, if it does.
    #[inline(always)]
    pub const fn distributor(&self, at: u64) -> Option<u64> {
        let (GuestGic::V2 { distributor, .. } | GuestGic::V3 { distributor, .. }) = self.gic;
        offset(at, distributor.0, distributor.1)
    }

    /// Returns how far into the redistributors of `cpus` vCPUs an address lies, if it does.
    #[inline(always)]
    pub const fn redistributors(&self, at: u64, cpus: usize) -> Option<u64> {
        match self.gic {
            GuestGic::V3 {
                redistributors,
                redistributor_size,
                ..
            } => offset(at, redistributors, redistributor_size * cpus as u64),
            GuestGic::V2 { .. } => None,
        }
    }

    /// Returns whether an address is in the empty flash.
    pub const fn is_flash(&self, at: u64) -> bool {
        offset(at, self.flash.0, self.flash.1).is_some()
    }

    /// Returns the same map with `virt`'s GICv2 for its interrupt controller.
    pub const fn with_gicv2(self) -> Self {
        Self {
            gic: GuestGic::V2 {
                distributor: (0x0800_0000, 0x1_0000),
                cpu_interface: (0x0801_0000, 0x1_0000),
            },
            ..self
        }
    }
}
