//! How the guest was started: the arm64 boot protocol.

use guests::rt::entry;
use guests::{checks, expect_eq, fdt, outcome::TestResult};

checks! {
    everywhere runs_at_el1;
    everywhere x0_is_the_device_tree;
}

fn runs_at_el1() -> TestResult {
    expect_eq!(entry::state().current_el >> 2, 1);
    Ok(())
}

fn x0_is_the_device_tree() -> TestResult {
    let tree = entry::device_tree().unwrap_or(&[]);
    expect_eq!(fdt::word(tree, 0), Some(fdt::MAGIC));
    Ok(())
}
