//! From `reg` to physical addresses, through the `ranges` of the buses above.

use alloc::vec::Vec;

use super::{Node, number};
use crate::addr::{Pa, PaRange};
use crate::error::Refusal;
use crate::refuse;

/// How many words an address and a size take.
#[derive(Clone, Copy)]
struct Cells {
    address: usize,
    size: usize,
}

impl Node<'_, '_> {
    /// Returns the cell counts this node sets for its children (specification v0.4, 2.3.5).
    fn cells(self) -> Cells {
        Cells {
            address: self.u32("#address-cells").unwrap_or(2) as usize,
            size: self.u32("#size-cells").unwrap_or(1) as usize,
        }
    }

    /// Returns the physical ranges in `reg`.
    ///
    /// # Errors
    ///
    /// Refuses a missing or misshapen `reg`, and addresses a bus above does not map.
    pub(in crate::board) fn reg(self) -> Result<Vec<PaRange>, Refusal> {
        self.raw_reg()?
            .into_iter()
            .map(|(address, size)| {
                let start = self.translate(address, size)?;
                PaRange::new(start, size).ok_or_else(|| {
                    refuse!(
                        "device tree: {}: {size:#x} bytes at {start} wrap",
                        self.path()
                    )
                })
            })
            .collect()
    }

    /// Returns the pairs of address and size in `reg` as they stand there.
    ///
    /// # Errors
    ///
    /// Refuses a missing or misshapen `reg`.
    pub(in crate::board) fn raw_reg(self) -> Result<Vec<(u64, u64)>, Refusal> {
        let value = self
            .property("reg")
            .ok_or_else(|| refuse!("device tree: {} has no reg", self.path()))?;
        let Cells { address, size } = match self.parent() {
            Some(parent) => parent.cells(),
            None => return Err(refuse!("device tree: the root has no addresses")),
        };
        let entry = 4 * (address + size);
        if !(1..=2).contains(&address) || size > 2 || !value.len().is_multiple_of(entry) {
            return Err(refuse!(
                "device tree: {}: reg is {} bytes, its cells {address} and {size}",
                self.path(),
                value.len()
            ));
        }
        Ok(value
            .chunks_exact(entry)
            .map(|entry| entry.split_at(4 * address))
            .map(|(address, size)| (number(address), number(size)))
            .collect())
    }

    /// Translates an address in this node's `reg` to a physical one.
    fn translate(self, address: u64, size: u64) -> Result<Pa, Refusal> {
        let mut address = address;
        let mut bus = self.parent();
        while let Some(node) = bus.filter(|node| !node.is_root()) {
            address = node.to_parent(address, size).ok_or_else(|| {
                refuse!(
                    "device tree: {}: {address:#x} is not mapped by the ranges of {}",
                    self.path(),
                    node.path()
                )
            })?;
            bus = node.parent();
        }
        Ok(Pa::new(address))
    }

    /// Translates an address of this bus to one of its parent's (specification v0.4, 2.3.8).
    fn to_parent(self, address: u64, size: u64) -> Option<u64> {
        let ranges = self.property("ranges")?;
        if ranges.is_empty() {
            return Some(address);
        }
        let own = self.cells();
        let parent = self.parent()?.cells();
        if own.address > 2 || parent.address > 2 || own.size > 2 {
            return None;
        }
        let entry = 4 * (own.address + parent.address + own.size);
        // `max`: all three counts may be zero, a chunk's size may not.
        ranges.chunks_exact(entry.max(4)).find_map(|range| {
            let (from, rest) = range.split_at_checked(4 * own.address)?;
            let (to, window) = rest.split_at_checked(4 * parent.address)?;
            let offset = address.checked_sub(number(from))?;
            let fits = offset.checked_add(size)? <= number(window);
            number(to).checked_add(offset).filter(|_| fits)
        })
    }
}
