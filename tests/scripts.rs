//! The scripts' own behaviour: what they say to bad input, and what they make.

mod support;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use support::{Bundle, Scratch};

/// Runs a script of `scripts/` with its terminal closed.
fn script(name: &str, arguments: &[&str]) -> Output {
    Command::new(support::root().join("scripts").join(name))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|why| panic!("scripts/{name}: {why}"))
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

/// Asserts that a script refuses with one line, and returns the line.
fn refusal(name: &str, arguments: &[&str]) -> String {
    let done = script(name, arguments);
    let line = text(&done.stderr);
    let all = format!("scripts/{name} {arguments:?}: {done:?}");
    assert!(done.status.code().is_some_and(|code| code > 0), "{all}");
    assert_eq!(line.matches('\n').count(), 1, "{all}");
    assert!(line.ends_with('\n'), "{all}");
    assert!(line.starts_with(&format!("scripts/{name}: ")), "{all}");
    assert!(done.stdout.is_empty(), "{all}");
    line.to_owned()
}

/// A folder with a `vms.toml`.
fn description(contents: &str) -> (Scratch, String) {
    let folder = Scratch::folder("vms");
    let path = folder.path().join("vms.toml");
    std::fs::write(&path, contents).expect("a fresh folder");
    let path = path.to_str().expect("UTF-8").to_owned();
    (folder, path)
}

#[test]
fn all_answer_help() {
    for name in ["setup", "run", "test", "bundle", "image", "symbolize"] {
        let done = script(name, &["--help"]);
        assert!(done.status.success(), "{name}: {done:?}");
        assert!(
            text(&done.stdout).contains(&format!("scripts/{name}")),
            "{done:?}"
        );
        assert!(done.stderr.is_empty(), "{name}: {done:?}");
    }
}

#[test]
fn wrong_options_are_refused() {
    for name in ["setup", "run", "test", "bundle", "image", "symbolize"] {
        assert!(refusal(name, &["--no-such-option"]).contains("--help"));
    }
    for arguments in [
        &["--machine", "pc"][..],
        &["--cpus", "0"],
        &["--cpus", "many"],
        &["--cpus"],
        &["--gic", "4"],
        &["--gic", "2", "--cpus", "9"],
        &["--memory", "lots"],
        &["--timeout", "0"],
        &["--timeout", "nan"],
        &["a.toml", "b.toml"],
        &["a.toml", "--bundle", "b.cpio"],
    ] {
        refusal("run", arguments);
    }
    refusal("bundle", &[]);
    refusal("bundle", &["vms.toml"]);
    refusal("image", &["virt"]);
    refusal("image", &["toaster", "-o", "x"]);
    refusal(
        "image",
        &["virt", "a.toml", "--bundle", "b.cpio", "-o", "x"],
    );
}

#[test]
fn what_a_board_has_cannot_be_chosen() {
    for option in [
        ["--cpu", "max"],
        ["--gic", "2"],
        ["--cpus", "4"],
        ["--memory", "2G"],
    ] {
        let arguments = ["--machine", "raspi4b", option[0], option[1]];
        let line = refusal("run", &arguments);
        assert!(line.contains(option[0]), "{line}");
        assert_eq!(script("run", &arguments).status.code(), Some(2));
    }
}

#[test]
fn missing_files_are_named() {
    assert!(refusal("run", &["no/vms.toml"]).contains("no/vms.toml"));
    assert!(refusal("run", &["--bundle", "no.cpio"]).contains("no.cpio"));
    assert!(refusal("run", &["--kernel", "no.elf"]).contains("no.elf"));
    assert!(refusal("symbolize", &["no.elf"]).contains("no.elf"));
    assert!(refusal("bundle", &["no.toml", "-o", "x"]).contains("no.toml"));
    assert!(refusal("image", &["virt", "no.toml", "-o", "x"]).contains("no.toml"));
    assert!(refusal("image", &["virt", "--bundle", "no.cpio", "-o", "x"]).contains("no.cpio"));

    let (_folder, vms) = description("[vm.a]\nkernel = \"absent\"\n");
    assert!(refusal("run", &[&vms]).contains("absent"));
    assert!(refusal("bundle", &[&vms, "-o", "x"]).contains("absent"));
}

#[test]
fn bad_descriptions_are_refused_and_nothing_is_lost() {
    for contents in [
        "",
        "[vm.a\n",
        "vm = 1\n",
        "vm.a = 1\n",
        "[vm.a]\nkernel = 1\n",
        "[vm.a]\nkernel = \"\"\n",
        "[vm.a]\nkernel = \"/etc/passwd\"\n",
        "[vm.a]\nkernel = \"../secret\"\n",
        "[vm.a]\nkernel = \"vms.toml\"\n",
        "[vm.a]\nkernel = \"absent\"\n",
    ] {
        let (folder, vms) = description(contents);
        let archive = folder.path().join("old.cpio");
        std::fs::write(&archive, "old").expect("a fresh folder");
        refusal("bundle", &[&vms, "-o", archive.to_str().expect("UTF-8")]);
        assert_eq!(std::fs::read(&archive).expect("is there"), b"old");
        let left = std::fs::read_dir(folder.path()).expect("is there").count();
        assert_eq!(left, 2, "{contents}");
    }
}

#[test]
fn a_bundle_repeats_and_is_what_tests_make() {
    let toml =
        "[vm.b]\nkernel = \"k\"\nramdisk = \"sub/r\"\n[vm.a]\nkernel = \"k\"\ndtb = \"d.dtb\"\n";
    let (folder, vms) = description(toml);
    std::fs::create_dir(folder.path().join("sub")).expect("a fresh folder");
    for (name, bytes) in [("k", "kernel"), ("sub/r", ""), ("d.dtb", "tree.")] {
        std::fs::write(folder.path().join(name), bytes).expect("a fresh folder");
    }
    let made: Vec<Vec<u8>> = ["1.cpio", "2.cpio"]
        .iter()
        .map(|name| {
            let archive = folder.path().join(name);
            let done = script("bundle", &[&vms, "-o", archive.to_str().expect("UTF-8")]);
            assert!(done.status.success(), "{done:?}");
            std::fs::read(archive).expect("was made")
        })
        .collect();
    let expected = Bundle::new()
        .vms_toml(toml)
        .file("k", b"kernel".as_slice())
        .file("sub/r", Vec::new())
        .file("d.dtb", b"tree.".as_slice())
        .archive();
    assert_eq!(made[0], made[1]);
    assert_eq!(made[0], expected);
}

// --- images ---------------------------------------------------------------------

/// Where the hand-made files below are loaded, and what their symbol is called.
const BASE: u64 = 0x4008_0000;
const MANGLED: &str = "_ZN8entresol4boot5start17h0123456789abcdefE";

/// Returns an ELF file with the given segments, each a physical address, bytes
/// and a size in memory, and a symbol over the first one's first 16 bytes.
fn elf(segments: &[(u64, &[u8], u64)]) -> Vec<u8> {
    let headers = 64 + 56 * segments.len() as u64;
    let mut programs = Vec::new();
    let mut body = Vec::new();
    for &(address, bytes, in_memory) in segments {
        let offset = headers + body.len() as u64;
        // Load, readable and executable; linked apart from where it is loaded.
        let linked = 0xffff_ff80_0000_0000 + address;
        push(&mut programs, &[1 | 5 << 32, offset, linked, address]);
        push(&mut programs, &[bytes.len() as u64, in_memory, 4096]);
        body.extend(bytes);
    }
    let names = headers + body.len() as u64;
    body.extend([&[0], MANGLED.as_bytes(), &[0]].concat());
    let symbols = headers + body.len() as u64;
    body.extend([0; 24]);
    // A function (type 2, global) in section 1, named by the table's second byte.
    push(&mut body, &[1 | 0x12 << 32 | 1 << 48]);
    push(&mut body, &[0xffff_ff80_0000_0000 + segments[0].0, 16]);
    let sections = headers + body.len() as u64;
    body.extend([0; 64]);
    // The symbols (kind 2, names in section 2), then the names (kind 3).
    push(&mut body, &[2 << 32, 0, 0, symbols, 48, 2, 8, 24]);
    push(&mut body, &[3 << 32, 0, 0, names, symbols - names, 0, 1, 0]);

    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    push(&mut file, &[2 | 183 << 16 | 1 << 32, BASE, 64, sections]);
    push(
        &mut file,
        &[
            64 << 32 | 56 << 48,
            segments.len() as u64 | 64 << 16 | 3 << 32,
        ],
    );
    file.extend(programs);
    file.extend(body);
    file
}

fn push(bytes: &mut Vec<u8>, words: &[u64]) {
    bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
}

/// Flattens a file; the image, or the line it was refused with.
fn flatten(file: &[u8]) -> Result<Vec<u8>, String> {
    let folder = Scratch::folder("flatten");
    let (input, output) = (folder.path().join("in"), folder.path().join("out"));
    std::fs::write(&input, file).expect("a fresh folder");
    let done = Command::new("python3")
        .arg(Path::new(support::root()).join("scripts/lib/elf.py"))
        .args([&input, &output])
        .output()
        .expect("python3 runs");
    if done.status.success() {
        return Ok(std::fs::read(output).expect("was made"));
    }
    assert!(!output.exists());
    Err(text(&done.stderr).to_owned())
}

#[test]
fn an_image_is_the_segments_by_physical_address() {
    // Out of order, a gap between, zeroed memory at the end of the last one.
    let file = elf(&[
        (BASE + 8, b"later", 4096),
        (BASE, b"abc", 3),
        (BASE + 0x1000, b"", 64),
    ]);
    assert_eq!(flatten(&file).as_deref(), Ok(&b"abc\0\0\0\0\0later"[..]));
}

#[test]
fn what_makes_no_image_is_refused_in_one_line() {
    let good = elf(&[(BASE, b"code", 4)]);
    let mut wild = elf(&[(BASE, b"code", 4), (0x7f_0000_0000, b"far", 3)]);
    for bad in [
        b"".as_slice(),
        b"not an ELF file at all",
        &elf(&[(BASE, b"", 64)]),
        &good[..100],
        &good[..121],
        &wild,
    ] {
        let line = flatten(bad).expect_err("makes no image");
        assert_eq!(line.matches('\n').count(), 1, "{line}");
    }
    // Damage to the headers is harmless or refused like that: never a traceback.
    let bytes = 16..64 + 2 * 56;
    for at in bytes.step_by(5) {
        wild[at] ^= 0xa5;
        if let Err(line) = flatten(&wild) {
            assert_eq!(line.matches('\n').count(), 1, "byte {at}: {line}");
        }
        wild[at] ^= 0xa5;
    }
}

#[test]
fn backtraces_get_names() {
    let file = Scratch::file("symbols.elf", &elf(&[(BASE, &[0; 32], 32)]));
    let input = Scratch::file(
        "backtrace.txt",
        b"before\n  #0 0xffffff8040080004\n  #1 0xffffff8040080010\n  #2 0xffffff8040080018\nafter\xff\n",
    );
    let done = Command::new(support::root().join("scripts/symbolize"))
        .arg(file.path())
        .stdin(std::fs::File::open(input.path()).expect("was written"))
        .output()
        .expect("runs");
    assert!(done.status.success(), "{done:?}");
    let out = String::from_utf8_lossy(&done.stdout);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[0], "before");
    assert_eq!(
        lines[1],
        "  #0 0xffffff8040080004 entresol::boot::start+0x4"
    );
    // A return address belongs to the call before it.
    assert_eq!(
        lines[2],
        "  #1 0xffffff8040080010 entresol::boot::start+0xc"
    );
    // Past the symbol's end nothing is claimed.
    assert_eq!(lines[3], "  #2 0xffffff8040080018");
    assert!(lines[4].starts_with("after"));
}

#[test]
fn symbols_are_demangled_and_garbage_is_left_alone() {
    let names = [
        (
            "_RNvNtCs4fqI2P2rA04_8entresol3cpu4boot",
            "entresol::cpu::boot",
        ),
        (
            "_RNvMs_NtCs4fqI2P2rA04_8entresol3cpuNtB4_3Foo3bar",
            "<entresol::cpu::Foo>::bar",
        ),
        ("_RINvNtC3std3mem8align_ofdE", "std::mem::align_of"),
        ("_RNCNvC5a_foo4main0", "a_foo::main::{closure}"),
        ("_ZN4core3fmt5write17h0123456789abcdefE", "core::fmt::write"),
        ("_ZN13_$LT$T$GT$3fmtE", "_ZN13_$LT$T$GT$3fmtE"),
        ("memcpy", "memcpy"),
        ("_R", "_R"),
        ("_RNvB_3fooB9_", "_RNvB_3fooB9_"),
        ("_ZN9short", "_ZN9short"),
    ];
    let program = "import sys; sys.path.insert(0, sys.argv[1]); import demangle\n\
                   for name in sys.argv[2:]: print(demangle.demangled(name))";
    let done = Command::new("python3")
        .args(["-c", program])
        .arg(support::root().join("scripts/lib"))
        .args(names.map(|(mangled, _)| mangled))
        .output()
        .expect("python3 runs");
    let found: Vec<&str> = text(&done.stdout).lines().collect();
    assert_eq!(found, names.map(|(_, plain)| plain), "{done:?}");
}

// --- scripts/run, with a few instructions in place of the hypervisor -----------------

/// Runs code under `scripts/run`, with an empty bundle.
fn run(code: &[u32], arguments: &[&str]) -> Output {
    let bytes: Vec<u8> = code.iter().flat_map(|word| word.to_le_bytes()).collect();
    let kernel = Scratch::file("kernel.elf", &elf(&[(BASE, &bytes, 4096)]));
    let bundle = Scratch::file("bundle.cpio", &Bundle::new().archive());
    let mut all = vec![
        "--kernel",
        kernel.path().to_str().expect("UTF-8"),
        "--bundle",
        bundle.path().to_str().expect("UTF-8"),
    ];
    all.extend(arguments);
    script("run", &all)
}

#[test]
fn run_passes_on_the_exit_status_of_qemu() {
    // PSCI SYSTEM_OFF: mov w0, #8; movk w0, #0x8400, lsl #16; smc #0.
    let off = [0x5280_0100, 0x72b0_8000, 0xd400_0003];
    let done = run(&off, &["--timeout", "120"]);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let done = run(
        &off,
        &[
            "--timeout",
            "120",
            "--icount",
            "--gic",
            "2",
            "--cpu",
            "cortex-a72",
        ],
    );
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let done = run(&off, &["--timeout", "120", "--", "-no-such-option"]);
    assert_eq!(done.status.code(), Some(1), "{done:?}");
}

/// Runs a script where nothing is installed but Python, with these variables set.
fn bare(name: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let folder = Scratch::folder("path");
    let python = Command::new("python3")
        .args(["-c", "import sys; print(sys.executable, end='')"])
        .output()
        .expect("python3 runs");
    std::os::unix::fs::symlink(text(&python.stdout), folder.path().join("python3"))
        .expect("a fresh folder");
    Command::new(text(&python.stdout))
        .arg(support::root().join("scripts").join(name))
        .args(arguments)
        .env("PATH", folder.path())
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("python3 runs")
}

#[test]
fn without_qemu_run_says_what_to_install() {
    let kernel = Scratch::file("kernel.elf", &elf(&[(BASE, &[0; 4], 4)]));
    let bundle = Scratch::file("bundle.cpio", &Bundle::new().archive());
    let paths = [&kernel, &bundle].map(|file| file.path().to_str().expect("UTF-8"));
    let done = bare("run", &["--kernel", paths[0], "--bundle", paths[1]], &[]);
    assert!(!done.status.success(), "{done:?}");
    let line = text(&done.stderr);
    assert_eq!(line.matches('\n').count(), 1, "{line}");
    assert!(
        line.contains("qemu-system-aarch64 isn't installed: install QEMU"),
        "{line}"
    );
}

#[test]
fn without_a_network_setup_says_so_unless_it_has_all() {
    let setup = |cache: Option<&Path>| {
        let mut command = Command::new(support::root().join("scripts/setup"));
        command
            .arg("--quiet")
            .env("ENTRESOL_DEBIAN_MIRROR", "http://127.0.0.1:9")
            .stdin(Stdio::null());
        if let Some(cache) = cache {
            command.env("ENTRESOL_CACHE", cache);
        }
        command.output().expect("runs")
    };
    let done = setup(None);
    assert!(
        done.status.success() && done.stderr.is_empty(),
        "run scripts/setup: {done:?}"
    );
    let empty = Scratch::folder("cache");
    let done = setup(Some(empty.path()));
    assert_eq!(done.status.code(), Some(1), "{done:?}");
    let line = text(&done.stderr);
    assert_eq!(line.matches('\n').count(), 1, "{line}");
    assert!(
        line.contains("try again once the archive can be reached"),
        "{line}"
    );
}

/// A download that broke off is gone on with, and what comes is checked.
#[test]
fn a_broken_download_is_taken_up_where_it_was() {
    let program = r#"
import hashlib, http.server, sys, threading
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import fetch
whole, asked = bytes(range(256)) * 500, []
class Server(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        asked.append(self.headers["Range"])
        start = int(asked[-1].split("=")[1][:-1]) if asked[-1] else 0
        self.send_response(206 if start else 200)
        # The first answer promises all, and breaks off.
        self.send_header("Content-Length", str(len(whole) - start))
        self.end_headers()
        self.wfile.write(whole[start:50000] if len(asked) == 1 else whole[start:])
    def log_message(self, *_): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
path, sha = Path(sys.argv[2]) / "x.deb", hashlib.sha256(whole).hexdigest()
get = lambda sha: fetch.file(f"http://127.0.0.1:{server.server_port}/x", path, len(whole), sha)
try: get(sha); raise SystemExit("it broke off")
except fetch.Failure: assert not path.exists()
get(sha)
assert path.read_bytes() == whole and asked == [None, "bytes=50000-"], asked
get(sha)
assert len(asked) == 2, "it is here already"
path.unlink()
try: get("0" * 64); raise SystemExit("not what was promised")
except fetch.Failure: assert list(path.parent.iterdir()) == []
"#;
    let folder = Scratch::folder("fetched");
    let done = Command::new("python3")
        .args(["-c", program])
        .arg(support::root().join("scripts/lib"))
        .arg(folder.path())
        .env("no_proxy", "*")
        .output()
        .expect("python3 runs");
    assert!(done.status.success(), "{done:?}");
}

#[test]
fn run_ends_qemu_when_time_is_up() {
    // b .
    let done = run(&[0x1400_0000], &["--timeout", "1"]);
    assert_eq!(done.status.code(), Some(124), "{done:?}");
    assert!(text(&done.stderr).contains("ended after 1 s"), "{done:?}");
}
