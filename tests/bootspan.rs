//! What the hypervisor costs a kernel's start, counted in instructions: the same kernel and the
//! same device tree, as a guest and at EL1 of the bare machine.
//!
//! With `-icount shift=0` virtual time is the number of executed instructions, those of EL2
//! among them, and the counter runs at 1 GHz: a count is an instruction. The kernel stamps its
//! messages by that counter, from a zero of its own; the first process (`data/span_init.rs`)
//! writes a message between two reads of the counter, which ties the two together.
//!
//! On the bare machine the span begins at reset, six instructions before the kernel. As a
//! guest it begins where the virtual count is zero: when the VM is made, after its RAM was
//! filled. From there to the kernel's first instruction the hypervisor makes the vCPU and loads it.

mod support;

use std::path::PathBuf;

use entresol::addr::Ipa;
use entresol::vm::fdt::{GuestDescription, VIRT, guest_tree};
use entresol::vm::image::Extent;
use support::{BOOT, Bundle, Qemu, Run, Scratch};

const BOOTARGS: &str = "console=ttyAMA0 quiet nokaslr";
const MEMORY: u64 = 256 << 20;
/// The end of the span: nothing before it waits for time.
const LAST: &str = "evm: Initialising EVM extended attributes:";
fn kernel() -> PathBuf {
    support::cached("Image")
}

/// Starts the kernel as a guest.
fn hosted(cpu: &str) -> Run {
    let vms = format!(
        "[vm.linux]\nkernel = \"Image\"\nramdisk = \"ramdisk\"\nbootargs = \"{BOOTARGS}\"\n\
         memory = {MEMORY}\n"
    );
    let bundle = Bundle::new()
        .vms_toml(&vms)
        .file("Image", kernel())
        .file("ramdisk", support::linux_init("span_init.rs"));
    Qemu::virt()
        .cpu(cpu)
        .memory("1G")
        .icount()
        .bundle(&bundle)
        .start()
}

/// Starts the kernel at EL1 of the bare machine, with the device tree that a guest gets.
fn bare(cpu: &str) -> (Run, Scratch) {
    let tree = guest_tree(&GuestDescription {
        map: &VIRT,
        cpus: &[0],
        ram: Extent::new(Ipa::new(0x4000_0000), MEMORY).expect("fits"),
        bootargs: BOOTARGS,
        // QEMU adds the ramdisk's place.
        ramdisk: None,
        rng_seed: [0x5a; 32],
        kaslr_seed: 1,
    });
    let file = Scratch::file("guest.dtb", &tree);
    let path = file.path().to_str().expect("UTF-8").to_owned();
    let run = Qemu::native()
        .cpu(cpu)
        .memory("256M")
        .icount()
        .kernel(kernel())
        .initrd(support::linux_init("span_init.rs"))
        .append(BOOTARGS)
        .raw_args(&["-dtb", &path])
        .start();
    (run, file)
}

/// Returns the time stamp of a kernel message in microseconds, from its record in `/dev/kmsg`.
fn stamp(log: &str, message: &str) -> u64 {
    log.lines()
        .filter_map(|line| line.split_once(';'))
        .find(|(_, text)| text.starts_with(message))
        .and_then(|(header, _)| header.split(',').nth(2)?.parse().ok())
        .unwrap_or_else(|| panic!("no {message:?} in:\n{log}"))
}

/// Returns how many instructions were executed from the count's zero to [`LAST`].
fn span(mut run: Run) -> u64 {
    let line = run.wait_for("SPAN counts ", BOOT);
    assert!(run.wait_exit(BOOT).success());
    let mut numbers = line.split(' ').filter_map(|word| word.parse::<u64>().ok());
    let (before, after) = (numbers.next(), numbers.next());
    let (before, after) = before.zip(after).expect("two counts");
    // The stamp was taken between the two: that is how well the clocks are tied together.
    assert!(after - before < 200_000, "{line}");
    let log = run.log();
    let since = stamp(&log, "SPAN second") - stamp(&log, LAST);
    before - 1000 * since
}

/// Holds the kernel to executing `most` times as many instructions as a guest, with its start, as
/// natively. It sees other CPU features, and so may even execute fewer.
fn costs_little(cpu: &str, most: f64) {
    let guest = span(hosted(cpu));
    let (run, _tree) = bare(cpu);
    let native = span(run);
    let ratio = guest as f64 / native as f64;
    println!(
        "{cpu}: {guest} instructions as a guest, {native} natively, ratio {ratio:.4}, at most {most}"
    );
    assert!(native > 100_000_000, "{native} instructions are no boot");
    assert!(ratio <= most, "{cpu}: {guest} / {native} = {ratio:.4}");
}

#[test]
fn on_max() {
    costs_little("max", 1.002);
}

#[test]
fn on_cortex_a72() {
    costs_little("cortex-a72,cntfrq=1000000000", 1.015);
}
