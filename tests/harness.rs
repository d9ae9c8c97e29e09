//! The tests' own tools, tried without the hypervisor: QEMU is started, read,
//! typed to and ended, and the guest that `scripts/setup` fetched boots.

mod support;

use std::time::Duration;

use support::{BOOT, Bundle, Qemu};

fn linux() -> Qemu {
    Qemu::native()
        .memory("512M")
        .kernel(support::cached("Image"))
        .initrd(support::cached("initrd.cpio.gz"))
        .append("console=ttyAMA0 quiet")
}

#[test]
fn the_default_guest_boots_answers_and_powers_off() {
    let mut run = linux().cpus(2).start();
    let line = run.wait_for("Guest is up", BOOT);
    assert!(line.starts_with("Guest is up: Linux "), "{line}");
    assert!(line.ends_with("CPUs online: 2"), "{line}");
    run.wait_for_prompt("# ", BOOT);
    run.send("echo $((6 * 7)) apples\n");
    assert_eq!(run.wait_for("42 apples", BOOT), "42 apples");
    run.send("poweroff\n");
    assert!(run.wait_exit(BOOT).success());
    assert!(run.log().contains("Power down"));
}

#[test]
fn an_entry_stub_hands_over_the_device_tree_of_ones_choice() {
    // Without a ramdisk QEMU puts its own tree 128 MiB into memory; a copy of
    // the address is all that the stub needs to boot Linux from elsewhere.
    let mut run = Qemu::native()
        .memory("512M")
        .kernel(support::entry_stub(0x4800_0000, 0x4100_0000))
        .loader(support::cached("Image"), 0x4100_0000)
        .append("console=ttyAMA0 earlycon panic=-1")
        .start();
    run.wait_for("Linux version", BOOT);
    run.wait_for("Machine model: linux,dummy-virt", BOOT);
}

#[test]
fn waiting_for_what_is_never_printed_shows_the_log() {
    let mut run = linux().append("console=ttyAMA0 earlycon").start();
    run.wait_for("Linux version", BOOT);
    let missed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        run.wait_for("never printed", Duration::from_millis(10))
    }));
    let message = *missed
        .expect_err("the wait fails")
        .downcast::<String>()
        .expect("with a message");
    assert!(message.starts_with("no \"never printed\" within"));
    assert!(message.contains("Linux version"), "{message}");
}

#[test]
fn an_early_end_of_qemu_is_reported_with_its_own_words() {
    let mut run = linux().cpu("no-such-cpu").start();
    let missed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        run.wait_for("Linux version", BOOT)
    }));
    let message = *missed
        .expect_err("the wait fails")
        .downcast::<String>()
        .expect("with a message");
    assert!(message.starts_with("QEMU ended before"), "{message}");
    assert!(message.contains("no-such-cpu"), "{message}");
}

#[test]
fn a_bundle_is_padded_and_closed() {
    let archive = Bundle::new()
        .vms_toml("x")
        .file("a", vec![1, 2, 3])
        .archive();
    assert_eq!(archive.len() % 4, 0);
    assert!(archive.starts_with(b"070701"));
    // Header of 110 bytes, "vms.toml" and its NUL, padded; then the text.
    assert_eq!(&archive[110..119], b"vms.toml\0");
    assert_eq!(&archive[120..124], b"x\0\0\0");
    assert_eq!(&archive[124 + 110..124 + 112], b"a\0");
    assert_eq!(&archive[236..240], &[1, 2, 3, 0]);
    assert!(archive.windows(11).any(|window| window == b"TRAILER!!!\0"));
}
