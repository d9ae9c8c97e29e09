use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::board::fdt::check;
use crate::board::modules::tests::{machine, module};
use crate::config::LIST;
use crate::config::cpio::tests::Writer;

fn board(initrd: Option<(u64, u64)>, with_guest: bool) -> Board {
    let tree = machine("", |tree| {
        if let Some((start, end)) = initrd {
            tree.number("linux,initrd-start", start);
            tree.number("linux,initrd-end", end);
        }
        if with_guest {
            module(tree, "multiboot,kernel", 0x4200_0000, 0x1000, "");
        }
    });
    Board::from_fdt(&check(&tree).unwrap()).unwrap()
}

fn refusal(board: &Board, bundle: &[u8]) -> alloc::string::String {
    read(board, |_| Ok(bundle)).unwrap_err().0
}

#[test]
fn nothing_at_all_says_what_to_do() {
    assert_eq!(
        refusal(&board(None, false), b""),
        "no bundle: hand one over as the initial ramdisk (scripts/bundle makes it; -initrd in QEMU)"
    );
}

#[test]
fn a_bundle_goes_first() {
    let list = b"[vm.a]\nkernel = \"k\"\n[vm.b]\nkernel = \"missing\"\n";
    let files = Writer::default().file(LIST, list).file("k", b"k");
    let bundle = files.build();
    let place = Some((0x4800_0000, 0x4800_1000));
    let config = read(&board(place, true), |_| Ok(&bundle[..])).unwrap();
    assert_eq!((config.vms.len(), config.refused.len()), (1, 1));
    assert_eq!(
        config.notes,
        ["the guests that the device tree describes are not used: there is a bundle"]
    );
    let quiet = read(&board(place, false), |_| Ok(&bundle[..])).unwrap();
    assert_eq!(quiet.notes, Vec::<alloc::string::String>::new());
}

#[test]
fn one_bad_vm_is_the_refusal() {
    let files = Writer::default().file(LIST, b"vm.a.kernel = 'missing'\n");
    let text = refusal(
        &board(Some((0x4800_0000, 0x4800_1000)), false),
        &files.build(),
    );
    assert!(text.contains("named by vm.a.kernel"), "{text}");
    let list = b"vm.a.kernel = 'missing'\nvm.b.kernel = 'missing'\n";
    let two = Writer::default().file(LIST, list).build();
    let config = read(&board(Some((0x4800_0000, 0x4800_1000)), false), |_| {
        Ok(&two[..])
    });
    let config = config.unwrap();
    assert_eq!((config.vms, config.refused.len()), (vec![], 2));
}

#[test]
fn a_bundle_outside_ram_is_refused() {
    assert_eq!(
        refusal(&board(Some((0x1000, 0x2000)), false), b""),
        "bundle: 0x1000..0x2000 is not in RAM"
    );
}
