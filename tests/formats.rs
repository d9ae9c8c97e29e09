//! What a guest may come as, and from where: each form boots in QEMU.

mod support;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use support::{BOOT, Bundle, Qemu, Run, Scratch};

/// Runs a command and returns what it prints.
fn output(command: &mut Command, input: &[u8]) -> Vec<u8> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|why| panic!("{command:?}: {why}: run scripts/setup"));
    let mut stdin = child.stdin.take().expect("is piped");
    let done = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input));
        child.wait_with_output().expect("ends")
    });
    assert!(done.status.success(), "{command:?}: {}", done.status);
    done.stdout
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    output(Command::new("gzip").args(["-1", "-c"]), bytes)
}

/// Packs a compressed kernel as Linux's EFI programs that unpack themselves are.
fn zboot(payload: &[u8]) -> Vec<u8> {
    let mut file = vec![0; 64];
    file[..2].copy_from_slice(b"MZ");
    file[4..8].copy_from_slice(b"zimg");
    file[8] = 64;
    file[12..16].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    file[24..28].copy_from_slice(b"gzip");
    file.extend(payload);
    file
}

/// Makes an ELF program of one segment, to be loaded at `physical`.
fn elf(image: &[u8], physical: u64) -> Vec<u8> {
    let mut file = Vec::new();
    file.extend(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    file.extend([2, 0, 183, 0, 1, 0, 0, 0]);
    let virtual_address = 0xffff_0000_0000_0000_u64;
    let size = image.len() as u64;
    for word in [virtual_address, 64, 0] {
        file.extend(word.to_le_bytes());
    }
    file.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    file.extend([1, 0, 0, 0, 7, 0, 0, 0]);
    for word in [
        120,
        virtual_address,
        physical,
        size,
        size + 0x8_0000,
        0x1000,
    ] {
        file.extend(word.to_le_bytes());
    }
    file.extend(image);
    file
}

fn checks() -> Vec<u8> {
    std::fs::read(support::guest("checks")).expect("was built")
}

/// The same without the header of an Image: a raw binary that begins with its first instruction.
fn raw_checks() -> Vec<u8> {
    let mut image = checks();
    image[56..60].fill(0);
    image
}

/// Waits until the guest `checks` has passed and the machine is off.
fn assert_passes(mut run: Run, entry: u64) {
    run.wait_for(&format!(" kernel at {entry:#x}"), BOOT);
    let line = run.wait_for("checks: ", BOOT);
    assert_eq!(
        line,
        format!("checks: under the hypervisor, loaded at {entry:#x}")
    );
    let line = run.wait_for("checks: ", BOOT);
    assert!(line.ends_with(" passed, 0 failed, 0 ignored"), "{line}");
    assert!(run.wait_exit(BOOT).success());
    assert!(run.log().contains("test start::ram_holds_the_image ... ok"));
}

fn passes_as(kernel: Vec<u8>, more: &str, entry: u64) {
    let vms =
        format!("[vm.a]\nkernel = \"k\"\nbootargs = \"only=start\"\nmemory = \"64M\"\n{more}\n");
    let bundle = Bundle::new().vms_toml(&vms).file("k", kernel);
    assert_passes(Qemu::virt().bundle(&bundle).start(), entry);
}

#[test]
fn an_image_with_gzip() {
    passes_as(gzip(&checks()), "", 0x4000_0000);
}

#[test]
fn an_image_in_an_efi_program() {
    passes_as(zboot(&gzip(&checks())), "", 0x4000_0000);
}

#[test]
fn an_elf_program_for_its_place() {
    passes_as(elf(&checks(), 0x4060_0000), "", 0x4060_0000);
}

#[test]
fn an_elf_program_with_gzip_for_any_place() {
    passes_as(gzip(&elf(&checks(), 0)), "", 0x4000_0000);
}

#[test]
fn a_raw_binary_where_it_wants_to_be() {
    passes_as(raw_checks(), "load = \"0x200000\"", 0x4020_0000);
}

#[test]
fn a_raw_binary_with_gzip() {
    passes_as(gzip(&raw_checks()), "", 0x4008_0000);
}

#[test]
fn debians_kernel_with_gzip_and_its_owners_device_tree() {
    // Made for a GICv2, with RAM elsewhere, and with something that is the owner's.
    let tree = output(
        Command::new("dtc").args(["-q", "-O", "dtb"]),
        br#"/dts-v1/;
        / {
            model = "The owner's board";
            compatible = "linux,dummy-virt";
            #address-cells = <2>;
            #size-cells = <1>;
            interrupt-parent = <&gic>;
            chosen { bootargs = "console=ttyAMA0 from-the-tree"; };
            memory@80000000 { device_type = "memory"; reg = <0 0x80000000 0x1000000>; };
            cpus {
                #address-cells = <1>;
                #size-cells = <0>;
                cpu@0 { device_type = "cpu"; compatible = "arm,armv8"; reg = <0>; enable-method = "spin-table"; };
            };
            soc {
                compatible = "simple-bus";
                #address-cells = <1>;
                #size-cells = <1>;
                ranges = <0 0 0 0x80000000>;
                gic: interrupt-controller@8000000 {
                    compatible = "arm,gic-400";
                    reg = <0x8000000 0x1000 0x8010000 0x1000>;
                    interrupt-controller;
                    #interrupt-cells = <3>;
                };
            };
            clk: clock { compatible = "fixed-clock"; #clock-cells = <0>; clock-frequency = <24000000>; };
            pl011@9000000 {
                compatible = "arm,pl011", "arm,primecell";
                reg = <0 0x9000000 0x1000>;
                interrupts = <0 1 4>;
                clocks = <&clk &clk>;
                clock-names = "uartclk", "apb_pclk";
            };
        };"#,
    );
    let image = std::fs::read(support::cached("Image")).expect("is there");
    let bundle = Bundle::new()
        .vms_toml(
            "[vm.linux]\nkernel = \"Image.gz\"\nramdisk = \"initrd\"\ndtb = \"own.dtb\"\nmemory = \"512M\"\n",
        )
        .file("Image.gz", gzip(&image))
        .file("initrd", support::cached("initrd.cpio.gz"))
        .file("own.dtb", tree);
    let mut run = Qemu::virt().bundle(&bundle).start();
    run.wait_for("Machine model: The owner's board", BOOT);
    run.wait_for("Kernel command line: console=ttyAMA0 from-the-tree", BOOT);
    run.wait_for("Guest is up", BOOT);
    run.wait_for_prompt("# ", BOOT);
    run.send("poweroff\n");
    assert!(run.wait_exit(BOOT).success());
}

#[test]
fn the_good_vms_start_and_each_bad_one_has_its_line() {
    let vms = r#"
[vm.good]
kernel = "k"
bootargs = "only=start"
memory = "64M"
[vm.typo]
kernel = "k"
cpuz = 1
[vm.absent]
kernel = "none"
[vm.cut]
kernel = "cut"
[vm.sum]
kernel = "sum.gz"
memory = "64M"
[vm.other]
kernel = "x86.elf"
[vm.tree]
kernel = "k"
dtb = "k"
[vm.many]
kernel = "k"
pin = [1]
[vm.large]
kernel = "k"
memory = "2G"
[vm.full]
kernel = "k"
ramdisk = "big"
memory = "16M"
"#;
    let mut damaged = gzip(&checks());
    let at = damaged.len() - 8;
    damaged[at] ^= 1;
    let mut foreign = elf(&checks(), 0);
    foreign[18] = 62;
    let image = std::fs::read(support::cached("Image")).expect("is there");
    let bundle = Bundle::new()
        .vms_toml(vms)
        .file("k", checks())
        .file("cut", &image[..image.len() / 2])
        .file("sum.gz", damaged)
        .file("x86.elf", foreign)
        .file("big", vec![0; 17 << 20]);
    let mut run = Qemu::virt().bundle(&bundle).start();
    run.wait_for("[entresol] good: powered off", BOOT);
    assert!(run.wait_exit(BOOT).success());
    let log = run.log();
    for line in [
        "vms.toml:8:1: vm.typo: unknown field `cpuz`",
        "missing file \"none\" named by vm.absent.kernel",
        "vm.cut: the kernel is an arm64 Image cut short: ",
        "vm.sum: the kernel, compressed with gzip, is damaged: its checksum is 0x",
        "vm.other: the kernel is an ELF file, but for another architecture than AArch64",
        "vm.tree: device tree: begins with 0x",
        "vm.many: it is pinned to CPU 1, and the machine has CPUs 0 to 0",
        "vm.large: it wants 2048 MiB of RAM, and ",
        "vm.full: 16777216 bytes of RAM do not hold a kernel of ",
    ] {
        let count = log
            .lines()
            .filter(|it| it.starts_with("[entresol] error: ") && it.contains(line))
            .count();
        assert_eq!(count, 1, "{line:?} in:\n{log}");
    }
    assert_eq!(log.matches("error: ").count(), 9, "{log}");
    assert!(!log.contains("fatal") && !log.contains("panicked"), "{log}");
    assert!(log.contains(" passed, 0 failed, 0 ignored"), "{log}");
}

#[test]
fn a_guest_loaders_guest() {
    let device = |address: u64, what: &str, path: &Path, more: &str| {
        let path = path.to_str().expect("the build's folder is named in UTF-8");
        format!("guest-loader,addr={address:#x},{what}={path}{more}")
    };
    let ramdisk = Scratch::file("ramdisk", &[7; 5000]);
    let checks = support::guest("checks");
    let kernel = device(0x5000_0000, "kernel", &checks, ",bootargs=only=start");
    let ramdisk_device = device(0x5800_0000, "initrd", ramdisk.path(), "");
    let mut run = Qemu::virt()
        .append("guest.memory=96M")
        .raw_args(&["-device", &kernel, "-device", &ramdisk_device])
        .start();
    run.wait_for("[entresol] vm.guest: 96 MiB", BOOT);
    let line = run.wait_for("checks: ", BOOT);
    assert!(line.contains("loaded at 0x40000000"), "{line}");
    assert!(run.wait_exit(BOOT).success());
}

/// Returns the tree that QEMU makes for a machine of two CPUs.
fn machine_tree() -> Scratch {
    let tree = Scratch::file("machine.dtb", b"");
    let path = tree.path().to_str().expect("UTF-8");
    let machine = format!("virt,virtualization=on,gic-version=3,dumpdtb={path}");
    let mut qemu = Command::new("qemu-system-aarch64");
    qemu.args(["-nodefaults", "-display", "none", "-cpu", "max"]);
    qemu.args(["-smp", "2", "-m", "1G", "-machine", &machine]);
    output(&mut qemu, b"");
    tree
}

/// Makes a node with these properties: type (as of `fdtput`), name, values.
fn put(tree: &Scratch, node: &str, properties: &[(&str, &str, &[&str])]) {
    let fdtput = |options: &[&str], rest: &[&str]| {
        let mut command = Command::new("fdtput");
        command.args(options).arg(tree.path()).args(rest);
        output(&mut command, b"");
    };
    fdtput(&["-c"], &[node]);
    for (kind, name, values) in properties {
        fdtput(&["-t", kind], &[&[node, name], *values].concat());
    }
}

fn put_domain(tree: &Scratch, name: &str, cpu: &str, start: u64, size: usize, more: &str) {
    let domain = format!("/chosen/{name}");
    put(
        tree,
        &domain,
        &[
            ("s", "compatible", &["xen,domain"]),
            ("x", "#address-cells", &["2"]),
            ("x", "#size-cells", &["2"]),
            ("x", "memory", &["0", "10000"]),
            ("x", "cpus", &["1"]),
            ("s", "vpl011", &[]),
            ("x", more, &["10"]),
        ],
    );
    let (start_text, size_text) = (format!("{start:x}"), format!("{size:x}"));
    put(
        tree,
        &format!("{domain}/module@{start_text}"),
        &[
            ("s", "compatible", &["multiboot,kernel", "multiboot,module"]),
            ("x", "reg", &["0", &start_text, "0", &size_text]),
            ("s", "bootargs", &["only=start"]),
        ],
    );
    put(
        tree,
        &format!("{domain}/vcpu0"),
        &[
            ("s", "compatible", &["xen,vcpu"]),
            ("x", "id", &["0"]),
            ("s", "hard-affinity", &[cpu]),
        ],
    );
}

#[test]
fn guests_described_for_xen() {
    let tree = machine_tree();
    let checks = checks();
    put_domain(&tree, "domU1", "0", 0x5000_0000, checks.len(), "nr_spis");
    put_domain(&tree, "domU2", "1", 0x5800_0000, checks.len(), "nr_spis");
    put_domain(
        &tree,
        "domU3",
        "1",
        0x5800_0000,
        checks.len(),
        "xen,static-mem",
    );
    // QEMU makes a tree twice as large: one without room at its end stays small enough.
    let packed = output(
        Command::new("dtc")
            .args(["-q", "-I", "dtb", "-O", "dtb"])
            .arg(tree.path()),
        b"",
    );
    let packed = Scratch::file("packed.dtb", &packed);
    let path = packed.path().to_str().expect("UTF-8").to_owned();
    let mut run = Qemu::virt()
        .cpus(2)
        .raw_args(&["-dtb", &path])
        .loader(checks.clone(), 0x5000_0000)
        .loader(checks, 0x5800_0000)
        .start();
    run.wait_for("[entresol] no guest is left", BOOT);
    assert!(run.wait_exit(BOOT).success());
    let log = run.log();
    for wanted in [
        "[entresol] vm.domU1: 64 MiB",
        "[entresol] vm.domU2: 64 MiB",
        "warning: vm.domU1: nr_spis has no effect here",
        "error: vm.domU3: xen,static-mem: RAM at physical addresses of one's choice: not supported",
        "[entresol] domU1: powered off",
        "[entresol] domU2: powered off",
    ] {
        assert!(log.contains(wanted), "no {wanted:?} in:\n{log}");
    }
    assert_eq!(log.matches(" passed, 0 failed, 0 ignored").count(), 2);
}

#[test]
fn u_boot_comes_to_its_prompt() {
    let bundle = Bundle::new()
        .vms_toml("[vm.firmware]\nkernel = \"u-boot.bin\"\nmemory = \"128M\"\n")
        .file("u-boot.bin", support::cached("u-boot.bin"));
    let mut run = Qemu::virt().bundle(&bundle).start();
    run.wait_for("U-Boot 20", BOOT);
    run.wait_for_prompt("Hit any key to stop autoboot", BOOT);
    run.send("\r");
    run.wait_for_prompt("=> ", BOOT);
    run.send("version\r");
    let line = run.wait_for("U-Boot 20", BOOT);
    assert!(line.starts_with("U-Boot 20"), "{line}");
    run.wait_for_prompt("=> ", BOOT);
}
