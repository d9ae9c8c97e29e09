//! Guests that the boot loader put into memory one by one, and described in `/chosen`.
//!
//! Two descriptions are understood. QEMU's `guest-loader` leaves a kernel and a ramdisk
//! right below `/chosen`: one guest. U-Boot scripts made for Xen leave a node for each
//! guest, compatible with "xen,domain" (Xen, docs/misc/arm/device-tree/booting.txt), with
//! its CPUs, its memory and its modules below.
//!
//! The strings of a `compatible` list come in any order. What a node asks for and is not
//! done is never passed over in silence: a guest that can't do without it is refused, the
//! rest is noted.

mod affinity;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::memory::subtract;
use super::tree::{Node, Tree};
use crate::addr::{PAGE_SIZE, Pa, PaRange};
use crate::error::Refusal;
use crate::refuse;

const DOMAIN: &str = "xen,domain";
const MODULE: [&str; 2] = ["multiboot,module", "xen,multiboot-module"];
const KERNEL: [&str; 2] = ["multiboot,kernel", "xen,linux-zimage"];
const RAMDISK: [&str; 2] = ["multiboot,ramdisk", "xen,linux-initrd"];
const DEVICE_TREE: [&str; 1] = ["multiboot,device-tree"];
/// Modules of Xen's own, which are no guest's.
const OTHERS: [&str; 1] = ["xen,xsm-policy"];

/// What guests of a `guest-loader`, which gives no names, are called.
const NAME: &str = "guest";
/// The longest name of a guest.
const MAX_NAME: usize = 31;

/// A guest that the loader put into memory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Guest {
    /// Its name.
    pub name: String,
    /// How many virtual CPUs it has, if the loader says.
    pub cpus: Option<u32>,
    /// How many bytes of RAM it has, if the loader says.
    pub memory: Option<u64>,
    /// Its kernel's arguments.
    pub bootargs: String,
    /// Where its kernel is.
    pub kernel: PaRange,
    /// Where its ramdisk is.
    pub ramdisk: Option<PaRange>,
    /// Where its device tree is.
    pub dtb: Option<PaRange>,
    /// The physical CPUs that a virtual one may run on, by number, for those that are bound.
    pub affinities: Vec<(u32, Vec<u32>)>,
    /// What it asks for in vain, but can do without; each a line for a person.
    pub notes: Vec<String>,
}

/// Returns the guests in the order of the tree; a refusal names the one it is about.
pub(super) fn find(tree: &Tree<'_>, ram: &[PaRange]) -> Vec<Result<Guest, Refusal>> {
    let Some(chosen) = tree.root().child("chosen") else {
        return Vec::new();
    };
    let domains = chosen
        .children()
        .filter(|node| node.is_okay() && node.is_compatible(&[DOMAIN]));
    let mut guests: Vec<_> = domains.map(|node| named(node, domain(node, ram))).collect();
    if chosen.children().any(is_module) {
        let guest = if guests.is_empty() {
            loaded(chosen, ram).map_err(|refusal| refuse!("vm.{NAME}: {refusal}"))
        } else {
            Err(refuse!(
                "vm.dom0: there is no privileged guest here: its modules below /chosen are not used"
            ))
        };
        guests.insert(0, guest);
    }
    guests
}

/// Takes the modules out of free RAM.
pub(super) fn spare(free: Vec<PaRange>, guests: &[Result<Guest, Refusal>]) -> Vec<PaRange> {
    let modules = guests.iter().flatten().flat_map(Guest::modules);
    let whole = modules.map(|range| {
        let start = range.start().align_down(PAGE_SIZE);
        let end = range.end().as_u64().next_multiple_of(PAGE_SIZE);
        PaRange::between(start, Pa::new(end))
    });
    let left = whole.fold(free, |free, hole| subtract(&free, hole));
    let pages = left.into_iter().map(|range| range.shrink_to(PAGE_SIZE));
    pages.filter(|range| range.size() != 0).collect()
}

impl Guest {
    /// Returns where its files are.
    fn modules(&self) -> impl Iterator<Item = PaRange> {
        [Some(self.kernel), self.ramdisk, self.dtb]
            .into_iter()
            .flatten()
    }
}

/// Puts the domain's name before a refusal.
fn named<T>(node: Node<'_, '_>, result: Result<T, Refusal>) -> Result<T, Refusal> {
    result.map_err(|refusal| refuse!("vm.{}: {refusal}", node.name().escape_debug()))
}

/// Reads the one guest of a `guest-loader`.
fn loaded(chosen: Node<'_, '_>, ram: &[PaRange]) -> Result<Guest, Refusal> {
    let modules = Modules::read(chosen, ram)?;
    Ok(Guest {
        name: NAME.into(),
        cpus: None,
        memory: None,
        bootargs: modules.bootargs.unwrap_or_default(),
        kernel: modules.kernel.ok_or_else(|| refuse!("no kernel module"))?,
        ramdisk: modules.ramdisk,
        dtb: modules.dtb,
        affinities: Vec::new(),
        notes: Vec::new(),
    })
}

/// Reads a guest described for Xen.
fn domain(node: Node<'_, '_>, ram: &[PaRange]) -> Result<Guest, Refusal> {
    let name = node.name();
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_@.,+".contains(c);
    if name.len() > MAX_NAME || !name.chars().all(allowed) {
        return Err(refuse!("is no name of a VM: at most {MAX_NAME} characters"));
    }
    refuse_unsupported(node)?;
    let cpus = node.u32("cpus");
    let kibibytes = node.number("memory");
    let bytes = kibibytes.and_then(|kibibytes| kibibytes.checked_mul(1024));
    let modules = Modules::read(node, ram)?;
    let bootargs = modules.bootargs.or_else(|| text(node));
    Ok(Guest {
        name: name.into(),
        cpus: Some(cpus.ok_or_else(|| refuse!("cpus is missing, or not one number"))?),
        memory: Some(bytes.ok_or_else(|| refuse!("memory is missing, or no number of KiB"))?),
        bootargs: bootargs.unwrap_or_default(),
        kernel: modules.kernel.ok_or_else(|| refuse!("no kernel module"))?,
        ramdisk: modules.ramdisk,
        dtb: modules.dtb,
        affinities: affinity::read(node)?,
        notes: notes(node),
    })
}

fn text(node: Node<'_, '_>) -> Option<String> {
    node.text("bootargs").map(ToString::to_string)
}

/// Refuses what a guest relies on and does not get.
fn refuse_unsupported(node: Node<'_, '_>) -> Result<(), Refusal> {
    let has = |name| node.property(name).is_some();
    let differs = |name, harmless| has(name) && node.text(name) != Some(harmless);
    let found = if has("xen,static-mem") {
        "xen,static-mem: RAM at physical addresses of one's choice"
    } else if has("direct-map") {
        "direct-map: RAM at the same addresses as the host's"
    } else if differs("passthrough", "disabled") {
        "passthrough: the host's devices"
    } else if differs("xen,sci_type", "none") {
        "xen,sci_type: the host's firmware"
    } else if has("capabilities") && node.number("capabilities") != Some(0) {
        "capabilities: power over other guests"
    } else {
        return node.children().try_for_each(refuse_unsupported_child);
    };
    Err(refuse!("{found}: not supported"))
}

fn refuse_unsupported_child(node: Node<'_, '_>) -> Result<(), Refusal> {
    let unsupported = ["xen,domain-shared-memory-v1", "xen,evtchn-v1", "xen,evtchn"];
    match node
        .strings("compatible")
        .find(|name| unsupported.contains(name))
    {
        Some(name) => Err(refuse!(
            "{}: {name}: not supported",
            node.name().escape_debug()
        )),
        None => Ok(()),
    }
}

/// Notes the properties that have no effect.
fn notes(node: Node<'_, '_>) -> Vec<String> {
    const KNOWN: [&str; 15] = [
        "#address-cells",
        "#size-cells",
        "bootargs",
        "capabilities",
        "compatible",
        "cpus",
        "linux,phandle",
        "memory",
        "name",
        "passthrough",
        "phandle",
        "status",
        "vpl011",
        "xen,sci_type",
        "reg",
    ];
    let harmless = |name: &str| match name {
        "xen,enhanced" => node.text(name) == Some("disabled"),
        "trap-unmapped-accesses" => node.u32(name) == Some(1),
        "sve" => node.u32(name) == Some(0),
        _ => KNOWN.contains(&name),
    };
    node.property_names()
        .filter(|name| !harmless(name))
        .map(|name| {
            let (vm, name) = (node.name().escape_debug(), name.escape_debug());
            format!("vm.{vm}: {name} has no effect here")
        })
        .collect()
}

fn is_module(node: Node<'_, '_>) -> bool {
    let ours = [&MODULE[..], &KERNEL, &RAMDISK, &DEVICE_TREE];
    ours.iter().any(|names| node.is_compatible(names))
        && !node.is_compatible(&OTHERS)
        && node.is_okay()
}

/// The modules below a node.
#[derive(Default)]
struct Modules {
    kernel: Option<PaRange>,
    ramdisk: Option<PaRange>,
    dtb: Option<PaRange>,
    /// The kernel's arguments, if its node has some.
    bootargs: Option<String>,
}

impl Modules {
    fn read(parent: Node<'_, '_>, ram: &[PaRange]) -> Result<Self, Refusal> {
        let mut modules = Self::default();
        for node in parent.children().filter(|&node| is_module(node)) {
            let slot = modules.slot(node)?;
            let is_first = slot.replace(place(node, ram)?).is_none();
            if !is_first {
                return Err(refuse!(
                    "{}: a second module of its kind",
                    node.name().escape_debug()
                ));
            }
        }
        Ok(modules)
    }

    /// Tells what a module is: by its name, or else the first is the kernel, the second the
    /// ramdisk.
    fn slot(&mut self, node: Node<'_, '_>) -> Result<&mut Option<PaRange>, Refusal> {
        if node.is_compatible(&DEVICE_TREE) {
            return Ok(&mut self.dtb);
        }
        if node.is_compatible(&RAMDISK) {
            return Ok(&mut self.ramdisk);
        }
        if node.is_compatible(&KERNEL) || self.kernel.is_none() {
            self.bootargs = text(node);
            return Ok(&mut self.kernel);
        }
        if self.ramdisk.is_none() {
            return Ok(&mut self.ramdisk);
        }
        Err(refuse!(
            "{}: a module of no known kind",
            node.name().escape_debug()
        ))
    }
}

/// Returns where a module is, all of it in RAM.
fn place(node: Node<'_, '_>, ram: &[PaRange]) -> Result<PaRange, Refusal> {
    let (start, size) = match node.property("reg").map(<[u8]>::as_chunks) {
        // The guest-loader's way: `/chosen` does not say how many cells there are.
        Some(([start, size], [])) => (u64::from_be_bytes(*start), u64::from_be_bytes(*size)),
        _ => match node.raw_reg()?.as_slice() {
            &[pair] => pair,
            _ => {
                return Err(refuse!(
                    "{}: reg is not one place",
                    node.name().escape_debug()
                ));
            }
        },
    };
    PaRange::new(Pa::new(start), size)
        .filter(|range| range.size() != 0 && ram.iter().any(|ram| ram.contains(*range)))
        .ok_or_else(|| {
            refuse!(
                "{}: {size:#x} bytes at {start:#x} are not in RAM",
                node.name().escape_debug()
            )
        })
}

#[cfg(test)]
pub(crate) mod tests;
