//! Driver for the PrimeCell UART (Arm DDI 0183), with 32-bit accesses.
//!
//! The port is taken as firmware left it: line speed and format are the firmware's business, and
//! SBSA ports do not even have the registers for them.

use super::poll_room;
use crate::mmio::Mmio;

const DR: usize = 0x00;
const FR: usize = 0x18;
const LCR_H: usize = 0x2c;
const CR: usize = 0x30;
const IMSC: usize = 0x38;
const ICR: usize = 0x44;

/// DR: framing, parity and break errors of the byte.
const DR_BAD: u32 = 0x700;
const FR_RXFE: u32 = 1 << 4;
const FR_TXFF: u32 = 1 << 5;
/// LCR_H: eight bits, FIFOs on.
const LCR_H_8_BITS_FIFO: u32 = 0x70;
const CR_UARTEN: u32 = 1 << 0;
const CR_TXE_RXE: u32 = 0x300;
/// Interrupts: receive FIFO past its mark, and something in it for a while.
const RX_AND_TIMEOUT: u32 = 1 << 4 | 1 << 6;

/// How many bad bytes in a row are skipped before a read gives up: the deepest FIFO.
const FIFO_DEPTH: usize = 32;

/// A PL011.
#[derive(Debug)]
pub struct Pl011 {
    registers: Mmio,
    stuck: bool,
}

impl Pl011 {
    /// Takes the port whose registers these are, and changes nothing.
    ///
    /// The window must have at least 0x48 bytes.
    pub const fn new(registers: Mmio) -> Self {
        Self {
            registers,
            stuck: false,
        }
    }

    /// Turns a port on that firmware left off, at whatever speed it is set to; not for SBSA ports.
    pub fn enable(&mut self) {
        let control = self.registers.read32(CR);
        if control & CR_UARTEN == 0 {
            self.registers.write32(LCR_H, LCR_H_8_BITS_FIFO);
        }
        self.registers.write32(CR, control | CR_UARTEN | CR_TXE_RXE);
    }

    /// Sends a byte; returns false when the port took none for so long that the byte was dropped.
    pub fn put(&mut self, byte: u8) -> bool {
        let mut stuck = self.stuck;
        let room = poll_room(&mut stuck, || self.registers.read32(FR) & FR_TXFF == 0);
        self.stuck = stuck;
        if room {
            self.registers.write32(DR, byte.into());
        }
        room
    }

    /// Returns the next byte received in good order, if there is one.
    pub fn get(&mut self) -> Option<u8> {
        for _ in 0..FIFO_DEPTH {
            if self.registers.read32(FR) & FR_RXFE != 0 {
                return None;
            }
            let word = self.registers.read32(DR);
            if word & DR_BAD == 0 {
                return Some(word as u8);
            }
        }
        None
    }

    /// Asks for an interrupt when something is received.
    pub fn enable_receive_interrupt(&mut self) {
        self.registers.write32(IMSC, RX_AND_TIMEOUT);
    }

    /// Asks for no more interrupts.
    pub fn disable_receive_interrupt(&mut self) {
        self.registers.write32(IMSC, 0);
    }

    /// Takes the receive interrupt back.
    pub fn clear_receive_interrupt(&mut self) {
        self.registers.write32(ICR, RX_AND_TIMEOUT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mmio::Bench;

    fn port(bench: &mut Bench) -> (Mmio, Pl011) {
        (bench.window(), Pl011::new(bench.window()))
    }

    #[test]
    fn taking_the_port_changes_nothing() {
        let mut bench = Bench::new(0x1000);
        let (registers, _) = port(&mut bench);
        assert!((0..0x1000).step_by(4).all(|at| registers.read32(at) == 0));
    }

    #[test]
    fn bytes_go_to_the_data_register_when_there_is_room() {
        let mut bench = Bench::new(0x1000);
        let (registers, mut port) = port(&mut bench);
        assert!(port.put(b'a'));
        assert_eq!(registers.read32(DR), 0x61);
        registers.write32(FR, FR_TXFF);
        assert!(!port.put(b'b'), "a full port must not hold the caller");
        assert_eq!(registers.read32(DR), 0x61);
    }

    #[test]
    fn bytes_come_from_a_fifo_that_is_not_empty() {
        let mut bench = Bench::new(0x1000);
        let (registers, mut port) = port(&mut bench);
        registers.write32(FR, FR_RXFE);
        registers.write32(DR, 0x41);
        assert_eq!(port.get(), None);
        registers.write32(FR, 0);
        assert_eq!(port.get(), Some(b'A'));
        // An overrun says that others are lost, not that this one is bad.
        registers.write32(DR, 0x842);
        assert_eq!(port.get(), Some(b'B'));
        registers.write32(DR, 0x400);
        assert_eq!(port.get(), None, "only breaks, and an end to them");
    }

    #[test]
    fn the_receive_interrupt_is_two() {
        let mut bench = Bench::new(0x1000);
        let (registers, mut port) = port(&mut bench);
        port.enable_receive_interrupt();
        assert_eq!(registers.read32(IMSC), 0x50);
        port.clear_receive_interrupt();
        assert_eq!(registers.read32(ICR), 0x50);
        port.disable_receive_interrupt();
        assert_eq!(registers.read32(IMSC), 0);
    }

    #[test]
    fn a_port_that_is_on_keeps_its_format() {
        let mut bench = Bench::new(0x1000);
        let (registers, mut port) = port(&mut bench);
        registers.write32(LCR_H, 0x62);
        registers.write32(CR, 0xc101);
        port.enable();
        assert_eq!(
            (registers.read32(LCR_H), registers.read32(CR)),
            (0x62, 0xc301)
        );
        registers.write32(CR, 0x300);
        port.enable();
        assert_eq!(
            (registers.read32(LCR_H), registers.read32(CR)),
            (0x70, 0x301)
        );
    }
}
