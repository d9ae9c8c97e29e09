//! What turns the machine off and starts it anew.

use super::{bcm2835_pm::PowerManagement, psci::Psci};
use crate::error::Refusal;
use crate::refuse;

/// Who is asked.
#[derive(Debug)]
pub enum Power {
    /// The firmware.
    Firmware(Psci),
    /// A device, on machines whose firmware leaves nothing behind to call.
    Bcm2835(PowerManagement),
}

/// What becomes of the machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Last {
    /// It is turned off.
    Off,
    /// It starts anew.
    Reset,
}

/// How often a device's register is read before it is not believed to do anything: the reset comes
/// within milliseconds, and a read takes tens of nanoseconds at the least.
const PATIENCE: u32 = if cfg!(test) { 1 << 8 } else { 1 << 24 };

impl Power {
    /// Does it, and returns only when it does not happen, with the reason.
    pub fn end(&self, last: Last) -> Refusal {
        match (self, last) {
            (Self::Firmware(psci), Last::Off) => {
                refuse!("the firmware does not power off: {:?}", psci.system_off())
            }
            (Self::Firmware(psci), Last::Reset) => {
                refuse!("the firmware does not reset: {:?}", psci.system_reset())
            }
            (Self::Bcm2835(block), last) => {
                match last {
                    Last::Off => block.off(),
                    Last::Reset => block.reset(),
                }
                super::poll(PATIENCE, || false);
                refuse!("the power management block does nothing")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::fake::{self, Event};
    use crate::dev::psci::Conduit;
    use crate::mmio::Bench;

    #[test]
    fn the_firmware_is_called() {
        fake::reset();
        let power = Power::Firmware(Psci::new(Conduit::Smc));
        let Refusal(off) = power.end(Last::Off);
        assert_eq!(off, "the firmware does not power off: NotSupported");
        let Refusal(reset) = power.end(Last::Reset);
        assert_eq!(reset, "the firmware does not reset: NotSupported");
        let calls = [0x8400_0008, 0x8400_0009].map(|function| Event::Smc([function, 0, 0, 0]));
        assert_eq!(fake::with(|cpu| core::mem::take(&mut cpu.log)), calls);
    }

    #[test]
    fn a_device_is_written_and_nobody_is_called() {
        fake::reset();
        let mut bench = Bench::new(0x28);
        let registers = bench.window();
        let power = Power::Bcm2835(PowerManagement::new(bench.window()));
        for (last, partition) in [(Last::Off, 0x555), (Last::Reset, 0)] {
            let Refusal(why) = power.end(last);
            assert_eq!(why, "the power management block does nothing");
            assert_eq!(registers.read32(0x20) & 0xff_ffff, partition);
        }
        assert_eq!(fake::with(|cpu| core::mem::take(&mut cpu.log)), []);
    }
}
