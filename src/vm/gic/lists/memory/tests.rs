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
    lists.set_active_priority(0, 0, 0x8000_0001);
    lists.set_active_priority(1, 0, 7);
    let register = |offset| lists.gic.read_virtual(offset);
    assert_eq!(register(0x0), 0x8000_00ff);
    assert_eq!(register(0x8), 0xf800_0001);
    assert_eq!(register(0xf0), 0x8000_0001);
    assert_eq!((lists.hcr(), lists.vmcr()), (0x8000_00ff, 0xf800_0001));
    assert_eq!(lists.active_priority(0, 0), 0x8000_0001);
    assert_eq!(lists.active_priority(1, 0), 0);
    lists.gic.write_virtual(0x10, 0x5);
    lists.gic.write_virtual(0x20, 0x2);
    lists.gic.write_virtual(0x24, 0x3);
    lists.gic.write_virtual(0x30, 0xd);
    assert_eq!((lists.misr(), lists.empty()), (5, 0xd));
    assert_eq!(lists.eisr(), 0x3_0000_0002);
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
