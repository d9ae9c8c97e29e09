//! Where EL2's own tables are: in its own memory, the image and the heap.

#![expect(unsafe_code, reason = "makes memory out of addresses")]

use crate::{
    addr::{PAGE_SIZE, Pa, PaRange, Va},
    cpu::{barrier, tlb},
    isa::descriptor::Level,
    mem::table::Tables,
};
use alloc::alloc::{alloc_zeroed, dealloc};
use core::alloc::Layout;

/// A run of memory whose virtual and physical addresses differ by a constant.
#[derive(Clone, Copy)]
pub(super) struct Linear {
    pub va: Va,
    pub pa: PaRange,
}

impl Linear {
    pub fn to_pa(self, va: Va) -> Option<Pa> {
        let offset = va.offset_from(self.va)?;
        (offset < self.pa.size()).then(|| Pa::new(self.pa.start().as_u64() + offset))
    }

    #[inline(always)]
    pub fn to_va(self, pa: Pa) -> Option<Va> {
        let offset = pa.offset_from(self.pa.start())?;
        (offset < self.pa.size()).then(|| Va::new(self.va.as_u64() + offset))
    }
}

/// The memory that holds tables: the image and the heap.
pub(super) struct Owned {
    pub image: Linear,
    pub heap: Linear,
}

impl Owned {
    pub fn to_pa(&self, va: Va) -> Option<Pa> {
        self.image.to_pa(va).or_else(|| self.heap.to_pa(va))
    }

    #[inline(always)]
    fn descriptor(&self, table: Pa, index: usize) -> *mut u64 {
        let va = match self.image.to_va(table) {
            Some(va) => va,
            None => (self.heap.to_va(table)).expect("a translation table lies in EL2's own memory"),
        };
        (va.as_u64() as *mut u64).wrapping_add(index)
    }
}

impl Tables for Owned {
    fn allocate(&mut self, count: usize) -> Option<Pa> {
        let pages = allocate_pages(count)?;
        self.to_pa(Va::new(pages as u64))
    }

    fn free(&mut self, tables: Pa, count: usize) {
        if let Some(layout) = pages_layout(count) {
            // SAFETY: the pages came from `allocate` with this layout, and no walk reaches them.
            unsafe { dealloc(self.descriptor(tables, 0).cast(), layout) }
        }
    }

    #[inline(always)]
    fn read(&self, table: Pa, index: usize) -> u64 {
        // SAFETY: the descriptor lies inside a table, which is mapped; the lock around the map
        // keeps others away. Volatile, since the CPU's walker reads and writes it too.
        unsafe { self.descriptor(table, index).read_volatile() }
    }

    #[inline(always)]
    fn write(&mut self, table: Pa, index: usize, descriptor: u64) {
        // SAFETY: as above.
        unsafe { self.descriptor(table, index).write_volatile(descriptor) }
    }

    fn publish(&mut self) {
        barrier::dsb_ishst();
        barrier::isb();
    }

    fn invalidate(&mut self, _: u64, address: u64, _: Level) {
        tlb::invalidate_el2(Va::new(address));
    }

    fn invalidate_all(&mut self, _: u64) {
        tlb::invalidate_el2_all();
    }
}

/// The layout of `count` pages, a power of two, side by side and aligned to their size.
fn pages_layout(count: usize) -> Option<Layout> {
    let size = count.checked_mul(PAGE_SIZE as usize)?;
    Layout::from_size_align(size, size).ok()
}

/// Allocates so many pages, zero.
pub(super) fn allocate_pages(count: usize) -> Option<*mut u8> {
    let layout = pages_layout(count.checked_next_power_of_two()?)?;
    // SAFETY: the size is not zero.
    let pages = unsafe { alloc_zeroed(layout) };
    (!pages.is_null()).then_some(pages)
}
