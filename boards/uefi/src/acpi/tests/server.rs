//! A server as Ampere's Altra is one: 80 CPUs, redistributors in several regions, a console and
//! PCI above 40 bits.

use super::*;
use crate::machine::{Gic, Line, Place, UartKind};

/// Appends numbers of so many bytes each; more than eight are padded.
pub(crate) fn put(to: &mut Vec<u8>, fields: &[(usize, u64)]) {
    for &(size, value) in fields {
        let bytes = value.to_le_bytes();
        to.extend(bytes.iter().take(size));
        to.resize(to.len() + size.saturating_sub(bytes.len()), 0);
    }
}

fn fadt() -> Vec<u8> {
    let mut body = vec![0; 268 - HEADER];
    body[129 - HEADER] = 1; // PSCI, by SMC
    table(b"FACP", &body)
}

/// A GICC structure.
pub(crate) fn gicc(uid: u64, flags: u64, mpidr: u64, redistributor: u64) -> Vec<u8> {
    let mut entry = vec![0x0b, 80, 0, 0];
    put(
        &mut entry,
        &[(4, uid), (4, uid), (4, flags), (4, 0), (4, 23)],
    );
    put(&mut entry, &[(8, 0), (8, 0), (8, 0), (8, 0), (4, 25)]);
    put(&mut entry, &[(8, redistributor), (8, mpidr), (4, 0)]);
    assert_eq!(entry.len(), 80);
    entry
}

fn gicd(base: u64, version: u64) -> Vec<u8> {
    let mut entry = vec![0x0c, 24, 0, 0];
    put(&mut entry, &[(4, 0), (8, base), (4, 0), (4, version)]);
    entry
}

fn gicr(base: u64, size: u64) -> Vec<u8> {
    let mut entry = vec![0x0e, 16, 0, 0];
    put(&mut entry, &[(8, base), (4, size)]);
    entry
}

fn madt(entries: &[Vec<u8>]) -> Vec<u8> {
    table(b"APIC", &[vec![0; 8], entries.concat()].concat())
}

fn gtdt() -> Vec<u8> {
    let mut body = vec![];
    put(&mut body, &[(8, u64::MAX), (4, 0)]);
    for number in [29, 30, 27, 26] {
        put(&mut body, &[(4, number), (4, 2)]);
    }
    put(&mut body, &[(8, u64::MAX), (4, 0), (4, 0), (4, 28), (4, 2)]);
    table(b"GTDT", &body)
}

fn spcr(kind: u64, address: u64) -> Vec<u8> {
    let mut body = vec![];
    put(&mut body, &[(1, kind), (3, 0)]);
    put(&mut body, &[(1, 0), (1, 32), (1, 0), (1, 3), (8, address)]);
    put(&mut body, &[(1, 8), (1, 0), (4, 104), (22, 0)]);
    table(b"SPCR", &body)
}

fn mcfg(segments: &[(u64, u64)]) -> Vec<u8> {
    let mut body = vec![0; 8];
    for &(number, base) in segments {
        put(
            &mut body,
            &[(8, base), (2, number), (1, 0), (1, 255), (4, 0)],
        );
    }
    table(b"MCFG", &body)
}

/// 80 CPUs in pairs, the last structure of one that is broken; a redistributor region for each 20.
fn altra_madt() -> Vec<u8> {
    let mut entries = vec![gicd(0x1001_0000_0000, 3)];
    for n in 0..80 {
        entries.push(gicc(
            n,
            1,
            0x1_0000_0000 | ((n / 2) << 16) | ((n % 2) << 8),
            0,
        ));
    }
    entries.push(gicc(80, 0, 0x1_0028_0000, 0));
    for n in 0..4 {
        entries.push(gicr(0x1001_0014_0000 + n * 0x100_0000, 20 * 0x2_0000));
    }
    madt(&entries)
}

pub(crate) fn tables() -> Pieces {
    Pieces::of(vec![
        fadt(),
        altra_madt(),
        gtdt(),
        spcr(3, 0x1000_0260_0000),
        mcfg(&[(0, 0x33ff_e000_0000), (12, 0x37ff_e000_0000)]),
    ])
}

/// Returns the tables with another one in its kind's place.
fn with(other: Vec<u8>) -> Pieces {
    let mut all = vec![fadt(), altra_madt(), gtdt(), spcr(3, 0x1000_0260_0000)];
    let place = all.iter().position(|one| one[..4] == other[..4]);
    all[place.unwrap()] = other;
    Pieces::of(all)
}

#[test]
fn eighty_cpus_in_four_regions() {
    let machine = tables().machine().unwrap();
    assert_eq!(machine.model, "MAKER BOARD (ACPI)");
    assert_eq!(machine.cpus.len(), 80, "the broken one is not used");
    assert_eq!(machine.cpus[79].mpidr, 0x1_0027_0100);
    let Gic::V3 {
        distributor,
        regions,
        ..
    } = &machine.gic
    else {
        panic!("{:?}", machine.gic);
    };
    assert_eq!(distributor.start, 0x1001_0000_0000);
    assert_eq!(regions.len(), 4);
    assert_eq!(regions[3].start, 0x1001_0314_0000);
    assert_eq!(regions[3].size, 0x28_0000);
    let uart = machine.uart.unwrap();
    assert_eq!(uart.registers.start, 0x1000_0260_0000);
    assert_eq!(uart.interrupt, Some(104));
    assert_eq!(machine.segments[1].number, 12);
    assert_eq!(machine.segments[1].space.start, 0x37ff_e000_0000);
    let low = Line {
        number: 28,
        edge: false,
        low: true,
    };
    assert_eq!(machine.timer.hypervisor_virtual, Some(low));
}

#[test]
fn redistributors_one_by_one_make_regions() {
    let starts = [0x2_0000, 0x4_0000, 0xa_0000, 0x8_0000];
    let mut entries = vec![gicd(0x1_0000, 0)];
    entries.extend((0..4).map(|n| gicc(n, 1, n, starts[n as usize])));
    let machine = with(madt(&entries)).machine().unwrap();
    let Gic::V3 { regions, .. } = machine.gic else {
        panic!("{:?}", machine.gic);
    };
    let place = |start, size| Place { start, size };
    assert_eq!(
        regions,
        [place(0x2_0000, 0x4_0000), place(0x8_0000, 0x4_0000)]
    );
}

#[test]
fn what_can_not_serve_guests_is_refused() {
    let cpu = gicc(0, 1, 0, 0x2_0000);
    refused(
        &with(madt(std::slice::from_ref(&cpu))),
        "no GIC distributor",
    );
    refused(&with(madt(&[gicd(0x1_0000, 3)])), "no enabled CPU");
    let silent = gicc(0, 1, 0, 0);
    refused(
        &with(madt(&[gicd(0x1_0000, 3), silent])),
        "no GIC redistributors",
    );
    let mut deaf = cpu.clone();
    deaf[56] = 0;
    refused(
        &with(madt(&[gicd(0x1_0000, 3), deaf])),
        "no maintenance interrupt",
    );
    refused(
        &with(madt(&[gicd(0, 3), cpu.clone()])),
        "a part of the GIC at 0x0",
    );
    refused(
        &with(madt(&[gicd(0x1_0000, 2), cpu])),
        "a part of the GIC at 0x0",
    );
    let mut timers = gtdt();
    timers[72] = 0;
    refused(&with(timers), "no interrupt of the EL2 timer");
}

#[test]
fn consoles_of_all_kinds() {
    let uart = |kind| with(spcr(kind, 0x1c09_0000)).machine().unwrap().uart;
    assert_eq!(uart(0x0e).unwrap().kind, UartKind::Sbsa);
    let uart = uart(0x12).unwrap();
    assert_eq!(uart.kind, UartKind::Ns16550);
    assert_eq!((uart.shift, uart.width), (2, 4));
    let without = with(spcr(0x99, 0x1c09_0000)).machine().unwrap();
    assert_eq!(without.uart, None);
    assert!(without.notes[0].contains("kind 0x99"));
}
