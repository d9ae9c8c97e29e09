//! What the hypervisor reads of the trees that are written for it.

use alloc::vec::Vec;

use super::*;
use crate::acpi::tests::{Pieces, server};
use entresol::addr::{Pa, PaRange};
use entresol::board::gic::Gic as HostGic;
use entresol::board::uart::UartKind as HostUart;
use entresol::board::{Board, cpus::Start, fdt, firmware};

fn place(start: u64, size: u64) -> Place {
    Place { start, size }
}

fn range(start: u64, end: u64) -> PaRange {
    PaRange::between(Pa::new(start), Pa::new(end))
}

/// Memory with holes, some of it above 40 bits.
const MEMORY: [Place; 4] = [
    Place {
        start: 0x8800_0000,
        size: 0x1000_0000,
    },
    Place {
        start: 0xa000_1000,
        size: 0x5f_f000,
    },
    Place {
        start: 0x800_0000_0000,
        size: 0x1f_0000_0000,
    },
    Place {
        start: 0x8000_0000_0000,
        size: 0x4000_0000,
    },
];

fn board(machine: &Machine) -> Board {
    let handover = Handover {
        memory: &MEMORY,
        bundle: Some(place(0x800_4000_0000, 0x12_3456)),
        bootargs: "vhe=on",
        seed: &[1, 2, 3],
        time_at_count_0: Some(1_714_998_896),
    };
    let tree = write(machine, &handover);
    Board::from_fdt(&fdt::check(&tree).unwrap()).unwrap()
}

#[test]
fn a_server_reads_back() {
    let board = board(&server::tables().machine().unwrap());
    assert_eq!(board.model, "MAKER BOARD (ACPI)");
    let ram: Vec<PaRange> = MEMORY.iter().map(|m| range(m.start, m.end())).collect();
    assert_eq!(board.ram, ram);
    assert_eq!(board.usable_ram, ram);
    assert_eq!(board.cpus.len(), 80);
    assert_eq!(board.cpus[79].mpidr, 0x1_0027_0100);
    let starts = |cpu: &entresol::board::cpus::Cpu| cpu.start == Start::Psci && cpu.is_usable;
    assert!(board.cpus.iter().all(starts));
    assert_eq!(board.psci.unwrap().conduit, firmware::Conduit::Smc);
    let HostGic::V3 {
        redistributors,
        maintenance,
        ..
    } = &board.gic
    else {
        panic!("{:?}", board.gic);
    };
    assert_eq!(redistributors.len(), 4);
    assert_eq!(
        redistributors[1],
        range(0x1001_0114_0000, 0x1001_0114_0000 + 0x28_0000)
    );
    assert_eq!(*maintenance, 25);
    assert_eq!(board.timer.virtual_, 27);
    assert_eq!(board.timer.hypervisor_physical, 26);
    assert_eq!(board.timer.hypervisor_virtual, Some(28));
    let uart = board.uart.unwrap();
    assert_eq!(uart.kind, HostUart::Pl011);
    assert_eq!(uart.registers.start(), Pa::new(0x1000_0260_0000));
    assert_eq!(uart.interrupt, Some(104));
    assert_eq!(board.chosen.bootargs, "vhe=on");
    assert_eq!(
        board.chosen.initrd,
        Some(range(0x800_4000_0000, 0x800_4012_3456))
    );
    assert_eq!(board.chosen.rng_seed, [1, 2, 3]);
    assert_eq!(board.chosen.time_at_count_0, Some(1_714_998_896));
}

#[test]
fn a_machine_with_gicv2_reads_back() {
    let dump = include_bytes!("../../tests/data/virt-gicv2.acpi");
    let board = board(&Pieces::from_dump(dump).machine().unwrap());
    let HostGic::V2 {
        virtual_cpu_interface,
        maintenance,
        ..
    } = &board.gic
    else {
        panic!("{:?}", board.gic);
    };
    assert_eq!(virtual_cpu_interface.start(), Pa::new(0x804_0000));
    assert_eq!(*maintenance, 25);
}

#[test]
fn serial_ports_of_other_kinds_read_back() {
    let mut machine = server::tables().machine().unwrap();
    let uart = machine.uart.as_mut().unwrap();
    (uart.kind, uart.shift, uart.width) = (UartKind::Ns16550, 2, 4);
    let read = board(&machine).uart.unwrap();
    assert_eq!(
        (read.kind, read.shift, read.width),
        (HostUart::Ns16550, 2, 4)
    );
    machine.uart.as_mut().unwrap().kind = UartKind::Sbsa;
    assert_eq!(board(&machine).uart.unwrap().kind, HostUart::Sbsa);
    machine.uart = None;
    assert_eq!(board(&machine).uart, None);
}

/// Returns the words of a property of the first node compatible with `name`.
fn words(tree: &[u8], name: &str, property: &str) -> Vec<u32> {
    let fdt = ::fdt::Fdt::new(tree).unwrap();
    let node = fdt.find_compatible(&[name]).unwrap();
    let value = node.property(property).unwrap().value;
    let (words, _) = value.as_chunks::<4>();
    words.iter().map(|word| u32::from_be_bytes(*word)).collect()
}

/// PCI's numbers go through the SMMU to the ITS.
#[test]
fn device_numbers_are_mapped() {
    let dump = include_bytes!("../../tests/data/virt-gicv3.acpi");
    let machine = Pieces::from_dump(dump).machine().unwrap();
    let handover = Handover {
        memory: &MEMORY,
        bundle: None,
        bootargs: "",
        seed: &[],
        time_at_count_0: None,
    };
    let tree = write(&machine, &handover);
    let smmu = words(&tree, "arm,smmu-v3", "phandle")[0];
    let its = words(&tree, "arm,gic-v3-its", "phandle")[0];
    let pci = "pci-host-ecam-generic";
    // Bus 0 goes through the SMMU, the others around it.
    assert_eq!(words(&tree, pci, "iommu-map"), [0, smmu, 0, 0x100]);
    assert_eq!(
        words(&tree, pci, "msi-map"),
        [0, its, 0, 0x100, 0x100, its, 0x100, 0xff00]
    );
    assert_eq!(words(&tree, pci, "bus-range"), [0, 255]);
}

#[test]
fn ranges_of_device_numbers_compose() {
    let map = |from, size, to| Mapping {
        from,
        size,
        to,
        target: Target::Its(0),
    };
    let whole = map(0, 0x1_0000, 0x2_0000);
    assert_eq!(
        compose(&whole, &map(0x2_0000, 0x1_0000, 5)),
        Some(map(0, 0x1_0000, 5))
    );
    assert_eq!(
        compose(&whole, &map(0x2_0100, 0x10, 5)),
        Some(map(0x100, 0x10, 5))
    );
    assert_eq!(
        compose(&whole, &map(0x1_ff00, 0x200, 0)),
        Some(map(0, 0x100, 0x100))
    );
    assert_eq!(compose(&whole, &map(0, 0x1_0000, 0)), None);
    assert_eq!(compose(&map(0, u32::MAX, u32::MAX), &whole), None);
}
