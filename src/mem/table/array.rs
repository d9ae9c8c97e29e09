//! Tables in a map on the host, with a watch on break-before-make.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::Tables;
use crate::addr::{PAGE_SIZE, Pa};
use crate::isa::descriptor::{ENTRIES, Level};

/// What the walker told the CPUs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    /// [`Tables::publish`].
    Publish,
    /// [`Tables::invalidate`].
    Invalidate(u64, u64, Level),
    /// [`Tables::invalidate_all`].
    InvalidateAll(u64),
}

/// Tables by their address.
pub(crate) struct ArrayTables {
    tables: BTreeMap<Pa, Box<[u64; ENTRIES]>>,
    next: u64,
    /// How many more tables can be allocated.
    pub left: usize,
    /// What the CPUs were told, oldest first.
    pub events: Vec<Event>,
    /// Entries made invalid that a TLB may still know, oldest first.
    stale: Vec<(Pa, usize)>,
    /// Tables written to since they were last published.
    unpublished: BTreeSet<Pa>,
}

impl ArrayTables {
    /// Makes an empty store that gives out `left` tables.
    pub fn new(left: usize) -> Self {
        Self {
            tables: BTreeMap::new(),
            next: 0x10_0000_0000,
            left,
            events: Vec::new(),
            stale: Vec::new(),
            unpublished: BTreeSet::new(),
        }
    }

    /// Returns how many tables are allocated.
    pub fn in_use(&self) -> usize {
        self.tables.len()
    }

    /// Returns whether no removed entry is still in a TLB.
    pub fn is_settled(&self) -> bool {
        self.stale.is_empty() && self.unpublished.is_empty()
    }
}

impl Tables for ArrayTables {
    fn allocate(&mut self, count: usize) -> Option<Pa> {
        assert!(count.is_power_of_two());
        self.left = self.left.checked_sub(count)?;
        let size = count as u64 * PAGE_SIZE;
        let first = self.next.next_multiple_of(size);
        self.next = first + size;
        for table in (first..first + size).step_by(PAGE_SIZE as usize) {
            self.tables.insert(Pa::new(table), Box::new([0; ENTRIES]));
            self.unpublished.insert(Pa::new(table));
        }
        Some(Pa::new(first))
    }

    fn free(&mut self, tables: Pa, count: usize) {
        assert_eq!(self.stale, [], "a table is freed that a TLB may still walk");
        for n in 0..count as u64 {
            let table = Pa::new(tables.as_u64() + n * PAGE_SIZE);
            assert!(self.tables.remove(&table).is_some(), "{table} is no table");
            self.unpublished.remove(&table);
        }
        self.left += count;
    }

    fn read(&self, table: Pa, index: usize) -> u64 {
        self.tables[&table][index]
    }

    fn write(&mut self, table: Pa, index: usize, descriptor: u64) {
        let entry = &mut self.tables.get_mut(&table).unwrap()[index];
        let was = core::mem::replace(entry, descriptor);
        if descriptor & 1 != 0 {
            assert_eq!(was & 1, 0, "a valid entry is overwritten");
            assert!(
                !self.stale.contains(&(table, index)),
                "made before the break is known"
            );
            let next = Pa::new(descriptor & !0xfff);
            let is_link = descriptor & 0xfff == 3;
            assert!(
                !(is_link && self.unpublished.contains(&next)),
                "linked before it is visible"
            );
            self.unpublished.insert(table);
        } else if was & 1 != 0 {
            self.stale.push((table, index));
        }
    }

    fn publish(&mut self) {
        self.unpublished.clear();
        self.events.push(Event::Publish);
    }

    fn invalidate(&mut self, ttbr: u64, address: u64, level: Level) {
        let (_, index) = self.stale.pop().expect("something was made invalid");
        assert_eq!(
            level.index(address),
            index,
            "the entry that was made invalid"
        );
        self.events.push(Event::Invalidate(ttbr, address, level));
    }

    fn invalidate_all(&mut self, ttbr: u64) {
        self.stale.clear();
        self.events.push(Event::InvalidateAll(ttbr));
    }
}
