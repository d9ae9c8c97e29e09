//! Devices at their places on QEMU's `virt` machine, wherever the machine has them.
//!
//! The programs know the addresses of `virt`. Where the device tree tells of other ones, those
//! addresses are mapped to where the devices are, page by page.

use super::mmu::{self, Table};
use super::{console, entry, gic};
use crate::fdt;

const PAGE: u64 = 4096;
const BLOCK: u64 = 2 << 20;

/// The first GiB: 2 MiB an entry.
static LOW: Table = Table::new();
/// The 2 MiB in which `virt` has its GIC.
static GIC: Table = Table::new();
/// The 2 MiB in which it has its UART.
static UART: Table = Table::new();

/// A device, or a part of one: by what the tree knows it, and where the programs do.
struct Place {
    kinds: &'static [&'static str],
    /// Which of the node's address ranges.
    range: usize,
    table: &'static Table,
    at: u64,
}

const GIC_V2: &[&str] = &["arm,cortex-a15-gic", "arm,gic-400"];
const GIC_V3: &[&str] = &["arm,gic-v3"];

const PLACES: [Place; 5] = [
    Place::new(GIC_V3, 0, &GIC, gic::GICD),
    Place::new(GIC_V3, 1, &GIC, gic::GICR),
    Place::new(GIC_V2, 0, &GIC, gic::GICD),
    Place::new(GIC_V2, 1, &GIC, gic::GICC),
    Place::new(&["arm,pl011", "arm,sbsa-uart"], 0, &UART, console::UART),
];

impl Place {
    const fn new(
        kinds: &'static [&'static str],
        range: usize,
        table: &'static Table,
        at: u64,
    ) -> Self {
        Self {
            kinds,
            range,
            table,
            at,
        }
    }

    /// Returns where the machine has it and its size, if the tree tells.
    fn real(&self, tree: &[u8]) -> Option<(u64, u64)> {
        let mut kinds = self.kinds.iter();
        let reg = kinds.find_map(|kind| fdt::compatible(tree, kind, "reg"))?;
        Some((
            fdt::double(reg, self.range * 16)?,
            fdt::double(reg, self.range * 16 + 8)?,
        ))
    }

    /// Maps the programs' address to `start`.
    fn map(&self, start: u64, size: u64) {
        let first = self.at % BLOCK / PAGE;
        let pages = size.div_ceil(PAGE).min(512 - first);
        for page in 0..pages {
            let descriptor = (start + page * PAGE) | Table::DEVICE_PAGE;
            self.table.set((first + page) as usize, descriptor);
        }
    }
}

/// Brings the devices to their places.
pub fn devices() {
    let Some(tree) = entry::device_tree() else {
        return;
    };
    let moved = |place: &Place| place.real(tree).is_some_and(|(start, _)| start != place.at);
    if !PLACES.iter().any(moved) {
        return;
    }
    for index in 0..512 {
        LOW.set(index as usize, (index * BLOCK) | Table::DEVICE_BLOCK);
    }
    for place in &PLACES {
        if let Some((start, size)) = place.real(tree) {
            place.map(start, size);
            LOW.set((place.at / BLOCK) as usize, place.table.address() | 3);
        }
    }
    // A block becomes a table by way of nothing.
    mmu::LEVEL1.set(0, 0);
    mmu::flush();
    mmu::LEVEL1.set(0, LOW.address() | 3);
}
