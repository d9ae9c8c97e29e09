use alloc::string::String;
use alloc::vec;

use super::*;
use crate::board::fdt::check;
use crate::board::modules::tests::{domain, machine, module};
use crate::config::{sources, vms::Reaction};

const BYTES: &[u8] = b"bytes of a module";

fn board(tree: &[u8]) -> Board {
    Board::from_fdt(&check(tree).unwrap()).unwrap()
}

fn config(tree: &[u8]) -> Result<Config<'static>, Refusal> {
    sources::read(&board(tree), |_| Ok(BYTES))
}

fn loaded(bootargs: &str) -> Vec<u8> {
    machine(bootargs, |tree| {
        module(tree, "multiboot,kernel", 0x4200_0000, 0x1000, "quiet");
    })
}

#[test]
fn a_guest_loaders_guest_is_a_vm() {
    let config = config(&loaded("x guest.cpus=3 guest.memory=1G")).unwrap();
    let kernel = File {
        name: "the kernel module",
        bytes: BYTES,
    };
    let expected = Vm {
        name: "guest".into(),
        kernel,
        ramdisk: None,
        dtb: None,
        bootargs: "quiet".into(),
        cpus: 3,
        memory: 1 << 30,
        pin: vec![],
        load: None,
        aarch32: false,
        weight: DEFAULT_WEIGHT,
        background: false,
        on_reboot: Reaction::Restart,
        on_crash: Reaction::Stop,
    };
    assert_eq!(config.vms, [expected]);
    let vms = super::super::sources::read(&board(&loaded("")), |_| Ok(BYTES));
    let vm = &vms.unwrap().vms[0];
    assert_eq!((vm.cpus, vm.memory), (1, DEFAULT_MEMORY));
}

#[test]
fn arguments_are_checked() {
    let text = |bootargs| config(&loaded(bootargs)).unwrap_err().0;
    for word in ["guest.cpus=x", "guest.memory=lots"] {
        assert_eq!(
            text(word),
            alloc::format!("bootargs: {word:?} makes no sense")
        );
    }
    assert_eq!(
        text("guest.cpus=0"),
        "vm.guest: cpus is 0, but a VM has 1 to 64"
    );
    assert_eq!(
        text("guest.memory=1M"),
        "vm.guest: memory is 1024 KiB, but a VM has at least 16 MiB"
    );
}

#[test]
fn good_domains_are_kept_and_bad_ones_told() {
    let tree = machine("", |tree| {
        domain(tree, "one", 0x4200_0000, |tree| tree.cells("nr_spis", &[9]));
        domain(tree, "two", 0x4200_0000, |tree| tree.empty("direct-map"));
        domain(tree, "one", 0x4200_0000, |_| ());
    });
    let config = config(&tree).unwrap();
    let names: Vec<&str> = config.vms.iter().map(|vm| vm.name.as_str()).collect();
    assert_eq!(names, ["one"]);
    assert_eq!(config.notes, ["vm.one: nr_spis has no effect here"]);
    let refused: Vec<String> = config.refused.into_iter().map(|it| it.0).collect();
    assert_eq!(
        refused,
        [
            "vm.two: direct-map: RAM at the same addresses as the host's: not supported",
            "vm.one: a second VM of that name"
        ]
    );
}

#[test]
fn cpus_are_chosen_from_those_allowed() {
    let bound = |list: &[(u32, &[u32])]| -> Vec<(u32, Vec<u32>)> {
        list.iter().map(|(id, cpus)| (*id, cpus.to_vec())).collect()
    };
    assert_eq!(pins(&[], 2, 4), Ok(vec![]));
    assert_eq!(
        pins(&bound(&[(0, &[2, 3]), (1, &[2, 3])]), 2, 4),
        Ok(vec![2, 3])
    );
    assert_eq!(pins(&bound(&[(1, &[0])]), 3, 4), Ok(vec![0, 0, 1]));
    assert_eq!(pins(&bound(&[(0, &[1]), (1, &[1])]), 2, 4), Ok(vec![1, 1]));
    assert_eq!(
        pins(&bound(&[(2, &[1])]), 2, 4).unwrap_err().0,
        "vCPU 2 is bound, but there are 2"
    );
    assert_eq!(
        pins(&bound(&[(1, &[4])]), 2, 4).unwrap_err().0,
        "vCPU 1 is bound to CPU 4, and the machine has CPUs 0 to 3"
    );
}

/// Whatever passes the check of the tree is read without a panic, and every refusal and
/// note is a line.
#[test]
fn mutated_trees_do_not_panic() {
    let whole = machine("guest.cpus=2", |tree| {
        for (index, name) in ["domU1", "domU2"].into_iter().enumerate() {
            domain(tree, name, 0x4200_0000 + index as u32 * 0x1000, |tree| {
                tree.strings("passthrough", &["disabled"]);
                tree.begin_node("vcpu0");
                tree.strings("compatible", &["xen,vcpu"]);
                tree.cells("id", &[1]);
                tree.strings("hard-affinity", &["0-1,3"]);
                tree.end_node();
                tree.begin_node("rd");
                tree.strings("compatible", &["multiboot,ramdisk", "multiboot,module"]);
                tree.cells("reg", &[0x4500_0000, 3]);
                tree.end_node();
            });
        }
    });
    let chosen = whole.windows(7).position(|it| it == b"chosen\0").unwrap();
    let mut seed = 0x0bad_cafe_9abc_def1_u64;
    let mut random = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed as usize % below
    };
    let (mut vms, mut refused) = (0, 0);
    for _ in 0..20_000 {
        let mut blob = whole.clone();
        for _ in 0..=random(3) {
            let at = chosen + random(blob.len() - chosen);
            match random(4) {
                0 => blob[at] = b"\0-,@0139axnm"[random(12)],
                1 => {
                    let at = (at & !3).min(blob.len() - 4);
                    let word = [0, 1, 2, 3, 64, 65, u32::MAX][random(7)].to_be_bytes();
                    blob[at..at + 4].copy_from_slice(&word);
                }
                _ => blob[at] ^= 1 << random(8),
            }
        }
        let Ok(tree) = check(&blob) else { continue };
        let Ok(board) = Board::from_fdt(&tree) else {
            continue;
        };
        let refusals = match sources::read(&board, |_| Ok(BYTES)) {
            Ok(config) => {
                vms += config.vms.len();
                assert!(config.notes.iter().all(|note| !note.contains('\n')));
                config.refused
            }
            Err(refusal) => vec![refusal],
        };
        for Refusal(text) in refusals {
            refused += 1;
            assert!(!text.contains('\n'), "{text}");
        }
    }
    assert!(vms > 10_000 && refused > 1_000, "{vms} {refused}");
}

/// A tree as Xen's ImageBuilder leaves it: no address in the nodes' names but after "module",
/// `vpl011` with a number, `memory` of two cells, arguments for Xen beside the domains.
#[test]
fn what_imagebuilder_writes_is_read() {
    let tree = include_bytes!("../../../tests/data/imagebuilder.dtb");
    let config = config(tree).unwrap();
    let vms: Vec<_> = config
        .vms
        .iter()
        .map(|vm| (vm.name.as_str(), vm.cpus))
        .collect();
    assert_eq!(vms, [("domU1", 1), ("domU0", 2)]);
    let [small, large] = config.vms.as_slice() else {
        panic!("{config:?}")
    };
    assert_eq!((small.memory, large.memory), (64 << 20, 512 << 20));
    assert_eq!(large.bootargs, "console=ttyAMA0");
    assert!(small.ramdisk.is_none() && large.ramdisk.is_some());
    assert_eq!(config.refused, []);
    assert_eq!(
        config.notes,
        ["domU1", "domU0"].map(|name| alloc::format!("vm.{name}: xen,enhanced has no effect here"))
    );
}
