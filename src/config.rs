//! What VMs there are: the bundle and the `vms.toml` in it.
//!
//! Both come from whoever set up the machine. They are trusted, and they are written by
//! hand: everything that is wrong ends in one line that says where and what.

pub mod cpio;
pub mod vms;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::error::Refusal;
use crate::refuse;
use cpio::Archive;
use vms::VmTable;

/// The name of the file in the bundle that lists the VMs.
pub const LIST: &str = "vms.toml";

/// All VMs, with their files found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config<'a> {
    /// The VMs in the order of the file; at least one.
    pub vms: Vec<Vm<'a>>,
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
    /// A device tree to be used in place of the generated one.
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
    /// Refuses a broken archive, an archive without `vms.toml`, whatever [`vms::parse`]
    /// refuses, and names of files that are not in the archive.
    pub fn from_bundle(bundle: &'a [u8]) -> Result<Self, Refusal> {
        let archive = Archive::read(bundle)?;
        let list = archive
            .find(LIST)
            .ok_or_else(|| refuse!("bundle: no {LIST}; the bundle has: {}", names(&archive)))?;
        let list = core::str::from_utf8(list)
            .map_err(|error| refuse!("{LIST}: not UTF-8 after {} bytes", error.valid_up_to()))?;
        let vms = vms::parse(list)?
            .into_iter()
            .map(|(name, table)| resolve(&archive, name, table))
            .collect::<Result<_, _>>()?;
        Ok(Self { vms })
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
        name,
    })
}

/// Lists the archive's files for a message, not too many.
fn names(archive: &Archive<'_>) -> String {
    const SHOWN: usize = 16;
    let files = archive.files();
    let shown: Vec<&str> = files.iter().take(SHOWN).map(|file| file.name).collect();
    match files.len() {
        0 => String::from("no files"),
        1..=SHOWN => shown.join(", "),
        count => format!("{} and {} more", shown.join(", "), count - SHOWN),
    }
}

#[cfg(test)]
mod tests;
