"""Installs what the host needs: Rust's targets, a linker, QEMU, dtc, firmware."""

import os
import re
import shutil
from pathlib import Path

from project import ROOT, TARGET, TARGET_32, UEFI_TARGET, Failure, cache_dir, last_line, output_of, run_watched, shown

TARGETS = (TARGET, UEFI_TARGET, TARGET_32)
QEMU = "qemu-system-aarch64"
# What Debian's packages install for QEMU's `virt`: EDK2's UEFI, and U-Boot.
UEFI_FIRMWARE = Path("/usr/share/qemu-efi-aarch64/QEMU_EFI.fd")
U_BOOT = Path("/usr/lib/u-boot/qemu_arm64/u-boot.bin")
# Programs and the packages they come in.
IMAGE_TOOLS = {"mtype": "mtools", "fsck.vfat": "dosfstools", "sfdisk": "fdisk"}
OLDEST_QEMU = 9
BACKPORTS = "bookworm-backports"
BACKPORTS_FILE = Path("/etc/apt/sources.list.d/entresol-backports.sources")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


# --- Rust ---------------------------------------------------------------------

def rust(say):
    """Makes the pinned toolchain, its tools and the bare target present."""
    channel = _channel()
    if not _rust_present(channel):
        if shutil.which("rustup") is None:
            raise Failure(
                f"Rust {channel} with the targets {', '.join(TARGETS)} is needed and rustup isn't installed:"
                " install it as https://rustup.rs says")
        say(f"installing Rust {channel} with rustfmt, clippy, {', '.join(TARGETS)}", change=True)
        command = ["rustup", "toolchain", "install", channel, "--profile", "minimal",
                   "--component", "rustfmt", "--component", "clippy",
                   *(part for target in TARGETS for part in ("--target", target)), "--no-self-update"]
        _run_logged(command, "try again once the network can be reached")
        if not _rust_present(channel):
            raise Failure(f"rustup installed Rust {channel}, yet it lacks a target; try: rustup target add {' '.join(TARGETS)}")
    say(f"Rust {channel}, {', '.join(TARGETS)}")


def _channel():
    text = (ROOT / "rust-toolchain.toml").read_text()
    found = re.search(r'^channel\s*=\s*"([^"]+)"', text, re.MULTILINE)
    if not found:
        raise Failure("rust-toolchain.toml names no channel")
    return found[1]


def _rust_present(channel):
    # Run at the top, the pinned toolchain answers; elsewhere the user's own would.
    # RUSTUP_AUTO_INSTALL=0: asking must not install a part of it.
    environment = {**os.environ, "RUSTUP_AUTO_INSTALL": "0"}
    version = output_of(["rustc", "--version"], cwd=ROOT, env=environment)
    sysroot = output_of(["rustc", "--print", "sysroot"], cwd=ROOT, env=environment)
    if version is None or sysroot is None or not version.startswith(f"rustc {channel} "):
        return False
    libraries = Path(sysroot.strip()) / "lib/rustlib"
    if not all((libraries / target / "lib").is_dir() for target in TARGETS):
        return False
    return all(output_of(["cargo", tool, "--version"], cwd=ROOT, env=environment) for tool in ("fmt", "clippy"))


# --- QEMU and the device tree compiler ------------------------------------------

def qemu(say):
    """Makes a new enough QEMU present."""
    version = _qemu_version()
    if version is None or version < OLDEST_QEMU:
        _install_qemu(version, say)
        version = _qemu_version()
        if version is None or version < OLDEST_QEMU:
            raise Failure(f"apt-get installed qemu-system-arm, yet {QEMU} in PATH is not {OLDEST_QEMU} or newer")
    say(f"QEMU {version}")


def device_tree_compiler(say):
    """Makes `dtc` present."""
    if shutil.which("dtc") is None:
        _need_apt("dtc isn't installed: install the device tree compiler")
        _install(["device-tree-compiler"], say)
    say("dtc")


def firmware(say):
    """Makes the firmware present that QEMU can start the hypervisor by."""
    for file, package in ((UEFI_FIRMWARE, "qemu-efi-aarch64"), (U_BOOT, "u-boot-qemu")):
        if not file.is_file():
            _need_apt(f"{file} isn't there: install Debian's {package}, or put one there")
            _install([package], say)
    say("UEFI and U-Boot for QEMU")


def image_tools(say):
    """Makes the programs present that the tests look at disk images with."""
    found = {program: shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") for program in IMAGE_TOOLS}
    missing = [package for program, package in IMAGE_TOOLS.items() if found[program] is None]
    if missing:
        _need_apt(f"{', '.join(missing)} aren't installed: install them, to test disk images")
        _install(missing, say)
    say(", ".join(IMAGE_TOOLS))


def linker(say):
    """Makes `cc` present, which Rust links the host's own programs with."""
    if shutil.which("cc") is None:
        _need_apt("cc isn't installed: install a C compiler, for its linker")
        _install(["gcc", "libc6-dev"], say)
    say("cc")


def debian_keyring(say):
    """Makes the keys present that Debian's archive is checked with."""
    if not KEYRING.is_file() and shutil.which("apt-get"):
        _install(["debian-archive-keyring"], say)


def _qemu_version():
    """Returns QEMU's major version, or None without one."""
    found = re.search(r"version (\d+)\.", output_of([QEMU, "--version"]) or "")
    return int(found[1]) if found else None


def _install_qemu(present, say):
    have = f"QEMU {present} is too old" if present else f"{QEMU} isn't installed"
    wanted = f"{have}: install QEMU {OLDEST_QEMU} or newer for Arm"
    _need_apt(wanted)
    if not _offered():
        _apt(["update"], say)
    if not _offered() and _is_debian_12():
        _add_backports(say)
    offered = _offered()
    if not offered:
        raise Failure(f"{wanted}; this system's own packages offer none")
    _install([f"qemu-system-arm={offered}"], say, suite=BACKPORTS if "~bpo" in offered else None)


def _offered():
    """Returns the newest version of the QEMU package that apt offers, if new enough."""
    for line in (output_of(["apt-cache", "madison", "qemu-system-arm"]) or "").splitlines():
        version = line.split("|")[1].strip()
        major = re.match(r"(?:\d+:)?(\d+)\.", version)
        if major and int(major[1]) >= OLDEST_QEMU:
            return version
    return None


def _is_debian_12():
    try:
        text = Path("/etc/os-release").read_text()
    except OSError:
        return False
    return re.search(r"^ID=debian$", text, re.MULTILINE) and re.search(r'^VERSION_ID="?12"?$', text, re.MULTILINE)


def _add_backports(say):
    say(f"adding {BACKPORTS} in {BACKPORTS_FILE}", change=True)
    text = f"Types: deb\nURIs: http://deb.debian.org/debian\nSuites: {BACKPORTS}\nComponents: main\nSigned-By: {KEYRING}\n"
    _as_root(["tee", str(BACKPORTS_FILE)], text)
    _apt(["update"], say)


def _need_apt(wanted):
    if shutil.which("apt-get") is None:
        raise Failure(f"{wanted}; there is no apt-get here to do it with")


def _install(packages, say, suite=None):
    if not all(output_of(["apt-cache", "show", package]) for package in packages):
        _apt(["update"], say)
    options = ["--target-release", suite] if suite else []
    _apt(["install", "--yes", "--no-install-recommends", *options, *packages], say)


def _apt(arguments, say):
    say("apt-get " + " ".join(arguments), change=True)
    _as_root(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", *arguments])


def _as_root(command, text=None):
    if os.geteuid() != 0:
        if shutil.which("sudo") is None:
            raise Failure(f"needs root: run scripts/setup as root, or first, as root: {' '.join(command)}")
        command = ["sudo", *command]
    _run_logged(command, "mend that and run scripts/setup again", text)


def _run_logged(command, remedy, text=None):
    """Runs a command with its output in a log, which a failure points to."""
    cache = cache_dir()
    cache.mkdir(parents=True, exist_ok=True)
    log = cache / "setup.log"
    with open(log, "wb") as file:
        status = run_watched(command, file, lambda: last_line(log), text)
    if status:
        why = _reason(log.read_text(errors="replace")) or f"status {status}"
        raise Failure(f"{' '.join(command)} failed ({why}); see {shown(log)}; {remedy}")


def _reason(log):
    """Returns the line of a failed command's output that says why, if one does."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("error:", "E:"))]
    return (errors or lines[-1:] or [None])[0]
