//! A device tree of the guest's owner's, with what only the hypervisor can say put in.
//!
//! Replaced, or added where it is missing:
//!
//! - `/memory`: one node, all of RAM;
//! - `/chosen`: the arguments if there are any, the ramdisk, the seeds, and the console if
//!   the tree has none and describes the UART;
//! - `/cpus`: each CPU's `reg` and `enable-method`;
//! - the interrupt controller, wherever it is, but for its handle: what refers to it still
//!   does;
//! - the timer's interrupts, and PSCI's method.
//!
//! All else is kept as it is, whether the guest has such a device or not.

use alloc::format;
use alloc::vec::Vec;

use super::edit::{Node, read, reservations};
use super::{GuestDescription, GuestGic, PPI, TIMER_PPIS, Writer, ppi_flags};
use crate::board::fdt::CheckedTree;
use crate::error::Refusal;
use crate::refuse;

/// Interrupt controllers whose specifiers are as ours.
const CONTROLLERS: [&str; 7] = [
    "arm,gic-v3",
    "arm,gic-400",
    "arm,cortex-a15-gic",
    "arm,cortex-a9-gic",
    "arm,cortex-a7-gic",
    "arm,pl390",
    "arm,eb11mp-gic",
];
const TIMERS: [&str; 2] = ["arm,armv8-timer", "arm,armv7-timer"];

/// Merges the tree of a guest's owner with what the hypervisor says.
///
/// The length of the result does not depend on the numbers in `guest`.
///
/// # Errors
///
/// Refuses a tree that has more CPUs than the guest, an interrupt controller of another
/// kind, or too few cells for the numbers, and one that passes devices through.
pub fn merged_tree(
    owners: &CheckedTree<'_>,
    guest: &GuestDescription<'_>,
) -> Result<Vec<u8>, Refusal> {
    let mut root = read(owners)?;
    if root.children.iter().any(|node| node.name == "passthrough") {
        return Err(refuse!(
            "device tree: it passes devices through (/passthrough), which is not supported"
        ));
    }
    let gic = interrupt_controller(&mut root, guest)?;
    timer(&mut root, guest, gic);
    memory(&mut root, guest)?;
    psci(&mut root);
    cpus(&mut root, guest.cpus)?;
    chosen(&mut root, guest);
    let mut tree = Writer::new();
    for (start, size) in reservations(owners) {
        tree.reserve(start, size);
    }
    root.write(&mut tree);
    Ok(tree.finish())
}

/// A controller as specifiers name it.
#[derive(Clone, Copy)]
struct Controller {
    phandle: u32,
    /// How many words a specifier has.
    cells: u32,
}

fn interrupt_controller<'a>(
    root: &mut Node<'a>,
    guest: &GuestDescription<'_>,
) -> Result<Controller, Refusal> {
    let (old, place) = root
        .take(&|node| node.is_compatible(&CONTROLLERS))
        .unwrap_or_else(|| (Node::new("intc"), None));
    let phandle = match old.u32("phandle").or(old.u32("linux,phandle")) {
        Some(phandle) => phandle,
        None => root.highest_phandle().checked_add(1).unwrap_or(1),
    };
    let cells = old.u32("#interrupt-cells").unwrap_or(3);
    if !matches!(cells, 3 | 4) {
        return Err(refuse!(
            "device tree: the interrupt controller's specifiers have {cells} cells, not 3"
        ));
    }
    let node = controller_node(root, &old, guest, Controller { phandle, cells })?;
    match place {
        Some(index) => root.children.insert(index, node),
        None => root.children.push(node),
    }
    if root.property("interrupt-parent").is_none() {
        root.set_cells("interrupt-parent", &[phandle]);
    }
    Ok(Controller { phandle, cells })
}

/// Describes the guest's interrupt controller in a node of the old one's name.
fn controller_node<'a>(
    root: &Node<'_>,
    old: &Node<'a>,
    guest: &GuestDescription<'_>,
    controller: Controller,
) -> Result<Node<'a>, Refusal> {
    let (compatible, reg) = match guest.map.gic {
        GuestGic::V2 {
            distributor,
            cpu_interface,
        } => ("arm,cortex-a15-gic", [distributor, cpu_interface]),
        GuestGic::V3 {
            distributor,
            redistributors,
            redistributor_size,
        } => {
            let size = redistributor_size.saturating_mul(guest.cpus.len() as u64);
            ("arm,gic-v3", [distributor, (redistributors, size)])
        }
    };
    let [(base, _), _] = reg;
    let mut node = Node::new(format!("{}@{base:x}", old.base_name()));
    node.set_strings("compatible", &[compatible]);
    node.set("reg", root.reg(&reg)?);
    node.set("interrupt-controller", Vec::new());
    node.set_cells("#interrupt-cells", &[controller.cells]);
    if let GuestGic::V3 { .. } = guest.map.gic {
        node.set_cells("#redistributor-regions", &[1]);
    }
    // A bus's map of interrupts depends on them.
    for name in ["#address-cells", "#size-cells"] {
        if let Some(cells) = old.u32(name) {
            node.set_cells(name, &[cells]);
        }
    }
    node.set_cells("phandle", &[controller.phandle]);
    Ok(node)
}

fn timer(root: &mut Node<'_>, guest: &GuestDescription<'_>, gic: Controller) {
    let specifier = |ppi| {
        let words = [PPI, ppi, ppi_flags(guest), 0];
        words.into_iter().take(gic.cells as usize)
    };
    let interrupts: Vec<u32> = TIMER_PPIS.into_iter().flat_map(specifier).collect();
    if root.find(&|node| node.is_compatible(&TIMERS)).is_none() {
        root.child("timer").set_strings("compatible", &TIMERS[..1]);
    }
    if let Some(node) = root.find(&|node| node.is_compatible(&TIMERS)) {
        // The frequency is the hardware's to say.
        node.remove(&[
            "interrupts-extended",
            "interrupt-names",
            "clock-frequency",
            "status",
        ]);
        node.set_cells("interrupt-parent", &[gic.phandle]);
        node.set_cells("interrupts", &interrupts);
        node.set("always-on", Vec::new());
    }
}

fn memory<'a>(root: &mut Node<'a>, guest: &GuestDescription<'_>) -> Result<(), Refusal> {
    let is_memory = |node: &Node<'_>| {
        node.has_string("device_type", |kind| kind == "memory") || node.base_name() == "memory"
    };
    let place = root.children.iter().position(is_memory);
    let place = place.unwrap_or(root.children.len());
    root.children.retain(|node| !is_memory(node));
    let start = guest.ram.start.as_u64();
    let mut node = Node::new(format!("memory@{start:x}"));
    node.set_strings("device_type", &["memory"]);
    node.set("reg", root.reg(&[(start, guest.ram.size)])?);
    root.children.insert(place.min(root.children.len()), node);
    Ok(())
}

fn psci(root: &mut Node<'_>) {
    let is_psci = |node: &Node<'_>| node.has_string("compatible", |it| it.starts_with("arm,psci"));
    if root.find(&is_psci).is_none() {
        root.child("psci").set_strings("compatible", &["arm,psci"]);
    }
    if let Some(node) = root.find(&is_psci) {
        // Version 0.1 let the tree choose the functions' numbers.
        node.remove(&["cpu_suspend", "cpu_off", "cpu_on", "migrate", "status"]);
        node.set_strings("compatible", &["arm,psci-1.0", "arm,psci-0.2", "arm,psci"]);
        node.set_strings("method", &["hvc"]);
    }
}

fn cpus<'a>(root: &mut Node<'a>, affinities: &[u64]) -> Result<(), Refusal> {
    let node = root.child("cpus");
    let is_cpu = |node: &Node<'a>| node.base_name() == "cpu";
    let described = node.children.iter().filter(|node| is_cpu(node)).count();
    if described > affinities.len() {
        return Err(refuse!(
            "device tree: it describes {described} CPUs, but the VM has {}: set cpus = {described}",
            affinities.len()
        ));
    }
    let wide = affinities.iter().any(|affinity| affinity >> 32 != 0);
    let wide = wide || node.u32("#address-cells") == Some(2);
    node.set_cells("#address-cells", &[if wide { 2 } else { 1 }]);
    node.set_cells("#size-cells", &[0]);
    for _ in described..affinities.len() {
        let mut cpu = Node::new("cpu");
        cpu.set_strings("device_type", &["cpu"]);
        cpu.set_strings("compatible", &["arm,armv8"]);
        node.children.push(cpu);
    }
    let cpus = node.children.iter_mut().filter(|node| is_cpu(node));
    for (cpu, affinity) in cpus.zip(affinities) {
        cpu.name = format!("cpu@{affinity:x}").into();
        cpu.remove(&["cpu-release-addr"]);
        let reg = affinity.to_be_bytes();
        cpu.set("reg", reg[if wide { 0 } else { 4 }..].to_vec());
        cpu.set_strings("enable-method", &["psci"]);
    }
    Ok(())
}

fn chosen(root: &mut Node<'_>, guest: &GuestDescription<'_>) {
    let console = console_path(root, guest.map.uart.base);
    let node = root.child("chosen");
    if !guest.bootargs.is_empty() {
        node.set_strings("bootargs", &[guest.bootargs]);
    }
    if let Some(path) = console.filter(|_| node.property("stdout-path").is_none()) {
        node.set_strings("stdout-path", &[&path]);
    }
    node.remove(&["linux,initrd-start", "linux,initrd-end"]);
    if let Some(ramdisk) = guest.ramdisk {
        let number = |ipa: crate::addr::Ipa| ipa.as_u64().to_be_bytes().to_vec();
        node.set("linux,initrd-start", number(ramdisk.start));
        node.set("linux,initrd-end", number(ramdisk.end()));
    }
    node.set("rng-seed", guest.rng_seed.to_vec());
    node.set("kaslr-seed", guest.kaslr_seed.to_be_bytes().to_vec());
}

/// Returns the path of the PL011 at `base`, if the tree describes it.
fn console_path(root: &Node<'_>, base: u64) -> Option<alloc::string::String> {
    root.path_of(&|parent, node| {
        let (words, _) = parent.cells();
        let start = node
            .property("reg")
            .and_then(|reg| reg.get(..words as usize * 4));
        let number = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(0_u64, |number, &byte| number << 8 | u64::from(byte))
        };
        node.is_compatible(&["arm,pl011"]) && start.map(number) == Some(base)
    })
}

#[cfg(test)]
mod tests;
