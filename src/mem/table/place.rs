//! Single tables and entries of a tree.

use core::ops::ControlFlow;

use super::span::Span;
use super::{InputAddress, Leaf, TableError, Tables};
use crate::addr::Pa;
use crate::isa::descriptor::{ENTRIES, Entry, LeafSize, Level};

/// A table of a tree, with what its place says about it.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub table: Pa,
    pub level: Level,
    /// The first input address it translates.
    pub base: u64,
}

/// One entry of a table, with the first input address it translates.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    pub place: Place,
    pub index: usize,
}

impl Place {
    /// Returns the table that an entry for `address` in this one leads to; none below level 3.
    #[inline(always)]
    pub fn child(self, table: Pa, address: u64) -> Option<Self> {
        Some(Self {
            table,
            level: self.level.next()?,
            base: address & !(self.level.span() - 1),
        })
    }

    /// Returns the entry for `address`.
    #[inline(always)]
    pub fn slot(self, address: u64) -> Slot {
        Slot {
            place: self,
            index: self.level.index(address),
        }
    }
}

impl Slot {
    /// Returns the first input address the entry translates.
    #[inline(always)]
    pub fn address(self) -> u64 {
        self.place.base + self.index as u64 * self.place.level.span()
    }

    /// Reads and decodes the entry.
    #[inline(always)]
    pub fn read(self, tables: &impl Tables) -> Entry {
        Entry::decode(tables.read(self.place.table, self.index), self.place.level)
    }

    /// Writes the entry.
    #[inline(always)]
    pub fn write(self, tables: &mut impl Tables, descriptor: u64) {
        tables.write(self.place.table, self.index, descriptor);
    }
}

/// Links a new, empty table into an entry that is invalid.
pub(super) fn grow(tables: &mut impl Tables, slot: Slot) -> Result<Pa, TableError> {
    let table = tables.allocate(1).ok_or(TableError::OutOfTables)?;
    // A walk that sees the link must not see what stood in the table before it was zeroed.
    tables.publish();
    slot.write(tables, Entry::table(table));
    Ok(table)
}

/// Shows the leaves below `place` that have a page in `span` to `see`, until it breaks off.
pub(super) fn find_in<A: InputAddress>(
    tables: &impl Tables,
    place: Place,
    span: Span,
    see: &mut impl FnMut(Leaf<A>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    for index in span.indices(place.base, place.level) {
        let slot = Slot { place, index };
        match (slot.read(tables), LeafSize::at(place.level)) {
            (Entry::Table(table), _) => match place.child(table, slot.address()) {
                Some(child) => find_in(tables, child, span, see)?,
                None => continue,
            },
            (Entry::Leaf(to, attributes), Some(size)) => see(Leaf {
                at: A::from_number(slot.address()),
                to,
                size,
                attributes,
            })?,
            _ => continue,
        }
    }
    ControlFlow::Continue(())
}

/// Returns whether a table has no valid entry.
pub(super) fn is_empty(tables: &impl Tables, table: Pa) -> bool {
    (0..ENTRIES).all(|index| tables.read(table, index) == Entry::INVALID)
}

/// Frees a table that no walk can reach any more, with all below it.
pub(super) fn free_subtree(tables: &mut impl Tables, place: Place) {
    for index in 0..ENTRIES {
        let slot = Slot { place, index };
        if let Entry::Table(table) = slot.read(tables)
            && let Some(child) = place.child(table, slot.address())
        {
            free_subtree(tables, child);
        }
    }
    tables.free(place.table, 1);
}
