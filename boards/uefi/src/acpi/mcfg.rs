//! MCFG: where the configuration space of PCI is (PCI Firmware specification 3.3, 4.1.2).

use alloc::vec::Vec;

use super::bytes::Bytes;
use crate::machine::Segment;

/// Where the list begins, and how long an entry is.
const LIST: usize = 44;
const ENTRY: usize = 16;

/// Returns the segments of the table; those that make no sense are left out.
pub(super) fn read(table: &[u8]) -> Vec<Segment> {
    let list = table.get(LIST..).unwrap_or_default();
    list.chunks_exact(ENTRY).filter_map(segment).collect()
}

fn segment(entry: &[u8]) -> Option<Segment> {
    Segment::new(
        entry.u64_at(0)?,
        entry.u16_at(8)?,
        entry.u8_at(10)?,
        entry.u8_at(11)?,
    )
}
