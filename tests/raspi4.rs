//! The Raspberry Pi 4: its device tree as firmware hands it over, and QEMU's `raspi4b` booted from
//! the files of the card that `scripts/image rpi4` makes.

mod support;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use entresol::addr::{Pa, PaRange};
use entresol::board::{Board, cpus::Start, fdt, uart::UartKind};
use support::{BOOT, Bundle, Qemu, Run, Scratch};

const TREE: &str = "rpi4/bcm2711-rpi-4-b.dtb";

/// Runs the device tree compiler.
fn dtc(from: &str, to: &str, input: &[u8]) -> Vec<u8> {
    let mut child = Command::new("dtc")
        .args(["-q", "-I", from, "-O", to, "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("dtc can be run: run scripts/setup");
    let mut stdin = child.stdin.take().expect("is piped");
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let done = child.wait_with_output().expect("dtc ends");
    writer.join().expect("no panic").expect("dtc reads it all");
    assert!(done.status.success(), "{done:?}");
    done.stdout
}

/// Returns Debian's tree with `change`, in the form of a source, on top.
fn tree(change: &str) -> Vec<u8> {
    let real = std::fs::read(support::cached(TREE)).expect("can be read");
    let mut source = dtc("dtb", "dts", &real);
    source.extend(change.as_bytes());
    dtc("dts", "dtb", &source)
}

/// Returns what is learned of a board whose firmware filled in `change`.
fn board(change: &str) -> Board {
    let tree = tree(change);
    let checked = fdt::check(&tree).expect("dtc made it");
    Board::from_fdt(&checked).expect("a tree of a real board")
}

fn range(start: u64, end: u64) -> PaRange {
    PaRange::between(Pa::new(start), Pa::new(end))
}

/// Where memory lies, as the firmware writes it: with sizes of 32 bits, below the GPU's share of
/// the first GiB, up to the devices, and above 4 GiB.
fn memory(reg: &str) -> String {
    format!("/ {{ memory@0 {{ device_type = \"memory\"; reg = <{reg}>; }}; }};\n")
}

const ONE_GIB: &str = "0 0 0x3b400000";

#[test]
fn boards_of_all_sizes() {
    let first = range(0, 0x3b40_0000);
    let upper = range(0x4000_0000, 0xfc00_0000);
    for (reg, expected) in [
        (ONE_GIB, vec![first]),
        (
            "0 0 0x3b400000 0 0x40000000 0x40000000",
            vec![first, range(0x4000_0000, 0x8000_0000)],
        ),
        ("0 0 0x3b400000 0 0x40000000 0xbc000000", vec![first, upper]),
        (
            "0 0 0x3b400000 0 0x40000000 0xbc000000 1 0 0x80000000 1 0x80000000 0x80000000",
            vec![first, upper, range(0x1_0000_0000, 0x2_0000_0000)],
        ),
    ] {
        let board = board(&memory(reg));
        assert_eq!(board.ram, expected, "{reg}");
        // The spin table is the first page; the tree's own `linux,cma` and its empty `nvram` take
        // nothing.
        let mut free = expected.clone();
        free[0] = range(0x1000, 0x3b40_0000);
        assert_eq!(board.usable_ram, free, "{reg}");
    }
}

#[test]
fn what_the_firmware_reserves_is_left_alone() {
    let nvram =
        "/ { reserved-memory { nvram@0 { reg = <0 0x3ad77b80 0x400>; status = \"okay\"; }; }; };";
    let board = board(&(memory(ONE_GIB) + nvram));
    let free = [range(0x1000, 0x3ad7_7000), range(0x3ad7_8000, 0x3b40_0000)];
    assert_eq!(board.usable_ram, free);
}

#[test]
fn the_facts_of_the_board() {
    let board = board(&memory(ONE_GIB));
    assert_eq!(board.model, "Raspberry Pi 4 Model B");
    let starts: Vec<Start> = board.cpus.iter().map(|cpu| cpu.start).collect();
    let places = [0xd8, 0xe0, 0xe8, 0xf0].map(|place| Start::SpinTable(Pa::new(place)));
    assert_eq!(starts, places);
    assert_eq!(board.psci, None, "there is nobody to answer an SMC");
    let power = board.power_management.expect("the watchdog's block");
    assert_eq!(power.start(), Pa::new(0xfe10_0000));
    assert_eq!(board.timer.virtual_, 27);
}

#[test]
fn either_serial_port() {
    let port = |change: &str| {
        board(&(memory(ONE_GIB) + change))
            .uart
            .expect("there is one")
    };
    let chosen = |path: &str| format!("/ {{ chosen {{ stdout-path = \"{path}\"; }}; }};");
    let mini = port("");
    assert_eq!(mini.kind, UartKind::BcmAux);
    assert_eq!(mini.registers, range(0xfe21_5040, 0xfe21_5080));
    assert_eq!(mini.enables, Some(range(0xfe21_5004, 0xfe21_5008)));
    assert_eq!((mini.shift, mini.width, mini.interrupt), (2, 4, Some(125)));
    for path in ["serial0:115200n8", "serial0", "/soc/serial@7e201000"] {
        let pl011 = port(&chosen(path));
        assert_eq!(pl011.kind, UartKind::Pl011, "{path}");
        assert_eq!(pl011.registers, range(0xfe20_1000, 0xfe20_1200), "{path}");
        assert_eq!((pl011.interrupt, pl011.enables), (Some(153), None));
    }
    // Raspberry Pi's own trees name no port, and call the one on the pins serial0.
    let own = "/ { chosen { /delete-property/ stdout-path; };
        aliases { serial0 = \"/soc/serial@7e215040\"; serial1 = \"/soc/serial@7e201000\"; }; };";
    assert_eq!(port(own), mini);
}

#[test]
fn the_bundles_place_in_words_or_pairs_of_them() {
    for (start, end) in [
        ("0x2eb00000", "0x2ec00000"),
        ("0 0x2eb00000", "0 0x2ec00000"),
    ] {
        let chosen = format!(
            "/ {{ chosen {{ linux,initrd-start = <{start}>; linux,initrd-end = <{end}>; }}; }};"
        );
        let board = board(&(memory(ONE_GIB) + &chosen));
        assert_eq!(board.chosen.initrd, Some(range(0x2eb0_0000, 0x2ec0_0000)));
    }
}

/// Returns what the firmware would load from a card, as a folder of files.
fn card(folder: &Path, bundle: &[u8], more: &[&str]) -> Scratch {
    let image = support::board(folder, "sd.img", "rpi4", bundle, more);
    let files = Scratch::folder("card");
    let copied = Command::new("mcopy")
        .args(["-s", "-i", &format!("{}@@1M", image.display()), "::/*"])
        .arg(files.path())
        .status();
    assert!(
        copied
            .expect("mcopy can be run: run scripts/setup")
            .success()
    );
    files
}

/// Starts QEMU as the firmware would the board: by what `config.txt` names.
fn insert(card: &Scratch) -> Run {
    let file = |name: &str| card.path().join(name);
    let config = std::fs::read_to_string(file("config.txt")).expect("UTF-8");
    let named = |word: &str| {
        let mut lines = config.lines();
        let rest = lines.find_map(|line| line.strip_prefix(word));
        file(
            rest.expect("config.txt names it")
                .split(' ')
                .next()
                .expect("a name"),
        )
    };
    let arguments = std::fs::read_to_string(file("cmdline.txt")).expect("UTF-8");
    Qemu::raspi4b(named("device_tree="), 1)
        .kernel(named("kernel="))
        .initrd(named("initramfs "))
        .append(arguments.trim())
        .start()
}

const VMS: &str = r#"
[vm.one]
kernel   = "Image"
ramdisk  = "initrd.cpio.gz"
bootargs = "console=ttyAMA0 quiet"
memory   = "256M"
cpus     = 2

[vm.two]
kernel   = "Image"
ramdisk  = "initrd.cpio.gz"
bootargs = "console=ttyAMA0 quiet"
memory   = "256M"
cpus     = 2
"#;

/// Has the shell of the VM in front answer, and turns that VM off.
fn answers_and_powers_off(run: &mut Run, name: &str) {
    run.send("echo ans$(nproc)$((40+2))\n");
    run.wait_for("ans242", BOOT);
    run.send("poweroff\n");
    run.wait_for(&format!("[entresol] {name}: powered off"), BOOT);
}

#[test]
fn two_linux_guests_on_four_cpus() {
    let folder = Scratch::folder("raspi4");
    let bundle = Bundle::new()
        .vms_toml(VMS)
        .file("Image", support::cached("Image"))
        .file("initrd.cpio.gz", support::cached("initrd.cpio.gz"))
        .archive();
    let card = card(folder.path(), &bundle, &["--append", "vhe=off"]);
    let mut run = insert(&card);
    run.wait_for("[entresol] Entresol", BOOT);
    run.wait_for("[entresol] 4 CPUs, 9", BOOT);
    // Of the one that is not in front no prompt is seen: its lines come whole.
    let up = ["[one] Guest is up", "[one] /root # ", "[two] Guest is up"];
    run.wait_for_all(&up, BOOT);
    answers_and_powers_off(&mut run, "one");
    run.send("\x1d");
    run.wait_for_prompt("entresol> ", BOOT);
    run.send("console two\n");
    run.wait_for("two is in front", BOOT);
    answers_and_powers_off(&mut run, "two");
    run.wait_for("[entresol] no guest is left: powering off", BOOT);
    assert!(run.wait_exit(BOOT).success());
    let log = run.log();
    assert!(
        !log.contains("error: ") && !log.contains("is not used"),
        "{log}"
    );
}

/// A guest that does nothing for long.
fn idle_bundle() -> Vec<u8> {
    Bundle::new()
        .vms_toml("[vm.linux]\nkernel = \"Image\"\nmemory = \"128M\"\n")
        .file("Image", support::cached("Image"))
        .archive()
}

#[test]
fn the_machine_starts_anew_when_told_to() {
    let folder = Scratch::folder("raspi4");
    let card = card(folder.path(), &idle_bundle(), &[]);
    let mut run = insert(&card);
    for command in ["reset", "poweroff"] {
        run.wait_for("[entresol] Entresol", BOOT);
        run.wait_for("[entresol] vm.linux: 128 MiB", BOOT);
        run.send("\x1d");
        run.wait_for_prompt("entresol> ", BOOT);
        run.send(&format!("{command}\n"));
        run.wait_for("[entresol] no guest is left: ", BOOT);
    }
    assert!(run.wait_exit(BOOT).success());
}

/// Asserts that start-up ends in one line of error with `wanted` in it.
fn is_refused(mut run: Run, wanted: &str) {
    let line = run.wait_for("[entresol] error: ", BOOT);
    assert!(line.contains(wanted), "no {wanted:?} in {line:?}");
    let log = run.log();
    assert_eq!(log.matches("error: ").count(), 1, "{log}");
}

#[test]
fn no_bundle_is_one_line_on_the_mini_uart() {
    is_refused(Qemu::raspi4b(support::cached(TREE), 1).start(), "no bundle");
}

#[test]
fn a_bad_bundle_is_one_line_on_the_pl011() {
    let tree = tree("/ { chosen { stdout-path = \"serial0:115200n8\"; }; };");
    let bad = b"This is no archive.".repeat(50);
    is_refused(Qemu::raspi4b(tree, 0).initrd(bad).start(), "bundle");
}
