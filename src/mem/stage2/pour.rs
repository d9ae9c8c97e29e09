//! How a list of memory blocks falls on a list of address ranges.

use super::IpaRange;
use crate::addr::{Ipa, PaRange};

/// Returns the pieces that come of putting `blocks`, one after the other, into the ranges `at`:
/// where each goes, `None` past the last address there is, and which memory it is. It ends where
/// either list does.
pub(super) fn pour<'a>(
    at: &'a [IpaRange],
    blocks: &'a [PaRange],
) -> impl Iterator<Item = (Option<Ipa>, PaRange)> + 'a {
    let mut ranges = at.iter().filter(|r| r.size != 0).copied();
    let mut blocks = blocks.iter().filter(|b| b.size() != 0).copied();
    let (mut range, mut block) = (ranges.next(), blocks.next());
    let (mut range_used, mut block_used) = (0, 0);
    core::iter::from_fn(move || {
        let (into, from) = (range?, block?);
        let size = (into.size - range_used).min(from.size() - block_used);
        let start = from.start().checked_add(block_used)?;
        let piece = (
            into.start.checked_add(range_used),
            PaRange::new(start, size)?,
        );
        range_used += size;
        block_used += size;
        if range_used == into.size {
            (range, range_used) = (ranges.next(), 0);
        }
        if block_used == from.size() {
            (block, block_used) = (blocks.next(), 0);
        }
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::Pa;
    use std::vec::Vec;

    fn ranges(list: &[(u64, u64)]) -> Vec<IpaRange> {
        let range = |&(start, size): &_| IpaRange {
            start: Ipa::new(start),
            size,
        };
        list.iter().map(range).collect()
    }

    fn blocks(list: &[(u64, u64)]) -> Vec<PaRange> {
        let block = |&(start, size): &_| PaRange::new(Pa::new(start), size).unwrap();
        list.iter().map(block).collect()
    }

    fn poured(at: &[(u64, u64)], from: &[(u64, u64)]) -> Vec<(u64, u64, u64)> {
        pour(&ranges(at), &blocks(from))
            .map(|(ipa, pa)| (ipa.unwrap().as_u64(), pa.start().as_u64(), pa.size()))
            .collect()
    }

    #[test]
    fn pieces_end_where_either_side_does() {
        let pieces = poured(
            &[(100, 10), (200, 0), (300, 20)],
            &[(1000, 4), (2000, 16), (3000, 10)],
        );
        assert_eq!(
            pieces,
            [
                (100, 1000, 4),
                (104, 2000, 6),
                (300, 2006, 10),
                (310, 3000, 10)
            ]
        );
    }

    #[test]
    fn the_shorter_list_decides() {
        assert_eq!(poured(&[(0, 5)], &[(10, 8)]), [(0, 10, 5)]);
        assert_eq!(poured(&[(0, 8)], &[(10, 5)]), [(0, 10, 5)]);
        assert_eq!(poured(&[], &[(10, 5)]), []);
    }

    #[test]
    fn a_range_that_wraps_is_said_to() {
        let (at, from) = (ranges(&[(u64::MAX, 4)]), blocks(&[(0, 2), (8, 2)]));
        let places: Vec<_> = pour(&at, &from).map(|(ipa, _)| ipa).collect();
        assert_eq!(places, [Some(Ipa::new(u64::MAX)), None]);
    }
}
