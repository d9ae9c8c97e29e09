//! Where the VMs come from: a bundle, or else what the boot loader put into memory.

use super::{Config, loaded};
use crate::addr::PaRange;
use crate::board::Board;
use crate::error::Refusal;
use crate::refuse;

/// Reads what VMs there are. `map` makes memory that the boot loader filled readable.
///
/// A bundle goes before guests that the device tree describes. With one VM, what is wrong
/// with it is the refusal; with several, the others are there, and the configuration tells
/// why some are not.
///
/// # Errors
///
/// Refuses when there is no VM, or when a bundle makes no sense.
pub fn read<'a>(
    board: &Board,
    map: impl Fn(PaRange) -> Result<&'a [u8], Refusal>,
) -> Result<Config<'a>, Refusal> {
    let mut config = match board.chosen.initrd {
        Some(range) => Config::from_bundle(bundle(board, range, &map)?)?,
        None => loaded::read(board, &map)?,
    };
    if board.chosen.initrd.is_some() && !board.guests.is_empty() {
        let note = "the guests that the device tree describes are not used: there is a bundle";
        config.notes.push(note.into());
    }
    match (config.vms.as_slice(), config.refused.as_slice()) {
        ([], []) => Err(refuse!(
            "no bundle: hand one over as the initial ramdisk (scripts/bundle makes it; -initrd in QEMU)"
        )),
        ([], [only]) => Err(only.clone()),
        _ => Ok(config),
    }
}

fn bundle<'a>(
    board: &Board,
    range: PaRange,
    map: &dyn Fn(PaRange) -> Result<&'a [u8], Refusal>,
) -> Result<&'a [u8], Refusal> {
    if board.ram.iter().any(|ram| ram.contains(range)) {
        map(range)
    } else {
        Err(refuse!("bundle: {range} is not in RAM"))
    }
}

#[cfg(test)]
mod tests;
