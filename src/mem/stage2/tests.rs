use alloc::vec;
use alloc::vec::Vec;
use std::cell::RefCell;
use std::rc::Rc;

use super::*;
use crate::addr::PAGE_SIZE;
use crate::bits::field;
use crate::isa::descriptor::{Level, PaSize};
use crate::mem::frames::fixture::Ram;
use crate::mem::table::array::{ArrayTables, Event};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const RAM_AT: Ipa = Ipa::new(0x4000_0000);
const BIG: Support = Support::from_id(5, 0x20);

/// Tables that the test can look into while, and after, a `Stage2` has them.
#[derive(Clone)]
struct Shared(Rc<RefCell<ArrayTables>>);

impl Shared {
    fn new(left: usize) -> Self {
        Self(Rc::new(RefCell::new(ArrayTables::new(left))))
    }

    fn in_use(&self) -> usize {
        self.0.borrow().in_use()
    }

    fn take_events(&self) -> Vec<Event> {
        core::mem::take(&mut self.0.borrow_mut().events)
    }

    fn stage2(&self, top: u64, vmid: u16) -> Stage2<Self> {
        Stage2::new(self.clone(), Ipa::new(top), vmid, BIG).unwrap()
    }
}

impl Tables for Shared {
    fn allocate(&mut self, count: usize) -> Option<Pa> {
        self.0.borrow_mut().allocate(count)
    }

    fn free(&mut self, tables: Pa, count: usize) {
        self.0.borrow_mut().free(tables, count);
    }

    fn read(&self, table: Pa, index: usize) -> u64 {
        self.0.borrow().read(table, index)
    }

    fn write(&mut self, table: Pa, index: usize, descriptor: u64) {
        self.0.borrow_mut().write(table, index, descriptor);
    }

    fn publish(&mut self) {
        self.0.borrow_mut().publish();
    }

    fn invalidate(&mut self, ttbr: u64, address: u64, level: Level) {
        self.0.borrow_mut().invalidate(ttbr, address, level);
    }

    fn invalidate_all(&mut self, ttbr: u64) {
        self.0.borrow_mut().invalidate_all(ttbr);
    }
}

fn at(start: Ipa, size: u64) -> IpaRange {
    IpaRange { start, size }
}

fn leaves(stage2: &Stage2<Shared>) -> Vec<Leaf<Ipa>> {
    let mut all = vec![];
    stage2.visit(|leaf| all.push(leaf));
    all
}

#[test]
fn a_guest_of_512_mib_takes_two_tables_and_256_blocks() {
    let (ram, tables) = (Ram::new(), Shared::new(100));
    let mut frames = ram.frames(&[(0, 2 * GIB)]);
    let blocks = frames.allocate_blocks(512 * MIB, Owner::Vm(1)).unwrap();
    let top = RAM_AT.as_u64() + 512 * MIB - 1;
    let mut stage2 = tables.stage2(top, 1);
    stage2
        .map_ram(&frames, &[at(RAM_AT, 512 * MIB)], &blocks)
        .unwrap();

    assert_eq!(stage2.geometry().input_bits(), 32);
    assert_eq!(
        tables.in_use(),
        2,
        "the root at level 1 and one table at level 2"
    );
    assert_eq!(leaves(&stage2).len(), 256);
    assert!(
        leaves(&stage2)
            .iter()
            .all(|l| l.size == LeafSize::Block2M && l.attributes == Attributes::GUEST_RAM)
    );
    let last = Ipa::new(top);
    assert_eq!(
        stage2.translate(last),
        blocks[0].start().checked_add(512 * MIB - 1)
    );
    assert_eq!(stage2.translate(Ipa::new(top + 1)), None);
    assert_eq!(stage2.translate(Ipa::new(RAM_AT.as_u64() - 1)), None);
}

#[test]
fn a_whole_gib_takes_one_block_and_no_table() {
    let (ram, tables) = (Ram::new(), Shared::new(100));
    let mut frames = ram.frames(&[(0, 2 * GIB)]);
    let blocks = frames.allocate_blocks(GIB, Owner::Vm(1)).unwrap();
    let mut stage2 = tables.stage2(2 * GIB - 1, 1);
    stage2
        .map_ram(&frames, &[at(RAM_AT, GIB)], &blocks)
        .unwrap();
    assert_eq!(tables.in_use(), 1);
    assert_eq!(leaves(&stage2).len(), 1);
}

#[test]
fn the_registers_say_what_was_built() {
    for (top, bits, parange) in [
        (0x5fff_ffff, 32, 0),
        (1 << 32, 36, 1),
        (1 << 36, 40, 2),
        (1 << 47, 48, 5),
    ] {
        let tables = Shared::new(100);
        let stage2 = tables.stage2(top, 0x1234);
        assert_eq!(stage2.geometry().input_bits(), bits);
        assert_eq!(field(stage2.vtcr(), 0, 6), u64::from(64 - bits));
        assert_eq!(
            stage2.geometry().guest_pa_size().map(PaSize::encoding),
            Some(parange)
        );
        assert_eq!(stage2.vttbr() >> 48, 0x1234);
        let root = field(stage2.vttbr(), 0, 48);
        let count = stage2.geometry().root_tables() as u64;
        assert_eq!(root % (count * PAGE_SIZE), 0);
    }
}

#[test]
fn what_the_cpus_can_not_do_is_refused() {
    let small = Support::from_id(1, 0);
    let make = |top, vmid| {
        let made = Stage2::new(Shared::new(100), Ipa::new(top), vmid, small);
        made.map(|s| s.geometry().input_bits())
    };
    assert_eq!(make((1 << 36) - 1, 255), Ok(36));
    assert_eq!(make(1 << 36, 255), Err(Stage2Error::TooWide));
    assert_eq!(make(u64::MAX, 255), Err(Stage2Error::TooWide));
    assert_eq!(make(0, 256), Err(Stage2Error::BadVmid));
    let made = Stage2::new(Shared::new(0), Ipa::new(0), 1, small);
    assert_eq!(
        made.err(),
        Some(Stage2Error::Table(TableError::OutOfTables))
    );
}

#[test]
fn only_frames_of_this_vm_are_mapped() {
    let (ram, tables) = (Ram::new(), Shared::new(100));
    let mut frames = ram.frames(&[(64 * MIB, GIB)]);
    frames.reserve(ram.range(0, 2 * MIB)).unwrap();
    let mine = frames.allocate(2 * MIB, Owner::Vm(1)).unwrap();
    let el2 = frames.allocate(2 * MIB, Owner::Hypervisor).unwrap();
    let other = frames.allocate(2 * MIB, Owner::Vm(2)).unwrap();
    let image = ram.range(0, 2 * MIB);
    let unknown = ram.range(2 * MIB, 4 * MIB);
    let free = ram.range(GIB - 2 * MIB, GIB);
    // Frames of the VM, but not all of them.
    let reaching = PaRange::between(mine.start().min(el2.start()), mine.end().max(el2.end()));

    let mut stage2 = tables.stage2(GIB, 1);
    for foreign in [el2, other, image, unknown, free, reaching] {
        let blocks = [mine, foreign];
        let room = at(RAM_AT, mine.size() + foreign.size());
        let done = stage2.map_ram(&frames, &[room], &blocks);
        assert_eq!(done, Err(Stage2Error::NotOwned(foreign)));
        let done = stage2.map_device(&frames, RAM_AT, foreign);
        assert_eq!(done, Err(Stage2Error::NotOwned(foreign)));
        assert_eq!(leaves(&stage2), []);
    }
    stage2
        .map_ram(&frames, &[at(Ipa::new(0), mine.size())], &[mine])
        .unwrap();
}

#[test]
fn what_el2_tells_a_guest_is_its_own_memory_and_read_only() {
    let ram = Ram::new();
    let mut frames = ram.frames(&[(64 * MIB, GIB)]);
    let mine = frames.allocate(PAGE_SIZE, Owner::Vm(1)).unwrap();
    let other = frames.allocate(PAGE_SIZE, Owner::Vm(2)).unwrap();
    let mut stage2 = Shared::new(8).stage2(GIB, 1);
    let place = at(Ipa::new(0x090a_0000), PAGE_SIZE);
    let foreign = stage2.map_rom(&frames, place, other);
    assert_eq!(foreign, Err(Stage2Error::NotOwned(other)));
    let wider = at(place.start, 2 * PAGE_SIZE);
    let mismatch = stage2.map_rom(&frames, wider, mine);
    assert_eq!(mismatch, Err(Stage2Error::SizeMismatch));
    stage2.map_rom(&frames, place, mine).unwrap();
    let leaf = stage2.lookup(place.start).unwrap();
    assert_eq!(leaf.attributes, Attributes::GUEST_ROM);
    assert_eq!(stage2.translate(place.start), Some(mine.start()));
}

#[test]
fn a_device_is_mapped_when_it_was_granted() {
    let (ram, tables) = (Ram::new(), Shared::new(100));
    let mut frames = ram.frames(&[(0, GIB)]);
    let gicv = ram.range(GIB, GIB + 2 * PAGE_SIZE);
    frames.grant_device(gicv, 1).unwrap();
    let mut stage2 = tables.stage2(GIB, 1);
    stage2
        .map_device(&frames, Ipa::new(0x0801_0000), gicv)
        .unwrap();
    let leaf = stage2.lookup(Ipa::new(0x0801_1004)).unwrap();
    assert_eq!(leaf.attributes, Attributes::GUEST_DEVICE);
    assert_eq!(
        (leaf.to, leaf.size),
        (
            ram.range(GIB + PAGE_SIZE, 2 * GIB).start(),
            LeafSize::Page4K
        )
    );
    let other = Shared::new(100);
    let done = other.stage2(GIB, 2).map_device(&frames, RAM_AT, gicv);
    assert_eq!(done, Err(Stage2Error::NotOwned(gicv)));
}

#[test]
fn blocks_are_poured_over_several_ranges() {
    let (ram, tables) = (Ram::new(), Shared::new(100));
    // 4 MiB blocks at most, so that the guest's RAM is a list.
    let holes: Vec<_> = (0..8)
        .map(|n| (n * 8 * MIB, n * 8 * MIB + 4 * MIB))
        .collect();
    let mut frames = ram.frames(&holes);
    let blocks = frames.allocate_blocks(14 * MIB, Owner::Vm(1)).unwrap();
    assert_eq!(blocks.len(), 4);
    let high = Ipa::new(0x1_0000_0000);
    let mut stage2 = tables.stage2(high.as_u64() + 8 * MIB - 1, 1);
    let ranges = [at(RAM_AT, 6 * MIB), at(high, 8 * MIB)];
    stage2.map_ram(&frames, &ranges, &blocks).unwrap();
    assert_eq!(stage2.translate(RAM_AT), Some(blocks[0].start()));
    assert_eq!(
        stage2.translate(high),
        blocks[1].start().checked_add(2 * MIB)
    );
    assert_eq!(leaves(&stage2).len(), 7, "blocks of 2 MiB alone");
    let seen: u64 = leaves(&stage2).iter().map(|l| l.size.bytes()).sum();
    assert_eq!(seen, 14 * MIB);
}

#[test]
fn a_map_that_fails_leaves_nothing() {
    let ram = Ram::new();
    let mut frames = ram.frames(&[(0, GIB)]);
    let a = frames.allocate(MIB, Owner::Vm(1)).unwrap();
    let b = frames.allocate(2 * MIB, Owner::Vm(1)).unwrap();
    // Five tables would do: the root, one at level 2, three at level 3.
    let tables = Shared::new(4);
    let mut stage2 = tables.stage2(4 * GIB - 1, 1);
    let spread = [at(RAM_AT, MIB), at(Ipa::new(0x4030_0000), 2 * MIB)];
    let done = stage2.map_ram(&frames, &spread, &[a, b]);
    assert_eq!(done, Err(TableError::OutOfTables.into()));
    let twice = [at(RAM_AT, MIB), at(RAM_AT, 2 * MIB)];
    let done = stage2.map_ram(&frames, &twice, &[a, b]);
    assert_eq!(done, Err(TableError::AlreadyMapped.into()));
    let wrapping = [at(RAM_AT, MIB), at(Ipa::new(u64::MAX - MIB + 1), 2 * MIB)];
    assert!(stage2.map_ram(&frames, &wrapping, &[a, b]).is_err());
    for sizes in [
        vec![],
        vec![at(RAM_AT, MIB)],
        vec![at(RAM_AT, u64::MAX), at(RAM_AT, u64::MAX)],
    ] {
        let done = stage2.map_ram(&frames, &sizes, &[a, b]);
        assert_eq!(done, Err(Stage2Error::SizeMismatch));
    }
    assert_eq!(leaves(&stage2), []);
    assert_eq!(tables.in_use(), 1);
}

#[test]
fn unmapping_and_dropping_tell_the_tlbs_before_memory_is_reused() {
    let (ram, tables) = (Ram::new(), Shared::new(100));
    let mut frames = ram.frames(&[(0, GIB)]);
    let blocks = frames.allocate_blocks(4 * MIB, Owner::Vm(5)).unwrap();
    let mut stage2 = tables.stage2(GIB, 5);
    let vttbr = stage2.vttbr();
    stage2
        .map_ram(&frames, &[at(RAM_AT, 4 * MIB)], &blocks)
        .unwrap();
    assert_eq!(tables.take_events().last(), Some(&Event::Publish));

    stage2.unmap(at(RAM_AT, 2 * MIB)).unwrap();
    assert_eq!(
        tables.take_events(),
        [Event::Invalidate(vttbr, RAM_AT.as_u64(), Level::L2)]
    );
    stage2.unmap_all();
    assert_eq!(tables.take_events(), [Event::InvalidateAll(vttbr)]);
    assert_eq!((tables.in_use(), leaves(&stage2).len()), (1, 0));

    stage2
        .map_ram(&frames, &[at(RAM_AT, 4 * MIB)], &blocks)
        .unwrap();
    drop(stage2);
    assert_eq!(
        tables.take_events().last(),
        Some(&Event::InvalidateAll(vttbr))
    );
    assert_eq!(tables.in_use(), 0);
}
