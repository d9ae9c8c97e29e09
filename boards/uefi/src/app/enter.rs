//! The last steps: what is handed over goes to memory, PCI's bus masters stop, the MMU and the
//! caches go off, and the hypervisor is entered as the boot protocol says.

#![expect(unsafe_code, reason = "writes memory by address, and leaves it")]

use alloc::vec;
use alloc::vec::Vec;
use core::arch::{asm, global_asm};
use core::ptr;

use entresol_uefi::acpi::bytes::Bytes;
use entresol_uefi::machine::{Place, Segment};
use entresol_uefi::{Refusal, refuse};

use super::files;

/// The hypervisor, as `scripts/image` built it.
static IMAGE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/Image"));

/// What the boot protocol aligns an image to (Linux, Documentation/arch/arm64/booting.rst).
const ALIGNMENT: u64 = 2 << 20;

/// Room for what the tree is longer by when boot services are left: for entries of the memory map.
const SLACK: usize = 64 << 10;

global_asm!(include_str!("enter.S"));

unsafe extern "C" {
    fn entresol_enter(tree: u64, image: u64, masters: *const u64) -> !;
    static entresol_enter_end: u8;
}

/// Checks that the firmware runs where a hypervisor does.
///
/// # Errors
///
/// Refuses EL1.
pub fn check_level() -> Result<(), Refusal> {
    let level: u64;
    // SAFETY: reads a register that tells the exception level.
    unsafe { asm!("mrs {}, CurrentEL", out(reg) level, options(nomem, nostack)) };
    match level >> 2 & 3 {
        2 => Ok(()),
        other => Err(refuse!(
            "the firmware runs at EL{other}, but a hypervisor needs EL2"
        )),
    }
}

/// The hypervisor in memory: as much as its header asks for, aligned.
pub struct Image(Place);

impl Image {
    /// Copies the image to where it will run.
    ///
    /// # Errors
    ///
    /// Refuses when there is no image, or no memory.
    pub fn load() -> Result<Self, Refusal> {
        let magic = IMAGE.get(0x38..0x3c) == Some(b"ARM\x64");
        let size = IMAGE
            .u64_at(0x10)
            .filter(|&size| magic && size >= IMAGE.len() as u64 && size <= ALIGNMENT)
            .ok_or_else(|| {
                refuse!("this was built without the hypervisor: scripts/image does it")
            })?;
        let room = files::pages((size + ALIGNMENT) as usize)
            .map_err(|error| refuse!("no memory for the hypervisor: {error}"))?;
        let start = room.start.next_multiple_of(ALIGNMENT);
        let to = ptr::with_exposed_provenance_mut::<u8>(start as usize);
        // SAFETY: `size` bytes from `start` on lie within the pages, which are nobody else's; the
        // image is no longer than that, and elsewhere.
        unsafe {
            ptr::write_bytes(to, 0, size as usize);
            ptr::copy_nonoverlapping(IMAGE.as_ptr(), to, IMAGE.len());
        }
        Place::new(start, size)
            .map(Self)
            .ok_or_else(|| refuse!("the firmware has memory beyond 48 bits"))
    }
}

/// Room for the device tree.
pub struct Room(Place);

impl Room {
    /// Allocates it for a tree of about this size, in bytes.
    ///
    /// # Errors
    ///
    /// Refuses when there is no memory.
    pub fn allocate(size: usize) -> Result<Self, Refusal> {
        files::pages(size + SLACK)
            .map(Self)
            .map_err(|error| refuse!("no memory for the device tree: {error}"))
    }

    /// Puts the tree there; returns where it lies.
    pub fn put(self, tree: &[u8]) -> Place {
        let size = tree.len() as u64;
        if size > self.0.size {
            // The memory map has thousands of entries more than before: no machine does that.
            halt();
        }
        let to = ptr::with_exposed_provenance_mut::<u8>(self.0.start as usize);
        // SAFETY: the pages are nobody else's, and the tree fits them.
        unsafe { ptr::copy_nonoverlapping(tree.as_ptr(), to, tree.len()) };
        Place { size, ..self.0 }
    }
}

/// PCI's configuration spaces, as `enter.S` reads them: pairs of start and size, the last of
/// nothing.
pub struct Masters(Vec<u64>);

impl Masters {
    /// Makes the list.
    pub fn new(segments: &[Segment]) -> Self {
        let pairs = segments.iter().map(|segment| segment.space);
        let mut list: Vec<u64> = pairs.flat_map(|space| [space.start, space.size]).collect();
        list.extend(vec![0; 2]);
        Self(list)
    }

    fn place(&self) -> Place {
        Place {
            start: self.0.as_ptr().expose_provenance() as u64,
            size: size_of_val(self.0.as_slice()) as u64,
        }
    }
}

/// Enters the hypervisor. Boot services have been left.
pub fn enter(image: &Image, tree: Place, bundle: Place, masters: &Masters) -> ! {
    let code = entresol_enter as *const () as u64;
    let code = Place {
        start: code,
        size: (&raw const entresol_enter_end).expose_provenance() as u64 - code,
    };
    for place in [image.0, tree, bundle, masters.place(), code] {
        clean(place);
    }
    // SAFETY: boot services have been left, so the machine is ours; what the code and the
    // hypervisor read with the MMU off was just cleaned to memory; firmware maps all of it at its
    // own address, so that turning the MMU off does not move it.
    unsafe { entresol_enter(tree.start, image.0.start, masters.0.as_ptr()) }
}

/// Cleans memory to the point of coherency, and drops it from the caches: nothing may be written
/// back over what the hypervisor writes with its caches off.
fn clean(place: Place) {
    let kind: u64;
    // SAFETY: reads a register that tells the size of cache lines.
    unsafe { asm!("mrs {}, ctr_el0", out(reg) kind, options(nomem, nostack)) };
    let line = 4 << (kind >> 16 & 0xf);
    let mut address = place.start & !(line - 1);
    while address < place.end() {
        // SAFETY: writing memory's own contents to memory changes nothing that is seen.
        unsafe { asm!("dc civac, {}", in(reg) address, options(nostack)) };
        address += line;
    }
    // SAFETY: a barrier only waits.
    unsafe { asm!("dsb sy", options(nostack)) };
}

/// Waits for good.
pub fn halt() -> ! {
    loop {
        // SAFETY: waiting changes nothing.
        unsafe { asm!("wfe", options(nomem, nostack)) };
    }
}
