//! Fills a guest's RAM with its kernel, ramdisk and device tree.
//!
//! All that can be known from the files is looked at before anything is written, and
//! before the guest needs to have any memory; only the data of a compressed kernel is
//! found damaged on the way.

use alloc::vec::Vec;

use super::fdt::{self, GuestDescription, merge};
use super::image::{Kernel, Layout, Piece, Source};
use super::memory::{GuestMemory, Unreachable};
use crate::board::fdt::{CheckedTree, check};
use crate::cpu::cache;
use crate::error::Refusal;
use crate::refuse;

/// A guest's files, and what its device tree is to say.
#[derive(Clone, Copy)]
pub struct Files<'a> {
    /// Its kernel.
    pub kernel: &'a [u8],
    /// Whether it starts in AArch32.
    pub aarch32: bool,
    /// Where a raw binary goes, in bytes from the start of RAM.
    pub load: Option<u64>,
    /// Its ramdisk; empty for none.
    pub ramdisk: &'a [u8],
    /// The device tree of its owner's, if it is not to be made.
    pub dtb: Option<&'a [u8]>,
    /// What the tree says. The ramdisk's place in it is of no account.
    pub description: GuestDescription<'a>,
}

/// What goes where in a guest's RAM.
pub struct Plan<'a> {
    /// The places.
    pub layout: Layout,
    kernel: Source<'a>,
    pieces: Vec<Piece>,
    ramdisk: &'a [u8],
    tree: Vec<u8>,
}

impl<'a> Plan<'a> {
    /// Reads the files and plans; `mmfr0` is the ID_AA64MMFR0_EL1 that the guest will see.
    ///
    /// # Errors
    ///
    /// Refuses a kernel that can't be started, a device tree that makes no sense, and what
    /// does not fit the guest's RAM.
    pub fn new(files: &Files<'a>, mmfr0: u64) -> Result<Self, Refusal> {
        let source = Source::open(files.kernel)?;
        let kernel = Kernel::identify(&source.head()?, source.size(), files.load)?;
        kernel.check_cpu(mmfr0)?;
        kernel.check_state(files.aarch32)?;
        let owners = files.dtb.map(check).transpose()?;
        // The length of a tree does not depend on the numbers in it.
        let ram = files.description.ram;
        let placeholder = (!files.ramdisk.is_empty()).then_some(ram);
        let tree = |ramdisk| {
            let description = GuestDescription {
                ramdisk,
                ..files.description
            };
            tree(owners.as_ref(), &description)
        };
        let length = tree(placeholder)?.len() as u64;
        let layout = Layout::plan(ram, &kernel, files.ramdisk.len() as u64, length)?;
        Ok(Self {
            layout,
            kernel: source,
            pieces: kernel.pieces(),
            ramdisk: files.ramdisk,
            tree: tree(layout.ramdisk)?,
        })
    }

    /// Puts everything into the guest's RAM, zeroes elsewhere, and all of it in reach of a
    /// guest whose caches are off.
    ///
    /// # Errors
    ///
    /// Refuses a compressed kernel whose data is damaged, and memory that is out of reach.
    pub fn fill(&self, memory: &GuestMemory) -> Result<(), Refusal> {
        let unreachable = |error: Unreachable| refuse!("its RAM can't be written: {error:?}");
        let Layout { kernel, .. } = self.layout;
        memory.zero().map_err(unreachable)?;
        self.kernel.unpack(&self.pieces, |offset, part| {
            let at = kernel.start.checked_add(offset);
            let at = at.ok_or_else(|| unreachable(Unreachable::NotRam))?;
            memory.load(at, part).map_err(unreachable)
        })?;
        if let Some(place) = self.layout.ramdisk {
            memory
                .load(place.start, self.ramdisk)
                .map_err(unreachable)?;
        }
        memory
            .load(self.layout.tree.start, &self.tree)
            .map_err(unreachable)?;
        cache::invalidate_instructions();
        Ok(())
    }
}

fn tree(
    owners: Option<&CheckedTree<'_>>,
    description: &GuestDescription<'_>,
) -> Result<Vec<u8>, Refusal> {
    match owners {
        Some(owners) => merge::merged_tree(owners, description),
        None => Ok(fdt::guest_tree(description)),
    }
}

#[cfg(test)]
mod tests;
