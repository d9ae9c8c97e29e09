//! The windows onto guests' memory. A CPU has two: one of a block, and behind it one of pages, whose
//! tables are there from the start. A few bytes are seen and no table is made.

use super::{BLOCK, WINDOWS, after, allocate_pages, to_pa_in, whole_pages, with};
use crate::{
    addr::{PAGE_SIZE, PaRange, Va},
    cpu::local,
    isa::descriptor::stage1::{Access, MemoryKind},
    mem::table::TableError,
};

/// Where a page of zeros is that stays, behind the window of a block: with it stay the tables. It
/// comes first in its table, so that to find the table in use takes one look.
const KEEPER: u64 = BLOCK;
/// Where the window of pages begins: room for a block less a page.
const PAGES: u64 = KEEPER + PAGE_SIZE;

/// Returns the address `offset` bytes into the windows of CPU `index`.
fn place(index: usize, offset: u64) -> Result<Va, TableError> {
    after(WINDOWS, index as u64 * 2 * BLOCK + offset)
}

/// Makes the tables of the windows of CPU `index`.
///
/// # Errors
///
/// A [`TableError`] when there is no memory.
pub fn map_window(index: usize) -> Result<(), TableError> {
    let page = allocate_pages(1).ok_or(TableError::OutOfTables)?;
    let at = place(index, KEEPER)?;
    with(|map| {
        let to = PaRange::new(to_pa_in(map, page)?, PAGE_SIZE).ok_or(TableError::OutOfRange)?;
        let attributes = map.attributes(MemoryKind::Normal, Access::ReadOnly);
        map.map(at, to, attributes)
    })
}

/// Shows `f` the memory at `range`, which lies within one block, for as long as it runs.
///
/// # Errors
///
/// A [`TableError`] when the range is more than a block or empty.
pub fn with_window<R>(
    range: PaRange,
    f: impl FnOnce(*mut u8, usize) -> R,
) -> Result<R, TableError> {
    let (pages, offset) = whole_pages(range)?;
    if pages.start().as_u64() % BLOCK + pages.size() > BLOCK {
        return Err(TableError::OutOfRange);
    }
    let window = if pages.size() == BLOCK { 0 } else { PAGES };
    let at = place(local::this().index, window)?;
    with(|map| {
        let attributes = map.attributes(MemoryKind::Normal, Access::ReadWrite);
        map.map(at, pages, attributes)
    })?;
    let result = f((at.as_u64() + offset) as *mut u8, range.size() as usize);
    with(|map| map.tree.unmap(&mut map.owned, at, pages.size()))?;
    Ok(result)
}
