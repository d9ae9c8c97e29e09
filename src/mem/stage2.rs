//! A VM's stage 2: which IPA leads to which memory.
//!
//! What belongs to EL2 can't be mapped for a guest. There are two ways in, and both ask
//! [`Frames`]: RAM must be owned by this VM, frame by frame, and a device must have been granted to
//! it, which is refused for anything that is RAM or EL2's.

mod pour;

#[cfg(test)]
mod tests;

use core::fmt;

use self::pour::pour;
use crate::addr::{Ipa, Pa, PaRange};
use crate::isa::descriptor::stage2::{Support, vtcr};
use crate::isa::descriptor::{Attributes, Geometry, LeafSize};
use crate::mem::frames::{Frames, Owner};
use crate::mem::table::{Leaf, TableError, Tables, Tree};

/// A run of IPAs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IpaRange {
    /// The first address.
    pub start: Ipa,
    /// The size in bytes.
    pub size: u64,
}

/// Why something can't be mapped for a VM.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage2Error {
    /// The guest's map needs more address bits than the CPUs have.
    TooWide,
    /// The VMID has more bits than the CPUs have.
    BadVmid,
    /// The memory is not this VM's: EL2's, another VM's, or nobody's.
    NotOwned(PaRange),
    /// The blocks of memory and the IPAs to put them at differ in size.
    SizeMismatch,
    /// The tables did not take it.
    Table(TableError),
}

impl From<TableError> for Stage2Error {
    fn from(error: TableError) -> Self {
        Self::Table(error)
    }
}

impl fmt::Display for Stage2Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooWide => f.write_str("the guest's map is wider than the CPUs can address"),
            Self::BadVmid => f.write_str("there are more VMs than the CPUs have VMIDs"),
            Self::NotOwned(range) => write!(f, "the memory {range} is not the VM's"),
            Self::SizeMismatch => f.write_str("memory and addresses differ in size"),
            Self::Table(error) => error.fmt(f),
        }
    }
}

/// The stage-2 tree of one VM, with its VMID. The VMs of [`Owner::Vm`] are told apart by it too.
///
/// When it is dropped, all TLBs forget the VM and its tables are freed. No CPU has it loaded any
/// more then, and its frames are given back only afterwards.
pub struct Stage2<T: Tables> {
    tables: T,
    tree: Tree<Ipa>,
    vmid: u16,
    vtcr: u64,
}

impl<T: Tables> Stage2<T> {
    /// Makes an empty tree for IPAs up to `top`, the last one that something is at, on CPUs that
    /// have `support`.
    ///
    /// # Errors
    ///
    /// [`Stage2Error::TooWide`], [`Stage2Error::BadVmid`], or [`TableError::OutOfTables`] inside
    /// [`Stage2Error::Table`].
    pub fn new(mut tables: T, top: Ipa, vmid: u16, support: Support) -> Result<Self, Stage2Error> {
        if !support.has_vmid(vmid) {
            return Err(Stage2Error::BadVmid);
        }
        let geometry = Geometry::covering(top.as_u64()).ok_or(Stage2Error::TooWide)?;
        let vtcr = vtcr(geometry, support).ok_or(Stage2Error::TooWide)?;
        let tree = Tree::new(&mut tables, geometry, vmid)?;
        Ok(Self {
            tables,
            tree,
            vmid,
            vtcr,
        })
    }

    /// Maps RAM: the blocks, in their order, fill the IPA ranges, in theirs. The guest may read,
    /// write and execute it, through write-back caches.
    ///
    /// # Errors
    ///
    /// [`Stage2Error::NotOwned`], [`Stage2Error::SizeMismatch`] or [`Stage2Error::Table`]; then
    /// nothing of it is mapped.
    pub fn map_ram(
        &mut self,
        frames: &Frames,
        at: &[IpaRange],
        blocks: &[PaRange],
    ) -> Result<(), Stage2Error> {
        if let Some(&foreign) = blocks.iter().find(|&&b| !self.owns(frames, b)) {
            return Err(Stage2Error::NotOwned(foreign));
        }
        let room = at.iter().try_fold(0_u64, |sum, r| sum.checked_add(r.size));
        let size = blocks
            .iter()
            .try_fold(0_u64, |sum, b| sum.checked_add(b.size()));
        if room.is_none() || room != size {
            return Err(Stage2Error::SizeMismatch);
        }
        for (done, (ipa, memory)) in pour(at, blocks).enumerate() {
            let mapped = match ipa {
                Some(ipa) => self.map(ipa, memory, Attributes::GUEST_RAM),
                None => Err(TableError::OutOfRange.into()),
            };
            if mapped.is_err() {
                self.undo(pour(at, blocks).take(done));
                return mapped;
            }
        }
        Ok(())
    }

    /// Maps memory of the VM that its guest may only read: what EL2 tells it.
    ///
    /// # Errors
    ///
    /// As for [`map_ram`](Self::map_ram).
    pub fn map_rom(
        &mut self,
        frames: &Frames,
        at: IpaRange,
        block: PaRange,
    ) -> Result<(), Stage2Error> {
        if !self.owns(frames, block) {
            return Err(Stage2Error::NotOwned(block));
        }
        if at.size != block.size() {
            return Err(Stage2Error::SizeMismatch);
        }
        self.map(at.start, block, Attributes::GUEST_ROM)
    }

    fn owns(&self, frames: &Frames, block: PaRange) -> bool {
        frames.is_owned(block, Owner::Vm(self.vmid))
    }

    /// Maps a device for direct use: read and write, Device-nGnRE.
    ///
    /// # Errors
    ///
    /// [`Stage2Error::NotOwned`] when the VM was not granted it by [`Frames::grant_device`], or
    /// [`Stage2Error::Table`].
    pub fn map_device(
        &mut self,
        frames: &Frames,
        at: Ipa,
        device: PaRange,
    ) -> Result<(), Stage2Error> {
        if !frames.is_granted(device, self.vmid) {
            return Err(Stage2Error::NotOwned(device));
        }
        self.map(at, device, Attributes::GUEST_DEVICE)
    }

    /// Unmaps a range, on all CPUs when this returns.
    ///
    /// # Errors
    ///
    /// [`TableError`] as [`Tree::unmap`] says.
    pub fn unmap(&mut self, range: IpaRange) -> Result<(), TableError> {
        self.tree.unmap(&mut self.tables, range.start, range.size)
    }

    /// Unmaps everything, on all CPUs when this returns.
    pub fn unmap_all(&mut self) {
        self.tree.unmap_all(&mut self.tables);
    }

    /// Returns the physical address behind an IPA, or `None` when nothing is mapped there.
    pub fn translate(&self, ipa: Ipa) -> Option<Pa> {
        self.tree.translate(&self.tables, ipa)
    }

    /// Returns the block or page that an IPA is in.
    pub fn lookup(&self, ipa: Ipa) -> Option<Leaf<Ipa>> {
        self.tree.lookup(&self.tables, ipa)
    }

    /// Shows every block and page to `see`, in the order of IPAs.
    pub fn visit(&self, see: impl FnMut(Leaf<Ipa>)) {
        self.tree.visit(&self.tables, see);
    }

    /// Returns the VMID.
    pub const fn vmid(&self) -> u16 {
        self.vmid
    }

    /// Returns VTTBR_EL2 for this VM.
    pub const fn vttbr(&self) -> u64 {
        self.tree.ttbr()
    }

    /// Returns VTCR_EL2 for this VM.
    pub const fn vtcr(&self) -> u64 {
        self.vtcr
    }

    /// Returns the shape of the tree; [`Geometry::guest_pa_size`] is what the guest's
    /// ID_AA64MMFR0_EL1.PARange says.
    pub const fn geometry(&self) -> Geometry {
        self.tree.geometry()
    }

    /// The one way into the tree; both callers have asked whose memory it is.
    fn map(&mut self, at: Ipa, to: PaRange, attributes: Attributes) -> Result<(), Stage2Error> {
        let largest = LeafSize::Block1G;
        self.tree
            .map(&mut self.tables, at, to, attributes, largest)?;
        Ok(())
    }

    fn undo(&mut self, pieces: impl Iterator<Item = (Option<Ipa>, PaRange)>) {
        for (ipa, memory) in pieces {
            let Some(start) = ipa else { continue };
            let size = memory.size();
            // No leaf reaches over the edge of a piece, so nothing is split and it can't fail.
            let undone = self.unmap(IpaRange { start, size });
            debug_assert_eq!(undone, Ok(()));
        }
    }
}

impl<T: Tables> Drop for Stage2<T> {
    fn drop(&mut self) {
        self.unmap_all();
        // Walks that went through an empty root left nothing in a TLB, but the root itself may be
        // held in a walk cache.
        self.tables.invalidate_all(self.tree.ttbr());
        let count = self.geometry().root_tables();
        self.tables.free(self.tree.root(), count);
    }
}
