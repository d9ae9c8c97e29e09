//! What VMs there are: the bundle and the `vms.toml` in it, or what the boot loader says.
//!
//! Both come from whoever set up the machine. They are trusted, and they are written by
//! hand: everything that is wrong ends in one line that says where and what. What is wrong
//! with one VM is no other VM's affair.

pub mod cpio;
mod loaded;
pub mod sources;
mod toml;
pub mod vms;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::error::Refusal;
use crate::refuse;
use cpio::Archive;
use vms::{Reaction, VmTable};

/// The name of the file in the bundle that lists the VMs.
pub const LIST: &str = "vms.toml";

/// All VMs, with their files found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Config<'a> {
    /// The VMs in the order of the file.
    pub vms: Vec<Vm<'a>>,
    /// Why others can't be had; each names its VM. There is a VM or a refusal.
    pub refused: Vec<Refusal>,
    /// What VMs ask for in vain, but can do without; each a line for a person.
    pub notes: Vec<String>,
}

/// One VM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Vm<'a> {
    /// Its name.
    pub name: String,
    /// Its kernel.
    pub kernel: File<'a>,
    /// Its initial ramdisk.
    pub ramdisk: Option<File<'a>>,
    /// A device tree of its owner's, to be merged with what the hypervisor says.
    pub dtb: Option<File<'a>>,
    /// Its kernel's arguments.
    pub bootargs: String,
    /// How many virtual CPUs it has.
    pub cpus: u32,
    /// How many bytes of RAM it has, a multiple of 2 MiB.
    pub memory: u64,
    /// The physical CPU for each virtual one; empty: any.
    pub pin: Vec<u32>,
    /// Where in its RAM a raw binary goes, in bytes from the start.
    pub load: Option<u64>,
    /// Whether it starts in AArch32 state.
    pub aarch32: bool,
    /// What it gets of a CPU in proportion to others, 1 to [`MAX_WEIGHT`](crate::sched::MAX_WEIGHT).
    pub weight: u32,
    /// Whether the machine may be turned off while it runs.
    pub background: bool,
    /// What follows when its guest asks for a reset.
    pub on_reboot: Reaction,
    /// What follows when it can't go on.
    pub on_crash: Reaction,
}

/// A file of the bundle.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct File<'a> {
    /// Its name in the bundle.
    pub name: &'a str,
    /// What is in it.
    pub bytes: &'a [u8],
}

impl core::fmt::Debug for File<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} ({} bytes)", self.name, self.bytes.len())
    }
}

impl<'a> Config<'a> {
    /// Reads a bundle.
    ///
    /// # Errors
    ///
    /// Refuses a broken archive, an archive without `vms.toml`, and whatever [`vms::parse`]
    /// refuses.
    pub fn from_bundle(bundle: &'a [u8]) -> Result<Self, Refusal> {
        let archive = Archive::read(bundle)?;
        let list = archive
            .find(LIST)
            .ok_or_else(|| refuse!("bundle: no {LIST}; the bundle has: {}", names(&archive)))?;
        let list = core::str::from_utf8(list)
            .map_err(|error| refuse!("{LIST}: not UTF-8 after {} bytes", error.valid_up_to()))?;
        let mut config = Self::default();
        for (name, table) in vms::parse(list)? {
            config.add(table.and_then(|table| resolve(&archive, name, table)));
        }
        Ok(config)
    }

    fn add(&mut self, vm: Result<Vm<'a>, Refusal>) {
        match vm {
            Ok(vm) => self.vms.push(vm),
            Err(refusal) => self.refused.push(refusal),
        }
    }
}

impl Vm<'_> {
    /// Checks that a machine of so many CPUs and so many bytes of free RAM has what the VM
    /// wants.
    ///
    /// # Errors
    ///
    /// Refuses CPUs that are not there and more RAM than is free.
    pub fn check_machine(&self, cpus: u32, memory: u64) -> Result<(), Refusal> {
        if let Some(cpu) = self.pin.iter().find(|&&cpu| cpu >= cpus) {
            return Err(refuse!(
                "it is pinned to CPU {cpu}, and the machine has CPUs 0 to {}",
                cpus.saturating_sub(1)
            ));
        }
        if self.memory > memory {
            return Err(refuse!(
                "it wants {} MiB of RAM, and {} MiB are free",
                self.memory >> 20,
                memory >> 20
            ));
        }
        Ok(())
    }
}

fn resolve<'a>(archive: &Archive<'a>, name: String, vm: VmTable) -> Result<Vm<'a>, Refusal> {
    let file = |key: &str, wanted: &str| {
        archive.get(wanted).ok_or_else(|| {
            refuse!(
                "{LIST}: missing file {wanted:?} named by vm.{name}.{key}; the bundle has: {}",
                names(archive)
            )
        })
    };
    let optional = |key: &str, wanted: Option<&str>| wanted.map(|name| file(key, name)).transpose();
    Ok(Vm {
        kernel: file("kernel", &vm.kernel)?,
        ramdisk: optional("ramdisk", vm.ramdisk.as_deref())?,
        dtb: optional("dtb", vm.dtb.as_deref())?,
        bootargs: vm.bootargs,
        cpus: vm.cpus,
        memory: vm.memory,
        pin: vm.pin,
        load: vm.load,
        aarch32: vm.aarch32,
        weight: vm.weight,
        background: vm.background,
        on_reboot: vm.on_reboot,
        on_crash: vm.on_crash,
        name,
    })
}

/// Lists the archive's files for a message, not too many.
fn names(archive: &Archive<'_>) -> String {
    const SHOWN: usize = 16;
    let files = archive.files();
    let shown = files.iter().take(SHOWN);
    let shown: Vec<_> = shown
        .map(|file| format!("{}", file.name.escape_debug()))
        .collect();
    match files.len() {
        0 => String::from("no files"),
        1..=SHOWN => shown.join(", "),
        count => format!("{} and {} more", shown.join(", "), count - SHOWN),
    }
}

#[cfg(test)]
mod tests;
