//! Driver for the PrimeCell real-time clock (Arm DDI 0224): the time of day, once.

use crate::mmio::Mmio;

/// Reads the time of day in seconds since 1970.
pub fn seconds(registers: &Mmio) -> u64 {
    const DR: usize = 0;
    registers.read32(DR).into()
}
