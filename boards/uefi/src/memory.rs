//! UEFI's memory map (UEFI specification 2.10, 7.2.3): what of it is RAM that may be used.

use alloc::vec::Vec;

use crate::acpi::Memory;
use crate::machine::Place;

/// A page of UEFI's, in bytes.
pub const PAGE: u64 = 4096;

/// One entry of the map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// What it is used for (EFI_MEMORY_TYPE).
    pub kind: u32,
    /// Its first address.
    pub start: u64,
    /// How many pages it has.
    pub pages: u64,
    /// What it can do (EFI_MEMORY_WB and others).
    pub attributes: u64,
}

impl Entry {
    /// Returns where it is, page 0 left out; `None` where that makes no sense.
    fn place(&self) -> Option<Place> {
        let end = self.pages.checked_mul(PAGE)?.checked_add(self.start)?;
        let start = self.start.max(PAGE);
        Place::new(start, end.checked_sub(start)?)
    }

    /// Returns whether it is RAM that is free once boot services are left: loaders', boot
    /// services' or nobody's; cacheable, and not kept for a special purpose.
    fn is_usable(&self) -> bool {
        const WRITE_BACK: u64 = 8;
        const SPECIAL_PURPOSE: u64 = 0x4_0000;
        matches!(self.kind, 1..=4 | 7)
            && self.attributes & (WRITE_BACK | SPECIAL_PURPOSE) == WRITE_BACK
    }

    /// Returns whether reading it can do no harm: it is memory, not devices or nothing.
    fn is_readable(&self) -> bool {
        matches!(self.kind, 0..=7 | 9 | 10 | 14)
    }
}

/// Returns the RAM that may be used, sorted, with touching and overlapping ranges joined.
pub fn usable(map: impl IntoIterator<Item = Entry>) -> Vec<Place> {
    let map = map.into_iter().filter(Entry::is_usable);
    let mut ranges: Vec<Place> = map.filter_map(|entry| entry.place()).collect();
    ranges.sort_unstable_by_key(|range| range.start);
    let mut joined: Vec<Place> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.start <= last.end() => {
                last.size = last.end().max(range.end()) - last.start;
            }
            _ => joined.push(range),
        }
    }
    joined
}

/// Memory whose bounds are those of a map. How bytes come from addresses is the caller's to say.
pub struct Mapped<R> {
    map: Vec<Entry>,
    read: R,
}

impl<R: Fn(u64, usize) -> &'static [u8]> Mapped<R> {
    /// Makes memory of what the map says can be read; `read` is only asked for that.
    pub fn new(map: Vec<Entry>, read: R) -> Self {
        Self { map, read }
    }
}

impl<R: Fn(u64, usize) -> &'static [u8]> Memory for Mapped<R> {
    fn read(&self, address: u64, length: usize) -> Option<&[u8]> {
        let end = address.checked_add(length as u64)?;
        // A table may begin in one entry and end in the next.
        let mut reached = address;
        while reached < end {
            let holds = |place: &Place| place.start <= reached && reached < place.end();
            let mut readable = self.map.iter().filter(|entry| entry.is_readable());
            let place = readable.find_map(|entry| entry.place().filter(holds))?;
            reached = place.end();
        }
        Some((self.read)(address, length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WB: u64 = 0xf;

    fn entry(kind: u32, start: u64, pages: u64) -> Entry {
        Entry {
            kind,
            start,
            pages,
            attributes: WB,
        }
    }

    fn place(start: u64, end: u64) -> Place {
        Place::new(start, end - start).unwrap()
    }

    #[test]
    fn what_is_free_after_boot_services_is_joined() {
        let high = 0x800_0000_0000;
        let map = [
            entry(7, high, 16),
            entry(4, 0x8000_1000, 1),
            entry(7, 0x8000_0000, 1),
            entry(2, 0x8000_2000, 2),
            entry(5, 0x8000_4000, 1),
            entry(7, 0x8000_5000, 1),
            entry(9, 0x8000_6000, 1),
            entry(11, 0x9000_0000, 1),
        ];
        assert_eq!(
            usable(map),
            [
                place(0x8000_0000, 0x8000_4000),
                place(0x8000_5000, 0x8000_6000),
                place(high, high + 0x1_0000),
            ]
        );
    }

    #[test]
    fn memory_of_special_kinds_is_left_alone() {
        let special = |attributes| Entry {
            attributes,
            ..entry(7, 0x8000_0000, 1)
        };
        assert_eq!(usable([special(0x1), special(0x4_000f)]), []);
        assert_eq!(usable([special(0x8)]).len(), 1);
        let odd = [
            entry(7, u64::MAX - 100, 1),
            entry(7, 0x8000_0000, u64::MAX),
            entry(7, 0x8000_0000, 0),
            entry(7, 0, 1),
        ];
        assert_eq!(usable(odd), []);
        assert_eq!(usable([entry(7, 0, 2)]), [place(0x1000, 0x2000)]);
    }

    #[test]
    fn only_memory_is_read() {
        static BYTES: [u8; 0x4000] = [7; 0x4000];
        let map = [
            entry(9, 0x8000_0000, 1),
            entry(0, 0x8000_1000, 1),
            entry(11, 0x8000_2000, 1),
        ];
        let memory = Mapped::new(map.to_vec(), |address, length| {
            let from = (address - 0x8000_0000) as usize;
            &BYTES[from..from + length]
        });
        let length = |address, length| memory.read(address, length).map(<[u8]>::len);
        assert_eq!(length(0x8000_0000, 0x2000), Some(0x2000));
        assert_eq!(length(0x8000_0ff0, 0x20), Some(0x20));
        assert_eq!(length(0x8000_1000, 0x1001), None);
        assert_eq!(length(0x7fff_ffff, 2), None);
        assert_eq!(length(0x8000_2000, 1), None);
        assert_eq!(length(u64::MAX, 2), None);
    }
}
