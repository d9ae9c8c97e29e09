//! The board: facts about the host, read from its device tree.
//!
//! Everything the hypervisor knows of the machine under it comes from here, as plain
//! numbers: where RAM is, which CPUs there are and how they start, the interrupt
//! controller, the timers, the firmware, a serial port and what the loader left in
//! `/chosen`. Nothing here touches hardware, so it is all tested on real trees.
//!
//! A fact the hypervisor can't do without and the tree does not have is a
//! [`Refusal`] naming it.

pub mod chosen;
pub mod cpus;
pub mod fdt;
pub mod firmware;
pub mod gic;
pub mod memory;
pub mod modules;
mod rtc;
pub mod timer;
mod tree;
pub mod uart;

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::addr::PaRange;
use crate::error::Refusal;
use crate::refuse;
use chosen::Chosen;
use cpus::{Cpu, Start};
use fdt::CheckedTree;
use firmware::Psci;
use gic::Gic;
use timer::Timer;
use tree::Tree;
use uart::Uart;

/// What is known of the machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Board {
    /// What the tree calls the machine, or "unknown machine".
    pub model: String,
    /// All RAM the tree tells of, sorted and merged.
    pub ram: Vec<PaRange>,
    /// RAM nobody has reserved: whole pages, sorted, apart from each other.
    ///
    /// The modules of [`guests`](Self::guests) are not in it; the bundle, the tree itself and
    /// the hypervisor's image still are.
    pub usable_ram: Vec<PaRange>,
    /// The CPUs in the order of the tree.
    pub cpus: Vec<Cpu>,
    /// The interrupt controller.
    pub gic: Gic,
    /// The timers' interrupts.
    pub timer: Timer,
    /// The firmware's power interface, if there is one.
    pub psci: Option<Psci>,
    /// The registers of the power management block, a BCM2835's, if there is one.
    pub power_management: Option<PaRange>,
    /// The serial port for messages, if there is one we can drive.
    pub uart: Option<Uart>,
    /// The registers of the clock, a PL031, if there is one.
    pub rtc: Option<PaRange>,
    /// What the loader left.
    pub chosen: Chosen,
    /// The guests that the loader put into memory one by one, and why some can't be had.
    pub guests: Vec<Result<modules::Guest, Refusal>>,
}

impl Board {
    /// Reads the facts from a checked tree.
    ///
    /// # Errors
    ///
    /// Refuses a tree that lacks RAM, a CPU, a GIC with its virtual interface or the
    /// timers' interrupts, or that contradicts itself.
    pub fn from_fdt(tree: &CheckedTree<'_>) -> Result<Self, Refusal> {
        let tree = tree::parse(tree)?;
        let tree = Tree::read(&tree)?;
        let ram = memory::ram(&tree)?;
        let guests = modules::find(&tree, &ram);
        let (gic, gic_node) = gic::find(&tree)?;
        let cpus = cpus::find(&tree)?;
        let usable = memory::usable(&tree, &ram, &cpus::spin_tables(&cpus))?;
        let board = Self {
            model: tree
                .root()
                .text("model")
                .unwrap_or("unknown machine")
                .to_string(),
            usable_ram: modules::spare(usable, &guests),
            guests,
            ram,
            cpus,
            timer: timer::find(&tree, gic_node)?,
            gic,
            psci: firmware::find(&tree)?,
            power_management: firmware::find_power_management(&tree)?,
            uart: uart::find(&tree, gic_node),
            rtc: rtc::find(&tree),
            chosen: chosen::read(&tree)?,
        };
        board.check()?;
        Ok(board)
    }

    /// Checks facts against each other.
    fn check(&self) -> Result<(), Refusal> {
        if self.usable_ram.is_empty() {
            return Err(refuse!("device tree: all RAM is reserved"));
        }
        let needs_psci = |cpu: &&Cpu| cpu.is_usable && cpu.start == Start::Psci;
        match self.cpus.iter().find(needs_psci) {
            Some(cpu) if self.psci.is_none() => Err(refuse!(
                "device tree: CPU {:#x} starts by PSCI, but there is no /psci",
                cpu.mpidr
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
