//! A serial port of either kind.

use crate::dev::{ns16550::Ns16550, pl011::Pl011};
use core::fmt;

/// A serial port that EL2 drives.
#[derive(Debug)]
pub enum Uart {
    /// Arm's PrimeCell UART.
    Pl011(Pl011),
    /// The PC's UART and what is compatible with it.
    Ns16550(Ns16550),
    /// The fake machine's.
    #[cfg(test)]
    Fake(FakePort),
}

/// Does the same with either kind.
macro_rules! either {
    ($uart:ident, $port:ident => $does:expr) => {
        match $uart {
            Self::Pl011($port) => $does,
            Self::Ns16550($port) => $does,
            #[cfg(test)]
            Self::Fake($port) => $does,
        }
    };
}

impl Uart {
    /// Sends a byte; returns false when the port took none for so long that the byte was dropped.
    pub fn put(&mut self, byte: u8) -> bool {
        either!(self, port => port.put(byte))
    }

    /// Returns the next byte received, if there is one.
    pub fn get(&mut self) -> Option<u8> {
        either!(self, port => port.get())
    }

    /// Asks for an interrupt when something is received.
    pub fn enable_receive_interrupt(&mut self) {
        either!(self, port => port.enable_receive_interrupt());
    }

    /// Asks for no more interrupts.
    pub fn disable_receive_interrupt(&mut self) {
        either!(self, port => port.disable_receive_interrupt());
    }

    /// Takes the receive interrupt back; call it before [`get`](Self::get), until that gives
    /// nothing more, or a byte that comes in between is missed.
    pub fn clear_receive_interrupt(&mut self) {
        either!(self, port => port.clear_receive_interrupt());
    }
}

/// The serial port of the thread's fake machine.
#[cfg(test)]
#[derive(Debug)]
pub struct FakePort;

#[cfg(test)]
impl FakePort {
    fn with<R>(f: impl FnOnce(&mut crate::cpu::fake::Port) -> R) -> R {
        crate::cpu::fake::with(|cpu| f(&mut cpu.port))
    }

    fn put(&self, byte: u8) -> bool {
        Self::with(|port| port.sent.push(byte));
        true
    }

    fn get(&self) -> Option<u8> {
        Self::with(|port| port.typed.pop_front())
    }

    fn enable_receive_interrupt(&self) {
        Self::with(|port| port.interrupts = true);
    }

    fn disable_receive_interrupt(&self) {
        Self::with(|port| port.interrupts = false);
    }

    fn clear_receive_interrupt(&self) {}
}

impl fmt::Write for Uart {
    /// Sends text, with a carriage return before each line feed. Never fails: bytes a full port
    /// does not take are lost.
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if byte == b'\n' {
                self.put(b'\r');
            }
            self.put(byte);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mmio::Bench;
    use core::fmt::Write;

    #[test]
    fn text_ends_lines_with_both() {
        let mut bench = Bench::new(0x1000);
        let registers = bench.window();
        let mut uart = Uart::Pl011(Pl011::new(bench.window()));
        writeln!(uart, "ok").unwrap();
        assert_eq!(registers.read32(0), u32::from(b'\n'));
        uart.write_str("x").unwrap();
        assert_eq!(registers.read32(0), u32::from(b'x'));
    }

    #[test]
    fn both_kinds_answer() {
        let mut bench = Bench::new(0x1000);
        let registers = bench.window();
        let mut uart = Uart::Ns16550(Ns16550::new(
            bench.window(),
            0,
            crate::dev::ns16550::Width::Byte,
        ));
        registers.write8(5, 0x21);
        registers.write8(0, b'q');
        assert_eq!(uart.get(), Some(b'q'));
        assert!(uart.put(b'z'));
        assert_eq!(registers.read8(0), b'z');
    }
}
