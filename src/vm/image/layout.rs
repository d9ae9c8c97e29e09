//! Where a kernel, its ramdisk and its device tree go in guest RAM.

use super::Kernel;
use crate::addr::{Ipa, PAGE_SIZE};
use crate::bits::align_up;
use crate::error::Refusal;
use crate::refuse;

/// What an arm64 Image's place is counted from, and what its device tree may not cross.
const BLOCK: u64 = 2 << 20;
/// How far up the ramdisk goes if there is room: a kernel unpacks and grows below it.
const COMFORT: u64 = 128 << 20;
/// Where a zImage goes, in bytes from the start of RAM: above what it unpacks to, so that it does
/// not have to move first.
const ZIMAGE_OFFSET: u64 = 32 << 20;
/// The same in a guest of less than [`COMFORT`].
const CLOSE_ZIMAGE_OFFSET: u64 = 0x1_0000;
/// The end of what AArch32 can address without long descriptors.
const FOUR_GIB: u64 = 1 << 32;

/// A run of guest memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Extent {
    /// The first address.
    pub start: Ipa,
    /// The size in bytes.
    pub size: u64,
}

impl Extent {
    /// Makes an extent, or returns `None` when its end does not fit an address.
    pub fn new(start: Ipa, size: u64) -> Option<Self> {
        start.checked_add(size).map(|_| Self { start, size })
    }

    /// Returns the address after the last, at most the highest there is.
    pub fn end(self) -> Ipa {
        Ipa::new(self.start.as_u64().saturating_add(self.size))
    }

    /// Returns whether the two have a byte in common.
    pub fn overlaps(self, other: Self) -> bool {
        self.size != 0 && other.size != 0 && self.start < other.end() && other.start < self.end()
    }

    /// Returns whether all of `other` lies in this one.
    pub fn contains(self, other: Self) -> bool {
        self.start <= other.start && other.end() <= self.end()
    }
}

/// The plan of a guest's RAM at its start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    /// The kernel with the memory it takes beyond its file.
    pub kernel: Extent,
    /// The ramdisk.
    pub ramdisk: Option<Extent>,
    /// The device tree, whose address the first CPU finds in x0.
    pub tree: Extent,
    /// Where the first CPU starts: the kernel's entry.
    pub entry: Ipa,
}

impl Layout {
    /// Plans where things go; a `ramdisk` of 0 bytes is none.
    ///
    /// An arm64 Image goes where its header wants it, counted from the first multiple of
    /// 2 MiB; then, as QEMU does it, the ramdisk half-way up RAM or 128 MiB in, and the
    /// device tree above it. If RAM is too small for that, they follow the kernel.
    ///
    /// A zImage unpacks itself to the start of RAM: ramdisk and device tree go above the half of
    /// RAM or 128 MiB, and below 4 GiB.
    ///
    /// An ELF program goes where its segments say. A raw binary goes where it was told to. For
    /// both the device tree goes to the start of RAM, where software for QEMU's `virt` looks
    /// for it, unless the program itself is there.
    ///
    /// The device tree never crosses a multiple of 2 MiB: Linux maps it as one block.
    ///
    /// # Errors
    ///
    /// Refuses what does not fit, telling the sizes.
    pub fn plan(ram: Extent, kernel: &Kernel, ramdisk: u64, tree: u64) -> Result<Self, Refusal> {
        if !(1..=BLOCK).contains(&tree) {
            return Err(refuse!(
                "a device tree of {tree} bytes can't be passed: 2 MiB is the most"
            ));
        }
        let mut places = Places {
            ram: within_reach(ram, kernel),
            taken: [None; 3],
        };
        let (kernel_place, entry) = kernel_place(ram, kernel)?;
        places.take(kernel_place);
        let start = Request::tree(tree).first(ram.start);
        let tree_at_start = matches!(kernel, Kernel::Elf(_) | Kernel::Raw { .. })
            .then_some(start)
            .flatten()
            .filter(|place| place.start == ram.start && places.is_free(*place));
        let no_room = || {
            refuse!(
                "{} bytes of RAM do not hold a kernel of {} bytes at {}, \
                 a ramdisk of {ramdisk} bytes and a device tree of {tree} bytes",
                ram.size,
                kernel_place.size,
                kernel_place.start
            )
        };
        let (ramdisk, tree) = floors(ram, kernel, kernel_place)
            .into_iter()
            .find_map(|floor| places.clone().follow(floor, ramdisk, tree, tree_at_start))
            .ok_or_else(no_room)?;
        Ok(Self {
            kernel: kernel_place,
            ramdisk: (ramdisk.size != 0).then_some(ramdisk),
            tree,
            entry,
        })
    }
}

/// Returns the memory that a kernel takes, and where it starts.
fn kernel_place(ram: Extent, kernel: &Kernel) -> Result<(Extent, Ipa), Refusal> {
    let (base, offset) = match kernel {
        Kernel::Arm64(image) => (align_up(ram.start.as_u64(), BLOCK), image.text_offset),
        Kernel::Zimage(_) if ram.size < COMFORT => (Some(ram.start.as_u64()), CLOSE_ZIMAGE_OFFSET),
        Kernel::Zimage(_) => (Some(ram.start.as_u64()), ZIMAGE_OFFSET),
        Kernel::Elf(program) => return program.place(ram),
        Kernel::Raw { load, .. } => (Some(ram.start.as_u64()), *load),
    };
    let size = kernel.memory_size();
    base.and_then(|base| base.checked_add(offset))
        .and_then(|start| Extent::new(Ipa::new(start), size))
        .filter(|place| ram.contains(*place))
        .map(|place| (place, place.start))
        .ok_or_else(|| {
            refuse!(
                "{} bytes of RAM do not hold a kernel of {size} bytes at offset {offset:#x}",
                ram.size
            )
        })
}

/// Returns the part of RAM that a kernel can address before it has looked around.
fn within_reach(ram: Extent, kernel: &Kernel) -> Extent {
    let below = FOUR_GIB.saturating_sub(ram.start.as_u64());
    match kernel {
        Kernel::Zimage(_) => Extent {
            size: ram.size.min(below),
            ..ram
        },
        _ => ram,
    }
}

/// Returns where to begin looking for room, the best first.
fn floors(ram: Extent, kernel: &Kernel, place: Extent) -> [Ipa; 2] {
    let above = ram.start.checked_add((ram.size / 2).min(COMFORT));
    let comfortable = above.map_or(place.end(), |above| above.max(place.end()));
    match kernel {
        // An old kernel can't use what lies below it.
        Kernel::Arm64(_) => [comfortable, place.end()],
        // It unpacks to where a tree or ramdisk below would be.
        Kernel::Zimage(_) => [comfortable, comfortable],
        Kernel::Elf(_) | Kernel::Raw { .. } => [comfortable, ram.start],
    }
}

/// A wish for a place.
#[derive(Clone, Copy)]
struct Request {
    size: u64,
    /// The multiple that must not be crossed, if any.
    within: Option<u64>,
}

impl Request {
    fn tree(size: u64) -> Self {
        Self {
            size,
            within: Some(BLOCK),
        }
    }

    /// Returns the first place from `floor` up that suits, whatever is there already.
    fn first(self, floor: Ipa) -> Option<Extent> {
        let start = align_up(floor.as_u64(), PAGE_SIZE)?;
        let place = Extent::new(Ipa::new(start), self.size)?;
        match self.within {
            Some(block) if place.end() > Ipa::new(align_up(start.checked_add(1)?, block)?) => {
                Extent::new(Ipa::new(align_up(start, block)?), self.size)
            }
            _ => Some(place),
        }
    }
}

/// Guest RAM and what is in it already.
#[derive(Clone)]
struct Places {
    ram: Extent,
    taken: [Option<Extent>; 3],
}

impl Places {
    fn take(&mut self, place: Extent) {
        if let Some(free) = self.taken.iter_mut().find(|slot| slot.is_none()) {
            *free = Some(place);
        }
    }

    fn is_free(&self, place: Extent) -> bool {
        self.ram.contains(place) && self.taken.iter().flatten().all(|t| !t.overlaps(place))
    }

    /// Finds the lowest free place at or above `floor`.
    fn find(&self, request: Request, floor: Ipa) -> Option<Extent> {
        let mut floor = floor;
        loop {
            let place = request.first(floor)?;
            match self.taken.iter().flatten().find(|t| t.overlaps(place)) {
                // Each turn passes one taken place, so this ends.
                Some(taken) => floor = taken.end(),
                None => return self.ram.contains(place).then_some(place),
            }
        }
    }

    /// Finds places for the ramdisk and, unless it has one, the device tree.
    fn follow(
        mut self,
        floor: Ipa,
        ramdisk: u64,
        tree: u64,
        tree_place: Option<Extent>,
    ) -> Option<(Extent, Extent)> {
        if let Some(place) = tree_place {
            self.take(place);
        }
        let request = Request {
            size: ramdisk,
            within: None,
        };
        let ramdisk = self.find(request, floor)?;
        self.take(ramdisk);
        let tree = match tree_place {
            Some(place) => place,
            None => self.find(Request::tree(tree), floor)?,
        };
        Some((ramdisk, tree))
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
mod tests;
