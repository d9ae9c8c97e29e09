use std::collections::BTreeMap;

use alloc::string::String;

use super::*;
use crate::addr::Ipa;
use crate::board::fdt::check;
use crate::vm::fdt::{GuestMap, VIRT};
use crate::vm::image::Extent;

const QEMU: &[u8] = include_bytes!("../../../../tests/data/virt-gicv3-4cpu-6g.dtb");
const QEMU_V2: &[u8] = include_bytes!("../../../../tests/data/virt-gicv2-4cpu-secure.dtb");
const RPI4: &[u8] = include_bytes!("../../../../tests/data/rpi4.dtb");
const ODD: &[u8] = include_bytes!("../../../../tests/data/odd.dtb");

fn guest<'a>(map: &'a GuestMap, cpus: &'a [u64]) -> GuestDescription<'a> {
    GuestDescription {
        map,
        cpus,
        ram: Extent::new(Ipa::new(0x4000_0000), 0x2000_0000).unwrap(),
        bootargs: "",
        ramdisk: Extent::new(Ipa::new(0x4800_0000), 0x1000),
        rng_seed: [0xa5; 32],
        kaslr_seed: 7,
    }
}

/// Properties by path and name.
type Properties = BTreeMap<String, Vec<u8>>;

fn properties(blob: &[u8]) -> Properties {
    fn gather(node: &Node<'_>, path: &str, into: &mut Properties) {
        let path = format!("{path}{}/", node.name);
        for name in NAMES {
            if let Some(value) = node.property(name) {
                into.insert(format!("{path}{name}"), value.to_vec());
            }
        }
        into.insert(path.clone(), vec![]);
        for child in &node.children {
            gather(child, &path, into);
        }
    }
    let mut found = BTreeMap::new();
    gather(&read(&check(blob).unwrap()).unwrap(), "", &mut found);
    found
}

/// The properties that are compared.
const NAMES: [&str; 22] = [
    "#address-cells",
    "#interrupt-cells",
    "#redistributor-regions",
    "#size-cells",
    "always-on",
    "bootargs",
    "clock-frequency",
    "clocks",
    "compatible",
    "cpu-release-addr",
    "device_type",
    "enable-method",
    "interrupt-parent",
    "interrupts",
    "kaslr-seed",
    "linux,initrd-start",
    "method",
    "model",
    "phandle",
    "reg",
    "rng-seed",
    "stdout-path",
];

fn merged(owners: &[u8], guest: &GuestDescription<'_>) -> Properties {
    let tree = merged_tree(&check(owners).unwrap(), guest).unwrap();
    properties(&tree)
}

fn refusal(owners: &[u8], guest: &GuestDescription<'_>) -> String {
    merged_tree(&check(owners).unwrap(), guest).unwrap_err().0
}

/// Returns what was changed, added or is gone, in order.
fn changes(before: &Properties, after: &Properties) -> Vec<String> {
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort();
    names.dedup();
    names
        .into_iter()
        .filter(|name| before.get(*name) != after.get(*name))
        .cloned()
        .collect()
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

#[test]
fn what_virt_shows_is_kept_but_for_the_map() {
    let guest = guest(&VIRT, &[0, 1, 2, 3]);
    let before = properties(QEMU);
    let after = merged(QEMU, &guest);
    let changed = changes(&before, &after);
    let expected = [
        "/chosen/kaslr-seed",
        "/chosen/linux,initrd-start",
        "/chosen/rng-seed",
        "/intc@8000000/interrupts",
        "/intc@8000000/its@8080000/",
        "/intc@8000000/its@8080000/compatible",
        "/intc@8000000/its@8080000/phandle",
        "/intc@8000000/its@8080000/reg",
        "/intc@8000000/reg",
        "/memory@40000000/reg",
        "/psci/compatible",
        "/psci/method",
        "/timer/interrupt-parent",
        "/timer/interrupts",
    ];
    let unexpected: Vec<_> = changed
        .iter()
        .filter(|name| !expected.contains(&name.as_str()))
        .collect();
    assert!(unexpected.is_empty(), "{unexpected:?}");
    assert_eq!(
        after["/memory@40000000/reg"],
        words(&[0, 0x4000_0000, 0, 0x2000_0000])
    );
    assert_eq!(
        after["/intc@8000000/reg"],
        words(&[0, 0x800_0000, 0, 0x1_0000, 0, 0x80a_0000, 0, 0x8_0000])
    );
    assert_eq!(
        after["/timer/interrupts"],
        words(&[1, 13, 4, 1, 14, 4, 1, 11, 4, 1, 10, 4])
    );
    assert_eq!(after["/psci/method"], b"hvc\0");
    assert_eq!(after["/chosen/rng-seed"], [0xa5; 32]);
    assert_eq!(after["/chosen/stdout-path"], before["/chosen/stdout-path"]);
}

#[test]
fn a_tree_for_gicv2_gets_the_controller_there_is() {
    let guest = guest(&VIRT, &[0, 1, 2, 3]);
    let (before, after) = (properties(QEMU_V2), merged(QEMU_V2, &guest));
    assert_eq!(after["/intc@8000000/compatible"], b"arm,gic-v3\0");
    assert_eq!(after["/intc@8000000/#redistributor-regions"], words(&[1]));
    assert_eq!(
        after["/intc@8000000/phandle"],
        before["/intc@8000000/phandle"]
    );
    let timer = &after["/timer/interrupts"];
    assert_eq!(timer[..12], words(&[1, 13, 4]));
    let map = VIRT.with_gicv2();
    let guest = super::tests::guest(&map, &[0, 1]);
    let text = refusal(QEMU_V2, &guest);
    assert_eq!(
        text,
        "device tree: it describes 4 CPUs, but the VM has 2: set cpus = 4"
    );
}

/// A Raspberry Pi's: the controller is on a bus, CPUs wait at addresses, one cell for sizes.
#[test]
fn a_tree_for_another_board_is_adapted() {
    let cpus = [0, 1, 2, 3];
    let mut guest = guest(&VIRT, &cpus);
    guest.bootargs = "console=ttyAMA0";
    let (before, after) = (properties(RPI4), merged(RPI4, &guest));
    let bus = before
        .keys()
        .find(|path| path.contains("interrupt-controller@40041000"));
    assert!(bus.unwrap().starts_with("/soc/"), "{bus:?}");
    let gic = "/interrupt-controller@8000000/";
    assert_eq!(after[&format!("{gic}compatible")], b"arm,gic-v3\0");
    let memories = after.keys().filter(|path| path.starts_with("/memory@"));
    assert!(memories.count() > 1 && after.contains_key("/memory@40000000/"));
    assert_eq!(after["/chosen/bootargs"], b"console=ttyAMA0\0");
    assert_eq!(after["/cpus/cpu@3/enable-method"], b"psci\0");
    assert!(!after.contains_key("/cpus/cpu@3/cpu-release-addr"));
    assert_eq!(after["/psci/method"], b"hvc\0");
    let parent = &after[&format!("{gic}phandle")];
    assert_eq!(&after["/timer/interrupt-parent"], parent);
    assert_eq!(&after["/interrupt-parent"], parent);
    assert_eq!(after["/model"], before["/model"]);
}

#[test]
fn an_empty_tree_is_filled() {
    let mut writer = Writer::new();
    writer.reserve(0x4100_0000, 0x1000);
    writer.begin_node("");
    writer.cells("#address-cells", &[1]);
    writer.cells("#size-cells", &[1]);
    writer.begin_node("uart@9000000");
    writer.strings("compatible", &["x", "arm,pl011"]);
    writer.cells("reg", &[0x900_0000, 0x1000]);
    writer.end_node();
    writer.end_node();
    let owners = writer.finish();
    let mut guest = guest(&VIRT, &[0, 0x100]);
    guest.ramdisk = None;
    let tree = merged_tree(&check(&owners).unwrap(), &guest).unwrap();
    assert_eq!(
        reservations(&check(&tree).unwrap()),
        [(0x4100_0000, 0x1000)]
    );
    let after = properties(&tree);
    assert_eq!(after["/chosen/stdout-path"], b"/uart@9000000\0");
    assert!(!after.contains_key("/chosen/linux,initrd-start"));
    assert_eq!(after["/interrupt-parent"], words(&[1]));
    assert_eq!(after["/intc@8000000/phandle"], words(&[1]));
    assert_eq!(
        after["/memory@40000000/reg"],
        words(&[0x4000_0000, 0x2000_0000])
    );
    assert_eq!(after["/cpus/cpu@100/reg"], words(&[0x100]));
    assert_eq!(after["/timer/compatible"], b"arm,armv8-timer\0");
    assert_eq!(
        after["/psci/compatible"],
        b"arm,psci-1.0\0arm,psci-0.2\0arm,psci\0"
    );

    guest.ram.size = 1 << 32;
    assert_eq!(
        refusal(&owners, &guest),
        "device tree: 0x100000000 does not fit the 1 cells it has in the root"
    );
}

#[test]
fn devices_passed_through_are_refused() {
    let mut writer = Writer::new();
    writer.begin_node("");
    writer.begin_node("passthrough");
    writer.end_node();
    writer.end_node();
    assert_eq!(
        refusal(&writer.finish(), &guest(&VIRT, &[0])),
        "device tree: it passes devices through (/passthrough), which is not supported"
    );
}

/// Whatever passes the check merges to a tree that passes it, of a length that the numbers
/// in it do not change; or it is refused in a line.
#[test]
fn mutated_trees_merge_to_good_ones() {
    let trees = [QEMU, QEMU_V2, RPI4, ODD];
    let mut seed = 0xfeed_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed as usize % below
    };
    let cpus = [0, 1, 2, 3];
    let one = guest(&VIRT, &cpus);
    let mut other = one;
    other.ramdisk = Extent::new(Ipa::new(0x4000_1000), 77);
    other.kaslr_seed = u64::MAX;
    let (mut good, mut refused) = (0, 0);
    for round in 0..20_000 {
        let mut blob = trees[round % trees.len()].to_vec();
        for _ in 0..=random(3) {
            let at = 40 + random(blob.len() - 40);
            match random(4) {
                0 => blob[at] = b"\0@,#agilmnoprtuy-"[random(17)],
                1 => {
                    let at = (at & !3).min(blob.len() - 4);
                    let word = [0, 1, 2, 3, 4, 9, u32::MAX][random(7)].to_be_bytes();
                    blob[at..at + 4].copy_from_slice(&word);
                }
                _ => blob[at] ^= 1 << random(8),
            }
        }
        let Ok(tree) = check(&blob) else { continue };
        match merged_tree(&tree, &one) {
            Ok(merged) => {
                good += 1;
                check(&merged).unwrap();
                assert_eq!(merged_tree(&tree, &other).unwrap().len(), merged.len());
            }
            Err(Refusal(text)) => {
                refused += 1;
                assert!(text.starts_with("device tree: ") && !text.contains('\n'));
            }
        }
    }
    assert!(good > 5_000 && refused > 20, "{good} {refused}");
}
