use super::*;
use crate::dev::gic::v2::tests::Benches;
use crate::vm::gic::{Affinity, Config, Gic as GuestGic, Here, Version};

/// The driver leaks, as it does for good on a machine; what it drives must live as long.
fn lists() -> MemoryLists {
    let benches = Box::leak(Box::new(Benches::new()));
    MemoryLists::new(Box::leak(Box::new(benches.gic().unwrap())))
}

#[test]
fn every_field_finds_its_place() {
    for (wide, narrowed) in [
        (0x3ff, 0x3ff),
        (0x3ff << lr::PINTID, 0x3ff << 10),
        (lr::EOI, 1 << 19),
        (5 << lr::PINTID, 5 << 10),
        (0xf8 << lr::PRIORITY, 0x1f << 23),
        (lr::PENDING, 1 << 28),
        (lr::ACTIVE, 1 << 29),
        (1 << lr::GROUP1, 1 << 30),
        (lr::HW, 1 << 31),
    ] {
        assert_eq!(narrow(wide), narrowed);
        assert_eq!(widen(narrowed), wide);
    }
    // What GICv2 has no room for is dropped.
    assert_eq!(narrow(0x07 << lr::PRIORITY | 0xffff_fc00), 0);
}

#[test]
fn every_list_register_there_is_can_be_reached() {
    let mut lists = lists();
    assert_eq!((lists.count(), lists.kind()), (4, 0x9000_0003));
    for n in 0..4 {
        lists.write(n, lr::PENDING | u64::from(40 + n));
    }
    // Beyond the last nothing is written, and zero is read.
    lists.write(4, lr::ACTIVE | 1);
    lists.write(20, lr::ACTIVE | 1);
    for n in 0..4 {
        assert_eq!(lists.read(n), lr::PENDING | u64::from(40 + n));
        assert_eq!(
            lists.gic.read_virtual(0x100 + 4 * n as usize),
            1 << 28 | (40 + n)
        );
    }
    assert_eq!((lists.read(4), lists.read(20)), (0, 0));
    assert!(!lists.fill(1, 0), "it is not free");
    lists.write(1, lr::HW | 41);
    assert!(lists.fill(1, lr::PENDING | 50));
    assert_eq!(lists.read(1), lr::PENDING | 50);
}

#[test]
fn control_registers_are_where_the_architecture_has_them() {
    let mut lists = lists();
    lists.set_hcr(0x8000_00ff);
    lists.set_vmcr(0xf800_0001);
    lists.set_active_priorities(&[[0x8000_0001, 1, 0, 0], [7; 4]]);
    let register = |offset| lists.gic.read_virtual(offset);
    assert_eq!(register(0x0), 0x8000_00ff);
    assert_eq!(register(0x8), 0xf800_0001);
    assert_eq!(register(0xf0), 0x8000_0001);
    assert_eq!((lists.hcr(), lists.vmcr()), (0x8000_00ff, 0xf800_0001));
    let mut priorities = ActivePriorities::default();
    lists.take_active_priorities(&mut priorities);
    assert_eq!(priorities, [[0x8000_0001, 0, 0, 0], [0; 4]]);
    assert_eq!(register(0xf0), 0);
    lists.gic.write_virtual(0x10, 0x5);
    lists.gic.write_virtual(0x20, 0x2);
    lists.gic.write_virtual(0x24, 0x3);
    lists.gic.write_virtual(0x30, 0xd);
    assert_eq!((lists.misr(), lists.empty()), (5, 0xd));
    assert_eq!(lists.eisr(), 0x3_0000_0002);
}

#[test]
fn without_links_the_guests_end_is_asked_for() {
    let mut linked = lists();
    let benches = Box::leak(Box::new(Benches::new()));
    benches.identify_as_qemu();
    let mut unlinked = MemoryLists::new(Box::leak(Box::new(benches.gic().unwrap())));
    let value = lr::PENDING | lr::HW | 30 << lr::PINTID | 27;
    for (lists, expected) in [
        (&mut linked, 1 << 31 | 1 << 28 | 30 << 10 | 27),
        (&mut unlinked, 1 << 28 | 1 << 19 | 27),
    ] {
        assert!(lists.fill(2, value));
        assert_eq!(lists.gic.read_virtual(0x108), expected);
    }
    // Nothing else is changed.
    unlinked.write(2, lr::ACTIVE | 3 << lr::PINTID | 5);
    assert_eq!(unlinked.gic.read_virtual(0x108), 1 << 29 | 3 << 10 | 5);
}

#[test]
fn an_unlinked_interrupt_is_deactivated_on_maintenance() {
    let benches = Box::leak(Box::new(Benches::new()));
    benches.identify_as_qemu();
    let deactivated = benches.deactivated();
    let mut lists = MemoryLists::new(Box::leak(Box::new(benches.gic().unwrap())));
    let mut gic = GuestGic::new(&Config {
        version: Version::V2,
        affinities: &[Affinity::from_u32(0)],
        spis: 32,
        priority_bits: 5,
    })
    .unwrap();
    let here = &mut Here::new(0, &mut lists);
    let _ = gic.load(here);
    let _ = gic.dist_v2_write(here, 0x0, 4, 1);
    let _ = gic.dist_v2_write(here, 0x100, 4, 1 << 27);
    let _ = gic.inject_hw(here, 0, 27, HwIntid::new(27).unwrap());
    assert_eq!(here.lists.read(0), lr::PENDING | lr::EOI | 27);
    // The guest takes it and ends it.
    here.lists.write(0, lr::EOI | 27);
    assert_eq!(deactivated.read32(0), 0);
    let _ = gic.maintenance(here);
    assert_eq!(deactivated.read32(0), 27);
    assert_eq!(gic.hw_in_flight(0), 0);
    assert_eq!(here.lists.read(0), 0, "it asks for maintenance no more");
}

#[test]
fn the_state_machine_speaks_to_it() {
    let mut lists = lists();
    let mut gic = GuestGic::new(&Config {
        version: Version::V2,
        affinities: &[0, 1, 2].map(Affinity::from_u32),
        spis: 32,
        priority_bits: 5,
    })
    .unwrap();
    let here = &mut Here::new(1, &mut lists);
    let _ = gic.load(here);
    let _ = gic.dist_v2_write(here, 0x0, 4, 1);
    let _ = gic.dist_v2_write(here, 0x404, 1, 0x50);
    let _ = gic.dist_v2_write(here, 0xf00, 4, 2 << 24 | 4);
    assert_eq!(
        lists.gic.read_virtual(0x100),
        1 << 28 | 0xa << 23 | 1 << 10 | 4,
        "SGI 4 from vCPU 1, of priority 0x50, in group 0"
    );
}
