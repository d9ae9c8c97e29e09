use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use super::*;
use crate::addr::Ipa;
use crate::board::fdt::{CheckedTree, check};

const QEMU: &[u8] = include_bytes!("../../../tests/data/virt-gicv3-4cpu-6g.dtb");
const QEMU_V2: &[u8] = include_bytes!("../../../tests/data/virt-gicv2-4cpu-secure.dtb");

fn extent(start: u64, size: u64) -> Extent {
    Extent::new(Ipa::new(start), size).unwrap()
}

fn guest<'a>(map: &'a GuestMap, cpus: &'a [u64]) -> GuestDescription<'a> {
    GuestDescription {
        map,
        cpus,
        ram: extent(0x4000_0000, 0x1_8000_0000),
        bootargs: "console=x",
        ramdisk: Some(extent(0x4800_0000, 0x4c_4b40)),
        rng_seed: [0xa5; 32],
        kaslr_seed: 0x1122_3344_5566_7788,
    }
}

type Properties = BTreeMap<String, Vec<u8>>;

/// Reads a tree into nodes by name, which are unique here, with their properties by name.
fn nodes(tree: &CheckedTree<'_>) -> BTreeMap<String, Properties> {
    let fdt = ::fdt::Fdt::new(tree.bytes()).unwrap();
    let node = |node: ::fdt::node::FdtNode<'_, '_>| {
        let properties = node.properties().map(|p| (p.name.into(), p.value.into()));
        (node.name.into(), properties.collect())
    };
    fdt.all_nodes().map(node).collect()
}

fn written(guest: &GuestDescription<'_>) -> BTreeMap<String, Properties> {
    let tree = guest_tree(guest);
    nodes(&check(&tree).unwrap())
}

/// What of our tree differs from QEMU's, as "node property".
fn differences(ours: &BTreeMap<String, Properties>, qemu: &[u8]) -> Vec<String> {
    let qemu = nodes(&check(qemu).unwrap());
    let mut found = vec![];
    for (node, properties) in ours {
        for (name, value) in properties {
            if qemu.get(node).and_then(|node| node.get(name)) != Some(value) {
                found.push(format!("{node} {name}"));
            }
        }
    }
    found
}

/// Handles differ by choice, seeds by nature.
const ALWAYS: [&str; 9] = [
    "/ compatible",
    "/ interrupt-parent",
    "/ model",
    "apb-pclk phandle",
    "chosen kaslr-seed",
    "chosen rng-seed",
    "pl011@9000000 clocks",
    "pl031@9010000 clocks",
    "psci method",
];

#[test]
fn a_guest_sees_what_virt_shows() {
    let ours = written(&guest(&VIRT, &[0, 1, 2, 3]));
    let mut expected: Vec<&str> = ALWAYS.to_vec();
    // QEMU names a model, has room for more redistributors and the EL2 virtual timer.
    expected.extend(["cpu@0 compatible", "cpu@1 compatible", "cpu@2 compatible"]);
    expected.extend([
        "cpu@3 compatible",
        "intc@8000000 phandle",
        "intc@8000000 reg",
    ]);
    expected.extend(["timer compatible", "timer interrupts"]);
    expected.sort();
    let mut found = differences(&ours, QEMU);
    found.sort();
    assert_eq!(found, expected);

    let cells = |node: &str, name: &str| -> Vec<u32> {
        let (cells, _) = ours[node][name].as_chunks();
        cells.iter().map(|cell| u32::from_be_bytes(*cell)).collect()
    };
    assert_eq!(
        cells("intc@8000000", "reg"),
        [0, 0x800_0000, 0, 0x1_0000, 0, 0x80a_0000, 0, 0x8_0000]
    );
    assert_eq!(
        cells("timer", "interrupts"),
        [1, 13, 4, 1, 14, 4, 1, 11, 4, 1, 10, 4]
    );
    assert_eq!(
        cells("/", "interrupt-parent"),
        cells("intc@8000000", "phandle")
    );
    assert_eq!(
        cells("pl031@9010000", "clocks"),
        cells("apb-pclk", "phandle")
    );
    assert_eq!(
        ours["/"]["compatible"],
        b"entresol,guest\0linux,dummy-virt\0"
    );
    assert_eq!(ours["psci"]["method"], b"hvc\0");
    assert_eq!(ours["chosen"]["rng-seed"], [0xa5; 32]);
    assert_eq!(
        ours["chosen"]["kaslr-seed"],
        0x1122_3344_5566_7788_u64.to_be_bytes()
    );
}

#[test]
fn a_guest_with_gicv2_does_too() {
    let map = VIRT.with_gicv2();
    let mut guest = guest(&map, &[0, 1, 2, 3]);
    guest.ram.size = 0x1000_0000;
    guest.ramdisk = None;
    let ours = written(&guest);
    assert!(!ours["chosen"].contains_key("linux,initrd-start"));
    let found = differences(&ours, QEMU_V2);
    // QEMU's has the virtual CPU interface as well; the PPIs' CPU masks agree.
    assert!(found.contains(&"intc@8000000 reg".into()));
    assert!(!found.contains(&"timer interrupts".into()), "{found:?}");
    assert!(!found.contains(&"intc@8000000 compatible".into()));
}

#[test]
fn cpus_with_a_third_affinity_level_take_two_cells() {
    let ours = written(&guest(&VIRT, &[0, 0x1_0000_0100]));
    assert_eq!(ours["cpus"]["#address-cells"], [0, 0, 0, 2]);
    assert_eq!(ours["cpu@100000100"]["reg"], [0, 0, 0, 1, 0, 0, 1, 0]);
    let ours = written(&guest(&VIRT, &[0, 0x103]));
    assert_eq!(ours["cpus"]["#address-cells"], [0, 0, 0, 1]);
    assert_eq!(ours["cpu@103"]["reg"], [0, 0, 1, 3]);
}

#[test]
fn the_length_does_not_depend_on_the_numbers() {
    let one = guest(&VIRT, &[0, 1]);
    let mut other = one;
    other.ramdisk = Some(extent(0x1_2345_6000, 1));
    other.kaslr_seed = 0;
    assert_eq!(guest_tree(&one).len(), guest_tree(&other).len());
}

/// The reference compiler agrees, where it is installed.
#[test]
fn dtc_reads_it() {
    let child = Command::new("dtc")
        .args(["-I", "dtb", "-O", "dts", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else { return };
    let tree = guest_tree(&guest(&VIRT, &[0, 1]));
    child.stdin.take().unwrap().write_all(&tree).unwrap();
    let output = child.wait_with_output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaints}");
    assert_eq!(complaints, "");
    assert!(String::from_utf8_lossy(&output.stdout).contains("intc@8000000 {"));
}
