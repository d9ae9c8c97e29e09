//! Several vCPUs, several VMs, and the hypervisor's own console.

mod support;

use support::{BOOT, Bundle, Qemu, Run};

/// The key that leads to the hypervisor's commands.
const ESCAPE: &str = "\x1d";

fn linux(cpus: u32) -> String {
    format!(
        "[vm.linux]\nkernel = \"Image\"\nramdisk = \"initrd.cpio.gz\"\n\
         bootargs = \"console=ttyAMA0 quiet\"\ncpus = {cpus}\nmemory = \"256M\"\n"
    )
}

fn bundle(vms: &str) -> Bundle {
    Bundle::new()
        .vms_toml(vms)
        .file("Image", support::cached("Image"))
        .file("initrd.cpio.gz", support::cached("initrd.cpio.gz"))
        .file("checks.img", support::guest("checks"))
}

fn checks(name: &str) -> String {
    format!("[vm.{name}]\nkernel = \"checks.img\"\nmemory = \"64M\"\n")
}

fn ends_well(mut run: Run) -> String {
    run.wait_for("[entresol] no guest is left: powering off", BOOT);
    assert!(run.wait_exit(BOOT).success());
    let log = run.log();
    for complaint in ["fatal", "BUG", "WARNING", "Oops", "Kernel panic", "stall"] {
        assert!(!log.contains(complaint), "{complaint:?} in:\n{log}");
    }
    log
}

/// All of Linux's vCPUs come up, do work on each, go off and come on again.
fn linux_with_four_vcpus(cpu: &str, physical: u32) {
    let bundle = bundle(&linux(4));
    let qemu = Qemu::virt().cpu(cpu).cpus(physical).bundle(&bundle);
    let mut run = qemu.start();
    let line = run.wait_for("Guest is up", BOOT);
    assert!(line.ends_with("CPUs online: 4"), "{line}");
    run.wait_for_prompt("# ", BOOT);
    for n in 0..4 {
        run.send(&format!("taskset {:x} echo on$(({n}+10))\n", 1 << n));
        run.wait_for(&format!("on{}", n + 10), BOOT);
    }
    for n in 1..4 {
        let online = format!("/sys/devices/system/cpu/cpu{n}/online");
        run.send(&format!(
            "echo 0 > {online}; echo 1 > {online}; echo replugged$(({n}+10)) $(nproc)\n"
        ));
        run.wait_for(&format!("replugged{} 4", n + 10), BOOT);
    }
    run.send("poweroff\n");
    ends_well(run);
}

#[test]
fn four_vcpus_on_four_cpus() {
    linux_with_four_vcpus("max", 4);
}

#[test]
fn four_vcpus_on_two_cpus() {
    linux_with_four_vcpus("cortex-a72", 2);
}

#[test]
fn three_vms_share_one_cpu() {
    let vms = linux(2) + &checks("first") + &checks("second");
    let mut run = Qemu::virt().memory("1G").bundle(&bundle(&vms)).start();
    let events = [
        "[entresol] first: powered off",
        "[entresol] second: powered off",
        "Guest is up",
        "/root # ",
    ];
    run.wait_for_all(&events, BOOT);
    run.send("poweroff\n");
    let log = ends_well(run);
    for name in ["first", "second"] {
        let verdict = format!("[{name}] checks: ");
        let line = log.lines().rev().find(|line| line.starts_with(&verdict));
        let line = line.unwrap_or_else(|| panic!("no verdict of {name} in:\n{log}"));
        assert!(line.contains(" passed, 0 failed, "), "{line}\n{log}");
    }
}

#[test]
fn a_reboot_starts_the_vm_anew_and_no_other() {
    let vms = linux(1) + &checks("other");
    let mut run = Qemu::virt().cpus(2).bundle(&bundle(&vms)).start();
    let events = ["[entresol] other: powered off", "Guest is up", "/root # "];
    run.wait_for_all(&events, BOOT);
    run.send("reboot\n");
    run.wait_for("[entresol] linux: starts anew", BOOT);
    run.wait_for("Guest is up", BOOT);
    run.wait_for_prompt("# ", BOOT);
    run.send("poweroff\n");
    ends_well(run);
}

/// Two guests that spin on one CPU see that time is stolen from them.
#[test]
fn stolen_time_is_seen() {
    let vms = linux(1).replace(" quiet", "")
        + &checks("spare").replace("checks.img", "Image").replace(
            "64M\"",
            "256M\"\nramdisk = \"initrd.cpio.gz\"\nbootargs = \"console=ttyAMA0\"",
        );
    let mut run = Qemu::virt()
        .append("console=linux")
        .bundle(&bundle(&vms))
        .start();
    run.wait_for("using stolen time PV", BOOT);
    run.wait_for("Guest is up", BOOT);
    run.wait_for_prompt("# ", BOOT);
    // The other one boots meanwhile: it is the one that spins.
    let steal = "set -- $(head -1 /proc/stat); echo steal $(($9 + 0))";
    run.send(&format!("{steal}\n"));
    let line = run.wait_for("steal ", BOOT);
    let ticks = |line: &str| line.rsplit(' ').next().and_then(|n| n.parse::<u64>().ok());
    let line = if ticks(&line).is_some() {
        line
    } else {
        run.wait_for("steal ", BOOT)
    };
    assert!(ticks(&line).is_some_and(|n| n > 10), "{line}");
    run.send("\x1dstats\r");
    let line = run.wait_for("linux               0", BOOT);
    let waited = line
        .split_whitespace()
        .nth(4)
        .and_then(|n| n.parse::<u64>().ok());
    assert!(waited.is_some_and(|ms| ms > 100), "{line}");
    assert!(!run.log().contains("[linux] "), "{}", run.log());
    run.send("poweroff\r");
    ends_well(run);
}

#[test]
fn the_console_tells_and_commands() {
    let vms = linux(1) + &checks("other");
    commands(Qemu::virt().cpus(2).bundle(&bundle(&vms)));
}

/// The same with debug assertions: locks are taken in one order, for one.
#[test]
fn what_the_hypervisor_asserts_holds() {
    let vms = linux(2) + &checks("other");
    let image = support::checked();
    commands(Qemu::virt().cpus(2).kernel(image).bundle(&bundle(&vms)));
}

fn commands(qemu: Qemu) {
    let mut run = qemu.start();
    let events = ["[entresol] other: powered off", "Guest is up", "/root # "];
    run.wait_for_all(&events, BOOT);
    run.send(ESCAPE);
    run.wait_for_prompt("entresol> ", BOOT);
    run.send("vms\r");
    let line = run.wait_for("* linux", BOOT);
    assert!(line.contains("vCPUs on, 256 MiB"), "{line}");
    assert_eq!(line.contains("1 of 1"), !line.contains("2 of 2"), "{line}");
    run.send("stats\r");
    let line = run.wait_for("linux               0", BOOT);
    let calls = line
        .split_whitespace()
        .nth(5)
        .and_then(|n| n.parse::<u64>().ok());
    assert!(calls.is_some_and(|calls| calls > 0), "{line}");
    run.send("nonsense\r");
    run.wait_for("unknown command \"nonsense\"", BOOT);
    run.send("start linux\r");
    run.wait_for("linux runs already", BOOT);
    run.send("start other\r");
    run.wait_for("[entresol] other: powered off", BOOT);
    // Once more, from the log.
    run.send("log\r");
    run.wait_for("[entresol] other: powered off", BOOT);
    // Back to the guest, which has seen none of it.
    run.send("\r");
    run.send("echo ans$((40+2))\n");
    assert_eq!(run.wait_for("ans42", BOOT), "ans42");
    run.send(ESCAPE);
    run.send("poweroff\r");
    ends_well(run);
}
