//! SPCR and DBG2: the serial console, and the debug port that stands in for it (Microsoft's
//! "Serial Port Console Redirection Table" and "Debug Port Table 2").

use super::bytes::Bytes;
use crate::machine::{Place, Uart, UartKind};
use crate::{Refusal, refuse};

/// A register block of any of the kinds: a page.
const REGISTERS: u64 = 0x1000;

/// Returns the console of an SPCR table.
pub(super) fn console(table: &[u8]) -> Result<Option<Uart>, Refusal> {
    const GIC_INTERRUPT: u8 = 8;
    let kind = table.u8_at(36).map(u16::from);
    let interrupt = table
        .u32_at(54)
        .filter(|number| (32..1020).contains(number))
        .filter(|_| table.u8_at(52).unwrap_or(0) & GIC_INTERRUPT != 0);
    let address = table.get(40..52);
    let (Some(kind), Some(address)) = (kind, address) else {
        return Err(refuse!("ACPI: SPCR is cut short"));
    };
    uart("SPCR", kind, address, interrupt).map(Some)
}

/// Returns the first serial port of a DBG2 table.
pub(super) fn debug_port(table: &[u8]) -> Result<Option<Uart>, Refusal> {
    const SERIAL: u16 = 0x8000;
    let mut at = table.u32_at(36).unwrap_or(0) as usize;
    for _ in 0..table.u32_at(40).unwrap_or(0).min(32) {
        let Some(port) = table.get(at..) else {
            break;
        };
        let length = usize::from(port.u16_at(1).unwrap_or(0));
        let port = port.get(..length).unwrap_or_default();
        if port.u16_at(12) == Some(SERIAL) {
            let from = usize::from(port.u16_at(18).unwrap_or(0));
            let address = port.get(from..).and_then(|rest| rest.get(..12));
            let address = address.ok_or_else(|| refuse!("ACPI: DBG2 is cut short"))?;
            return uart("DBG2", port.u16_at(14).unwrap_or(0), address, None).map(Some);
        }
        at = at.saturating_add(length.max(22));
    }
    Ok(None)
}

/// Reads a port's generic address: space, width and offset in bits, size of an access, address.
fn uart(table: &str, kind: u16, address: &[u8], interrupt: Option<u32>) -> Result<Uart, Refusal> {
    const MEMORY: u8 = 0;
    let kind = match kind {
        0x00 | 0x01 | 0x12 => UartKind::Ns16550,
        0x03 => UartKind::Pl011,
        0x0d | 0x0e => UartKind::Sbsa,
        other => {
            return Err(refuse!(
                "ACPI: {table} names a serial port of kind {other:#x}, which is none we know"
            ));
        }
    };
    let start = address.u64_at(4).unwrap_or(0);
    let registers = Place::new(start, REGISTERS)
        .filter(|_| address.u8_at(0) == Some(MEMORY))
        .ok_or_else(|| refuse!("ACPI: {table} names a serial port that is not in memory"))?;
    // The distance of registers, and the size of an access: 1, 2, 3 are 8, 16, 32 bits.
    let (shift, width) = match (kind, address.u8_at(1), address.u8_at(3)) {
        (UartKind::Ns16550, Some(32), Some(0 | 3)) => (2, 4),
        (UartKind::Ns16550, Some(32), _) => (2, 1),
        (UartKind::Ns16550, ..) => (0, 1),
        _ => (2, 4),
    };
    Ok(Uart {
        kind,
        registers,
        shift,
        width,
        interrupt,
    })
}
