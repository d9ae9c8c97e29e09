//! EL2's own map: the fixed virtual layout, and what is added to it after boot.
//!
//! | level 0 slot | what |
//! |---|---|
//! | 511 | the image, by section (`linker.ld`) |
//! | 510 | the frame table: a word for every frame of RAM (`mem::frames`) |
//! | 509 | the heap, linear |
//! | 508 | devices, in the order they were asked for |
//! | 507 | windows onto guest memory, two a CPU, empty when not in use |
//! | 506 | what the boot loader left: device tree and bundle, read-only |
//! | 505 | the stacks of the CPUs but the first, with holes between |
//!
//! There is no linear map of RAM: EL2 can't read or write a guest's memory but through
//! [`with_window`].

#![expect(unsafe_code, reason = "makes memory out of addresses")]

mod tables;
mod windows;

pub use windows::{map_window, with_window};

use super::{
    heap,
    table::{Leaf, TableError, Tables as _, Tree},
};
use crate::{
    addr::{PAGE_SIZE, Pa, PaRange, Va},
    cpu::vhe,
    isa::descriptor::{
        Attributes, Geometry, LeafSize,
        stage1::{Access, MemoryKind, Regime},
    },
    mmio::Mmio,
    sync::{Rank, SpinLock},
};
use alloc::vec::Vec;
use tables::{Linear, Owned, allocate_pages};

const fn slot(n: u64) -> u64 {
    n << 39
}

const IMAGE: Va = Va::new(slot(511));
/// The word of the frame at physical address 0; see [`frame_words`].
const FRAME_TABLE: Va = Va::new(slot(510));
const HEAP: Va = Va::new(slot(509));
const DEVICES: Va = Va::new(slot(508));
const WINDOWS: Va = Va::new(slot(507));
const BOOT_DATA: Va = Va::new(slot(506));

const STACKS: Va = Va::new(slot(505));

/// The sizes of a CPU's stacks, as `linker.ld` gives the first CPU's, and how far apart the CPUs'
/// lie: the rest is never mapped.
const STACK: u64 = 8 * PAGE_SIZE;
const EMERGENCY_STACK: u64 = 4 * PAGE_SIZE;
const STACK_STRIDE: u64 = 16 * PAGE_SIZE;

const BLOCK: u64 = LeafSize::Block2M.bytes();

struct Map {
    tree: Tree<Va>,
    owned: Owned,
    regime: Regime,
    next_device: Va,
    next_boot_data: Va,
}

static MAP: SpinLock<Option<Map>> = SpinLock::new(Rank::Map, None);

impl Map {
    fn attributes(&self, kind: MemoryKind, access: Access) -> Attributes {
        Attributes::stage1(self.regime, kind, access)
    }

    fn map(&mut self, at: Va, to: PaRange, attributes: Attributes) -> Result<(), TableError> {
        self.tree
            .map(&mut self.owned, at, to, attributes, LeafSize::Block2M)
    }

    /// Makes a tree that says in `regime` what this one says in its own.
    fn copy_for(&mut self, regime: Regime) -> Result<Tree<Va>, TableError> {
        // Leaves that go on where the one before ends are mapped in one.
        let mut runs: Vec<(Leaf<Va>, u64)> = Vec::new();
        self.tree.visit(&self.owned, |leaf| match runs.last_mut() {
            Some((first, bytes)) if follows(first, *bytes, &leaf) => {
                *bytes += leaf.size.bytes();
            }
            _ => runs.push((leaf, leaf.size.bytes())),
        });
        let mut copy = Tree::new(&mut self.owned, Geometry::EL2, 0)?;
        for (leaf, bytes) in runs {
            let to = PaRange::new(leaf.to, bytes).ok_or(TableError::OutOfRange)?;
            let attributes = leaf
                .attributes
                .translated(self.regime, regime)
                .expect("EL2's descriptors are of its own making");
            copy.map(&mut self.owned, leaf.at, to, attributes, leaf.size)?;
        }
        Ok(copy)
    }
}

/// Returns whether a leaf says for the addresses behind so many bytes what `first` says for those.
fn follows(first: &Leaf<Va>, bytes: u64, leaf: &Leaf<Va>) -> bool {
    leaf.at.offset_from(first.at) == Some(bytes)
        && leaf.to.offset_from(first.to) == Some(bytes)
        && (leaf.size, leaf.attributes) == (first.size, first.attributes)
}

fn with<R>(f: impl FnOnce(&mut Map) -> R) -> R {
    f(MAP.lock().as_mut().expect("stage1::init comes first"))
}

/// Takes over the map that `cpu/entry.S` made for the image at `image`, of `size` bytes, with
/// `root` as its first table.
pub fn init(image: PaRange, root: Pa, regime: Regime) {
    *MAP.lock() = Some(Map {
        tree: Tree::at(root, Geometry::EL2, 0),
        owned: Owned {
            image: Linear {
                va: IMAGE,
                pa: image,
            },
            heap: Linear {
                va: HEAP,
                pa: PaRange::between(Pa::new(0), Pa::new(0)),
            },
        },
        regime,
        next_device: DEVICES,
        next_boot_data: BOOT_DATA,
    });
}

/// Drops the identity map of the image, which only the jump to the fixed address needed.
///
/// # Errors
///
/// A [`TableError`] when it was not there.
pub fn drop_identity_map() -> Result<(), TableError> {
    with(|map| {
        let image = map.owned.image.pa.start().align_down(BLOCK).as_u64();
        map.tree.unmap(&mut map.owned, Va::new(image), BLOCK)
    })
}

/// Moves EL2 to the other translation regime, if it is not there yet: HCR_EL2.E2H changes, and
/// with it the tables. The identity map must still be there, and no other CPU be on.
///
/// # Errors
///
/// A [`TableError`] when there is no memory for the new tables; nothing has changed then.
pub fn enter_regime(regime: Regime) -> Result<(), TableError> {
    with(|map| {
        if map.regime == regime {
            return Ok(());
        }
        let copy = map.copy_for(regime)?;
        let there = to_pa_in(map, vhe::trampoline())?;
        // SAFETY: the copy maps what the old tree maps, with the same rights, the identity map of
        // the trampoline's page among them; `there` is where that page is.
        unsafe { vhe::enter(regime, copy.ttbr(), there) };
        let mut old = core::mem::replace(&mut map.tree, copy);
        map.regime = regime;
        old.unmap_all(&mut map.owned);
        map.owned.free(old.root(), 1);
        Ok(())
    })
}

/// Maps a device's registers for good.
///
/// # Errors
///
/// A [`TableError`] when the range is no possible address or there is no memory for tables.
pub fn map_device(registers: PaRange) -> Result<Mmio, TableError> {
    let (pages, offset) = whole_pages(registers)?;
    let at = with(|map| {
        let at = match pages.size() {
            0..BLOCK => map.next_device,
            // The same place within a block on both sides, so that blocks can be used.
            _ => congruent(map.next_device, pages.start())?,
        };
        let attributes = map.attributes(MemoryKind::Device, Access::ReadWrite);
        map.map(at, pages, attributes)?;
        // A hole after each device, so that running off its end faults.
        map.next_device = after(at, pages.size() + PAGE_SIZE)?;
        Ok(at)
    })?;
    let base = (at.as_u64() + offset) as *mut u8;
    // SAFETY: the window was just mapped as device memory, for good, and nowhere else.
    Ok(unsafe { Mmio::new(base, registers.size() as usize) })
}

/// Maps what the boot loader left in memory, read-only and for good.
///
/// # Errors
///
/// A [`TableError`] when the range is no possible address or there is no memory for tables.
pub fn map_boot_data(data: PaRange) -> Result<&'static [u8], TableError> {
    let (pages, offset) = whole_pages(data)?;
    let at = with(|map| {
        let at = congruent(map.next_boot_data, pages.start())?;
        let attributes = map.attributes(MemoryKind::Normal, Access::ReadOnly);
        map.map(at, pages, attributes)?;
        map.next_boot_data = after(at, pages.size() + BLOCK)?.align_down(BLOCK);
        Ok(at)
    })?;
    let start = (at.as_u64() + offset) as *const u8;
    // SAFETY: the range was just mapped as readable normal memory, for good; it is kept out of the
    // frames that are given to guests, so nobody writes it.
    Ok(unsafe { core::slice::from_raw_parts(start, data.size() as usize) })
}

/// What of the heap is mapped first: the tables of the rest come from it, not from the little that
/// there is before.
const FIRST_OF_HEAP: u64 = 64 << 20;

/// Makes the heap: maps `memory`, whole blocks, and gives it to the allocator. Once.
///
/// # Errors
///
/// A [`TableError`] when it is no possible address or there is no memory for tables.
pub fn add_heap(memory: PaRange) -> Result<(), TableError> {
    let middle = memory.start().as_u64() + FIRST_OF_HEAP.min(memory.size());
    let middle = Pa::new(middle);
    with(|map| {
        map.owned.heap.pa = memory;
        Ok(())
    })?;
    for part in [
        PaRange::between(memory.start(), middle),
        PaRange::between(middle, memory.end()),
    ] {
        if part.size() != 0 {
            add_to_heap(part, part.start().as_u64() - memory.start().as_u64())?;
        }
    }
    Ok(())
}

fn add_to_heap(part: PaRange, offset: u64) -> Result<(), TableError> {
    let at = after(HEAP, offset)?;
    with(|map| {
        let attributes = map.attributes(MemoryKind::Normal, Access::ReadWrite);
        map.map(at, part, attributes)
    })?;
    // SAFETY: the memory was just mapped, for good, and is nobody else's: it is kept out of the
    // frames that are given to guests.
    unsafe { heap::extend(at, part.size() as usize) }
    Ok(())
}

/// Maps the words of the frame table for the frames of `ram`, whole blocks, with memory from the
/// heap, and returns the first. They are zero.
///
/// # Errors
///
/// A [`TableError`] when there is no memory for words or tables.
pub fn frame_words(ram: PaRange) -> Result<*mut u64, TableError> {
    const WORDS_PER_PAGE: u64 = PAGE_SIZE / size_of::<u64>() as u64;
    let pages = ram.size() / PAGE_SIZE / WORDS_PER_PAGE;
    let backing = allocate_pages(pages as usize).ok_or(TableError::OutOfTables)?;
    let at = after(
        FRAME_TABLE,
        ram.start().as_u64() / PAGE_SIZE * size_of::<u64>() as u64,
    )?;
    with(|map| {
        let backing = to_pa_in(map, backing)?;
        let to = PaRange::new(backing, pages * PAGE_SIZE).ok_or(TableError::OutOfRange)?;
        let attributes = map.attributes(MemoryKind::Normal, Access::ReadWrite);
        map.map(at, to, attributes)
    })?;
    Ok(at.as_u64() as *mut u64)
}

/// A stack, from its lowest address to its highest.
pub type Stack = (*const u8, *const u8);

/// Makes the stacks of CPU `index`, the ordinary and the emergency one, with holes below both.
///
/// # Errors
///
/// A [`TableError`] when there is no memory.
pub fn map_stacks(index: usize) -> Result<(Stack, Stack), TableError> {
    let first = after(STACKS, index as u64 * STACK_STRIDE + PAGE_SIZE)?;
    let second = after(first, EMERGENCY_STACK + PAGE_SIZE)?;
    Ok((
        map_stack(second, STACK)?,
        map_stack(first, EMERGENCY_STACK)?,
    ))
}

fn map_stack(at: Va, size: u64) -> Result<Stack, TableError> {
    let pages = allocate_pages((size / PAGE_SIZE) as usize).ok_or(TableError::OutOfTables)?;
    with(|map| {
        let to = PaRange::new(to_pa_in(map, pages)?, size).ok_or(TableError::OutOfRange)?;
        let attributes = map.attributes(MemoryKind::Normal, Access::ReadWrite);
        map.map(at, to, attributes)
    })?;
    let bottom = at.as_u64() as *const u8;
    Ok((bottom, bottom.wrapping_add(size as usize)))
}

/// Returns what TTBR0_EL2 holds: where the first table is.
pub fn root() -> u64 {
    with(|map| map.tree.ttbr())
}

/// Returns the physical address of something in the image or the heap.
pub fn to_pa(pointer: *const u8) -> Option<Pa> {
    with(|map| to_pa_in(map, pointer).ok())
}

/// Returns where EL2 sees physical memory of the image or the heap.
pub fn to_pointer(pa: Pa) -> Option<*mut u8> {
    with(|map| {
        let va = map
            .owned
            .image
            .to_va(pa)
            .or_else(|| map.owned.heap.to_va(pa))?;
        Some(va.as_u64() as *mut u8)
    })
}

fn to_pa_in(map: &Map, pointer: *const u8) -> Result<Pa, TableError> {
    map.owned
        .to_pa(Va::new(pointer as u64))
        .ok_or(TableError::OutOfRange)
}

/// Returns the first address from `va` up that has the place within a block that `pa` has.
fn congruent(va: Va, pa: Pa) -> Result<Va, TableError> {
    after(va, pa.as_u64().wrapping_sub(va.as_u64()) % BLOCK)
}

fn after(va: Va, bytes: u64) -> Result<Va, TableError> {
    va.checked_add(bytes).ok_or(TableError::OutOfRange)
}

/// Returns the pages that hold `range`, and where in the first of them it starts.
fn whole_pages(range: PaRange) -> Result<(PaRange, u64), TableError> {
    let start = range.start().align_down(PAGE_SIZE);
    let end = range
        .end()
        .checked_add(PAGE_SIZE - 1)
        .ok_or(TableError::OutOfRange)?
        .align_down(PAGE_SIZE);
    let offset = range.start().as_u64() - start.as_u64();
    Ok((PaRange::between(start, end), offset))
}
