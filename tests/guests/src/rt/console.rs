//! The PL011 at its place on the `virt` machine.

use core::fmt;

use super::entry;
use super::mmio::{read32, write32};
use crate::fdt;

/// The address of the device.
pub const UART: u64 = 0x0900_0000;
/// Its interrupt: SPI 1.
pub const UART_INTID: u32 = 33;

/// Data register.
pub const DR: u64 = UART;
/// Flag register.
pub const FR: u64 = UART + 0x18;
/// Integer baud rate divisor.
pub const IBRD: u64 = UART + 0x24;
/// Line control.
pub const LCR_H: u64 = UART + 0x2c;
/// Control.
pub const CR: u64 = UART + 0x30;
/// Interrupt mask: a one lets the interrupt through.
pub const IMSC: u64 = UART + 0x38;
/// Raw interrupt status.
pub const RIS: u64 = UART + 0x3c;
/// Interrupt clear.
pub const ICR: u64 = UART + 0x44;

/// FR: the receive FIFO is empty.
pub const FR_RXFE: u32 = 1 << 4;
/// FR: the transmit FIFO is full.
pub const FR_TXFF: u32 = 1 << 5;
/// The receive interrupt, in IMSC, RIS and ICR.
pub const RX: u32 = 1 << 4;
/// The transmit interrupt.
pub const TX: u32 = 1 << 5;
/// The receive timeout interrupt.
pub const RX_TIMEOUT: u32 = 1 << 6;

/// Enables the device: 8 bits, FIFOs, no interrupts. One by the SBSA has no such registers, and
/// is enabled always.
pub fn init() {
    let sbsa = |tree| fdt::compatible(tree, "arm,sbsa-uart", "reg");
    if entry::device_tree().and_then(sbsa).is_some() {
        return;
    }
    write32(IMSC, 0);
    write32(ICR, 0x7ff);
    write32(LCR_H, 0x70);
    write32(CR, 0x301);
}

/// Sends a byte.
pub fn send(byte: u8) {
    while read32(FR) & FR_TXFF != 0 {}
    write32(DR, u32::from(byte));
}

/// Takes a received byte, if there is one.
pub fn receive() -> Option<u8> {
    (read32(FR) & FR_RXFE == 0).then(|| read32(DR) as u8)
}

/// The console as a place to write to.
pub struct Console;

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(send);
        Ok(())
    }
}

/// Prints to the console.
#[macro_export]
macro_rules! print {
    ($($text:tt)*) => {{
        // The console never fails.
        let _ = core::fmt::Write::write_fmt(
            &mut $crate::rt::console::Console,
            format_args!($($text)*),
        );
    }};
}

/// Prints a line to the console.
#[macro_export]
macro_rules! println {
    ($($text:tt)*) => { $crate::print!("{}\n", format_args!($($text)*)) };
}
