//! Trees of QEMU's, as if firmware had given them.

use alloc::vec::Vec;

use super::*;
use crate::machine::Place;
use entresol::addr::{Pa, PaRange};
use entresol::board::{Board, fdt};

const MEMORY: [Place; 2] = [
    Place {
        start: 0x5000_0000,
        size: 0x100_0000,
    },
    Place {
        start: 0x800_0000_0000,
        size: 0x4000_0000,
    },
];

fn handover() -> Handover<'static> {
    Handover {
        memory: &MEMORY,
        bundle: Some(MEMORY[0]),
        bootargs: "vhe=off",
        seed: &[],
        time_at_count_0: None,
    }
}

fn qemu() -> Vec<u8> {
    include_bytes!("../../../../tests/data/virt-gicv3-4cpu-6g.dtb").to_vec()
}

fn read(tree: &[u8]) -> Board {
    Board::from_fdt(&fdt::check(tree).unwrap()).unwrap()
}

#[test]
fn memory_and_chosen_are_replaced_and_the_rest_stays() {
    let before = read(&qemu());
    let board = read(&adopt(&qemu(), &handover()).unwrap());
    let range = |p: &Place| PaRange::between(Pa::new(p.start), Pa::new(p.end()));
    assert_eq!(board.ram, MEMORY.iter().map(range).collect::<Vec<_>>());
    assert_eq!(board.chosen.initrd, Some(range(&MEMORY[0])));
    assert_eq!(board.chosen.bootargs, "vhe=off");
    assert_eq!(board.cpus, before.cpus);
    assert_eq!(board.gic, before.gic);
    assert_eq!(board.timer, before.timer);
    assert_eq!(board.psci, before.psci);
    assert_eq!(board.uart, before.uart, "stdout-path is still there");
    assert_eq!(board.model, before.model);
}

#[test]
fn what_was_replaced_once_is_replaced_again() {
    let once = adopt(&qemu(), &handover()).unwrap();
    assert_eq!(adopt(&once, &handover()).unwrap(), once);
}

#[test]
fn its_size_is_in_the_header() {
    let tree = qemu();
    assert_eq!(
        size(&tree),
        Some(u32::from_be_bytes([tree[4], tree[5], tree[6], tree[7]]) as usize)
    );
    assert_eq!(size(&tree[..7]), None);
    assert_eq!(size(&[0; 8]), None);
    assert_eq!(size(&[0xd0, 0x0d, 0xfe, 0xed, 1, 0, 0, 0]), None);
}

#[test]
fn broken_trees_are_refused() {
    let good = qemu();
    for length in [0, 10, 60, 200, good.len() / 3] {
        assert!(adopt(&good[..length], &handover()).is_err());
    }
    let narrow = b"#address-cells\0";
    let at = good.windows(narrow.len()).position(|bytes| bytes == narrow);
    let mut renamed = good.clone();
    renamed[at.unwrap()] = b'x';
    let refusal = adopt(&renamed, &handover()).unwrap_err();
    assert!(refusal.0.contains("64-bit addresses"), "{refusal}");
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as usize % bound
    };
    let mut accepted = 0;
    for _ in 0..2000 {
        let mut tree = good.clone();
        for _ in 0..1 + random(3) {
            tree[random(good.len())] = random(256) as u8;
        }
        accepted += usize::from(adopt(&tree, &handover()).is_ok());
    }
    assert!((100..2000).contains(&accepted), "{accepted}");
}
