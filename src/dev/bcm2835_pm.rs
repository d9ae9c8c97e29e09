//! Driver for the power management block of the BCM2835 and its successors, up to the Raspberry
//! Pi 4's BCM2711: its watchdog turns the machine off, or starts it anew.
//!
//! The block resets the machine only. "Off" is a reset with a partition number for the boot
//! firmware to start from that means: don't.

use crate::mmio::Mmio;

/// Control of a reset.
const RSTC: usize = 0x1c;
/// What a reset leaves for the firmware: a partition number in bits 0, 2, 4, 6, 8 and 10.
const RSTS: usize = 0x20;
/// The watchdog's count.
const WDOG: usize = 0x24;

/// What every write has in its upper byte.
const PASSWORD: u32 = 0x5a00_0000;
/// RSTC: what happens when the watchdog comes to its end.
const RSTC_CONFIG: u32 = 0x30;
/// RSTC: a reset of everything.
const RSTC_FULL_RESET: u32 = 0x20;
/// RSTS: the partition number, all ones of which mean "stay off".
const RSTS_PARTITION: u32 = 0x555;
/// WDOG: about 150 microseconds, in steps of 16.
const WDOG_TICKS: u32 = 10;

/// The power management block.
#[derive(Debug)]
pub struct PowerManagement {
    registers: Mmio,
}

impl PowerManagement {
    /// Takes the block whose registers these are, at least 0x28 bytes, and changes nothing.
    pub const fn new(registers: Mmio) -> Self {
        Self { registers }
    }

    /// Turns the machine off, a moment later.
    pub fn off(&self) {
        self.leave_partition(RSTS_PARTITION);
        self.reset_soon();
    }

    /// Starts the machine anew, a moment later.
    pub fn reset(&self) {
        self.leave_partition(0);
        self.reset_soon();
    }

    fn leave_partition(&self, partition: u32) {
        let others = self.registers.read32(RSTS) & !(RSTS_PARTITION | PASSWORD_FIELD);
        self.write(RSTS, others | partition);
    }

    fn reset_soon(&self) {
        self.write(WDOG, WDOG_TICKS);
        let others = self.registers.read32(RSTC) & !(RSTC_CONFIG | PASSWORD_FIELD);
        self.write(RSTC, others | RSTC_FULL_RESET);
    }

    fn write(&self, register: usize, value: u32) {
        self.registers.write32(register, PASSWORD | value);
    }
}

/// Where [`PASSWORD`] is.
const PASSWORD_FIELD: u32 = 0xff00_0000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mmio::Bench;

    #[test]
    fn off_and_reset_differ_in_the_partition() {
        let mut bench = Bench::new(0x28);
        let registers = bench.window();
        let block = PowerManagement::new(bench.window());
        registers.write32(RSTS, 0x1020);
        registers.write32(RSTC, 0x0000_0112);
        block.off();
        assert_eq!(registers.read32(RSTS), 0x5a00_1575);
        assert_eq!(registers.read32(WDOG), 0x5a00_000a);
        assert_eq!(registers.read32(RSTC), 0x5a00_0122);
        block.reset();
        assert_eq!(registers.read32(RSTS), 0x5a00_1020);
        assert_eq!(registers.read32(RSTC), 0x5a00_0122);
    }
}
