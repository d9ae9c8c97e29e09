//! Debian's Linux as a guest, from its first line to the machine's end.

mod support;

use support::{BOOT, Bundle, Qemu};

const VMS: &str = r#"
[vm.linux]
kernel   = "Image"
ramdisk  = "initrd.cpio.gz"
bootargs = "console=ttyAMA0"
memory   = "512M"
"#;

/// What a healthy kernel never prints.
const COMPLAINTS: [&str; 9] = [
    "fatal",
    "BUG",
    "WARNING",
    "Oops",
    "Call trace",
    "Kernel panic",
    "Unable to handle",
    "rcu_sched self-detected",
    "unexpected",
];

/// Boots to the shell, types, and powers off.
fn boots_answers_and_powers_off(cpu: &str) {
    let bundle = Bundle::new()
        .vms_toml(VMS)
        .file("Image", support::cached("Image"))
        .file("initrd.cpio.gz", support::cached("initrd.cpio.gz"));
    let mut run = Qemu::virt().cpu(cpu).bundle(&bundle).start();
    run.wait_for("[entresol] vm.linux: 512 MiB", BOOT);
    let line = run.wait_for("Guest is up", BOOT);
    assert!(line.starts_with("Guest is up: Linux "), "{line}");
    assert!(line.ends_with("CPUs online: 1"), "{line}");
    run.wait_for_prompt("# ", BOOT);
    // The shell echoes what is typed, so only a computed answer proves that it ran.
    run.send("echo ans$((40+2))\n");
    assert_eq!(run.wait_for("ans42", BOOT), "ans42");
    run.send("grep -c . /proc/interrupts && ls / | wc -l && echo typed$((6*7))\n");
    run.wait_for("typed42", BOOT);
    // Random numbers by the firmware interface (TRNG).
    run.send("head -c 32 /dev/hwrng | wc -c | sed s/^/random:/; cat /sys/class/misc/hw_random/rng_current\n");
    run.wait_for("random:32", BOOT);
    run.wait_for("smccc_trng", BOOT);
    run.send("poweroff\n");
    run.wait_for("[entresol] linux: powered off", BOOT);
    run.wait_for("[entresol] no guest is left: powering off", BOOT);
    assert!(run.wait_exit(BOOT).success());
    let log = run.log();
    for complaint in COMPLAINTS {
        assert!(!log.contains(complaint), "{complaint:?} in:\n{log}");
    }
    for wanted in [
        "psci: PSCIv1.1 detected in firmware",
        "psci: SMC Calling Convention v1.1",
        "arm-pv: using stolen time PV",
        "GICv3: ",
        "arch_timer: cp15 timer",
        "Power down",
    ] {
        assert!(log.contains(wanted), "no {wanted:?} in:\n{log}");
    }
    let last = log.trim_end().lines().last();
    assert_eq!(
        last,
        Some("[entresol] no guest is left: powering off"),
        "{log}"
    );
}

#[test]
fn on_max() {
    boots_answers_and_powers_off("max");
}

#[test]
fn on_neoverse_n1() {
    boots_answers_and_powers_off("neoverse-n1");
}

#[test]
fn on_cortex_a72() {
    boots_answers_and_powers_off("cortex-a72");
}

/// Boots to the shell and returns what the kernel warns of (level 4 and more urgent).
fn warnings(mut run: support::Run) -> Vec<String> {
    run.wait_for("Guest is up", BOOT);
    run.wait_for_prompt("# ", BOOT);
    run.send("dmesg -r | grep '^<[0-4]>' | sed 's/^<.> *.[^]]*. /warned: /'; echo do''ne\n");
    run.wait_for("done", BOOT);
    let log = run.log();
    let lines = log.lines().filter(|line| line.starts_with("warned: "));
    lines.map(|line| line.trim_end().to_owned()).collect()
}

#[test]
fn a_guest_warns_of_nothing_that_the_bare_machine_lacks() {
    let (image, ramdisk) = (support::cached("Image"), support::cached("initrd.cpio.gz"));
    let native = Qemu::native()
        .memory("512M")
        .kernel(image.clone())
        .initrd(ramdisk.clone())
        .append("console=ttyAMA0");
    let native = warnings(native.start());
    let bundle = Bundle::new()
        .vms_toml(VMS)
        .file("Image", image)
        .file("initrd.cpio.gz", ramdisk);
    let guest = warnings(Qemu::virt().bundle(&bundle).start());
    let new: Vec<_> = guest.iter().filter(|line| !native.contains(line)).collect();
    assert!(new.is_empty(), "{new:#?}\nnatively: {native:#?}");
}
