//! Fills a guest's RAM with its kernel, ramdisk and device tree.
//!
//! All that can be known from the files is looked at before anything is written, and
//! before the guest needs to have any memory; only the data of a compressed kernel is
//! found damaged on the way.

use alloc::vec::Vec;

use super::fdt::{self, GuestDescription, merge};
use super::image::{Kernel, Layout, Piece, Source, Unpacking};
use super::memory::{Cleaning, GuestMemory, Unreachable};
use crate::board::fdt::{CheckedTree, check};
use crate::cpu::cache;
use crate::error::Refusal;
use crate::refuse;

/// A guest's files, and what its device tree is to say.
#[derive(Clone, Copy)]
pub struct Files<'a, 'd> {
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
    pub description: GuestDescription<'d>,
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
    pub fn new(files: &Files<'a, '_>, mmfr0: u64) -> Result<Self, Refusal> {
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

    /// Begins to put everything into the guest's RAM, zeroes elsewhere, and all of it in reach of a
    /// guest whose caches are off.
    pub fn fill(self, memory: GuestMemory) -> Filling<'a> {
        Filling {
            plan: self,
            memory,
            next: Next::Zeroes(Cleaning::default()),
        }
    }
}

/// A guest's RAM that is being filled, a bit at a time. Nothing but this uses it meanwhile.
pub struct Filling<'a> {
    plan: Plan<'a>,
    memory: GuestMemory,
    next: Next<'a>,
}

/// What is to be done next.
enum Next<'a> {
    Zeroes(Cleaning),
    Kernel(Unpacking<'a>),
    /// How much of it is there, in bytes.
    Ramdisk(usize),
    Tree,
    Nothing,
}

/// How much of a ramdisk is copied at once, in bytes.
const PART: usize = 512 << 10;

impl Filling<'_> {
    /// Does the next bit, of a window at most; returns whether that was the last.
    ///
    /// # Errors
    ///
    /// Refuses a compressed kernel whose data is damaged, and memory that is out of reach.
    pub fn step(&mut self) -> Result<bool, Refusal> {
        let next = match &mut self.next {
            Next::Zeroes(progress) => {
                let done = self.memory.zero_some(progress).map_err(unreachable)?;
                done.then(|| Next::Kernel(self.plan.kernel.unpacking()))
            }
            Next::Kernel(unpacking) => {
                let (start, memory) = (self.plan.layout.kernel.start, &self.memory);
                let more = unpacking.next(&self.plan.pieces, &mut |offset, part| {
                    let at = start.checked_add(offset);
                    let at = at.ok_or_else(|| unreachable(Unreachable::NotRam))?;
                    memory.load(at, part).map_err(unreachable)
                })?;
                (!more).then_some(Next::Ramdisk(0))
            }
            Next::Ramdisk(copied) => {
                let done = copy_ramdisk(&self.plan, &self.memory, copied)?;
                done.then_some(Next::Tree)
            }
            Next::Tree => {
                let place = self.plan.layout.tree.start;
                let done = self.memory.load(place, &self.plan.tree);
                done.map_err(unreachable)?;
                cache::invalidate_instructions();
                Some(Next::Nothing)
            }
            Next::Nothing => None,
        };
        if let Some(next) = next {
            self.next = next;
        }
        Ok(matches!(self.next, Next::Nothing))
    }

    /// Returns how much of the work is done, in hundredths.
    pub fn percent(&self) -> u64 {
        let size = self.memory.size().max(1);
        match &self.next {
            Next::Zeroes(progress) => progress.bytes().saturating_mul(90) / size,
            Next::Kernel(_) => 90,
            Next::Ramdisk(_) | Next::Tree => 95,
            Next::Nothing => 100,
        }
    }

    /// Gives the memory away, which is filled.
    pub fn finish(self) -> GuestMemory {
        self.memory
    }
}

/// Copies the next part of the ramdisk; returns whether that was the last.
fn copy_ramdisk(
    plan: &Plan<'_>,
    memory: &GuestMemory,
    copied: &mut usize,
) -> Result<bool, Refusal> {
    let rest = plan.ramdisk.get(*copied..).unwrap_or_default();
    let (part, after) = rest.split_at(rest.len().min(PART));
    if let Some(place) = plan.layout.ramdisk {
        let at = place.start.checked_add(*copied as u64);
        let at = at.ok_or_else(|| unreachable(Unreachable::NotRam))?;
        memory.load(at, part).map_err(unreachable)?;
    }
    *copied = copied.saturating_add(part.len());
    Ok(after.is_empty())
}

fn unreachable(error: Unreachable) -> Refusal {
    refuse!("its RAM can't be written: {error:?}")
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
