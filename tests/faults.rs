//! Faults of the hypervisor itself: each ends in a report that a person can use.
//!
//! The hypervisor under test is built with the feature `selftest`, by which its command line asks
//! for a fault.

mod support;

use std::io::Write;
use std::process::{Command, Stdio};

use support::{BOOT, Qemu};

/// Provokes a fault and returns the report, from its first line to the end of the backtrace,
/// with the backtrace's addresses turned into names.
fn report(fault: &str) -> String {
    let mut run = Qemu::virt()
        .kernel(support::selftest().image.as_path())
        .append(&format!("quiet selftest={fault} x=y"))
        .start();
    run.wait_for("[entresol] fatal: ", BOOT);
    // The last frame is the first: the symbol that the first instructions jump to.
    let deepest = match fault {
        "stack-overflow" => "#31 ",
        _ => {
            run.wait_for("backtrace:", BOOT);
            return symbolized(&wait_for_main(run));
        }
    };
    run.wait_for(deepest, BOOT);
    symbolized(&run.log())
}

/// Waits for the backtrace's last line, that of `hypervisor_main`, and returns the log.
fn wait_for_main(mut run: support::Run) -> String {
    loop {
        let frame = run.wait_for("  #", BOOT);
        let named = symbolized(&format!("{frame}\n"));
        if named.contains(" hypervisor_main+") {
            return run.log();
        }
    }
}

fn symbolized(log: &str) -> String {
    let mut script = Command::new(support::root().join("scripts/symbolize"))
        .arg(&support::selftest().elf)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("scripts/symbolize can be run");
    let mut input = script.stdin.take().expect("is piped");
    input.write_all(log.as_bytes()).expect("it reads");
    drop(input);
    let done = script
        .wait_with_output()
        .expect("a child can be waited for");
    assert!(done.status.success());
    let text = String::from_utf8_lossy(&done.stdout).replace('\r', "");
    let start = text.find("[entresol] fatal: ").unwrap_or(0);
    text[start..].to_owned()
}

/// Returns the functions of a backtrace, innermost first.
fn functions(report: &str) -> Vec<&str> {
    let frame = |line: &'_ str| line.trim_start().starts_with('#');
    report
        .lines()
        .filter(|line| frame(line))
        .map(|line| {
            let name = line.split(' ').find(|word| word.contains('+'));
            name.and_then(|name| name.split_once('+'))
                .unwrap_or_else(|| panic!("no name in {line:?}"))
                .0
        })
        .collect()
}

/// Asserts that these are the ends of the innermost functions' names, and `hypervisor_main` the last.
fn assert_backtrace(report: &str, innermost: &[&str]) {
    let found = functions(report);
    for (n, name) in innermost.iter().enumerate() {
        assert!(
            found.get(n).is_some_and(|found| found.ends_with(name)),
            "frame {n} is not {name}:\n{report}"
        );
    }
    assert_eq!(found.last(), Some(&"hypervisor_main"), "{report}");
}

/// Returns the value printed after a register's name.
fn register(report: &str, name: &str) -> u64 {
    let mut words = report.split_whitespace();
    words
        .find(|&word| word == name)
        .unwrap_or_else(|| panic!("no {name}:\n{report}"));
    let value = words.next().expect("a value follows");
    u64::from_str_radix(value, 16).unwrap_or_else(|_| panic!("{name} is {value}:\n{report}"))
}

/// Asserts that all registers are there, each once.
fn assert_registers(report: &str) {
    let others = ["sp", "elr", "spsr", "esr", "far"].map(str::to_owned);
    for name in (0..31).map(|n| format!("x{n}")).chain(others) {
        register(report, &name);
        let count = report.split_whitespace().filter(|word| **word == name);
        assert_eq!(count.count(), 1, "{name}:\n{report}");
    }
}

fn first_line(report: &str) -> &str {
    report.lines().next().unwrap_or_default()
}

#[test]
fn a_data_abort_is_told_with_registers_and_names() {
    let report = report("data-abort");
    assert_eq!(
        first_line(&report),
        "[entresol] fatal: synchronous exception at EL2 on CPU 0: data abort at 0xdead0000: \
         translation fault: nothing is mapped there"
    );
    assert_registers(&report);
    assert_eq!(register(&report, "far"), 0xdead_0000);
    assert_eq!(register(&report, "x20"), 0x5eed_5eed_5eed_5eed);
    assert_eq!(register(&report, "esr") >> 26, 0x25);
    assert_backtrace(
        &report,
        &[
            "selftest::read_unmapped",
            "selftest::run",
            "boot::run",
            "boot::start",
        ],
    );
}

#[test]
fn a_stack_overflow_hits_the_guard_page_and_is_told_from_another_stack() {
    let report = report("stack-overflow");
    assert!(
        first_line(&report).ends_with(": nothing is mapped there: the stack overflowed"),
        "{report}"
    );
    assert_registers(&report);
    let (sp, far) = (register(&report, "sp"), register(&report, "far"));
    assert!(far.abs_diff(sp) < 4096, "{report}");
    let functions = functions(&report);
    assert_eq!(functions.len(), 32, "{report}");
    assert!(
        functions
            .iter()
            .all(|name| name.ends_with("selftest::overflow")),
        "{report}"
    );
}

#[test]
fn a_panic_is_told_with_its_place() {
    let report = report("panic");
    assert!(
        first_line(&report).starts_with("[entresol] fatal: panicked at src/boot/selftest.rs:"),
        "{report}"
    );
    assert!(
        report.contains("\nthe selftest asked for a panic\n"),
        "{report}"
    );
    let functions = functions(&report);
    assert!(functions[0].ends_with("trace::report_panic"), "{report}");
    assert!(
        functions
            .iter()
            .any(|name| name.ends_with("selftest::panic_on_demand")),
        "{report}"
    );
    assert_eq!(functions.last(), Some(&"hypervisor_main"), "{report}");
}

#[test]
fn what_is_executable_cannot_be_written() {
    let report = report("write-text");
    assert!(first_line(&report).contains(": data abort at "), "{report}");
    assert!(
        first_line(&report).ends_with(": permission fault"),
        "{report}"
    );
    assert_backtrace(&report, &["selftest::store"]);
}

#[test]
fn constants_cannot_be_written() {
    let report = report("write-rodata");
    assert!(
        first_line(&report).ends_with(": permission fault"),
        "{report}"
    );
    assert_backtrace(&report, &["selftest::store"]);
}

#[test]
fn what_is_writable_cannot_be_executed() {
    let report = report("run-data");
    assert!(
        first_line(&report).contains(": instruction abort at "),
        "{report}"
    );
    assert!(
        first_line(&report).ends_with(": permission fault"),
        "{report}"
    );
    assert_eq!(register(&report, "elr"), register(&report, "far"));
}

#[test]
fn an_unknown_fault_is_refused_and_none_is_asked_for_by_default() {
    let mut run = Qemu::virt()
        .kernel(support::selftest().image.as_path())
        .append("selftest=no-such")
        .start();
    run.wait_for("error: selftest=no-such: there is no such test", BOOT);
    drop(run);
    // Without the feature the argument means nothing, and start-up goes on to the bundle.
    let mut run = Qemu::virt().append("selftest=panic").start();
    run.wait_for("error: no bundle", BOOT);
    assert!(!run.log().contains("fatal"), "{}", run.log());
}
