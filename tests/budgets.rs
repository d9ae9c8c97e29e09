//! Holds what operations cost a guest to the numbers recorded in `tests/budgets.json`.
//!
//! `scripts/bench` counts and compares; a number more than 2 % above its record fails. After a
//! change for the better `scripts/bench --record` (with `--cpu` and `--vhe` as below) lowers them.

mod support;

use std::process::Command;

fn within_budget(arguments: &[&str]) {
    let done = Command::new("python3")
        .arg(support::root().join("scripts/bench"))
        .args(arguments)
        .output()
        .expect("python3 runs");
    let (table, errors) = (
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr),
    );
    assert!(done.status.success(), "{arguments:?}\n{table}\n{errors}");
    // A table without a record beside it would hold nothing.
    let row = table
        .lines()
        .find(|line| line.starts_with("psci_version_hvc "))
        .unwrap_or_else(|| panic!("no rows:\n{table}"));
    assert!(row.split_whitespace().count() >= 9, "no record: {row}");
}

#[test]
fn exits_cost_what_they_did() {
    within_budget(&[]);
}

#[test]
fn exits_with_vhe_cost_what_they_did() {
    within_budget(&["--vhe", "on"]);
}

#[test]
fn a_record_that_is_exceeded_fails() {
    let check = "import sys; sys.path.insert(0, 'scripts/lib'); import bench_budget as b\n\
        over = lambda now: b.exceeded({'rows': {'x': {'instructions': now, 'MRS': 2}}, 'image': {'.text': 5}},\n\
            {'rows': {'x': {'instructions': 100.0, 'MRS': 2}}, 'image': {'.text': 5}})\n\
        assert over(102.0) == [] and len(over(103.0)) == 1, over(103.0)\n\
        assert len(b.exceeded({'rows': {}}, {'rows': {'x': {'instructions': 1.0}}})) == 1\n\
        assert len(b.exceeded({'rows': {'x': {'instructions': 1.0}}}, {'rows': {'x': {'instructions': 1.0, 'MRS': 0}}})) == 1\n";
    let done = Command::new("python3")
        .args(["-c", check])
        .current_dir(support::root())
        .output()
        .expect("python3 runs");
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{errors}");
}
