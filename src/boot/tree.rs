//! The device tree, as the boot loader left it.

use crate::{
    addr::{Pa, PaRange},
    board::fdt::{self, CheckedTree},
    error::Refusal,
    mem::stage1,
    refuse,
};

/// Bytes that tell how long a tree is.
const HEADER: u64 = 8;

/// Reads and checks the tree at `start`; returns it and where it lies.
pub fn read(start: Pa) -> Result<(CheckedTree<'static>, PaRange), Refusal> {
    let (bytes, range) = bytes(start)?;
    Ok((fdt::check(bytes)?, range))
}

/// Maps the tree at `start`, as long as its header says.
pub fn bytes(start: Pa) -> Result<(&'static [u8], PaRange), Refusal> {
    if start == Pa::new(0) || !start.is_aligned(HEADER) {
        return Err(refuse!(
            "no device tree: x0 was {start} at entry, and the boot protocol puts its address there"
        ));
    }
    let size = fdt::total_size(map(start, HEADER)?.0)?;
    map(start, size as u64)
}

fn map(start: Pa, size: u64) -> Result<(&'static [u8], PaRange), Refusal> {
    let range =
        PaRange::new(start, size).ok_or_else(|| refuse!("no device tree fits at {start}"))?;
    let bytes = stage1::map_boot_data(range)
        .map_err(|error| refuse!("the device tree at {range} can't be mapped: {error:?}"))?;
    Ok((bytes, range))
}
