//! Driver for the 16550 family, among them the Raspberry Pi's mini UART (`bcm2835-aux`), which
//! is nearly one, with its registers 4 bytes apart and 4 bytes wide.
//!
//! The port is taken as firmware left it.

use super::poll_room;
use crate::mmio::Mmio;

/// RBR when read, THR when written.
const DATA: usize = 0;
const IER: usize = 1;
/// IIR when read, FCR when written.
const IIR: usize = 2;
const LCR: usize = 3;
const LSR: usize = 5;
/// The mini UART's extra control.
const MINI_CNTL: usize = 8;

/// IER: data, and errors. The mini UART raises nothing for data alone.
const IER_DATA_AND_ERRORS: u32 = 0b101;
/// LCR: eight bits; the mini UART wants both of them set (its manual's table says otherwise).
const LCR_8_BITS: u32 = 0b11;
/// MINI_CNTL: receiver and transmitter on, no automatic flow control.
const MINI_CNTL_ON: u32 = 0b11;
/// LCR: the first two registers are the divisor.
const LCR_DLAB: u32 = 1 << 7;
const LSR_DATA: u32 = 1 << 0;
/// LSR: parity, framing and break errors of the byte.
const LSR_BAD: u32 = 0b1_1100;
const LSR_ROOM: u32 = 1 << 5;

/// How many bad bytes in a row are skipped before a read gives up.
const FIFO_DEPTH: usize = 64;

/// How wide an access to a register is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Width {
    /// One byte.
    Byte,
    /// Four bytes.
    Word,
}

/// A 16550.
#[derive(Debug)]
pub struct Ns16550 {
    registers: Mmio,
    shift: u32,
    width: Width,
    stuck: bool,
}

impl Ns16550 {
    /// Takes the port whose registers lie `1 << shift` bytes apart and are accessed with `width`,
    /// and changes nothing.
    ///
    /// The window must have at least `8 << shift` bytes, and `shift` be at least 2 for
    /// [`Width::Word`].
    pub const fn new(registers: Mmio, shift: u32, width: Width) -> Self {
        Self {
            registers,
            shift,
            width,
            stuck: false,
        }
    }

    /// Makes the first two registers mean data and interrupts, should firmware have left them
    /// meaning the divisor.
    pub fn enable(&mut self) {
        let format = self.read(LCR);
        if format & LCR_DLAB != 0 {
            self.write(LCR, format & !LCR_DLAB);
        }
    }

    /// Sets a mini UART to eight bits, with its receiver and transmitter on, at whatever speed
    /// firmware left it.
    ///
    /// Its window must have at least `9 << shift` bytes.
    pub fn enable_mini_uart(&mut self) {
        self.write(LCR, LCR_8_BITS);
        if self.read(MINI_CNTL) != MINI_CNTL_ON {
            self.write(MINI_CNTL, MINI_CNTL_ON);
        }
    }

    /// Sends a byte; returns false when the port took none for so long that the byte was dropped.
    pub fn put(&mut self, byte: u8) -> bool {
        let mut stuck = self.stuck;
        let room = poll_room(&mut stuck, || self.read(LSR) & LSR_ROOM != 0);
        self.stuck = stuck;
        if room {
            self.write(DATA, byte.into());
        }
        room
    }

    /// Returns the next byte received in good order, if there is one.
    pub fn get(&mut self) -> Option<u8> {
        for _ in 0..FIFO_DEPTH {
            let status = self.read(LSR);
            if status & LSR_DATA == 0 {
                return None;
            }
            let byte = self.read(DATA) as u8;
            if status & LSR_BAD == 0 {
                return Some(byte);
            }
        }
        None
    }

    /// Asks for an interrupt when something is received.
    pub fn enable_receive_interrupt(&mut self) {
        self.write(IER, IER_DATA_AND_ERRORS);
    }

    /// Asks for no more interrupts.
    pub fn disable_receive_interrupt(&mut self) {
        self.write(IER, 0);
    }

    /// Takes the receive interrupt back, as far as this kind can: what is received holds the line
    /// until it is read.
    pub fn clear_receive_interrupt(&mut self) {
        self.read(IIR);
        self.read(LSR);
    }

    fn read(&self, register: usize) -> u32 {
        let offset = register << self.shift;
        match self.width {
            Width::Byte => self.registers.read8(offset).into(),
            Width::Word => self.registers.read32(offset),
        }
    }

    fn write(&self, register: usize, value: u32) {
        let offset = register << self.shift;
        match self.width {
            Width::Byte => self.registers.write8(offset, value as u8),
            Width::Word => self.registers.write32(offset, value),
        }
    }
}

/// Turns the mini UART on in the register it shares with others: off, it has no registers.
pub fn turn_on_mini_uart(enables: &Mmio) {
    let on = enables.read32(0);
    if on & 1 == 0 {
        enables.write32(0, on | 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mmio::Bench;

    /// Runs a test on the PC's layout and on the mini UART's.
    fn on_both(test: impl Fn(&mut Ns16550, &dyn Fn(usize) -> u32, &dyn Fn(usize, u32))) {
        for (shift, width) in [(0, Width::Byte), (2, Width::Word), (2, Width::Byte)] {
            let mut bench = Bench::new(0x40);
            let mut port = Ns16550::new(bench.window(), shift, width);
            let registers = bench.window();
            let read = |register: usize| u32::from(registers.read8(register << shift));
            let write =
                |register: usize, value: u32| registers.write8(register << shift, value as u8);
            test(&mut port, &read, &write);
        }
    }

    #[test]
    fn bytes_go_out_when_there_is_room() {
        on_both(|port, read, write| {
            assert!(!port.put(b'a'), "a full port must not hold the caller");
            assert_eq!(read(DATA), 0);
            write(LSR, LSR_ROOM);
            assert!(port.put(b'a'));
            assert_eq!(read(DATA), 0x61);
        });
    }

    #[test]
    fn bytes_come_in_when_there_is_one_in_good_order() {
        on_both(|port, _, write| {
            write(DATA, 0x41);
            assert_eq!(port.get(), None);
            write(LSR, LSR_DATA);
            assert_eq!(port.get(), Some(b'A'));
            write(LSR, LSR_DATA | 1 << 4);
            assert_eq!(port.get(), None, "only breaks, and an end to them");
        });
    }

    #[test]
    fn interrupts_and_the_divisor_bit() {
        on_both(|port, read, write| {
            port.enable_receive_interrupt();
            assert_eq!(read(IER), 5);
            port.clear_receive_interrupt();
            port.disable_receive_interrupt();
            assert_eq!(read(IER), 0);
            write(LCR, 0x83);
            port.enable();
            assert_eq!(read(LCR), 3);
        });
    }

    #[test]
    fn a_wide_port_is_written_in_words() {
        let mut bench = Bench::new(0x40);
        let mut port = Ns16550::new(bench.window(), 2, Width::Word);
        let registers = bench.window();
        registers.write32(5 << 2, LSR_ROOM);
        registers.write32(0, u32::MAX);
        assert!(port.put(1));
        assert_eq!(registers.read32(0), 1);
    }

    #[test]
    fn a_mini_uart_is_turned_on_beside_others() {
        let mut bench = Bench::new(0x40);
        let registers = bench.window();
        let mut port = Ns16550::new(bench.window(), 2, Width::Word);
        registers.write32(LCR << 2, 0x80);
        port.enable_mini_uart();
        assert_eq!(registers.read32(LCR << 2), 3);
        assert_eq!(registers.read32(0x20), 3);
        let mut bench = Bench::new(4);
        let enables = bench.window();
        enables.write32(0, 0b100);
        turn_on_mini_uart(&bench.window());
        assert_eq!(enables.read32(0), 0b101);
    }
}
