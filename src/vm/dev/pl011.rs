//! A guest's PrimeCell UART (Arm DDI 0183), without wires and without time.
//!
//! What that means for a guest:
//! - A byte written is sent at once: the transmit FIFO is always empty, and each write raises the
//!   transmit interrupt, as a FIFO does that drains past its mark.
//! - A byte received raises the receive timeout interrupt at once: the "nothing more for 32 bit
//!   times" that it stands for has no meaning without a line speed, and waiting would only delay
//!   input. Reading one byte of several raises it again, so that a driver that takes the interrupt
//!   back and then reads can't leave bytes behind unannounced.
//! - There are no framing, parity or break errors; bytes are 8 bits whatever LCR_H says.
//! - The port is handed over as firmware would leave it, enabled, so that software which only ever
//!   writes the data register is heard. A guest that disables it is taken at its word.
//! - The other end is always there: CTS, DSR and DCD are asserted.

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::unwrap_used,
        clippy::panic
    )
)]

mod fifo;
#[cfg(test)]
mod tests;

use fifo::Fifo;

const DR: u64 = 0x00;
const RSR_ECR: u64 = 0x04;
const FR: u64 = 0x18;
const ILPR: u64 = 0x20;
const IBRD: u64 = 0x24;
const FBRD: u64 = 0x28;
const LCR_H: u64 = 0x2c;
const CR: u64 = 0x30;
const IFLS: u64 = 0x34;
const IMSC: u64 = 0x38;
const RIS: u64 = 0x3c;
const MIS: u64 = 0x40;
const ICR: u64 = 0x44;
const DMACR: u64 = 0x48;
const ID_BASE: u64 = 0xfe0;
const ID_END: u64 = 0x1000;

/// DR: bytes were lost before this one.
const DR_OE: u32 = 1 << 11;
/// RSR: bytes were lost.
const RSR_OE: u32 = 1 << 3;

const FR_CTS: u32 = 1 << 0;
const FR_DSR: u32 = 1 << 1;
const FR_DCD: u32 = 1 << 2;
const FR_RXFE: u32 = 1 << 4;
const FR_RXFF: u32 = 1 << 6;
const FR_TXFE: u32 = 1 << 7;
const FR_RI: u32 = 1 << 8;
const FR_MODEM: u32 = FR_CTS | FR_DSR | FR_DCD | FR_RI;

const LCR_H_FEN: u32 = 1 << 4;

const CR_UARTEN: u32 = 1 << 0;
const CR_LBE: u32 = 1 << 7;
const CR_TXE: u32 = 1 << 8;
const CR_RXE: u32 = 1 << 9;
const CR_DTR: u32 = 1 << 10;
const CR_RTS: u32 = 1 << 11;
const CR_OUT1: u32 = 1 << 12;
const CR_OUT2: u32 = 1 << 13;

const INT_RI: u32 = 1 << 0;
const INT_CTS: u32 = 1 << 1;
const INT_DCD: u32 = 1 << 2;
const INT_DSR: u32 = 1 << 3;
const INT_RX: u32 = 1 << 4;
const INT_TX: u32 = 1 << 5;
const INT_RT: u32 = 1 << 6;
const INT_OE: u32 = 1 << 10;
const INT_ALL: u32 = 0x7ff;

/// A PL011 of which the receive FIFO holds `DEPTH` bytes, 16 or 32: the depth is what tells
/// revisions apart for drivers, so the identification follows it.
#[derive(Clone, Debug)]
pub struct Pl011<const DEPTH: usize = 32> {
    /// FR, kept up to date by what changes it: guests read nothing else as often.
    flags: u32,
    raw: u32,
    mask: u32,
    control: u32,
    line_control: u32,
    levels: u32,
    /// RSR: set until ECR is written.
    lost: u32,
    /// DR_OE while bytes were lost and none was taken in since.
    overrun: u32,
    low_power: u32,
    integer_divisor: u32,
    fraction_divisor: u32,
    dma: u32,
    received: Fifo<DEPTH>,
}

impl<const DEPTH: usize> Default for Pl011<DEPTH> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const DEPTH: usize> Pl011<DEPTH> {
    /// Makes a port with the reset values of the manual, and enabled.
    pub const fn new() -> Self {
        const { assert!(DEPTH == 16 || DEPTH == 32) };
        Self {
            flags: FR_TXFE | FR_RXFE | FR_CTS | FR_DSR | FR_DCD,
            raw: 0,
            mask: 0,
            control: CR_UARTEN | CR_TXE | CR_RXE,
            line_control: 0,
            levels: 0x12,
            lost: 0,
            overrun: 0,
            low_power: 0,
            integer_divisor: 0,
            fraction_divisor: 0,
            dma: 0,
            received: Fifo::new(1),
        }
    }

    /// Reads the register at `offset` bytes; what is none reads as zero.
    #[inline]
    pub fn read(&mut self, offset: u64) -> u32 {
        if offset == FR {
            self.flags
        } else {
            self.read_other(offset)
        }
    }

    /// Returns UARTFR.
    #[inline(always)]
    pub const fn flags(&self) -> u32 {
        self.flags
    }

    /// Writes the register at `offset` bytes; what can't be written is ignored. Returns the byte
    /// that is sent, if one is.
    #[inline]
    pub fn write(&mut self, offset: u64, value: u32) -> Option<u8> {
        if offset == DR {
            self.send(value as u8)
        } else {
            self.write_other(offset, value);
            None
        }
    }

    /// Takes in a byte from the other end; returns false when there is no room now.
    ///
    /// A refused byte is the caller's: it may try again after the guest has read, or drop it and
    /// say so by [`overrun`](Self::overrun). A port that is off takes bytes in and loses them, as
    /// a wire does.
    pub fn receive(&mut self, byte: u8) -> bool {
        // In loopback the line in is cut.
        if !self.receives() || self.control & CR_LBE != 0 {
            return true;
        }
        self.accept(byte)
    }

    /// Returns whether [`receive`](Self::receive) would take a byte.
    pub fn has_room(&self) -> bool {
        !self.received.is_full()
    }

    /// Tells the guest that bytes for it were lost.
    pub fn overrun(&mut self) {
        self.lost |= RSR_OE;
        self.overrun = DR_OE;
        self.raw |= INT_OE;
    }

    /// Returns the level of the interrupt line.
    #[inline]
    pub fn line(&self) -> bool {
        self.raw & self.mask != 0
    }

    fn read_other(&mut self, offset: u64) -> u32 {
        match offset {
            DR => self.take(),
            RSR_ECR => self.lost,
            ILPR => self.low_power,
            IBRD => self.integer_divisor,
            FBRD => self.fraction_divisor,
            LCR_H => self.line_control,
            CR => self.control,
            IFLS => self.levels,
            IMSC => self.mask,
            RIS => self.raw,
            MIS => self.raw & self.mask,
            DMACR => self.dma,
            ID_BASE..ID_END if offset.is_multiple_of(4) => Self::identification(offset),
            _ => 0,
        }
    }

    fn write_other(&mut self, offset: u64, value: u32) {
        match offset {
            RSR_ECR => self.lost = 0,
            ILPR => self.low_power = value & 0xff,
            IBRD => self.integer_divisor = value & 0xffff,
            FBRD => self.fraction_divisor = value & 0x3f,
            LCR_H => self.set_line_control(value & 0xff),
            CR => self.set_control(value & 0xff87),
            IFLS => self.levels = value & 0x3f,
            IMSC => self.mask = value & INT_ALL,
            ICR => self.raw &= !value,
            DMACR => self.dma = value & 0x7,
            _ => {}
        }
    }

    /// Returns an identification register; the four of the peripheral, then the four of PrimeCell.
    fn identification(offset: u64) -> u32 {
        let part_and_revision = if DEPTH == 32 {
            0x0034_1011
        } else {
            0x0014_1011
        };
        let prime_cell = 0xb105_f00d;
        let word: u32 = if offset < 0xff0 {
            part_and_revision
        } else {
            prime_cell
        };
        // Eight bits of the word in each register.
        (word >> ((offset & 0xc) << 1)) & 0xff
    }

    /// Takes a byte to send: out, back in, or nowhere.
    fn send(&mut self, byte: u8) -> Option<u8> {
        if self.control & (CR_UARTEN | CR_TXE) != CR_UARTEN | CR_TXE {
            return None;
        }
        self.raw |= INT_TX;
        if self.control & CR_LBE == 0 {
            return Some(byte);
        }
        if self.receives() && !self.accept(byte) {
            self.overrun();
        }
        None
    }

    const fn receives(&self) -> bool {
        self.control & (CR_UARTEN | CR_RXE) == CR_UARTEN | CR_RXE
    }

    /// Puts a byte in the receive FIFO, if there is room.
    fn accept(&mut self, byte: u8) -> bool {
        let room = self.received.push(byte);
        if room {
            self.overrun = 0;
            self.raw |= INT_RT;
            if self.received.len() >= self.receive_mark() {
                self.raw |= INT_RX;
            }
            self.update_flags();
        }
        room
    }

    /// Reads the data register.
    fn take(&mut self) -> u32 {
        let byte = self.received.pop().unwrap_or(0);
        if self.received.is_empty() {
            self.raw &= !INT_RT;
        } else {
            self.raw |= INT_RT;
        }
        if self.received.len() < self.receive_mark() {
            self.raw &= !INT_RX;
        }
        self.update_flags();
        u32::from(byte) | self.overrun
    }

    /// Returns how many bytes raise the receive interrupt.
    fn receive_mark(&self) -> usize {
        if self.line_control & LCR_H_FEN == 0 {
            return 1;
        }
        match (self.levels >> 3) & 0x7 {
            0 => DEPTH >> 3,
            1 => DEPTH >> 2,
            3 => (DEPTH >> 1) | (DEPTH >> 2),
            4 => (DEPTH >> 1) | (DEPTH >> 2) | (DEPTH >> 3),
            // A half; and what is reserved.
            _ => DEPTH >> 1,
        }
    }

    /// Sets the format; turning the FIFOs on or off empties them.
    fn set_line_control(&mut self, value: u32) {
        if (self.line_control ^ value) & LCR_H_FEN != 0 {
            let on = value & LCR_H_FEN != 0;
            self.received = Fifo::new(if on { DEPTH } else { 1 });
            self.raw &= !(INT_RX | INT_RT);
        }
        self.line_control = value;
        self.update_flags();
    }

    /// Sets the controls; in loopback the modem's outputs are its inputs.
    fn set_control(&mut self, value: u32) {
        self.control = value;
        let before = self.flags;
        self.update_flags();
        let changed = before ^ self.flags;
        for (flag, interrupt) in [
            (FR_RI, INT_RI),
            (FR_CTS, INT_CTS),
            (FR_DCD, INT_DCD),
            (FR_DSR, INT_DSR),
        ] {
            if changed & flag != 0 {
                self.raw |= interrupt;
            }
        }
    }

    fn update_flags(&mut self) {
        let empty = if self.received.is_empty() { FR_RXFE } else { 0 };
        let full = if self.received.is_full() { FR_RXFF } else { 0 };
        self.flags = FR_TXFE | empty | full | self.modem();
    }

    /// Returns the modem's inputs.
    fn modem(&self) -> u32 {
        if self.control & CR_LBE == 0 {
            return FR_CTS | FR_DSR | FR_DCD;
        }
        let wires = [
            (CR_RTS, FR_CTS),
            (CR_DTR, FR_DSR),
            (CR_OUT1, FR_DCD),
            (CR_OUT2, FR_RI),
        ];
        wires
            .into_iter()
            .filter(|(output, _)| self.control & output != 0)
            .fold(0, |inputs, (_, input)| inputs | input)
            & FR_MODEM
    }
}
