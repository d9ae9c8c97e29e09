//! Machines with a GICv2: the hypervisor drives it, and guests are given one.

mod support;

use support::{BOOT, Bundle, Qemu};

/// Why a check is left out on every GICv2.
const REASONS: [&str; 4] = [
    "a GICv2 has no redistributors",
    "a GICv2 has no registers of 64 bits",
    "a GICv2's SGIs are always enabled",
    "QEMU's GICv2 keeps the running priority",
];

/// Asserts on the lines that the guest `checks` printed.
fn assert_checks(log: &str) {
    let log = log.replace('\r', "");
    assert!(!log.contains("FAILED"), "{log}");
    let tally = log.lines().find(|line| line.contains(" passed, "));
    let passed = tally
        .and_then(|line| line.strip_prefix("checks: "))
        .and_then(|line| line.split_once(" passed, 0 failed, "))
        .and_then(|(passed, _)| passed.parse().ok());
    assert!(passed.is_some_and(|passed: u32| passed > 100), "{log}");
    for reason in REASONS {
        assert_eq!(log.matches(reason).count(), 1, "{reason}: {log}");
    }
}

fn checks_pass(cpu: &str) {
    let vms = "[vm.checks]\nkernel = \"checks.img\"\nmemory = \"128M\"\n";
    let bundle = Bundle::new()
        .vms_toml(vms)
        .file("checks.img", support::guest("checks"));
    let mut run = Qemu::virt().cpu(cpu).gic(2).bundle(&bundle).start();
    assert!(run.wait_exit(BOOT).success());
    assert_checks(&run.log());
}

#[test]
fn all_checks_pass_on_cortex_a72() {
    checks_pass("cortex-a72");
}

#[test]
fn all_checks_pass_on_max() {
    checks_pass("max");
}

/// The checks themselves are right only if a machine without a hypervisor passes them.
#[test]
fn the_bare_machine_passes_them_too() {
    let mut run = Qemu::native()
        .cpu("cortex-a72")
        .gic(2)
        .kernel(support::guest("checks"))
        .append("native")
        .start();
    assert!(run.wait_exit(BOOT).success());
    assert_checks(&run.log());
}

/// Boots Linux with `vcpus` on as many CPUs, waits until it has used them, and turns it off.
fn linux_boots(cpu: &str, vcpus: u32) {
    let vms = format!(
        "[vm.linux]\nkernel = \"Image\"\nramdisk = \"initrd.cpio.gz\"\nmemory = \"512M\"\n\
         bootargs = \"console=ttyAMA0 quiet\"\ncpus = {vcpus}\n"
    );
    let bundle = Bundle::new()
        .vms_toml(&vms)
        .file("Image", support::cached("Image"))
        .file("initrd.cpio.gz", support::cached("initrd.cpio.gz"));
    let mut run = Qemu::virt()
        .cpu(cpu)
        .gic(2)
        .cpus(vcpus)
        .bundle(&bundle)
        .start();
    let line = run.wait_for("Guest is up", BOOT);
    assert!(line.ends_with(&format!("CPUs online: {vcpus}")), "{line}");
    run.wait_for_prompt("# ", BOOT);
    run.send("grep -c GIC-0 /proc/interrupts; dmesg -l warn,err\n");
    run.wait_for_prompt("# ", BOOT);
    let log = run.log();
    assert!(!log.contains("WARNING:") && !log.contains("BUG:"), "{log}");
    run.send("poweroff\n");
    assert!(run.wait_exit(BOOT).success());
}

#[test]
fn linux_boots_on_cortex_a72() {
    linux_boots("cortex-a72", 1);
}

#[test]
fn linux_boots_with_four_vcpus_on_cortex_a72() {
    linux_boots("cortex-a72", 4);
}

#[test]
fn linux_boots_with_four_vcpus_on_max() {
    linux_boots("max", 4);
}
