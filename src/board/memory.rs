//! Which RAM there is and which of it is free.

use alloc::vec;
use alloc::vec::Vec;

use super::tree::Tree;
use crate::addr::{PAGE_SIZE, PaRange};
use crate::error::Refusal;
use crate::refuse;

/// Cuts `hole` out of each of `ranges`; what is left keeps its order, nothing in it is empty.
pub fn subtract(ranges: &[PaRange], hole: PaRange) -> Vec<PaRange> {
    let mut left = Vec::with_capacity(ranges.len() + 1);
    for &range in ranges {
        if range.overlaps(hole) {
            left.push(PaRange::between(range.start(), hole.start()));
            left.push(PaRange::between(hole.end(), range.end()));
        } else {
            left.push(range);
        }
    }
    left.retain(|range| range.size() != 0);
    left
}

/// Returns all RAM, sorted, with overlapping and touching ranges merged.
pub(super) fn ram(tree: &Tree<'_>) -> Result<Vec<PaRange>, Refusal> {
    let mut ranges = vec![];
    for node in tree.root().children() {
        // Secure memory carries the same type and a status of "disabled".
        if node.text("device_type") == Some("memory") && node.is_okay() {
            ranges.extend(node.reg()?);
        }
    }
    ranges.retain(|range| range.size() != 0);
    if ranges.is_empty() {
        return Err(refuse!("device tree: no RAM: no usable memory node"));
    }
    Ok(merge(ranges))
}

/// Returns the whole pages of `ram` that neither the memory reservation block nor
/// `/reserved-memory` nor `taken` claims.
pub(super) fn usable(
    tree: &Tree<'_>,
    ram: &[PaRange],
    taken: &[PaRange],
) -> Result<Vec<PaRange>, Refusal> {
    let mut reserved = tree.reservations().to_vec();
    reserved.extend(taken);
    if let Some(parent) = tree.root().child("reserved-memory") {
        // `no-map` or not, disabled or not: firmware means something by it. Without `reg`
        // (`linux,cma`) an operating system may choose the place itself: nothing is taken.
        for node in parent.children() {
            if node.property("reg").is_some() {
                reserved.extend(node.reg()?);
            }
        }
    }
    let free = reserved
        .into_iter()
        .fold(ram.to_vec(), |free, hole| subtract(&free, hole));
    let pages = free.into_iter().map(|range| range.shrink_to(PAGE_SIZE));
    Ok(pages.filter(|range| range.size() != 0).collect())
}

fn merge(ranges: Vec<PaRange>) -> Vec<PaRange> {
    let mut sorted: Vec<PaRange> = vec![];
    for range in ranges {
        let place = sorted.partition_point(|other| other.start() <= range.start());
        sorted.insert(place, range);
    }
    let mut merged: Vec<PaRange> = vec![];
    for range in sorted {
        match merged.last_mut() {
            Some(last) if range.start() <= last.end() => {
                *last = PaRange::between(last.start(), last.end().max(range.end()));
            }
            _ => merged.push(range),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::Pa;

    fn range(start: u64, end: u64) -> PaRange {
        PaRange::between(Pa::new(start), Pa::new(end))
    }

    #[test]
    fn a_hole_splits_trims_or_misses() {
        let ram = [range(10, 20), range(30, 40)];
        assert_eq!(
            subtract(&ram, range(12, 15)),
            [range(10, 12), range(15, 20), range(30, 40)]
        );
        assert_eq!(
            subtract(&ram, range(15, 35)),
            [range(10, 15), range(35, 40)]
        );
        assert_eq!(subtract(&ram, range(0, 100)), []);
        assert_eq!(subtract(&ram, range(20, 30)), ram);
        assert_eq!(subtract(&ram, range(12, 12)), ram);
    }

    /// Against a model of one bit a byte.
    #[test]
    fn subtracting_agrees_with_bits() {
        let mut seed = 0x2545_f491_4f6c_dd1d_u64;
        let mut random = |below: u64| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed % below
        };
        for _ in 0..2000 {
            let mut ranges = vec![range(4, 60)];
            let mut model: u64 = (1 << 60) - (1 << 4);
            for _ in 0..6 {
                let start = random(64);
                let hole = range(start, start + random(64 - start));
                ranges = subtract(&ranges, hole);
                (hole.start().as_u64()..hole.end().as_u64()).for_each(|bit| model &= !(1 << bit));
                let bits = ranges
                    .iter()
                    .flat_map(|range| range.start().as_u64()..range.end().as_u64())
                    .fold(0_u64, |bits, bit| bits | 1 << bit);
                assert_eq!(bits, model);
            }
        }
    }

    #[test]
    fn touching_and_overlapping_ranges_merge() {
        assert_eq!(
            merge(vec![range(8, 12), range(0, 4), range(4, 6), range(10, 11)]),
            [range(0, 6), range(8, 12)]
        );
    }
}
