//! Linux on four vCPUs under stress-ng, its vCPUs turned off and on meanwhile.

mod support;

use support::{BOOT, Bundle, Qemu, vms};

/// For what takes stress-ng's half minute of the guest's time on a loaded machine.
const STRESS: std::time::Duration = std::time::Duration::from_secs(300);

const VMS: &str = r#"
[vm.linux]
kernel   = "Image"
ramdisk  = "initrd-stress.cpio.gz"
bootargs = "console=ttyAMA0 quiet"
memory   = "192M"
cpus     = 4
"#;

/// Computes, programs timers and switches between processes on all four.
const STRESSORS: &str = "stress-ng --cpu 4 --timer 2 --timer-freq 1000 --switch 2 \
                         --timeout 30 --metrics-brief";

/// Turns each vCPU but the first off and on, twenty times in all.
const REPLUG: &str = "for n in $(seq 20); do f=/sys/devices/system/cpu/cpu$((n % 3 + 1))/online; \
                      echo 0 > $f && echo 1 > $f && echo $n; done | wc -l";

fn four_vcpus_under_stress(cpu: &str, gic: u32, physical: u32) {
    let bundle = Bundle::new()
        .vms_toml(VMS)
        .file("Image", support::cached("Image"))
        .file(
            "initrd-stress.cpio.gz",
            support::cached("initrd-stress.cpio.gz"),
        );
    let qemu = Qemu::virt().cpu(cpu).gic(gic).cpus(physical);
    let mut run = qemu.bundle(&bundle).start();
    let line = run.wait_for("Guest is up", BOOT);
    assert!(line.ends_with("CPUs online: 4"), "{line}");
    run.wait_for_prompt("# ", BOOT);
    // In one line: the shell reads no second one before the stress is over.
    run.send(&format!(
        "({STRESSORS}; echo stress''ed $?) 2>&1 | sed 's/^/| /' & sleep 2; \
         echo replug''ged $({REPLUG}) $(nproc)\n"
    ));
    run.wait_for_all(&["replugged 20 4", "| stressed 0"], STRESS);
    assert_eq!(vms::complaints(&mut run, ""), 0, "{}", run.log());
    run.send("poweroff\n");
    run.wait_for("[entresol] no guest is left: powering off", BOOT);
    assert!(run.wait_exit(BOOT).success());
}

#[test]
fn on_four_cpus_with_gicv3() {
    four_vcpus_under_stress("max", 3, 4);
}

#[test]
fn on_two_cpus_with_gicv3() {
    four_vcpus_under_stress("cortex-a72", 3, 2);
}

#[test]
fn on_four_cpus_with_gicv2() {
    four_vcpus_under_stress("cortex-a72", 2, 4);
}

#[test]
fn on_two_cpus_with_gicv2() {
    four_vcpus_under_stress("max", 2, 2);
}

/// The other pairings: these show nothing that the four above do not, so they are run by hand.
#[test]
#[ignore = "two minutes more of the same"]
fn on_four_cpus_with_gicv3_on_cortex_a72() {
    four_vcpus_under_stress("cortex-a72", 3, 4);
}

#[test]
#[ignore = "two minutes more of the same"]
fn on_two_cpus_with_gicv3_on_max() {
    four_vcpus_under_stress("max", 3, 2);
}

#[test]
#[ignore = "two minutes more of the same"]
fn on_four_cpus_with_gicv2_on_max() {
    four_vcpus_under_stress("max", 2, 4);
}

#[test]
#[ignore = "two minutes more of the same"]
fn on_two_cpus_with_gicv2_on_cortex_a72() {
    four_vcpus_under_stress("cortex-a72", 2, 2);
}
