use alloc::vec;

use fdt::Fdt;
use fdt::node::FdtNode;

use super::*;
use crate::board::fdt::check;
use crate::board::fdt::tests::VIRT_V3_6G;
use crate::vm::fdt::Writer;

/// Writes QEMU's tree of a machine with 4 CPUs and 6 GiB of RAM, without a ramdisk, with
/// what `add` writes below `/chosen`.
pub(crate) fn machine(bootargs: &str, add: impl FnOnce(&mut Writer)) -> Vec<u8> {
    fn copy(node: FdtNode<'_, '_>, tree: &mut Writer) {
        tree.begin_node(if node.name == "/" { "" } else { node.name });
        for property in node.properties() {
            tree.bytes(property.name, property.value);
        }
        let children = node.children().filter(|node| node.name != "chosen");
        children.for_each(|child| copy(child, tree));
        if node.name != "/" {
            tree.end_node();
        }
    }
    let mut tree = Writer::new();
    let fdt = Fdt::new(VIRT_V3_6G).unwrap();
    copy(fdt.all_nodes().next().unwrap(), &mut tree);
    tree.begin_node("chosen");
    tree.strings("bootargs", &[bootargs]);
    add(&mut tree);
    tree.end_node();
    tree.end_node();
    tree.finish()
}

/// Writes a module as QEMU's guest-loader does.
pub(crate) fn module(tree: &mut Writer, kind: &str, start: u64, size: u64, bootargs: &str) {
    tree.begin_node(&format!("module@{start:08x}"));
    tree.strings("compatible", &["multiboot,module", kind]);
    tree.numbers("reg", &[start, size]);
    if !bootargs.is_empty() {
        tree.strings("bootargs", &[bootargs]);
    }
    tree.end_node();
}

/// Writes a guest as Xen's ImageBuilder does, with a kernel at `kernel` and what `add` adds.
pub(crate) fn domain(tree: &mut Writer, name: &str, kernel: u32, add: impl FnOnce(&mut Writer)) {
    tree.begin_node(name);
    tree.strings("compatible", &["xen,domain"]);
    tree.cells("#address-cells", &[1]);
    tree.cells("#size-cells", &[1]);
    tree.number("memory", 0x8000);
    tree.cells("cpus", &[2]);
    tree.empty("vpl011");
    add(tree);
    tree.begin_node(&format!("module{kernel:x}"));
    tree.strings("compatible", &["multiboot,kernel", "multiboot,module"]);
    tree.cells("reg", &[kernel, 0x1000]);
    tree.strings("bootargs", &["console=ttyAMA0"]);
    tree.end_node();
    tree.end_node();
}

fn vcpu(tree: &mut Writer, id: u32, cpus: &str) {
    tree.begin_node(&format!("vcpu{id}"));
    tree.strings("compatible", &["xen,vcpu"]);
    tree.cells("id", &[id]);
    tree.strings("hard-affinity", &[cpus]);
    tree.end_node();
}

fn range(start: u64, size: u64) -> PaRange {
    PaRange::new(Pa::new(start), size).unwrap()
}

fn guests(tree: &[u8]) -> Vec<Result<Guest, Refusal>> {
    let tree = check(tree).unwrap();
    crate::board::Board::from_fdt(&tree).unwrap().guests
}

fn one(add: impl FnOnce(&mut Writer)) -> Result<Guest, String> {
    let mut found = guests(&machine("", add));
    assert_eq!(found.len(), 1);
    found.remove(0).map_err(|Refusal(text)| text)
}

/// Returns what is wrong with a domain to which `add` adds.
fn fault(add: impl FnOnce(&mut Writer)) -> String {
    let text = one(|tree| domain(tree, "domU1", 0x4200_0000, add)).unwrap_err();
    String::from(text.strip_prefix("vm.domU1: ").unwrap())
}

#[test]
fn nothing_below_chosen_is_no_guest() {
    assert_eq!(guests(&machine("", |_| ())), []);
    assert_eq!(guests(VIRT_V3_6G), []);
}

#[test]
fn a_guest_loaders_guest_is_found() {
    let guest = one(|tree| {
        module(tree, "multiboot,ramdisk", 0x4700_0000, 0x123, "");
        module(tree, "multiboot,kernel", 0x4200_0000, 0x1001, "a b");
    });
    let expected = Guest {
        name: "guest".into(),
        cpus: None,
        memory: None,
        bootargs: "a b".into(),
        kernel: range(0x4200_0000, 0x1001),
        ramdisk: Some(range(0x4700_0000, 0x123)),
        dtb: None,
        affinities: vec![],
        notes: vec![],
    };
    assert_eq!(guest, Ok(expected));
}

#[test]
fn modules_are_out_of_free_ram() {
    let tree = machine("", |tree| {
        module(tree, "multiboot,kernel", 0x4200_0800, 0x1000, "");
    });
    let board = crate::board::Board::from_fdt(&check(&tree).unwrap()).unwrap();
    let end = 0x4000_0000 + (6 << 30);
    let between = |start, end| PaRange::between(Pa::new(start), Pa::new(end));
    assert_eq!(
        board.usable_ram,
        [between(0x4000_0000, 0x4200_0000), between(0x4200_2000, end)]
    );
}

#[test]
fn a_guest_loaders_faults_are_told() {
    let text = |add: &dyn Fn(&mut Writer)| one(add).unwrap_err();
    assert_eq!(
        text(&|tree| module(tree, "multiboot,ramdisk", 0x4200_0000, 1, "")),
        "vm.guest: no kernel module"
    );
    assert_eq!(
        text(&|tree| module(tree, "multiboot,kernel", 0x1000, 1, "")),
        "vm.guest: module@00001000: 0x1 bytes at 0x1000 are not in RAM"
    );
    assert_eq!(
        text(&|tree| module(tree, "multiboot,kernel", 0x4200_0000, u64::MAX, "")),
        "vm.guest: module@42000000: 0xffffffffffffffff bytes at 0x42000000 are not in RAM"
    );
    assert_eq!(
        text(&|tree| {
            module(tree, "multiboot,kernel", 0x4200_0000, 1, "");
            module(tree, "multiboot,kernel", 0x4300_0000, 1, "");
        }),
        "vm.guest: module@43000000: a second module of its kind"
    );
}

#[test]
fn domains_are_found() {
    let tree = machine("", |tree| {
        domain(tree, "domU1", 0x4200_0000, |tree| {
            vcpu(tree, 1, "2-3");
            vcpu(tree, 0, "1");
        });
        domain(tree, "domU2", 0x4300_0000, |tree| {
            tree.begin_node("fdt@1");
            tree.strings("compatible", &["multiboot,module", "multiboot,device-tree"]);
            tree.cells("reg", &[0x4400_0000, 2]);
            tree.end_node();
            tree.begin_node("rd");
            tree.strings("compatible", &["multiboot,ramdisk", "multiboot,module"]);
            tree.cells("reg", &[0x4500_0000, 3]);
            tree.end_node();
        });
    });
    let guests: Vec<Guest> = guests(&tree).into_iter().map(Result::unwrap).collect();
    let expected = Guest {
        name: "domU1".into(),
        cpus: Some(2),
        memory: Some(32 << 20),
        bootargs: "console=ttyAMA0".into(),
        kernel: range(0x4200_0000, 0x1000),
        ramdisk: None,
        dtb: None,
        affinities: vec![(1, vec![2, 3]), (0, vec![1])],
        notes: vec![],
    };
    assert_eq!(guests[0], expected);
    assert_eq!(guests[1].dtb, Some(range(0x4400_0000, 2)));
    assert_eq!(guests[1].ramdisk, Some(range(0x4500_0000, 3)));
}

#[test]
fn modules_without_a_kind_go_by_their_order() {
    let untyped = |tree: &mut Writer, start| {
        tree.begin_node(&format!("module{start:x}"));
        tree.strings("compatible", &["multiboot,module"]);
        tree.cells("reg", &[start, 1]);
        tree.end_node();
    };
    let guest = one(|tree| {
        tree.cells("#address-cells", &[1]);
        tree.cells("#size-cells", &[1]);
        untyped(tree, 0x4200_0000);
        untyped(tree, 0x4300_0000);
    })
    .unwrap();
    assert_eq!(guest.kernel, range(0x4200_0000, 1));
    assert_eq!(guest.ramdisk, Some(range(0x4300_0000, 1)));
}

#[test]
fn what_a_domain_gets_in_vain_is_noted() {
    let guest = one(|tree| {
        domain(tree, "domU1", 0x4200_0000, |tree| {
            tree.cells("nr_spis", &[64]);
            tree.strings("xen,enhanced", &["enabled"]);
            tree.cells("trap-unmapped-accesses", &[1]);
            tree.strings("passthrough", &["disabled"]);
            tree.cells("capabilities", &[0]);
        });
    })
    .unwrap();
    assert_eq!(
        guest.notes,
        [
            "vm.domU1: nr_spis has no effect here",
            "vm.domU1: xen,enhanced has no effect here"
        ]
    );
}

#[test]
fn what_a_domain_cannot_do_without_is_refused() {
    for (name, text) in [
        (
            "xen,static-mem",
            "xen,static-mem: RAM at physical addresses of one's choice: not supported",
        ),
        (
            "direct-map",
            "direct-map: RAM at the same addresses as the host's: not supported",
        ),
        (
            "passthrough",
            "passthrough: the host's devices: not supported",
        ),
        (
            "xen,sci_type",
            "xen,sci_type: the host's firmware: not supported",
        ),
        (
            "capabilities",
            "capabilities: power over other guests: not supported",
        ),
    ] {
        assert_eq!(fault(|tree| tree.cells(name, &[3])), text);
    }
    let text = fault(|tree| {
        tree.begin_node("ev@1");
        tree.strings("compatible", &["xen,evtchn-v1"]);
        tree.end_node();
    });
    assert_eq!(text, "ev@1: xen,evtchn-v1: not supported");
}

#[test]
fn a_domains_faults_are_told() {
    assert_eq!(
        fault(|tree| vcpu(tree, 0, "0-")),
        "vcpu0: hard-affinity is \"0-\", not as \"0-3,5\""
    );
    let text = fault(|tree| {
        vcpu(tree, 0, "0");
        vcpu(tree, 0, "1");
    });
    assert_eq!(text, "vcpu0: a second node of that id");
    let incomplete = |name: &str, value: u32| {
        one(|tree| {
            tree.begin_node("domU1");
            tree.strings("compatible", &["xen,domain"]);
            tree.cells(name, &[value]);
            tree.end_node();
        })
        .unwrap_err()
    };
    assert_eq!(
        incomplete("memory", 1),
        "vm.domU1: cpus is missing, or not one number"
    );
    assert_eq!(
        incomplete("cpus", 1),
        "vm.domU1: memory is missing, or no number of KiB"
    );
    let found = guests(&machine("", |tree| {
        domain(tree, "a domain with a space", 0x4200_0000, |_| ());
        domain(tree, "good", 0x4200_0000, |_| ());
        module(tree, "multiboot,kernel", 0x4300_0000, 1, "");
    }));
    let faults: Vec<Option<&str>> = found
        .iter()
        .map(|guest| guest.as_ref().err().map(|refusal| refusal.0.as_str()))
        .collect();
    assert_eq!(
        faults,
        [
            Some(
                "vm.dom0: there is no privileged guest here: its modules below /chosen are not used"
            ),
            Some("vm.a domain with a space: is no name of a VM: at most 31 characters"),
            None
        ]
    );
}
