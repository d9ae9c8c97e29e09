//! Started by U-Boot, with `booti` and by itself, from the disk that `scripts/image virt` makes.

mod support;

use std::path::Path;

use support::{BOOT, Bundle, Qemu, Run, Scratch};

const VMS: &str = r#"
[vm.linux]
kernel   = "Image"
ramdisk  = "initrd.cpio.gz"
bootargs = "console=ttyAMA0"
memory   = "512M"
"#;

const FIRMWARE: &str = "/usr/lib/u-boot/qemu_arm64/u-boot.bin";

fn started(disk: &Path) -> Run {
    Qemu::virt()
        .cpu("cortex-a72")
        .cpus(2)
        .firmware(Path::new(FIRMWARE))
        .disk(disk, "virtio-blk-device")
        .start()
}

/// Stops U-Boot's own boot and types commands at its prompt.
fn typed(disk: &Path, commands: &[&str]) -> Run {
    let mut run = started(disk);
    run.wait_for_prompt("Hit any key to stop autoboot", BOOT);
    run.send("\n");
    for command in commands {
        run.wait_for_prompt("=> ", BOOT);
        run.send(&format!("{command}\n"));
    }
    run
}

/// As docs/boards.md has it.
#[test]
fn booti_to_a_shell() {
    let bundle = Bundle::new()
        .vms_toml(VMS)
        .file("Image", support::cached("Image"))
        .file("initrd.cpio.gz", support::cached("initrd.cpio.gz"));
    let folder = Scratch::folder("uboot");
    let disk = support::board(folder.path(), "disk.img", "virt", &bundle.archive(), &[]);
    let mut run = typed(
        &disk,
        &[
            "virtio scan",
            "load virtio 0:1 $kernel_addr_r Image",
            "load virtio 0:1 $ramdisk_addr_r bundle.cpio",
            "setenv bootargs vhe=off",
            "booti $kernel_addr_r $ramdisk_addr_r:$filesize $fdtcontroladdr",
        ],
    );
    run.wait_for("[entresol] 2 CPUs, 10", BOOT);
    run.wait_for("Guest is up", BOOT);
    run.wait_for_prompt("# ", BOOT);
    run.send("echo ans$((40+2))\n");
    assert_eq!(run.wait_for("ans42", BOOT), "ans42");
    run.send("poweroff\n");
    run.wait_for("[entresol] no guest is left: powering off", BOOT);
    assert!(run.wait_exit(BOOT).success());
}

/// Asserts that start-up ends in one line of error with `wanted` in it.
fn is_refused(mut run: Run, wanted: &str) {
    let line = run.wait_for("[entresol] error: ", BOOT);
    assert!(line.contains(wanted), "no {wanted:?} in {line:?}");
    assert!(run.log().trim_end().ends_with(&line), "{}", run.log());
}

#[test]
fn by_itself_with_a_bundle_that_is_no_archive() {
    let folder = Scratch::folder("uboot");
    let bad = b"This is no archive.".repeat(50);
    let disk = support::board(folder.path(), "disk.img", "virt", &bad, &[]);
    is_refused(started(&disk), "bundle: no newc archive at entry 1");
}

#[test]
fn booti_without_a_bundle() {
    let folder = Scratch::folder("uboot");
    let disk = support::board(folder.path(), "disk.img", "virt", b"not handed over", &[]);
    let run = typed(
        &disk,
        &[
            "virtio scan",
            "load virtio 0:1 $kernel_addr_r Image",
            "booti $kernel_addr_r - $fdtcontroladdr",
        ],
    );
    is_refused(run, "no bundle");
}
