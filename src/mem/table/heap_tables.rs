//! Tables from EL2's heap, on the real machine.

use alloc::vec::Vec;
use core::marker::PhantomData;
use core::sync::atomic::{AtomicU64, Ordering};

use super::Tables;
use crate::addr::{PAGE_SIZE, Pa, Va};
use crate::isa::descriptor::Level;
use crate::mem::heap::Pages;

/// What tables in the heap need of the machine: the last three mean what they mean in [`Tables`].
pub trait Machine {
    /// Returns the physical address of a page of the heap. Pages that are side by side in the
    /// heap must be so in physical memory, as far as a root of several tables reaches (64 KiB).
    fn pa_of(page: Va) -> Pa;

    /// See [`Tables::publish`].
    fn publish();

    /// See [`Tables::invalidate`].
    fn invalidate(ttbr: u64, address: u64, level: Level);

    /// See [`Tables::invalidate_all`].
    fn invalidate_all(ttbr: u64);
}

/// The tables of one tree. They are found again by physical address in a sorted list, so that no
/// way back from physical to virtual addresses is needed, and no pointer is made from a number.
pub struct HeapTables<M> {
    tables: Vec<(Pa, Pages)>,
    machine: PhantomData<fn(M)>,
}

impl<M> Default for HeapTables<M> {
    fn default() -> Self {
        Self::new()
    }
}

impl<M> HeapTables<M> {
    /// Makes a store without tables.
    pub const fn new() -> Self {
        Self {
            tables: Vec::new(),
            machine: PhantomData,
        }
    }

    /// Returns a word of a table; a table that is not of this store is a bug and panics.
    fn word(&self, table: Pa, index: usize) -> &AtomicU64 {
        let after = self.tables.partition_point(|&(start, _)| start <= table);
        let (start, pages) = &self.tables[after - 1];
        let offset = (table.as_u64() - start.as_u64()) / size_of::<u64>() as u64;
        &pages.words()[offset as usize + index]
    }
}

impl<M: Machine> Tables for HeapTables<M> {
    fn allocate(&mut self, count: usize) -> Option<Pa> {
        self.tables.try_reserve(1).ok()?;
        let pages = Pages::zeroed(count)?;
        let start = M::pa_of(pages.start());
        debug_assert!(start.is_aligned(count as u64 * PAGE_SIZE));
        let place = self.tables.partition_point(|&(other, _)| other < start);
        self.tables.insert(place, (start, pages));
        Some(start)
    }

    fn free(&mut self, tables: Pa, _count: usize) {
        self.tables.retain(|&(start, _)| start != tables);
    }

    fn read(&self, table: Pa, index: usize) -> u64 {
        self.word(table, index).load(Ordering::Relaxed)
    }

    fn write(&mut self, table: Pa, index: usize, descriptor: u64) {
        self.word(table, index).store(descriptor, Ordering::Relaxed);
    }

    fn publish(&mut self) {
        M::publish();
    }

    fn invalidate(&mut self, ttbr: u64, address: u64, level: Level) {
        M::invalidate(ttbr, address, level);
    }

    fn invalidate_all(&mut self, ttbr: u64) {
        M::invalidate_all(ttbr);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::{Ipa, PaRange};
    use crate::isa::descriptor::{Attributes, Geometry, LeafSize};
    use crate::mem::table::Tree;
    use core::cell::RefCell;

    std::thread_local! {
        static TOLD: RefCell<Vec<(&'static str, u64, u64)>> = const { RefCell::new(Vec::new()) };
    }

    /// A machine whose physical memory is seen upside down, so that the two can't be confused.
    struct Mirror;

    impl Machine for Mirror {
        fn pa_of(page: Va) -> Pa {
            Pa::new(page.as_u64() ^ (0x7fff_ffff << 16))
        }

        fn publish() {
            TOLD.with_borrow_mut(|t| t.push(("publish", 0, 0)));
        }

        fn invalidate(ttbr: u64, address: u64, _: Level) {
            TOLD.with_borrow_mut(|t| t.push(("invalidate", ttbr, address)));
        }

        fn invalidate_all(ttbr: u64) {
            TOLD.with_borrow_mut(|t| t.push(("all", ttbr, 0)));
        }
    }

    #[test]
    fn a_tree_lives_in_heap_pages() {
        let mut tables = HeapTables::<Mirror>::new();
        let geometry = Geometry::for_ipa_bits(42).unwrap();
        let mut tree = Tree::new(&mut tables, geometry, 9).unwrap();
        assert!(tree.root().is_aligned(8 * PAGE_SIZE));
        let far = Ipa::new((1 << 42) - PAGE_SIZE);
        for (at, to) in [(Ipa::new(0x4000_0000), 0x1000), (far, 0x2000)] {
            let to = PaRange::new(Pa::new(to), PAGE_SIZE).unwrap();
            let done = tree.map(
                &mut tables,
                at,
                to,
                Attributes::GUEST_RAM,
                LeafSize::Block1G,
            );
            assert_eq!(done, Ok(()));
        }
        assert_eq!(tables.tables.len(), 1 + 2 * 2);
        assert_eq!(tree.translate(&tables, far), Some(Pa::new(0x2000)));

        TOLD.take();
        tree.unmap(&mut tables, far, PAGE_SIZE).unwrap();
        assert_eq!(tables.tables.len(), 1 + 2);
        let told = TOLD.take();
        let (page, entries) = (("invalidate", tree.ttbr(), far.as_u64()), told.len());
        assert_eq!((told[0], entries), (page, 3), "the page and two tables");
        tree.unmap_all(&mut tables);
        assert_eq!(TOLD.take(), [("all", tree.ttbr(), 0)]);
        assert_eq!(tables.tables.len(), 1);
    }
}
