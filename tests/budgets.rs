//! Holds what operations cost a guest to the numbers recorded in `tests/budgets.json`.
//!
//! `scripts/bench` counts and compares; a number more than 2 % above its record fails. After a
//! change for the better `scripts/bench --record` (with `--cpu`, `--gic` and `--vhe` as below) lowers
//! them.

mod support;

use std::process::{Command, Output};
use support::Scratch;

/// Where the other tests' hypervisor is built: it need not be built anew for this.
fn built() -> std::path::PathBuf {
    support::root().join("target/image")
}

fn bench(arguments: &[&str]) -> Output {
    Command::new("python3")
        .env("CARGO_TARGET_DIR", built())
        .arg(support::root().join("scripts/bench"))
        .args(arguments)
        .output()
        .expect("python3 runs")
}

fn within_budget(arguments: &[&str]) {
    let done = bench(arguments);
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
    assert!(row.split_whitespace().count() >= 11, "no record: {row}");
}

#[test]
fn exits_cost_what_they_did() {
    within_budget(&[]);
}

#[test]
fn exits_with_vhe_cost_what_they_did() {
    within_budget(&["--vhe", "on"]);
}

/// With the same numbers when it is run again.
#[test]
fn exits_with_gicv2_cost_what_they_did() {
    let machine = ["--cpu", "cortex-a72", "--gic", "2"];
    let files = ["first.json", "second.json"].map(|name| Scratch::file(name, b""));
    for file in &files {
        let path = file.path().to_str().expect("UTF-8");
        within_budget(&[&machine[..], &["--json", path]].concat());
    }
    let [first, second] = files.map(|file| std::fs::read_to_string(file.path()).expect("written"));
    assert!(first.contains("ipi_pingpong_wfi"), "{first}");
    assert_eq!(first, second, "two runs differ");
}

/// Makes the way back to a guest longer by a loop of 16 rounds, in a built image: a branch over
/// to where the vectors' table has room.
fn make_slow(elf: &mut [u8]) {
    const MOV_SP_X0: u32 = 0x9100_001f;
    const LOAD_X2: u32 = 0xa941_0fe2; // ldp x2, x3, [sp, #16]
    const NOP: u32 = 0xd503_201f;
    let words: Vec<u32> = elf
        .chunks_exact(4)
        .map(|word| u32::from_le_bytes(word.try_into().expect("four bytes")))
        .collect();
    let find = |what: &[u32]| -> Vec<usize> {
        let places = words.windows(what.len()).enumerate();
        places.filter(|(_, w)| *w == what).map(|(n, _)| n).collect()
    };
    let resume = find(&[MOV_SP_X0, LOAD_X2]);
    assert_eq!(resume.len(), 1, "the way back to a guest looks different");
    let resume = resume[0];
    let room = find(&[NOP; 8]);
    let room = *room.iter().rfind(|&&n| n < resume).expect("padding");
    let branch =
        |from: usize, to: usize| 0x1400_0000 | (to as u32).wrapping_sub(from as u32) & 0x03ff_ffff;
    let detour = [
        MOV_SP_X0,
        0xd280_0202, // mov x2, #16
        0xf100_0442, // subs x2, x2, #1
        0x54ff_ffe1, // b.ne back to it
        branch(room + 4, resume + 1),
    ];
    let mut put =
        |at: usize, word: u32| elf[4 * at..4 * at + 4].copy_from_slice(&word.to_le_bytes());
    put(resume, branch(resume, room));
    for (n, word) in detour.into_iter().enumerate() {
        put(room + n, word);
    }
}

#[test]
fn a_slow_exit_fails() {
    // What `scripts/bench` builds, which the tests above do too.
    let build = "import sys; sys.path.insert(0, 'scripts/lib'); import bench_run\n\
        print(bench_run.build('entresol'))\n";
    let path = python(build);
    let mut elf = std::fs::read(path.trim()).expect("the hypervisor was built");
    make_slow(&mut elf);
    let slow = Scratch::file("slow.elf", &elf);
    let done = bench(&["--image", slow.path().to_str().expect("UTF-8")]);
    let table = String::from_utf8_lossy(&done.stdout);
    assert!(!done.status.success(), "nobody noticed:\n{table}");
    for row in [
        "psci_version_hvc",
        "sysreg_w_actlr",
        "timer_busy_latency",
        "sgi_self",
    ] {
        let over = format!("over budget: {row}: ");
        assert!(table.contains(&over), "no {over:?} in:\n{table}");
    }
    let untouched = "over budget: tlbi_vmalle1is";
    assert!(!table.contains(untouched), "{table}");
}

#[test]
fn a_record_that_is_exceeded_fails() {
    let check = "import sys; sys.path.insert(0, 'scripts/lib'); import bench_budget as b\n\
        over = lambda now: b.exceeded({'rows': {'x': {'instructions': now, 'MRS': 2}}, 'image': {'.text': 5}},\n\
            {'rows': {'x': {'instructions': 100.0, 'MRS': 2}}, 'image': {'.text': 5}})\n\
        assert over(102.0) == [] and len(over(103.0)) == 1, over(103.0)\n\
        assert len(b.exceeded({'rows': {}}, {'rows': {'x': {'instructions': 1.0}}})) == 1\n\
        assert len(b.exceeded({'rows': {'x': {'instructions': 1.0}}}, {'rows': {'x': {'instructions': 1.0, 'MRS': 0}}})) == 1\n";
    python(check);
}

#[test]
fn a_limit_that_is_exceeded_fails() {
    let check = "import sys; sys.path.insert(0, 'scripts/lib'); import bench_budget as b\n\
        rows = {name: {'instructions': float(most)} for name, (most, _) in b.LIMITS.items()}\n\
        all = {'rows': rows, 'boot': {'to_ready': 3000000}, 'image': {'.text': 409599, '.bss': 1, 'RAM': 9}}\n\
        assert len(rows) == 12 and b.above_limits(all) == []\n\
        rows['sgi_self']['instructions'] += 1\n\
        del rows['psci_version_hvc']\n\
        all['boot']['to_ready'] += 1\n\
        all['image']['.bss'] += 1\n\
        assert len(b.above_limits(all)) == 4\n";
    python(check);
}

/// Runs a few lines of Python in the project's folder; returns what they print.
fn python(lines: &str) -> String {
    let done = Command::new("python3")
        .env("CARGO_TARGET_DIR", built())
        .args(["-c", lines])
        .current_dir(support::root())
        .output()
        .expect("python3 runs");
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{errors}");
    String::from_utf8_lossy(&done.stdout).into_owned()
}
