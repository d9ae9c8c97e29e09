//! The device tree a guest is given: what QEMU's `virt` machine would show.
//!
//! The length of a tree does not depend on the numbers in it. So a caller that needs the
//! length to know where the ramdisk goes, and the ramdisk's place to write the tree,
//! writes it twice.

mod edit;
mod map;
pub mod merge;
mod writer;

use alloc::format;
use alloc::vec::Vec;

pub use map::{Device, GuestGic, GuestMap, VIRT};
pub use writer::Writer;

use super::image::Extent;

const GIC: u32 = 1;
const CLOCK: u32 = 2;

/// Kinds of interrupts in a specifier (binding `arm,gic-v3`).
const SPI: u32 = 0;
const PPI: u32 = 1;
const LEVEL_HIGH: u32 = 4;

/// PPIs of the timers as `arm,armv8-timer` lists them: secure, EL1 physical, virtual, EL2.
const TIMER_PPIS: [u32; 4] = [13, 14, 11, 10];

/// What distinguishes one guest's tree from another's.
#[derive(Clone, Copy, Debug)]
pub struct GuestDescription<'a> {
    /// Where devices are.
    pub map: &'a GuestMap,
    /// The affinity fields of each vCPU's MPIDR_EL1.
    pub cpus: &'a [u64],
    /// Where RAM is.
    pub ram: Extent,
    /// The kernel's arguments, without a NUL.
    pub bootargs: &'a str,
    /// Where the ramdisk is.
    pub ramdisk: Option<Extent>,
    /// Random bytes for the kernel's generator.
    pub rng_seed: [u8; 32],
    /// A random number to place the kernel by.
    pub kaslr_seed: u64,
}

/// Writes a guest's device tree.
pub fn guest_tree(guest: &GuestDescription<'_>) -> Vec<u8> {
    let mut tree = Writer::new();
    tree.begin_node("");
    tree.strings("compatible", &["entresol,guest", "linux,dummy-virt"]);
    tree.strings("model", &["entresol"]);
    tree.cells("#address-cells", &[2]);
    tree.cells("#size-cells", &[2]);
    tree.cells("interrupt-parent", &[GIC]);
    tree.empty("dma-coherent");
    chosen(&mut tree, guest);
    aliases(&mut tree, guest.map);
    memory(&mut tree, guest.ram);
    psci(&mut tree);
    cpus(&mut tree, guest.cpus);
    timer(&mut tree, guest);
    gic(&mut tree, guest);
    clock(&mut tree);
    uart(&mut tree, guest.map.uart);
    rtc(&mut tree, guest.map.rtc);
    tree.end_node();
    tree.finish()
}

fn uart_path(map: &GuestMap) -> alloc::string::String {
    format!("/pl011@{:x}", map.uart.base)
}

fn chosen(tree: &mut Writer, guest: &GuestDescription<'_>) {
    tree.begin_node("chosen");
    tree.strings("bootargs", &[guest.bootargs]);
    tree.strings("stdout-path", &[&uart_path(guest.map)]);
    if let Some(ramdisk) = guest.ramdisk {
        tree.number("linux,initrd-start", ramdisk.start.as_u64());
        tree.number("linux,initrd-end", ramdisk.end().as_u64());
    }
    tree.bytes("rng-seed", &guest.rng_seed);
    tree.number("kaslr-seed", guest.kaslr_seed);
    tree.end_node();
}

fn aliases(tree: &mut Writer, map: &GuestMap) {
    tree.begin_node("aliases");
    tree.strings("serial0", &[&uart_path(map)]);
    tree.end_node();
}

fn memory(tree: &mut Writer, ram: Extent) {
    tree.begin_node(&format!("memory@{:x}", ram.start.as_u64()));
    tree.strings("device_type", &["memory"]);
    tree.numbers("reg", &[ram.start.as_u64(), ram.size]);
    tree.end_node();
}

fn psci(tree: &mut Writer) {
    tree.begin_node("psci");
    tree.strings("compatible", &["arm,psci-1.0", "arm,psci-0.2", "arm,psci"]);
    tree.strings("method", &["hvc"]);
    tree.end_node();
}

fn cpus(tree: &mut Writer, cpus: &[u64]) {
    let wide = cpus.iter().any(|affinity| affinity >> 32 != 0);
    tree.begin_node("cpus");
    tree.cells("#address-cells", &[if wide { 2 } else { 1 }]);
    tree.cells("#size-cells", &[0]);
    for &affinity in cpus {
        tree.begin_node(&format!("cpu@{affinity:x}"));
        tree.strings("device_type", &["cpu"]);
        tree.strings("compatible", &["arm,armv8"]);
        if wide {
            tree.number("reg", affinity);
        } else {
            tree.cells("reg", &[affinity as u32]);
        }
        tree.strings("enable-method", &["psci"]);
        tree.end_node();
    }
    tree.end_node();
}

/// Returns the flags of a level-sensitive PPI.
///
/// A GICv2's specifier names the CPUs as well (binding `arm,gic`, bits 15:8).
fn ppi_flags(guest: &GuestDescription<'_>) -> u32 {
    match guest.map.gic {
        GuestGic::V2 { .. } => {
            let cpus = guest.cpus.len().min(8);
            ((1 << cpus) - 1) << 8 | LEVEL_HIGH
        }
        GuestGic::V3 { .. } => LEVEL_HIGH,
    }
}

fn timer(tree: &mut Writer, guest: &GuestDescription<'_>) {
    let flags = ppi_flags(guest);
    let interrupts: Vec<u32> = TIMER_PPIS
        .iter()
        .flat_map(|&ppi| [PPI, ppi, flags])
        .collect();
    tree.begin_node("timer");
    tree.strings("compatible", &["arm,armv8-timer"]);
    tree.cells("interrupts", &interrupts);
    tree.empty("always-on");
    tree.end_node();
}

fn gic(tree: &mut Writer, guest: &GuestDescription<'_>) {
    let (compatible, reg) = match guest.map.gic {
        GuestGic::V2 {
            distributor: (base, size),
            cpu_interface: (cpu_base, cpu_size),
        } => ("arm,cortex-a15-gic", [base, size, cpu_base, cpu_size]),
        GuestGic::V3 {
            distributor: (base, size),
            redistributors,
            redistributor_size,
        } => {
            let redistributors_size = redistributor_size * guest.cpus.len() as u64;
            (
                "arm,gic-v3",
                [base, size, redistributors, redistributors_size],
            )
        }
    };
    tree.begin_node(&format!("intc@{:x}", reg[0]));
    tree.strings("compatible", &[compatible]);
    tree.numbers("reg", &reg);
    tree.empty("interrupt-controller");
    tree.cells("#interrupt-cells", &[3]);
    if let GuestGic::V3 { .. } = guest.map.gic {
        tree.cells("#redistributor-regions", &[1]);
    }
    // For what may hang below it later: an ITS, say.
    tree.cells("#address-cells", &[2]);
    tree.cells("#size-cells", &[2]);
    tree.empty("ranges");
    tree.cells("phandle", &[GIC]);
    tree.end_node();
}

fn clock(tree: &mut Writer) {
    tree.begin_node("apb-pclk");
    tree.strings("compatible", &["fixed-clock"]);
    tree.cells("#clock-cells", &[0]);
    tree.cells("clock-frequency", &[24_000_000]);
    tree.strings("clock-output-names", &["clk24mhz"]);
    tree.cells("phandle", &[CLOCK]);
    tree.end_node();
}

fn uart(tree: &mut Writer, device: Device) {
    primecell(tree, "pl011", device);
    tree.cells("clocks", &[CLOCK, CLOCK]);
    tree.strings("clock-names", &["uartclk", "apb_pclk"]);
    tree.end_node();
}

fn rtc(tree: &mut Writer, device: Device) {
    primecell(tree, "pl031", device);
    tree.cells("clocks", &[CLOCK]);
    tree.strings("clock-names", &["apb_pclk"]);
    tree.end_node();
}

/// Begins the node of an Arm PrimeCell device.
fn primecell(tree: &mut Writer, name: &str, device: Device) {
    tree.begin_node(&format!("{name}@{:x}", device.base));
    tree.strings("compatible", &[&format!("arm,{name}"), "arm,primecell"]);
    tree.numbers("reg", &[device.base, device.size]);
    tree.cells("interrupts", &[SPI, device.spi, LEVEL_HIGH]);
}

#[cfg(test)]
mod tests;
