//! The device tree that the hypervisor reads, of a machine that ACPI describes.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use crate::machine::{
    Conduit, Gic, Its, Line, Machine, Mapping, Place, RootComplex, Segment, Smmu, Target, Timer,
    Uart, UartKind,
};
use crate::writer::Writer;

/// What the loader hands over beside the machine.
#[derive(Clone, Debug)]
pub struct Handover<'a> {
    /// The RAM that may be used.
    pub memory: &'a [Place],
    /// The bundle.
    pub bundle: Option<Place>,
    /// The hypervisor's command line.
    pub bootargs: &'a str,
    /// Random bytes.
    pub seed: &'a [u8],
    /// The time of day when the counter was 0, in seconds since 1970.
    pub time_at_count_0: Option<u64>,
}

impl Handover<'_> {
    /// Writes the nodes of memory, and what belongs into `/chosen`, whose begin and end are the
    /// caller's.
    pub(crate) fn write_chosen(&self, tree: &mut Writer) {
        tree.strings("bootargs", &[self.bootargs]);
        if let Some(bundle) = self.bundle {
            tree.number("linux,initrd-start", bundle.start);
            tree.number("linux,initrd-end", bundle.end());
        }
        if !self.seed.is_empty() {
            tree.bytes("rng-seed", self.seed);
        }
        if let Some(seconds) = self.time_at_count_0 {
            tree.number("entresol,time-at-count-0", seconds);
        }
    }

    pub(crate) fn write_memory(&self, tree: &mut Writer) {
        let Some(first) = self.memory.first() else {
            return;
        };
        tree.begin_node(&format!("memory@{:x}", first.start));
        tree.strings("device_type", &["memory"]);
        write_reg(tree, self.memory);
        tree.end_node();
    }
}

/// The numbers by which nodes refer to each other: the GIC, then ITSs, then SMMUs.
const GIC: u32 = 1;

fn translators(machine: &Machine) -> &[Its] {
    match &machine.gic {
        Gic::V3 { translators, .. } => translators,
        Gic::V2 { .. } => &[],
    }
}

/// Returns the number of a node that device numbers lead to, if it is there.
fn phandle(machine: &Machine, target: Target) -> Option<u32> {
    let translators = translators(machine);
    let place = match target {
        Target::Its(id) => translators.iter().position(|its| its.id == id)?,
        Target::Smmu(id) => {
            let smmus = &machine.remapping.smmus;
            translators.len() + smmus.iter().position(|smmu| smmu.id == id)?
        }
    };
    Some(GIC + 1 + place as u32)
}

/// Writes the tree.
pub fn write(machine: &Machine, handover: &Handover<'_>) -> Vec<u8> {
    let mut tree = Writer::new();
    tree.begin_node("");
    tree.strings("model", &[&machine.model]);
    tree.strings("compatible", &["entresol,uefi"]);
    tree.cells("#address-cells", &[2]);
    tree.cells("#size-cells", &[2]);
    tree.cells("interrupt-parent", &[GIC]);
    tree.begin_node("chosen");
    if let Some(uart) = &machine.uart {
        tree.strings(
            "stdout-path",
            &[&format!("/serial@{:x}", uart.registers.start)],
        );
    }
    handover.write_chosen(&mut tree);
    tree.end_node();
    handover.write_memory(&mut tree);
    write_cpus(&mut tree, machine);
    if let Some(conduit) = machine.psci {
        write_psci(&mut tree, conduit);
    }
    write_timer(&mut tree, &machine.timer);
    write_gic(&mut tree, &machine.gic);
    if let Some(uart) = &machine.uart {
        write_uart(&mut tree, uart);
    }
    for smmu in &machine.remapping.smmus {
        write_smmu(&mut tree, machine, smmu);
    }
    for segment in &machine.segments {
        write_pci(&mut tree, machine, segment);
    }
    tree.end_node();
    tree.finish()
}

fn write_reg(tree: &mut Writer, places: &[Place]) {
    let numbers: Vec<u64> = places.iter().flat_map(|p| [p.start, p.size]).collect();
    tree.numbers("reg", &numbers);
}

/// Returns an interrupt's specifier (binding `arm,gic-v3`).
fn specifier(line: Line) -> [u32; 3] {
    let flags = match (line.edge, line.low) {
        (true, false) => 1,
        (true, true) => 2,
        (false, false) => 4,
        (false, true) => 8,
    };
    match line.number.checked_sub(32) {
        Some(shared) => [0, shared, flags],
        None => [1, line.number.saturating_sub(16), flags],
    }
}

fn write_cpus(tree: &mut Writer, machine: &Machine) {
    tree.begin_node("cpus");
    tree.cells("#address-cells", &[2]);
    tree.cells("#size-cells", &[0]);
    for cpu in &machine.cpus {
        tree.begin_node(&format!("cpu@{:x}", cpu.mpidr));
        tree.strings("device_type", &["cpu"]);
        tree.strings("compatible", &["arm,armv8"]);
        tree.number("reg", cpu.mpidr);
        if machine.psci.is_some() {
            tree.strings("enable-method", &["psci"]);
        }
        tree.end_node();
    }
    tree.end_node();
}

fn write_psci(tree: &mut Writer, conduit: Conduit) {
    tree.begin_node("psci");
    // ACPI knows of no PSCI before 0.2.
    tree.strings("compatible", &["arm,psci-1.0", "arm,psci-0.2"]);
    let method = match conduit {
        Conduit::Smc => "smc",
        Conduit::Hvc => "hvc",
    };
    tree.strings("method", &[method]);
    tree.end_node();
}

fn write_timer(tree: &mut Writer, timer: &Timer) {
    let lines = [
        ("sec-phys", timer.secure),
        ("phys", Some(timer.physical)),
        ("virt", Some(timer.virtual_)),
        ("hyp-phys", Some(timer.hypervisor)),
        ("hyp-virt", timer.hypervisor_virtual),
    ];
    let there = lines.iter().filter_map(|&(name, line)| Some((name, line?)));
    let (names, specifiers): (Vec<&str>, Vec<[u32; 3]>) =
        there.map(|(name, line)| (name, specifier(line))).unzip();
    tree.begin_node("timer");
    tree.strings("compatible", &["arm,armv8-timer"]);
    tree.cells("interrupts", &specifiers.concat());
    tree.strings("interrupt-names", &names);
    tree.empty("always-on");
    tree.end_node();
}

fn write_gic(tree: &mut Writer, gic: &Gic) {
    let (compatible, places, maintenance) = match gic {
        Gic::V2 {
            interfaces,
            maintenance,
        } => ("arm,gic-400", interfaces.to_vec(), maintenance),
        Gic::V3 {
            distributor,
            regions,
            maintenance,
            ..
        } => {
            let places = [core::slice::from_ref(distributor), regions].concat();
            ("arm,gic-v3", places, maintenance)
        }
    };
    let start = places.first().map_or(0, |place| place.start);
    tree.begin_node(&format!("interrupt-controller@{start:x}"));
    tree.strings("compatible", &[compatible]);
    tree.empty("interrupt-controller");
    tree.cells("#interrupt-cells", &[3]);
    tree.cells("#address-cells", &[2]);
    tree.cells("#size-cells", &[2]);
    tree.empty("ranges");
    tree.cells("phandle", &[GIC]);
    write_reg(tree, &places);
    tree.cells("interrupts", &specifier(*maintenance));
    if let Gic::V3 {
        regions,
        translators,
        ..
    } = gic
    {
        tree.cells("#redistributor-regions", &[regions.len() as u32]);
        for (number, its) in translators.iter().enumerate() {
            tree.begin_node(&format!("msi-controller@{:x}", its.registers.start));
            tree.strings("compatible", &["arm,gic-v3-its"]);
            tree.empty("msi-controller");
            tree.cells("#msi-cells", &[1]);
            write_reg(tree, &[its.registers]);
            tree.cells("phandle", &[GIC + 1 + number as u32]);
            tree.end_node();
        }
    }
    tree.end_node();
}

fn write_uart(tree: &mut Writer, uart: &Uart) {
    tree.begin_node(&format!("serial@{:x}", uart.registers.start));
    match uart.kind {
        UartKind::Pl011 => tree.strings("compatible", &["arm,pl011", "arm,primecell"]),
        UartKind::Sbsa => tree.strings("compatible", &["arm,sbsa-uart"]),
        UartKind::Ns16550 => {
            tree.strings("compatible", &["ns16550a"]);
            tree.cells("reg-shift", &[uart.shift]);
            tree.cells("reg-io-width", &[uart.width]);
        }
    }
    write_reg(tree, &[uart.registers]);
    if let Some(number) = uart.interrupt {
        let line = Line {
            number,
            edge: false,
            low: false,
        };
        tree.cells("interrupts", &specifier(line));
    }
    tree.end_node();
}

fn write_smmu(tree: &mut Writer, machine: &Machine, smmu: &Smmu) {
    tree.begin_node(&format!("iommu@{:x}", smmu.registers.start));
    tree.strings("compatible", &["arm,smmu-v3"]);
    write_reg(tree, &[smmu.registers]);
    tree.cells("#iommu-cells", &[1]);
    if smmu.coherent {
        tree.empty("dma-coherent");
    }
    let lines = [("eventq", smmu.event), ("gerror", smmu.error)];
    let there = lines
        .iter()
        .filter_map(|&(name, number)| Some((name, number?)));
    let (names, specifiers): (Vec<&str>, Vec<[u32; 3]>) = there
        .map(|(name, number)| {
            let line = Line {
                number,
                edge: true,
                low: false,
            };
            (name, specifier(line))
        })
        .unzip();
    if !names.is_empty() {
        tree.cells("interrupts", &specifiers.concat());
        tree.strings("interrupt-names", &names);
    }
    if let Some(own) = phandle(machine, Target::Smmu(smmu.id)) {
        tree.cells("phandle", &[own]);
    }
    tree.end_node();
}

fn write_pci(tree: &mut Writer, machine: &Machine, segment: &Segment) {
    tree.begin_node(&format!("pcie@{:x}", segment.space.start));
    tree.strings("compatible", &["pci-host-ecam-generic"]);
    tree.strings("device_type", &["pci"]);
    write_reg(tree, &[segment.space]);
    tree.cells(
        "bus-range",
        &[segment.first_bus.into(), segment.last_bus.into()],
    );
    tree.cells("linux,pci-domain", &[segment.number.into()]);
    tree.cells("#address-cells", &[3]);
    tree.cells("#size-cells", &[2]);
    let roots = &machine.remapping.roots;
    if let Some(root) = roots
        .iter()
        .find(|r| r.segment == u32::from(segment.number))
    {
        let (streams, messages) = maps(machine, root);
        for (name, map) in [("iommu-map", streams), ("msi-map", messages)] {
            if !map.is_empty() {
                tree.cells(name, &map);
            }
        }
    }
    tree.end_node();
}

/// Returns what `iommu-map` and `msi-map` say of a root: first function, node, first number there,
/// how many.
fn maps(machine: &Machine, root: &RootComplex) -> (Vec<u32>, Vec<u32>) {
    let (mut streams, mut messages) = (vec![], vec![]);
    let add = |map: &mut Vec<u32>, mapping: &Mapping| {
        if let Some(node) = phandle(machine, mapping.target) {
            map.extend([mapping.from, node, mapping.to, mapping.size]);
        }
    };
    for mapping in &root.mappings {
        match mapping.target {
            Target::Its(_) => add(&mut messages, mapping),
            Target::Smmu(id) => {
                add(&mut streams, mapping);
                let smmus = &machine.remapping.smmus;
                let behind = smmus.iter().find(|smmu| smmu.id == id);
                for next in behind.iter().flat_map(|smmu| &smmu.mappings) {
                    if let Some(through) = compose(mapping, next) {
                        add(&mut messages, &through);
                    }
                }
            }
        }
    }
    (streams, messages)
}

/// Returns what becomes of numbers that pass `first`, then `next`.
fn compose(first: &Mapping, next: &Mapping) -> Option<Mapping> {
    let end = |start: u32, size: u32| u64::from(start) + u64::from(size);
    let start = first.to.max(next.from);
    let end = end(first.to, first.size).min(end(next.from, next.size));
    let size = end.checked_sub(start.into()).filter(|&size| size != 0)?;
    Some(Mapping {
        from: first.from.checked_add(start - first.to)?,
        size: size.try_into().ok()?,
        to: next.to.checked_add(start - next.from)?,
        target: next.target,
    })
}

#[cfg(test)]
mod tests;
