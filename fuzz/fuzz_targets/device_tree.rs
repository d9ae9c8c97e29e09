//! Device trees: the machine's, which says what there is, and a guest's owner's, which is merged.
#![no_main]

use entresol::{
    addr::Ipa,
    board::{
        Board,
        fdt::{check, find_uart_leniently},
    },
    vm::{
        fdt::{GuestDescription, VIRT, merge::merged_tree},
        image::Extent,
    },
};
use entresol_fuzz::assert_line;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    find_uart_leniently(data);
    let tree = match check(data) {
        Ok(tree) => tree,
        Err(refusal) => return assert_line(&refusal),
    };
    if let Err(refusal) = Board::from_fdt(&tree) {
        assert_line(&refusal);
    }
    let description = GuestDescription {
        map: &VIRT,
        cpus: &[0, 1],
        ram: Extent::new(Ipa::new(0x4000_0000), 64 << 20).expect("it does not wrap"),
        bootargs: "quiet",
        ramdisk: None,
        rng_seed: [0; 32],
        kaslr_seed: 0,
    };
    match merged_tree(&tree, &description) {
        Ok(merged) => drop(check(&merged).expect("a merged tree is a good one")),
        Err(refusal) => assert_line(&refusal),
    }
});
