//! EL2's two modes, with and without HCR_EL2.E2H, as the command line asks.

mod support;

use support::{BOOT, Bundle, Qemu, Run};

/// The line that says what was found; it ends in the mode.
const REPORT: &str = "[entresol] 1 CPU, ";

fn hosted(cpu: &str, arguments: &str, bundle: &Bundle) -> Run {
    Qemu::virt()
        .cpu(cpu)
        .append(arguments)
        .bundle(bundle)
        .start()
}

fn checks() -> Bundle {
    Bundle::new()
        .vms_toml("[vm.checks]\nkernel = \"checks.img\"\nmemory = \"64M\"\n")
        .file("checks.img", support::guest("checks"))
}

fn wait_for_mode(run: &mut Run, e2h: u32) {
    let line = run.wait_for(REPORT, BOOT);
    assert!(line.ends_with(&format!("E2H={e2h}")), "{line}");
}

/// Runs the guest `checks` to its good end; returns how many of its checks passed.
fn checks_pass(cpu: &str, arguments: &str, e2h: u32) -> u32 {
    let mut run = hosted(cpu, arguments, &checks());
    wait_for_mode(&mut run, e2h);
    let tally = run.wait_for(" passed, ", BOOT);
    assert!(run.wait_exit(BOOT).success());
    let log = run.log();
    assert!(tally.contains(" passed, 0 failed, "), "{log}");
    assert!(!log.contains("fatal"), "{log}");
    let passed = tally.strip_prefix("checks: ").and_then(|rest| {
        let (count, _) = rest.split_once(' ')?;
        count.parse().ok()
    });
    passed.unwrap_or_else(|| panic!("no count in {tally:?}"))
}

/// Boots Debian's kernel to its shell, gets an answer there, and powers off.
fn linux_runs(cpu: &str, arguments: &str, cpus: u32, e2h: u32) {
    let vms = format!(
        "[vm.linux]\nkernel = \"Image\"\nramdisk = \"initrd.cpio.gz\"\n\
         bootargs = \"console=ttyAMA0\"\ncpus = {cpus}\nmemory = \"512M\"\n"
    );
    let bundle = Bundle::new()
        .vms_toml(&vms)
        .file("Image", support::cached("Image"))
        .file("initrd.cpio.gz", support::cached("initrd.cpio.gz"));
    let mut run = Qemu::virt()
        .cpu(cpu)
        .cpus(cpus)
        .append(arguments)
        .bundle(&bundle)
        .start();
    let line = run.wait_for(" MiB for guests, ", BOOT);
    assert!(line.ends_with(&format!("E2H={e2h}")), "{line}");
    let line = run.wait_for("Guest is up", BOOT);
    assert!(line.ends_with(&format!("CPUs online: {cpus}")), "{line}");
    run.wait_for_prompt("# ", BOOT);
    run.send("echo ans$((40+2))\n");
    run.wait_for("ans42", BOOT);
    run.send("poweroff\n");
    assert!(run.wait_exit(BOOT).success());
    let log = run.log();
    for complaint in ["fatal", "BUG", "Oops", "Call trace", "is not used"] {
        assert!(!log.contains(complaint), "{complaint:?} in:\n{log}");
    }
}

/// Asserts that the hypervisor does not go on, and why; returns what it said.
fn refused(cpu: &str, arguments: &str, why: &str) {
    let mut run = hosted(cpu, arguments, &checks());
    let line = run.wait_for("[entresol] error: ", BOOT);
    assert_eq!(line, format!("[entresol] error: {why}"));
    assert!(!run.log().contains(REPORT), "{}", run.log());
}

#[test]
fn checks_pass_alike_in_both_modes_on_max() {
    let off = checks_pass("max", "vhe=off", 0);
    assert_eq!(checks_pass("max", "vhe=on", 1), off);
}

#[test]
fn checks_pass_alike_in_both_modes_on_neoverse_n1() {
    let off = checks_pass("neoverse-n1", "vhe=off", 0);
    assert_eq!(checks_pass("neoverse-n1", "vhe=on", 1), off);
}

#[test]
fn linux_runs_with_vhe_on_max() {
    linux_runs("max", "vhe=on", 1, 1);
}

#[test]
fn linux_runs_with_vhe_on_two_cpus_of_neoverse_n1() {
    linux_runs("neoverse-n1", "vhe=on", 2, 1);
}

#[test]
fn vhe_is_off_where_it_can_be_unless_asked_for() {
    for (cpu, arguments) in [("max", ""), ("max", "vhe=auto"), ("cortex-a72", "vhe=auto")] {
        wait_for_mode(&mut hosted(cpu, arguments, &checks()), 0);
    }
}

#[test]
fn a_cpu_without_vhe_is_told_so() {
    refused(
        "cortex-a72",
        "vhe=on",
        "vhe=on: this CPU has no FEAT_VHE; leave it out, or say vhe=off",
    );
}

#[test]
fn a_value_that_is_not_known_is_refused() {
    refused("max", "vhe=maybe", "vhe=maybe: there is vhe=on|off|auto");
}

#[test]
fn arguments_for_others_are_told_and_left_alone() {
    let mut run = hosted("max", "quiet vhe=on coherent_pool=1M", &checks());
    let line = run.wait_for("[entresol] warning: arguments", BOOT);
    assert!(line.contains(" quiet coherent_pool=1M "), "{line}");
    assert!(line.contains("vhe=on|off|auto"), "{line}");
    wait_for_mode(&mut run, 1);
}
