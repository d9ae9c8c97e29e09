//! Started by UEFI (EDK2), from the disk or the folder that `scripts/image uefi` makes, on a
//! machine that only ACPI describes: an Ampere Altra's CPUs, several, with GICv3.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use support::{BOOT, Bundle, Qemu, Run, Scratch};

const VMS: &str = r#"
[vm.linux]
kernel   = "Image"
ramdisk  = "initrd.cpio.gz"
bootargs = "console=ttyAMA0"
cpus     = 2
memory   = "512M"
"#;

const FIRMWARE: &str = "/usr/share/qemu-efi-aarch64/QEMU_EFI.fd";

fn uefi() -> Qemu {
    Qemu::virt()
        .cpu("neoverse-n1")
        .firmware(Path::new(FIRMWARE))
        .raw_args(&["-machine", "acpi=on", "-rtc", "base=2031-05-06T07:08:09"])
}

fn linux() -> Vec<u8> {
    Bundle::new()
        .vms_toml(VMS)
        .file("Image", support::cached("Image"))
        .file("initrd.cpio.gz", support::cached("initrd.cpio.gz"))
        .archive()
}

/// Waits for the shell, has it answer, and powers off.
fn answers_and_powers_off(mut run: Run) -> String {
    run.wait_for("[entresol] vm.linux: 512 MiB", BOOT);
    let line = run.wait_for("Guest is up", BOOT);
    assert!(line.ends_with("CPUs online: 2"), "{line}");
    run.wait_for_prompt("# ", BOOT);
    run.send("echo ans$((40+2))\n");
    assert_eq!(run.wait_for("ans42", BOOT), "ans42");
    run.send("date -u +day%F\n");
    assert_eq!(run.wait_for("day2031-05-06", BOOT), "day2031-05-06");
    run.send("poweroff\n");
    run.wait_for("[entresol] no guest is left: powering off", BOOT);
    assert!(run.wait_exit(BOOT).success());
    let log = run.log();
    assert!(!log.contains("error: ") && !log.contains("fatal"), "{log}");
    log
}

/// Asserts that start-up ends in one line of error with `wanted` in it.
fn is_refused(mut run: Run, wanted: &str) -> String {
    let line = run.wait_for("[entresol] error: ", BOOT);
    assert!(line.contains(wanted), "no {wanted:?} in {line:?}");
    let log = run.log();
    assert_eq!(log.matches("error: ").count(), 1, "{log}");
    log
}

/// A disk with something that is no bundle: start-up goes as far as reading it.
fn bad_disk(folder: &Scratch) -> PathBuf {
    let bad = b"This is no archive.".repeat(50);
    support::board(folder.path(), "esp.img", "uefi", &bad, &[])
}

#[test]
fn four_cpus_to_a_shell() {
    let folder = Scratch::folder("uefi");
    let disk = support::board(
        folder.path(),
        "esp.img",
        "uefi",
        &linux(),
        &["--append", "vhe=off"],
    );
    let run = uefi()
        .cpus(4)
        .memory("4G")
        .disk(&disk, "virtio-blk-pci")
        // The firmware's random numbers, for guests' seeds.
        .raw_args(&["-device", "virtio-rng-pci"])
        .start();
    let log = answers_and_powers_off(run);
    assert!(log.contains("[entresol] 4 CPUs, 40"), "{log}");
    assert!(!log.contains("no rng-seed"), "{log}");
}

/// Much memory, of which only what is used is touched; the test's machine has less.
#[test]
fn sixty_four_gigabytes() {
    let folder = Scratch::folder("uefi");
    let disk = support::board(folder.path(), "esp.img", "uefi", &linux(), &[]);
    let run = uefi()
        .cpus(2)
        .memory("64G")
        .raw_args(&["-object", "memory-backend-ram,id=ram,size=64G,reserve=off"])
        .raw_args(&["-machine", "memory-backend=ram"])
        .disk(&disk, "virtio-blk-pci")
        .start();
    let log = answers_and_powers_off(run);
    assert!(log.contains("[entresol] 2 CPUs, 655"), "{log}");
}

#[test]
fn a_stick_without_a_bundle() {
    let folder = Scratch::folder("uefi");
    let stick = support::board(folder.path(), "stick/", "uefi", b"", &[]);
    std::fs::remove_file(stick.join("EFI/BOOT/bundle.cpio")).expect("was made");
    let run = uefi()
        .raw_args(&["-device", "qemu-xhci"])
        .disk(&stick, "usb-storage")
        .start();
    is_refused(run, "no bundle: there is no \\EFI\\BOOT\\bundle.cpio");
}

/// More CPUs than one region of redistributors has room for.
#[test]
fn a_bundle_that_is_no_archive_on_a_machine_with_many_cpus() {
    let folder = Scratch::folder("uefi");
    let run = uefi()
        .cpus(130)
        .disk(&bad_disk(&folder), "virtio-blk-pci")
        .start();
    let log = is_refused(run, "bundle: no newc archive at entry 1");
    assert!(log.contains("[entresol] 130 CPUs, "), "{log}");
    assert!(!log.contains("is not used"), "{log}");
}

#[test]
fn firmware_with_a_device_tree() {
    let folder = Scratch::folder("uefi");
    let run = uefi()
        .raw_args(&["-machine", "acpi=off"])
        .cpus(2)
        .disk(&bad_disk(&folder), "virtio-blk-pci")
        .start();
    let log = is_refused(run, "bundle: no newc archive at entry 1");
    assert!(log.contains("Entresol 0.1.0 on linux,dummy-virt"), "{log}");
    assert!(log.contains("[entresol] 2 CPUs, 10"), "{log}");
}

#[test]
fn firmware_at_el1() {
    let folder = Scratch::folder("uefi");
    let run = uefi()
        .raw_args(&["-machine", "virtualization=off"])
        .disk(&bad_disk(&folder), "virtio-blk-pci")
        .start();
    is_refused(run, "the firmware runs at EL1, but a hypervisor needs EL2");
}

/// Returns the word at a physical address, which QEMU's monitor at `socket` reads.
fn word(socket: &Path, address: u64) -> u32 {
    let mut monitor = UnixStream::connect(socket).expect("QEMU listens");
    monitor.set_read_timeout(Some(BOOT)).expect("not zero");
    writeln!(monitor, "xp /1wx {address:#x}").expect("QEMU listens");
    let answer = format!("{address:016x}: 0x");
    let lines = BufReader::new(monitor).lines();
    lines
        .map(|line| line.expect("in time, and text"))
        .find_map(|line| u32::from_str_radix(line.split_once(&answer)?.1.trim(), 16).ok())
        .expect("an answer")
}

/// The firmware leaves a root port with memory, I/O and bus mastering on; the last is taken off.
#[test]
fn bus_masters_are_stopped() {
    const COMMAND: u64 = 0x40_1000_0000 + (2 << 15) + 4;
    // The folder is too deep for a socket's name.
    let socket = std::env::temp_dir().join(format!("entresol-{}.monitor", std::process::id()));
    let monitor = format!("unix:{},server=on,wait=off", socket.display());
    let folder = Scratch::folder("uefi");
    let mut run = uefi()
        .disk(&bad_disk(&folder), "virtio-blk-pci")
        .raw_args(&["-device", "pcie-root-port,id=root1,chassis=1,addr=2"])
        .raw_args(&["-device", "qemu-xhci,bus=root1", "-monitor", &monitor])
        .start();
    run.wait_for("[entresol] error: bundle", BOOT);
    let command = word(&socket, COMMAND) & 0xffff;
    let _ = std::fs::remove_file(&socket);
    assert_eq!(command, 0b011, "I/O and memory, no bus master");
}
