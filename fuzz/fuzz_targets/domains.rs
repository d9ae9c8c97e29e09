//! Guests that the machine's device tree describes: Xen's dom0less nodes and QEMU's guest-loader.
#![no_main]

use entresol::{
    board::{Board, fdt::check},
    config::sources,
};
use entresol_fuzz::assert_line;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(tree) = check(data) else { return };
    let Ok(board) = Board::from_fdt(&tree) else {
        return;
    };
    match sources::read(&board, |_| Ok(b"bytes of a module")) {
        Ok(config) => {
            config.refused.iter().for_each(assert_line);
            assert!(config.notes.iter().all(|note| !note.contains('\n')));
        }
        Err(refusal) => assert_line(&refusal),
    }
});
