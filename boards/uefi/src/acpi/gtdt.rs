//! GTDT: the generic timers (ACPI 6.5, 5.2.25).

use super::bytes::Bytes;
use crate::machine::{Line, Timer};
use crate::{Refusal, refuse};

/// The timers' interrupts, where each number and its flags are.
const SECURE: usize = 48;
const PHYSICAL: usize = 56;
const VIRTUAL: usize = 64;
const HYPERVISOR: usize = 72;
/// Since revision 3 of the table.
const HYPERVISOR_VIRTUAL: usize = 96;

/// Returns the timers of the table.
pub(super) fn read(table: &[u8]) -> Result<Timer, Refusal> {
    let line = |at| line(table, at);
    let needed =
        |at, what| line(at).ok_or_else(|| refuse!("ACPI: GTDT has no interrupt of the {what}"));
    Ok(Timer {
        secure: line(SECURE),
        physical: needed(PHYSICAL, "EL1 physical timer")?,
        virtual_: needed(VIRTUAL, "virtual timer")?,
        hypervisor: needed(HYPERVISOR, "EL2 timer")?,
        hypervisor_virtual: line(HYPERVISOR_VIRTUAL),
    })
}

/// Returns an interrupt, which is one of those that each CPU has for itself.
fn line(table: &[u8], at: usize) -> Option<Line> {
    const EDGE: u32 = 1;
    const LOW: u32 = 2;
    let number = table
        .u32_at(at)
        .filter(|number| (16..32).contains(number))?;
    let flags = table.u32_at(at + 4)?;
    Some(Line {
        number,
        edge: flags & EDGE != 0,
        low: flags & LOW != 0,
    })
}
