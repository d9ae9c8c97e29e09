//! What can't be booted is refused: one line that says why, and no panic.

mod support;

use support::{BOOT, Bundle, Qemu, Run};

/// Asserts that start-up ends in one line of error, which holds all of `wanted`.
fn assert_refused(mut run: Run, wanted: &[&str]) -> String {
    let line = run.wait_for("[entresol] error: ", BOOT);
    for part in wanted {
        assert!(line.contains(part), "no {part:?} in {line:?}");
    }
    let log = run.log();
    assert_eq!(log.matches("error: ").count(), 1, "{log}");
    assert!(!log.contains("fatal") && !log.contains("panicked"), "{log}");
    assert!(log.trim_end().ends_with(&line), "{log}");
    line
}

fn refused_bundle(bundle: &Bundle, wanted: &[&str]) {
    assert_refused(Qemu::virt().bundle(bundle).start(), wanted);
}

/// A guest's files that are never reached.
fn with_vms(vms: &str) -> Bundle {
    Bundle::new().vms_toml(vms).file("k", vec![0; 64])
}

#[test]
fn no_bundle() {
    assert_refused(Qemu::virt().start(), &["no bundle", "-initrd"]);
}

#[test]
fn a_bundle_that_is_no_archive() {
    let run = Qemu::virt()
        .initrd(b"This is no archive.".repeat(50))
        .start();
    assert_refused(run, &["bundle: no newc archive at entry 1, offset 0x0"]);
}

#[test]
fn an_archive_that_is_cut_short() {
    let whole = with_vms("[vm.a]\nkernel = \"k\"\n").archive();
    let run = Qemu::virt().initrd(&whole[..whole.len() / 2]).start();
    assert_refused(run, &["bundle: "]);
}

#[test]
fn an_archive_without_a_list() {
    let bundle = Bundle::new().file("kernel", vec![1]);
    refused_bundle(&bundle, &["bundle: no vms.toml; the bundle has: kernel"]);
}

#[test]
fn an_unknown_key_is_shown_with_its_place() {
    let bundle = with_vms("# first\n[vm.a]\nkernel = \"k\"\n  cpuz = 2\n");
    refused_bundle(&bundle, &["vms.toml:4:3: ", "cpuz"]);
}

#[test]
fn a_kernel_that_is_not_in_the_bundle() {
    let bundle = with_vms("[vm.a]\nkernel = \"absent\"\n");
    refused_bundle(
        &bundle,
        &["missing file \"absent\"", "vm.a.kernel", "vms.toml, k"],
    );
}

#[test]
fn a_kernel_that_is_empty() {
    let bundle = Bundle::new()
        .vms_toml("[vm.a]\nkernel = \"k\"\n")
        .file("k", vec![]);
    refused_bundle(&bundle, &["vm.a: the kernel is empty"]);
}

#[test]
fn more_memory_than_there_is() {
    let bundle = Bundle::new()
        .vms_toml("[vm.a]\nkernel = \"Image\"\nmemory = \"4G\"\n")
        .file("Image", support::cached("Image"));
    let line = assert_refused(
        Qemu::virt().bundle(&bundle).start(),
        &["vm.a: it wants 4096 MiB of RAM, and ", " MiB are free"],
    );
    let free = line
        .split("and ")
        .nth(1)
        .and_then(|text| text.split(' ').next());
    let free: u32 = free.and_then(|text| text.parse().ok()).expect("a number");
    assert!((800..1024).contains(&free), "{line}");
}

#[test]
fn started_at_el1() {
    for cpu in ["max", "cortex-a72"] {
        let run = Qemu::native()
            .cpu(cpu)
            .kernel(support::hypervisor())
            .start();
        assert_refused(run, &["started at EL1", "virtualization=on"]);
    }
}

/// Where the image and the tree are put: QEMU's own lies elsewhere.
const IMAGE: u64 = 0x4100_0000;
const TREE: u64 = 0x4400_0000;

/// A device tree as QEMU makes it for one CPU and 256 MiB.
fn tree() -> Vec<u8> {
    std::fs::read(support::root().join("tests/data/virt-gicv3-1cpu.dtb")).expect("is there")
}

/// Starts the hypervisor with a device tree of one's choice; memory behind it is zero.
fn with_tree(bytes: &[u8], x0: u64) -> Run {
    Qemu::virt()
        .memory("256M")
        .kernel(support::entry_stub(x0, IMAGE))
        .loader(support::hypervisor(), IMAGE)
        .loader(bytes, TREE)
        .start()
}

/// The test of the tests: a whole tree is accepted, so that what is refused below is refused for
/// what was done to it. The tree speaks of a ramdisk, and there is none.
#[test]
fn a_whole_device_tree_is_accepted() {
    let run = with_tree(&tree(), TREE);
    assert_refused(run, &["bundle: no newc archive"]);
}

#[test]
fn a_device_tree_cut_short() {
    let whole = tree();
    // Header only; amid the reservations, the structure, and the strings.
    for length in [
        40,
        48,
        100,
        whole.len() / 4,
        whole.len() / 2,
        whole.len() * 9 / 10,
    ] {
        let run = with_tree(&whole[..length], TREE);
        let line = assert_refused(run, &["device tree: "]);
        assert!(line.len() < 160, "{line}");
    }
}

#[test]
fn a_device_tree_whose_header_claims_less() {
    let mut tree = tree();
    tree[4..8].copy_from_slice(&1000_u32.to_be_bytes());
    assert_refused(
        with_tree(&tree, TREE),
        &["device tree: its structure block"],
    );
    tree[4..8].copy_from_slice(&16_u32.to_be_bytes());
    assert_refused(with_tree(&tree, TREE), &["device tree: a size of 16 bytes"]);
}

#[test]
fn a_device_tree_that_is_none() {
    let run = with_tree(b"no device tree begins like this", TREE);
    assert_refused(
        run,
        &["device tree: begins with 0x6e6f2064, not 0xd00dfeed"],
    );
}

#[test]
fn no_device_tree() {
    assert_refused(with_tree(&[0], 0), &["no device tree: x0 was 0x0"]);
    assert_refused(
        with_tree(&[0], TREE + 4),
        &["no device tree: x0 was 0x44000004"],
    );
}
