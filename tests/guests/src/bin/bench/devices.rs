//! Registers of emulated devices.

use crate::row;
use guests::rt::{
    console,
    gic::{self, GICD},
};

/// Runs the rows.
pub fn run() {
    row!("mmio_r_gicd_typer", 2000, own 0, "ldr w0, [x10, #4]"; x10 = GICD);
    row!("mmio_r_gicd_isenabler1", 2000, own 0, "ldr w0, [x10, #0x104]"; x10 = GICD);
    row!("mmio_w_gicd_icenabler1", 2000, own 0, "str wzr, [x10, #0x184]"; x10 = GICD);
    if !gic::is_v2() {
        let frame = gic::redistributor();
        row!("mmio_r_gicr_typer", 2000, own 0, "ldr x0, [x10, #8]"; x10 = frame);
    }
    row!("mmio_r_uart_fr", 1000, own 0, "ldr w0, [x10, #0x18]"; x10 = console::UART);
}
