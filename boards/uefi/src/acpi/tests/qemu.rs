//! Tables that EDK2 had in QEMU's `virt`.

use super::*;
use crate::machine::{Conduit, Gic, Place, Target, UartKind};

fn dump(name: &str) -> Pieces {
    let path = alloc::format!("{}/tests/data/{name}.acpi", env!("CARGO_MANIFEST_DIR"));
    Pieces::from_dump(&std::fs::read(path).unwrap())
}

fn place(start: u64, size: u64) -> Place {
    Place { start, size }
}

#[test]
fn four_cpus_with_gicv3_and_an_smmu() {
    let machine = dump("virt-gicv3").machine().unwrap();
    assert_eq!(machine.model, "BOCHS BXPC (ACPI)");
    assert_eq!(machine.notes, [""; 0]);
    let cpus: Vec<u64> = machine.cpus.iter().map(|cpu| cpu.mpidr).collect();
    assert_eq!(cpus, [0, 1, 2, 3]);
    assert_eq!(machine.psci, Some(Conduit::Smc));
    let Gic::V3 {
        distributor,
        regions,
        maintenance,
        translators,
    } = &machine.gic
    else {
        panic!("{:?}", machine.gic);
    };
    assert_eq!(*distributor, place(0x800_0000, 0x1_0000));
    assert_eq!(*regions, [place(0x80a_0000, 0xf6_0000)]);
    assert_eq!(maintenance.number, 25);
    assert_eq!(translators[0].registers, place(0x808_0000, 0x2_0000));
    let timer = &machine.timer;
    let numbers = [
        timer.secure.unwrap().number,
        timer.physical.number,
        timer.virtual_.number,
        timer.hypervisor.number,
    ];
    assert_eq!(numbers, [29, 30, 27, 26]);
    let uart = machine.uart.unwrap();
    assert_eq!(uart.kind, UartKind::Pl011);
    assert_eq!(uart.registers.start, 0x900_0000);
    assert_eq!(uart.interrupt, Some(33));
    let segment = machine.segments[0];
    assert_eq!(segment.space, place(0x40_1000_0000, 0x1000_0000));
    assert_eq!((segment.first_bus, segment.last_bus), (0, 255));
    let smmu = &machine.remapping.smmus[0];
    assert_eq!(smmu.registers.start, 0x905_0000);
    assert!(matches!(smmu.mappings[0].target, Target::Its(_)));
    let root = &machine.remapping.roots[0];
    assert_eq!(root.mappings[0].target, Target::Smmu(smmu.id));
}

#[test]
fn two_cpus_with_gicv2() {
    let machine = dump("virt-gicv2").machine().unwrap();
    let Gic::V2 {
        interfaces,
        maintenance,
    } = machine.gic
    else {
        panic!("{:?}", machine.gic);
    };
    let starts = interfaces.map(|interface| interface.start);
    assert_eq!(starts, [0x800_0000, 0x801_0000, 0x803_0000, 0x804_0000]);
    assert_eq!(maintenance.number, 25);
    assert_eq!(machine.cpus.len(), 2);
}

#[test]
fn many_cpus_with_two_regions_of_redistributors() {
    let machine = dump("virt-160").machine().unwrap();
    assert_eq!(machine.cpus.len(), 160);
    // Sixteen CPUs to a cluster.
    assert_eq!(machine.cpus[159].mpidr, 0x90f);
    let Gic::V3 { regions, .. } = &machine.gic else {
        panic!("{:?}", machine.gic);
    };
    assert_eq!(regions[0], place(0x80a_0000, 0xf6_0000));
    assert_eq!(regions[1].start, 0x40_0000_0000);
}

/// DBG2 stands in where SPCR is not there, or names what we do not know.
#[test]
fn the_debug_port_stands_in_for_the_console() {
    let mut pieces = dump("virt-gicv3");
    let console = pieces.0.iter().position(|(_, b)| b.starts_with(b"SPCR"));
    let console = &mut pieces.0[console.unwrap()].1;
    console[36] = 0x42;
    seal(console, 9);
    let machine = pieces.machine().unwrap();
    assert!(machine.notes[0].contains("SPCR names a serial port of kind 0x42"));
    let uart = machine.uart.unwrap();
    assert_eq!(
        (uart.kind, uart.registers.start),
        (UartKind::Pl011, 0x900_0000)
    );
    assert_eq!(uart.interrupt, None);
}
