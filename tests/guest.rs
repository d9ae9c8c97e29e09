//! The guest `checks`: each of its lines becomes an assertion.

mod support;

use std::collections::BTreeSet;

use support::{BOOT, Bundle, Qemu, Run};

/// What became of one check.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Verdict {
    Passed,
    Ignored,
    Failed(String),
}

/// Returns the guest's lines: the hypervisor's own may come amid one, which goes on after it.
fn guest_lines(log: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open = String::new();
    for line in log.replace('\r', "").split('\n') {
        if let Some((before, _)) = line.split_once("[entresol] ") {
            open.push_str(before);
        } else {
            lines.push(std::mem::take(&mut open) + line);
        }
    }
    lines
}

/// Returns each check's verdict, in order.
///
/// Where a check prints a line of its own after `test NAME ... `, the verdict comes alone on a
/// later line.
fn verdicts(lines: &[String]) -> Vec<(String, Verdict)> {
    let mut found = Vec::new();
    let mut name: Option<&str> = None;
    for line in lines {
        let rest = match line
            .strip_prefix("test ")
            .and_then(|line| line.split_once(" ... "))
        {
            Some((next, rest)) => {
                assert_eq!(name, None, "no verdict before {next}");
                name = Some(next);
                rest
            }
            None => line,
        };
        if let (Some(check), Some(verdict)) = (name, verdict(rest)) {
            found.push((check.to_owned(), verdict));
            name = None;
        }
    }
    assert_eq!(name, None, "the last check has no verdict");
    found
}

fn verdict(text: &str) -> Option<Verdict> {
    if text == "ok" {
        Some(Verdict::Passed)
    } else if text.starts_with("ignored: ") {
        Some(Verdict::Ignored)
    } else {
        let why = text.strip_prefix("FAILED: ")?;
        Some(Verdict::Failed(why.to_owned()))
    }
}

/// Asserts that no check failed, that those ignored are exactly these, and that the guest counted
/// as we do.
fn assert_checks(log: &str, ignored: &[&str]) {
    let lines = guest_lines(log);
    let verdicts = verdicts(&lines);
    let names = |wanted: fn(&Verdict) -> bool| -> BTreeSet<&str> {
        verdicts
            .iter()
            .filter(|(_, verdict)| wanted(verdict))
            .map(|(name, _)| name.as_str())
            .collect()
    };
    let failed: Vec<_> = verdicts
        .iter()
        .filter(|(_, verdict)| matches!(verdict, Verdict::Failed(_)))
        .collect();
    assert!(failed.is_empty(), "{failed:#?}\n{log}");
    let found = names(|verdict| *verdict == Verdict::Ignored);
    assert_eq!(found, ignored.iter().copied().collect(), "{log}");
    let passed = names(|verdict| *verdict == Verdict::Passed);
    assert_eq!(
        passed.len() + found.len(),
        verdicts.len(),
        "a name came twice"
    );
    let tally = format!(
        "checks: {} passed, 0 failed, {} ignored",
        passed.len(),
        found.len()
    );
    assert!(lines.contains(&tally), "no {tally:?} in:\n{log}");
    assert!(passed.len() > 100, "few checks:\n{log}");
    assert!(!log.contains("panic: "), "{log}");
}

fn hosted(cpu: &str, bootargs: &str) -> Run {
    let vms = format!(
        "[vm.checks]\nkernel = \"checks.img\"\nmemory = \"128M\"\nbootargs = \"{bootargs}\"\n"
    );
    let bundle = Bundle::new()
        .vms_toml(&vms)
        .file("checks.img", support::guest("checks"));
    Qemu::virt().cpu(cpu).bundle(&bundle).start()
}

/// Runs all checks with somebody who types, and asserts on each.
fn all_pass(cpu: &str, ignored: &[&str]) {
    let mut run = hosted(cpu, "echo");
    run.wait_for("uart-echo: ready", BOOT);
    // Held by the guest's FIFO, which is polled.
    run.send("polled 1+1\r");
    run.wait_for("echo: polled 1+1", BOOT);
    run.wait_for("uart-echo: ready for interrupts", BOOT);
    // Longer than a FIFO of 16 bytes.
    let line = "the second line comes by interrupts, all of it";
    run.send(&format!("{line}\r"));
    run.wait_for(&format!("echo: {line}"), BOOT);
    assert!(run.wait_exit(BOOT).success());
    // The hypervisor asks for no register that a vCPU does not have.
    assert!(!run.log().contains("was asked for"), "{}", run.log());
    let log = run.log();
    assert!(!log.contains("fatal"), "{log}");
    assert_checks(&log, ignored);
    assert!(log.contains("[entresol] checks: powered off"), "{log}");
}

/// What no CPU's guest is shown, so far.
const NO_WFXT: &str = "cpu::wfet_and_wfit_end";
/// Pointer authentication came with Armv8.3.
const NO_PAUTH: [&str; 2] = [
    "pauth::keys_hold_over_exits",
    "pauth::round_trip_over_exits",
];
/// Atomic instructions came with Armv8.1.
const NO_ATOMICS: &str = "memory::atomic_instructions";

#[test]
fn all_pass_on_max() {
    all_pass("max", &[NO_WFXT]);
}

#[test]
fn all_pass_on_neoverse_n1() {
    all_pass("neoverse-n1", &[NO_WFXT, NO_PAUTH[0], NO_PAUTH[1]]);
}

#[test]
fn all_pass_on_cortex_a72() {
    all_pass(
        "cortex-a72",
        &[NO_WFXT, NO_PAUTH[0], NO_PAUTH[1], NO_ATOMICS],
    );
}

/// The checks themselves are right only if a machine without a hypervisor passes them: each of
/// those left out speaks of the hypervisor, and says so.
#[test]
fn the_bare_machine_passes_them_too() {
    let mut run = Qemu::native()
        .kernel(support::guest("checks"))
        .append("native echo")
        .start();
    run.wait_for("uart-echo: ready", BOOT);
    run.send("polled\r");
    run.wait_for("uart-echo: ready for interrupts", BOOT);
    run.send("interrupted\r");
    run.wait_for("echo: interrupted", BOOT);
    assert!(run.wait_exit(BOOT).success());
    assert_checks(
        &run.log(),
        &[
            "debug::none_fires_under_the_os_lock",
            "debug::they_hold_over_exits",
            "emulated::pair_over_the_end_of_a_page",
            "emulated::pairs_move_their_base",
            "emulated::pairs_of_words",
            "emulated::pairs_sign_extend",
            "emulated::registers_that_calls_keep",
            "emulated::what_is_not_emulated_aborts",
            "emulated::zero_register_indexed",
            "hidden::activity_monitors",
            "hidden::branch_record",
            "hidden::id_registers_hide_them",
            "hidden::lo_regions",
            "hidden::ls64",
            "hidden::mpam",
            "hidden::mte",
            "hidden::pmu",
            "hidden::profiling",
            "hidden::sme",
            "hidden::sme_start",
            "hidden::sve",
            "hidden::sve_instruction",
            "hidden::trace",
            "hidden::trace_buffer",
            "mmio::hole_in_the_pci_window",
            "psci::odd_immediates_are_answered",
            "psci::psci_by_smc",
            "psci::smccc_is_1_1_or_newer",
            "psci::unknown_function_by_smc",
            "psci::vendor_is_ourselves",
            "services::memory_can_be_protected",
            "services::no_soc_id",
            "services::optional_functions_are_there_or_not",
            "services::random_numbers_differ",
            "services::random_numbers_of_every_size",
            "services::reset_of_an_unknown_type_is_refused",
            "services::smc_reaches_no_firmware",
            "services::stolen_time_is_not_writable",
            "services::stolen_time_is_readable",
            "services::suspend_comes_back_at_its_entry",
            "services::suspend_to_nowhere_is_refused",
            "services::too_many_random_bits_are_refused",
            "services::workarounds_are_not_invented",
            "start::ram_beyond_the_image_is_zero",
            "state::general_registers_over_smc",
        ],
    );
}

#[test]
fn a_log_with_lines_of_the_hypervisor_in_it_is_read_right() {
    let log = "[entresol] x\r\ntest a::b ... ok\r\ntest c ... [entresol] warning: y\r\nok\r\n\
               uart: said\ntest d ... FAILED: why (f.rs:1)\ntest e ... ignored: it\n";
    let named = |name: &str, verdict| (name.to_owned(), verdict);
    assert_eq!(
        verdicts(&guest_lines(log)),
        [
            named("a::b", Verdict::Passed),
            named("c", Verdict::Passed),
            named("d", Verdict::Failed("why (f.rs:1)".into())),
            named("e", Verdict::Ignored),
        ]
    );
}

#[test]
#[should_panic(expected = "no verdict before b")]
fn a_check_without_a_verdict_is_noticed() {
    verdicts(&guest_lines("test a ... \ntest b ... ok\n"));
}
