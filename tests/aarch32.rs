//! Guests in AArch32: Debian's armhf Linux, and a program of our own that checks what it may rely on.

mod support;

use support::{BOOT, Bundle, Qemu, Run};

/// Linux gives a CPU a second to come up, which begins with maintenance by set/way, for which all of
/// the VM's memory is cleaned: the less there is, the sooner it is done under QEMU.
fn linux(cpu: &str, cpus: u32, arguments: &str) -> Run {
    let vms = format!(
        "[vm.armhf]\nkernel = \"zImage\"\nramdisk = \"initrd.cpio.gz\"\n\
         bootargs = \"console=ttyAMA0\"\nmemory = \"192M\"\ncpus = {cpus}\naarch32 = true\n"
    );
    let bundle = Bundle::new()
        .vms_toml(&vms)
        .file("zImage", support::cached("zImage"))
        .file("initrd.cpio.gz", support::cached("initrd-armhf.cpio.gz"));
    Qemu::virt()
        .cpu(cpu)
        .cpus(cpus)
        .append(arguments)
        .bundle(&bundle)
        .start()
}

/// Boots to the shell, types, and powers off.
fn linux_boots_answers_and_powers_off(cpu: &str, cpus: u32, arguments: &str) {
    let mut run = linux(cpu, cpus, arguments);
    let line = run.wait_for("Guest is up", BOOT);
    assert!(line.contains("-armmp-lpae"), "{line}");
    assert!(line.ends_with(&format!("CPUs online: {cpus}")), "{line}");
    run.wait_for_prompt("# ", BOOT);
    // The shell echoes what is typed, so only a computed answer proves that it ran.
    run.send("echo $(uname -m) ans$((40+2))\n");
    assert_eq!(run.wait_for("ans42", BOOT), "armv7l ans42");
    run.send("poweroff\n");
    run.wait_for("[entresol] armhf: powered off", BOOT);
    assert!(run.wait_exit(BOOT).success());
    let log = run.log();
    for complaint in [
        "fatal",
        "BUG",
        "WARNING",
        "Oops",
        "Kernel panic",
        "Unable to handle",
    ] {
        assert!(!log.contains(complaint), "{complaint:?} in:\n{log}");
    }
    for wanted in ["psci: PSCIv1.", "GICv3: ", "arch_timer: cp15 timer"] {
        assert!(log.contains(wanted), "no {wanted:?} in:\n{log}");
    }
    // Linux does not know the debug architecture of `max`.
    assert_eq!(log.contains("hw-breakpoint: found"), cpu != "max", "{log}");
}

#[test]
fn linux_on_max() {
    linux_boots_answers_and_powers_off("max", 1, "");
}

#[test]
fn linux_on_two_cpus_with_vhe() {
    linux_boots_answers_and_powers_off("max", 2, "vhe=on");
}

#[test]
fn linux_on_cortex_a72() {
    linux_boots_answers_and_powers_off("cortex-a72", 1, "");
}

#[test]
fn neoverse_n1_has_none_at_el1() {
    let mut run = linux("neoverse-n1", 1, "");
    run.wait_for(
        "vm.armhf: aarch32 = true, but EL1 of this machine's CPUs is AArch64 only",
        BOOT,
    );
}

/// Runs the program in VMs of these names, with these kernel arguments.
fn checks(cpu: &str, arguments: &str, vms: &[(&str, &str)]) -> String {
    let mut list = String::new();
    for (name, bootargs) in vms {
        list += &format!(
            "[vm.{name}]\nkernel = \"checks\"\nmemory = \"16M\"\ncpus = 2\n\
             bootargs = \"{bootargs}\"\naarch32 = true\n"
        );
    }
    let bundle = Bundle::new()
        .vms_toml(&list)
        .file("checks", support::guest32());
    let mut run = Qemu::virt()
        .cpu(cpu)
        .append(arguments)
        .bundle(&bundle)
        .start();
    assert!(run.wait_exit(BOOT).success());
    run.log()
}

/// Asserts that so many checks passed in all, and none failed.
fn assert_passed(log: &str, count: usize) {
    assert!(!log.contains("FAILED") && !log.contains("panic: "), "{log}");
    assert_eq!(log.matches(" ... ok").count(), count, "{log}");
}

#[test]
fn all_checks_pass_on_max() {
    assert_passed(&checks("max", "", &[("a32", "")]), 18);
}

#[test]
fn all_checks_pass_with_vhe() {
    assert_passed(&checks("max", "vhe=on", &[("a32", "")]), 18);
}

#[test]
fn all_checks_pass_on_cortex_a72() {
    assert_passed(&checks("cortex-a72", "", &[("a32", "")]), 18);
}

const PAIR: [(&str, &str); 2] = [("one", "seed=1"), ("two", "seed=2")];

#[test]
fn registers_hold_while_guests_take_turns() {
    assert_passed(&checks("max", "", &PAIR), 2);
}

#[test]
fn registers_hold_while_guests_take_turns_with_vhe() {
    assert_passed(&checks("max", "vhe=on", &PAIR), 2);
}

#[test]
fn registers_hold_while_guests_take_turns_on_cortex_a72() {
    assert_passed(&checks("cortex-a72", "", &PAIR), 2);
}
