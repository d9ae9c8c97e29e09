//! Translation trees of either stage: map, unmap, look up, all through the [`Tables`] trait.
//!
//! No pointer is followed here, so the same lines run on the host on an array of tables.
//!
//! Two rules hold everywhere. **Break before make** (Arm ARM, D8.17): an entry that is valid is
//! made invalid, and that is made known to all TLBs, before it says something else. **No empty
//! tables**: a table whose last entry goes is unlinked and freed, the root excepted.

pub mod heap_tables;
mod place;
mod span;

#[cfg(test)]
pub(crate) mod array;
#[cfg(test)]
mod tests;

use core::fmt;
use core::marker::PhantomData;
use core::ops::ControlFlow;

use self::place::{Place, Slot, find_in, free_subtree, grow, is_empty};
use self::span::Span;
use crate::addr::{Ipa, PAGE_SIZE, Pa, PaRange, Va};
use crate::isa::descriptor::{
    ADDRESS_BITS, Attributes, ENTRIES, Entry, Geometry, LeafSize, Level, stage2,
};

/// Where tables live, and how the CPUs are told that one changed.
pub trait Tables {
    /// Allocates `count` zeroed tables side by side, aligned to their size; `count` is a power of
    /// two. Returns `None` when there are none left.
    fn allocate(&mut self, count: usize) -> Option<Pa>;

    /// Takes back what [`allocate`](Self::allocate) gave. No walk can reach it any more.
    fn free(&mut self, tables: Pa, count: usize);

    /// Reads a descriptor of a table; `index` is below [`ENTRIES`].
    fn read(&self, table: Pa, index: usize) -> u64;

    /// Writes a descriptor of a table, in one access; `index` is below [`ENTRIES`].
    fn write(&mut self, table: Pa, index: usize, descriptor: u64);

    /// Orders all writes so far before all later writes and walks (DSB ISHST, and ISB for the
    /// regime that the caller runs in).
    fn publish(&mut self);

    /// Makes all CPUs forget the entry that stood at `level` for `address` in the tree of `ttbr`
    /// (identifier and root, as they stand in the base register), with what was walked through
    /// it. It has been overwritten just before: the write is ordered first, and when this returns
    /// the old entry is not used anywhere.
    fn invalidate(&mut self, ttbr: u64, address: u64, level: Level);

    /// Does what [`invalidate`](Self::invalidate) does for every address in the tree of `ttbr`.
    fn invalidate_all(&mut self, ttbr: u64);
}

/// What a tree translates: the virtual addresses of EL2 or the IPAs of a guest.
pub trait InputAddress: Copy {
    /// Makes the address from its number.
    fn from_number(number: u64) -> Self;

    /// Returns the number.
    fn number(self) -> u64;
}

macro_rules! input_address {
    ($($kind:ident)*) => {$(
        impl InputAddress for $kind {
            fn from_number(number: u64) -> Self {
                Self::new(number)
            }

            fn number(self) -> u64 {
                self.as_u64()
            }
        }
    )*};
}

input_address! { Va Ipa }

/// Why a tree was not changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TableError {
    /// An address or size is not a multiple of 4 KiB, or the size is zero.
    Misaligned,
    /// An address has more bits than the tree translates, or than a descriptor holds.
    OutOfRange,
    /// Something is mapped in the range; it has to be unmapped first.
    AlreadyMapped,
    /// A table was needed and there was none.
    OutOfTables,
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Misaligned => "not made of whole pages",
            Self::OutOfRange => "beyond the addresses that are translated",
            Self::AlreadyMapped => "something is mapped there already",
            Self::OutOfTables => "no memory for translation tables",
        })
    }
}

/// A block or page that is mapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Leaf<A> {
    /// Its first input address.
    pub at: A,
    /// What it leads to.
    pub to: Pa,
    /// How large it is.
    pub size: LeafSize,
    /// What may be done with it.
    pub attributes: Attributes,
}

/// One tree. It does not own the memory of its tables: every call is given the [`Tables`] it was
/// made with. To end it, [`unmap_all`](Self::unmap_all) and free the [`root`](Self::root).
#[derive(Debug)]
pub struct Tree<A> {
    root: Pa,
    geometry: Geometry,
    id: u16,
    input: PhantomData<fn(A) -> A>,
}

impl<A: InputAddress> Tree<A> {
    /// Makes an empty tree; `id` is the VMID or ASID its entries are tagged with.
    ///
    /// # Errors
    ///
    /// [`TableError::OutOfTables`] when there is no room for the root.
    pub fn new(tables: &mut impl Tables, geometry: Geometry, id: u16) -> Result<Self, TableError> {
        let root = tables
            .allocate(geometry.root_tables())
            .ok_or(TableError::OutOfTables)?;
        tables.publish();
        Ok(Self::at(root, geometry, id))
    }

    /// Takes up a tree that exists already: what start-up code built.
    pub const fn at(root: Pa, geometry: Geometry, id: u16) -> Self {
        Self {
            root,
            geometry,
            id,
            input: PhantomData,
        }
    }

    /// Returns the shape of the tree.
    pub const fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// Returns where the root is: [`Geometry::root_tables`] tables.
    pub const fn root(&self) -> Pa {
        self.root
    }

    /// Returns what the base register (TTBR0_EL2, VTTBR_EL2) holds for this tree.
    pub const fn ttbr(&self) -> u64 {
        stage2::vttbr(self.root, self.id)
    }

    /// Maps the input addresses from `at` up to `to`, with the largest leaves that alignment and
    /// `largest` allow.
    ///
    /// # Errors
    ///
    /// Any [`TableError`]; then nothing is mapped and no table is left behind.
    pub fn map(
        &mut self,
        tables: &mut impl Tables,
        at: A,
        to: PaRange,
        attributes: Attributes,
        largest: LeafSize,
    ) -> Result<(), TableError> {
        let span = self.span(at, to.size())?;
        if !to.start().is_aligned(PAGE_SIZE) {
            return Err(TableError::Misaligned);
        }
        if to.end().as_u64() > 1 << ADDRESS_BITS {
            return Err(TableError::OutOfRange);
        }
        if self
            .find(tables, span, |_| ControlFlow::Break(()))
            .is_break()
        {
            return Err(TableError::AlreadyMapped);
        }
        let done = self.fill(tables, span, to.start(), attributes, largest);
        if done.is_err() {
            self.clear(tables, span);
        }
        tables.publish();
        done
    }

    /// Unmaps `size` bytes from `at` up; what was not mapped there stays so. A block that reaches
    /// over an edge is split first, and for a moment nothing of it is mapped.
    ///
    /// # Errors
    ///
    /// [`TableError::Misaligned`] and [`TableError::OutOfRange`] for a bad range;
    /// [`TableError::OutOfTables`] when a block can't be split. Then every address still leads
    /// where it did.
    pub fn unmap(&mut self, tables: &mut impl Tables, at: A, size: u64) -> Result<(), TableError> {
        let span = self.span(at, size)?;
        self.split_at(tables, span.start)?;
        self.split_at(tables, span.end)?;
        self.clear(tables, span);
        Ok(())
    }

    /// Returns the leaf that `address` is in.
    pub fn lookup(&self, tables: &impl Tables, address: A) -> Option<Leaf<A>> {
        let address = address.number();
        let span = Span::new(address & !(PAGE_SIZE - 1), PAGE_SIZE)?;
        if span.end > self.geometry.input_end() {
            return None;
        }
        let mut found = None;
        let _ = self.find(tables, span, |leaf| {
            found = Some(leaf);
            ControlFlow::Break(())
        });
        found
    }

    /// Returns what `address` leads to.
    pub fn translate(&self, tables: &impl Tables, address: A) -> Option<Pa> {
        let leaf = self.lookup(tables, address)?;
        let offset = address.number().checked_sub(leaf.at.number())?;
        leaf.to.checked_add(offset)
    }

    /// Shows every leaf to `see`, in the order of input addresses.
    pub fn visit(&self, tables: &impl Tables, mut see: impl FnMut(Leaf<A>)) {
        let all = Span {
            start: 0,
            end: self.geometry.input_end(),
        };
        let _ = self.find(tables, all, |leaf| {
            see(leaf);
            ControlFlow::Continue(())
        });
    }

    /// Unmaps everything, with one invalidation for each entry of the root.
    pub fn unmap_all(&mut self, tables: &mut impl Tables) {
        for root in self.roots() {
            for index in 0..ENTRIES {
                let slot = Slot { place: root, index };
                let entry = slot.read(tables);
                if entry == Entry::Invalid {
                    continue;
                }
                slot.write(tables, Entry::INVALID);
                tables.invalidate_all(self.ttbr());
                if let Entry::Table(table) = entry {
                    root.child(table, slot.address())
                        .into_iter()
                        .for_each(|child| free_subtree(tables, child));
                }
            }
        }
    }

    fn span(&self, at: A, size: u64) -> Result<Span, TableError> {
        let span = Span::new(at.number(), size).ok_or(TableError::OutOfRange)?;
        if span.end > self.geometry.input_end() {
            return Err(TableError::OutOfRange);
        }
        if !span.is_pages() {
            return Err(TableError::Misaligned);
        }
        Ok(span)
    }

    /// Returns the root's tables: several side by side when they are concatenated.
    fn roots(&self) -> impl Iterator<Item = Place> + use<A> {
        let level = self.geometry.start();
        let (root, count) = (self.root.as_u64(), self.geometry.root_tables() as u64);
        (0..count).map(move |n| Place {
            table: Pa::new(root + n * PAGE_SIZE),
            level,
            base: n * ENTRIES as u64 * level.span(),
        })
    }

    /// Returns the root entry for `address`, which the tree translates.
    fn root_slot(&self, address: u64) -> Slot {
        let level = self.geometry.start();
        let n = address / (level.span() * ENTRIES as u64);
        let place = Place {
            table: Pa::new(self.root.as_u64() + n * PAGE_SIZE),
            level,
            base: n * ENTRIES as u64 * level.span(),
        };
        place.slot(address)
    }

    /// Shows the leaves that have a page in `span` to `see`, until it breaks off.
    fn find(
        &self,
        tables: &impl Tables,
        span: Span,
        mut see: impl FnMut(Leaf<A>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        self.roots()
            .try_for_each(|root| find_in(tables, root, span, &mut see))
    }

    /// Writes the leaves for `span`, where nothing is mapped; on an error some are written.
    fn fill(
        &self,
        tables: &mut impl Tables,
        span: Span,
        to: Pa,
        attributes: Attributes,
        largest: LeafSize,
    ) -> Result<(), TableError> {
        let (mut rest, mut to) = (span, to.as_u64());
        while rest.start < rest.end {
            let size = rest.largest_leaf(to, largest);
            let mut slot = self.make_slot(tables, rest.start, size.level())?;
            // As many side by side as the table has room for.
            while rest.start < rest.end
                && slot.index < ENTRIES
                && rest.largest_leaf(to, largest) == size
            {
                slot.write(tables, Entry::leaf(size, Pa::new(to), attributes));
                slot.index += 1;
                rest.start += size.bytes();
                to += size.bytes();
            }
        }
        Ok(())
    }

    /// Returns the entry for `address` at `level`, making the tables that lead there.
    fn make_slot(
        &self,
        tables: &mut impl Tables,
        address: u64,
        level: Level,
    ) -> Result<Slot, TableError> {
        let mut slot = self.root_slot(address);
        while slot.place.level < level {
            let table = match slot.read(tables) {
                Entry::Table(table) => table,
                Entry::Leaf(..) => return Err(TableError::AlreadyMapped),
                Entry::Invalid => grow(tables, slot)?,
            };
            let child = slot.place.child(table, address);
            slot = child.ok_or(TableError::OutOfRange)?.slot(address);
        }
        Ok(slot)
    }

    /// Makes `address` an edge between leaves: splits the one that reaches over it.
    fn split_at(&self, tables: &mut impl Tables, address: u64) -> Result<(), TableError> {
        let mut level = self.geometry.start();
        let mut parent: Option<Slot> = None;
        while address & (level.span() - 1) != 0 {
            let slot = match parent {
                None => self.root_slot(address),
                Some(slot) => slot,
            };
            let table = match slot.read(tables) {
                Entry::Invalid => return Ok(()),
                Entry::Table(table) => table,
                Entry::Leaf(to, attributes) => self.split(tables, slot, to, attributes)?,
            };
            let Some(child) = slot.place.child(table, address) else {
                return Ok(());
            };
            level = child.level;
            parent = Some(child.slot(address));
        }
        Ok(())
    }

    /// Replaces the block in `slot` by a table of 512 leaves that say the same.
    fn split(
        &self,
        tables: &mut impl Tables,
        slot: Slot,
        to: Pa,
        attributes: Attributes,
    ) -> Result<Pa, TableError> {
        let smaller = slot.place.level.next().and_then(LeafSize::at);
        let smaller = smaller.ok_or(TableError::Misaligned)?;
        let table = tables.allocate(1).ok_or(TableError::OutOfTables)?;
        for index in 0..ENTRIES {
            let part = Pa::new(to.as_u64() + index as u64 * smaller.bytes());
            tables.write(table, index, Entry::leaf(smaller, part, attributes));
        }
        tables.publish();
        self.break_entry(tables, slot);
        slot.write(tables, Entry::table(table));
        tables.publish();
        Ok(table)
    }

    /// Removes the leaves in `span`, whose edges split none, and the tables that are then empty.
    fn clear(&self, tables: &mut impl Tables, span: Span) {
        self.roots()
            .for_each(|root| self.clear_in(tables, root, span));
    }

    fn clear_in(&self, tables: &mut impl Tables, place: Place, span: Span) {
        for index in span.indices(place.base, place.level) {
            let slot = Slot { place, index };
            match slot.read(tables) {
                Entry::Invalid => {}
                Entry::Leaf(..) => self.break_entry(tables, slot),
                Entry::Table(table) => {
                    if let Some(child) = place.child(table, slot.address()) {
                        self.clear_in(tables, child, span);
                    }
                    if is_empty(tables, table) {
                        self.break_entry(tables, slot);
                        tables.free(table, 1);
                    }
                }
            }
        }
    }

    fn break_entry(&self, tables: &mut impl Tables, slot: Slot) {
        slot.write(tables, Entry::INVALID);
        tables.invalidate(self.ttbr(), slot.address(), slot.place.level);
    }
}
