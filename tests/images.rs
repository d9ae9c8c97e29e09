//! What `scripts/image` makes, looked at by other people's tools.

mod support;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use support::Scratch;

/// Where the partition of every image begins, in bytes.
const START: usize = 1 << 20;

fn run(program: &str, arguments: &[&str]) -> Output {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|why| panic!("{program}: {why}: run scripts/setup"))
}

/// Runs a program of Debian's, which may be where only root looks for it, to a good end.
fn said(program: &str, arguments: &[&str]) -> String {
    let path = format!("/usr/sbin/{program}");
    let program = if Path::new(&path).exists() {
        &path
    } else {
        program
    };
    let done = run(program, arguments);
    assert!(done.status.success(), "{program} {arguments:?}: {done:?}");
    String::from_utf8(done.stdout).expect("UTF-8")
}

/// Makes an image in `folder` for guests that are no kernels, with a hypervisor that is none.
fn make(folder: &Path, board: &str, output: &str, more: &[&str]) -> Output {
    // The magic number of an Image: what `--kernel` takes as it is.
    let mut kernel = vec![0; 0x40];
    kernel[0x38..0x3c].copy_from_slice(b"ARM\x64");
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, bytes).expect("a fresh folder");
        path.to_str().expect("UTF-8").to_owned()
    };
    let kernel = file("kernel.img", &kernel);
    let bundle = file("b.cpio", &b"a bundle".repeat(1000));
    let output = folder.join(output);
    let mut arguments = vec![board, "-o", output.to_str().expect("UTF-8")];
    arguments.extend(["--kernel", &kernel, "--bundle", &bundle]);
    arguments.extend(more);
    let script = support::root().join("scripts/image");
    run(script.to_str().expect("UTF-8"), &arguments)
}

/// Checks an image's partition table and file system, and returns its path as text, for mtools
/// with where the file system begins.
fn checked(folder: &Path, image: &Path, kind: &str) -> String {
    let bytes = std::fs::read(image).expect("was made");
    let path = image.to_str().expect("UTF-8");

    let table = said("sfdisk", &["--dump", path]);
    assert!(table.contains("label: dos"), "{table}");
    let sectors = (bytes.len() - START) / 512;
    let partition = table.lines().find(|line| line.contains("start="));
    let partition = partition.expect("a partition").replace(' ', "");
    let wanted = format!("start=2048,size={sectors},type={kind}");
    assert!(partition.ends_with(&wanted), "{table}");

    let volume = folder.join("volume");
    std::fs::write(&volume, &bytes[START..]).expect("a fresh folder");
    let verdict = said("fsck.vfat", &["-n", volume.to_str().expect("UTF-8")]);
    assert!(verdict.contains("clusters"), "{verdict}");
    assert_eq!(verdict.trim().lines().count(), 2, "{verdict}");
    format!("{path}@@1M")
}

/// Returns a file of an image.
fn file(image: &str, name: &str) -> Vec<u8> {
    run("mtype", &["-i", image, &format!("::{name}")]).stdout
}

#[test]
fn the_disk_for_u_boot() {
    let folder = Scratch::folder("image");
    let done = make(folder.path(), "virt", "disk.img", &["--append", "vhe=on"]);
    assert!(done.status.success(), "{done:?}");
    let image = checked(folder.path(), &folder.path().join("disk.img"), "c");
    let listing = said("mdir", &["-b", "-/", "-i", &image, "::"]);
    let mut names: Vec<_> = listing.lines().collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "::/Image",
            "::/bundle.cpio",
            "::/extlinux/",
            "::/extlinux/extlinux.conf"
        ]
    );
    assert_eq!(file(&image, "/bundle.cpio"), b"a bundle".repeat(1000));
    assert_eq!(file(&image, "/Image").len(), 0x40);
    let menu = file(&image, "/extlinux/extlinux.conf");
    assert!(menu.ends_with(b"  append vhe=on\n"), "{menu:?}");
}

#[test]
fn the_card_for_a_raspberry_pi() {
    let folder = Scratch::folder("image");
    let done = make(folder.path(), "rpi4", "sd.img", &["--append", "vhe=on"]);
    assert!(done.status.success(), "{done:?}");
    let image = checked(folder.path(), &folder.path().join("sd.img"), "c");
    let listing = said("mdir", &["-b", "-i", &image, "::"]);
    let mut names: Vec<_> = listing.lines().collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "::/LICENCE.broadcom",
            "::/bcm2711-rpi-4-b.dtb",
            "::/bundle.cpio",
            "::/cmdline.txt",
            "::/config.txt",
            "::/entresol.img",
            "::/fixup4.dat",
            "::/start4.elf"
        ]
    );
    assert_eq!(file(&image, "/cmdline.txt"), b"vhe=on\n");
    assert_eq!(file(&image, "/bundle.cpio"), b"a bundle".repeat(1000));
    let firmware = file(&image, "/start4.elf");
    assert!(firmware.starts_with(b"\x7fELF") && firmware.len() > 1 << 20);
    let config = String::from_utf8(file(&image, "/config.txt")).expect("ASCII");
    for line in ["arm_64bit=1", "kernel=entresol.img", "enable_uart=1"] {
        assert!(config.lines().any(|it| it == line), "{line}: {config}");
    }
}

#[test]
fn the_efi_system_partition() {
    let folder = Scratch::folder("image");
    let bundle = b"a bundle".repeat(1000);
    let more = ["--append", "vhe=on"];
    let image = support::board(folder.path(), "esp.img", "uefi", &bundle, &more);
    let image = checked(folder.path(), &image, "ef");
    let listing = said("mdir", &["-b", "-/", "-i", &image, "::"]);
    let mut names: Vec<_> = listing.lines().collect();
    names.sort_unstable();
    let wanted = [
        "::/EFI/",
        "::/EFI/BOOT/",
        "::/EFI/BOOT/BOOTAA64.EFI",
        "::/EFI/BOOT/bundle.cpio",
        "::/EFI/BOOT/cmdline.txt",
    ];
    assert_eq!(names, wanted);
    assert_eq!(file(&image, "/EFI/BOOT/bundle.cpio"), bundle);
    assert_eq!(file(&image, "/EFI/BOOT/cmdline.txt"), b"vhe=on\n");
    // A PE file for AArch64 (0xaa64), an application of EFI's, with the hypervisor in it.
    let application = file(&image, "/EFI/BOOT/BOOTAA64.EFI");
    assert!(application.starts_with(b"MZ"));
    let at = u32::from_le_bytes(application[0x3c..0x40].try_into().expect("four bytes")) as usize;
    assert_eq!(application[at..at + 6], *b"PE\0\0\x64\xaa");
    assert_eq!(application[at + 24 + 68], 10, "the subsystem");
    let hypervisor = std::fs::read(support::hypervisor()).expect("is there");
    let start = &hypervisor[..4096];
    assert!(application.windows(start.len()).any(|part| part == start));
}

#[test]
fn an_image_repeats() {
    let folder = Scratch::folder("image");
    for name in ["1.img", "2.img"] {
        let done = make(folder.path(), "virt", name, &[]);
        assert!(done.status.success(), "{done:?}");
    }
    let read = |name: &str| std::fs::read(folder.path().join(name)).expect("was made");
    assert!(read("1.img") == read("2.img"));
}

#[test]
fn files_go_into_a_folder_that_is_asked_for() {
    let folder = Scratch::folder("image");
    let done = make(folder.path(), "virt", "stick/", &[]);
    assert!(done.status.success(), "{done:?}");
    let bundle = std::fs::read(folder.path().join("stick/bundle.cpio")).expect("was made");
    assert_eq!(bundle, b"a bundle".repeat(1000));
    assert!(folder.path().join("stick/extlinux/extlinux.conf").is_file());
}

#[test]
fn file_systems_of_all_shapes_are_sound() {
    const MAKE: &str = r#"
import sys
sys.path.insert(0, sys.argv[1])
import disk
files = {"a/" * (n % 5) + f"{'n' * n}.{n % 7}": bytes([n]) * (n * n * 7) for n in range(1, 120)}
files |= {"config.txt": b"", "CONFIG2.TXT": b"2", "config-three.txt": b"3", "kernel8.img": bytes(int(sys.argv[3]))}
disk.write(sys.argv[2], files, "SHAPES", disk.FAT32_LBA)
"#;
    let folder = Scratch::folder("image");
    let path = folder.path().join("disk");
    let path = path.to_str().expect("UTF-8");
    let library = support::root().join("scripts/lib");
    let library = library.to_str().expect("UTF-8");
    // Clusters of 512 bytes, of 512 with more tables, of 4096.
    for size in ["0", "33554433", "536870912"] {
        said("python3", &["-c", MAKE, library, path, size]);
        let volume = folder.path().join("volume");
        let skip = Command::new("dd")
            .args(["bs=1M", "skip=1", "conv=sparse", "status=none"])
            .arg(format!("if={path}"))
            .arg(format!("of={}", volume.display()))
            .status();
        assert!(skip.expect("dd runs").success());
        let verdict = said("fsck.vfat", &["-n", volume.to_str().expect("UTF-8")]);
        // Its version, and one line with no complaint.
        assert_eq!(verdict.trim().lines().count(), 2, "{verdict}");
        let image = format!("{path}@@1M");
        for n in [1_usize, 12, 13, 14, 26, 119] {
            let name = format!("/{}{}.{}", "a/".repeat(n % 5), "n".repeat(n), n % 7);
            assert!(file(&image, &name) == vec![n as u8; n * n * 7], "{name}");
        }
        assert_eq!(file(&image, "/config-three.txt"), b"3");
        std::fs::remove_file(volume).expect("was made");
    }
}
