"""Fetches guests' software: Debian's kernels and busybox, for arm64 and armhf, U-Boot, and stress-ng.

Everything lands in the cache folder. apt runs with a configuration of its own,
so the machine's package lists and architectures stay as they are; it checks
the archive's signatures against Debian's keyring.
"""

import fcntl
import gzip
import hashlib
import io
import json
import lzma
import os
import re
import shutil
import struct
import subprocess
import tarfile
from pathlib import Path

import cpio
import fetch
from project import Failure, cache_dir, last_line, output_of, run_watched, shown, write_whole

KERNEL = "Image"
RAMDISK = "initrd.cpio.gz"
FIRMWARE = "u-boot.bin"
# The same for AArch32.
KERNEL_32 = "zImage"
RAMDISK_32 = "initrd-armhf.cpio.gz"
# The ramdisk for arm64 with stress-ng in it.
RAMDISK_STRESS = "initrd-stress.cpio.gz"
# What a vms.toml may name without having it beside itself.
NAMES = (KERNEL, RAMDISK, FIRMWARE, KERNEL_32, RAMDISK_32, RAMDISK_STRESS)

MIRROR = "http://deb.debian.org/debian"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
# The newer kernel first; the release's own where backports has none.
SUITES = ("bookworm-backports", "bookworm")
# stress-ng's program, and of each package the libraries that the loader wants for it.
STRESS = {
    "stress-ng": ("stress-ng",),
    "libapparmor1": ("libapparmor.so.1",),
    "libbsd0": ("libbsd.so.0",),
    "libc6": ("ld-linux-aarch64.so.1", "libc.so.6", "libm.so.6", "libpthread.so.0"),
    "libcrypt1": ("libcrypt.so.1",),
    "libdrm2": ("libdrm.so.2",),
    "libegl1": ("libEGL.so.1",),
    "libexpat1": ("libexpat.so.1",),
    "libffi8": ("libffi.so.8",),
    "libgbm1": ("libgbm.so.1",),
    "libgles2": ("libGLESv2.so.2",),
    "libglvnd0": ("libGLdispatch.so.0",),
    "libjpeg62-turbo": ("libjpeg.so.62",),
    "libjudydebian1": ("libJudy.so.1",),
    "libkmod2": ("libkmod.so.2",),
    "liblzma5": ("liblzma.so.5",),
    "libmd0": ("libmd.so.0",),
    "libsctp1": ("libsctp.so.1",),
    "libssl3": ("libcrypto.so.3",),
    "libwayland-server0": ("libwayland-server.so.0",),
    "libxxhash0": ("libxxhash.so.0",),
    "libzstd1": ("libzstd.so.1",),
    "zlib1g": ("libz.so.1",),
}
# What is fetched together: of an architecture, by its role in the record, the package; a kernel's is
# a meta package.
GROUPS = (
    ("arm64", {"kernel": "linux-image-cloud-arm64", "busybox": "busybox-static", "firmware": "u-boot-qemu"}),
    ("armhf", {"kernel-armhf": "linux-image-armmp-lpae", "busybox-armhf": "busybox-static"}),
    ("arm64", {name: name for name in STRESS}),
)
# The kernel for all machines, which has the device trees of boards.
BOARDS_KERNEL_META = "linux-image-arm64"
RECORD = "guests.json"
INIT = Path(__file__).with_name("init.sh")
# Drivers that a guest may need and the kernel does not have built in; init loads what is there.
MODULES = ("arm_smccc_trng",)


def make_present(quiet=False):
    """Makes the cache complete; does nothing where it already is."""
    cache = cache_dir()
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        record = _read_record(cache)
        for architecture, packages in GROUPS:
            if not _packages_present(cache, record, packages):
                record["packages"].update(_download(cache, architecture, packages))
                _write_record(cache, record)
        for name, build in (
                (KERNEL, _build_kernel), (RAMDISK, _build_ramdisk), (FIRMWARE, _build_firmware),
                (KERNEL_32, _build_kernel_32), (RAMDISK_32, _build_ramdisk_32), (RAMDISK_STRESS, _build_ramdisk_stress)):
            _bring_up_to_date(cache, record, name, build)
    if not quiet:
        for package in record["packages"].values():
            print(f"setup: guest package {package['name']} {package['version']}")
        print(f"setup: guest files {', '.join(NAMES)} are in {shown(cache)}")


def _read_record(cache):
    try:
        record = json.loads((cache / RECORD).read_text())
        return {"packages": dict(record["packages"]), "files": dict(record["files"])}
    except (OSError, ValueError, KeyError, TypeError):
        return {"packages": {}, "files": {}}


def _write_record(cache, record):
    write_whole(cache / RECORD, (json.dumps(record, indent=2) + "\n").encode())


# --- packages ---------------------------------------------------------------

def _packages_present(cache, record, packages):
    return all(
        role in record["packages"] and (cache / "debs" / record["packages"][role]["file"]).is_file()
        for role in packages)


def need_apt(else_do):
    """Fails where packages can't be fetched, saying what to do instead."""
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise Failure(f"{tool} not found: {else_do}")
    if not KEYRING.is_file():
        raise Failure(f"{KEYRING} not found: install the package debian-archive-keyring")


def _download(cache, architecture, packages):
    need_apt("the default guests come from Debian's archive; on another system"
             f" put an arm64 {KERNEL} and {RAMDISK} beside your own vms.toml")
    apt = Apt(cache, architecture)
    print(f"setup: fetching {architecture} packages from {apt.mirror} into {shown(cache)}", flush=True)
    apt.run("apt-get", "-q", "update")
    found = {
        role: apt.download(*newest_kernel(apt, package) if role.startswith("kernel") else (package,))
        for role, package in packages.items()}
    # The lists are 15 MB, and nothing needs them once the packages are here.
    shutil.rmtree(apt.folder)
    return found


def newest_kernel(apt, meta):
    """Returns the package that a kernel's meta package depends on, and its suite."""
    for suite in SUITES:
        for line in apt.output("apt-cache", "show", f"{meta}/{suite}").splitlines():
            if line.startswith("Depends: linux-image-"):
                return line.split()[1].rstrip(","), suite
    raise Failure(f"{apt.mirror} has no package {meta} for {' or '.join(SUITES)}")


class Apt:
    """apt for one architecture, with state, cache and sources of its own."""

    def __init__(self, cache, architecture, components="main"):
        self.architecture = architecture
        self.folder = cache / "apt"
        self.debs = cache / "debs"
        self.log = cache / "apt.log"
        self.log.write_bytes(b"")
        self.mirror = os.environ.get("ENTRESOL_DEBIAN_MIRROR") or MIRROR
        for name in ("state/lists/partial", "cache/archives/partial", "etc/parts"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.debs.mkdir(exist_ok=True)
        (self.folder / "state/status").touch()
        (self.folder / "etc/guests.sources").write_text(
            f"Types: deb\nURIs: {self.mirror}\nSuites: {' '.join(reversed(SUITES))}\n"
            f"Components: {components}\nSigned-By: {KEYRING}\n")
        (self.folder / "apt.conf").write_text(self._configuration())
        self._environment = {**os.environ, "APT_CONFIG": str(self.folder / "apt.conf"), "LC_ALL": "C.UTF-8"}

    def _configuration(self):
        folder = self.folder
        # How the machine reaches an archive (proxies, clocks) is its own affair.
        inherited = [
            line for line in (output_of(["apt-config", "dump", "Acquire"]) or "").splitlines()
            if line.startswith(("Acquire::http", "Acquire::Check-", "Acquire::Retries", "Acquire::ForceIPv"))]
        return "\n".join([
            f'APT::Architecture "{self.architecture}";',
            f'APT::Architectures "{self.architecture}";',
            'APT::Sandbox::User "root";',
            'Acquire::Languages "none";',
            'Acquire::GzipIndexes "true";',
            f'Dir::State "{folder}/state";',
            f'Dir::State::status "{folder}/state/status";',
            f'Dir::Cache "{folder}/cache";',
            f'Dir::Etc "{folder}/etc";',
            f'Dir::Etc::parts "{folder}/etc/parts";',
            f'Dir::Etc::sourceparts "{folder}/etc";',
            'Dir::Etc::sourcelist "/dev/null";',
            *inherited, ""])

    def download(self, package, suite=None):
        """Downloads a package; returns its row of the record."""
        wanted = f"{package}/{suite}" if suite else package
        offer = re.search(r"^'(\S+)' (\S+) (\d+) SHA256:(\w+)", self.output("apt-get", "download", "--print-uris", wanted), re.MULTILINE)
        if not offer:
            raise Failure(f"{self.mirror} has no package {wanted}; see {shown(self.log)}")
        uri, name, size, checksum = offer.groups()
        deb = self.debs / name
        fetch.file(uri, deb, int(size), checksum, proxy=self._proxy())
        version = output_of(["dpkg-deb", "--field", deb, "Version"])
        if version is None:
            raise Failure(f"{shown(deb)} is not a package; remove it and run scripts/setup again")
        return {"name": package, "version": version.strip(), "file": name}

    def _proxy(self):
        """Returns the proxy that apt is told to use, if it is."""
        found = re.search(r'^Acquire::http::Proxy "(.+)";', self.output("apt-config", "dump"), re.MULTILINE)
        return found and found[1]

    def output(self, *command):
        return output_of(command, env=self._environment) or ""

    def run(self, *command):
        with open(self.log, "ab") as log:
            status = run_watched(command, log, lambda: last_line(self.log), env=self._environment)
        # apt-get update only warns where an archive can't be reached.
        lines = self.log.read_text(errors="replace").splitlines()
        problems = [line for line in lines if line.startswith(("E: ", "W: Failed to fetch"))]
        if status or problems:
            why = problems[-1][3:] if problems else f"status {status}"
            raise Failure(f"{' '.join(command[:3])} failed ({why}); see {shown(self.log)}, and try again once the archive can be reached")


def unpack(deb, prefix, suffix=""):
    """Returns the bytes of the first file in the package whose path starts so (or as one of a tuple) and ends so."""
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE) as unpacker:
        with tarfile.open(fileobj=unpacker.stdout, mode="r|") as members:
            for member in members:
                if member.isfile() and member.name.lstrip("./").startswith(prefix) and member.name.endswith(suffix):
                    data = members.extractfile(member).read()
                    unpacker.kill()
                    return data
    raise Failure(f"{shown(deb)} holds no {prefix}*{suffix}; remove it and run scripts/setup again")


# --- the files made from them -------------------------------------------------

def _bring_up_to_date(cache, record, name, build):
    if _is_current(cache, record, name):
        return
    data = build(cache, record)
    write_whole(cache / name, data)
    record["files"][name] = {"made_from": _inputs(record, name), "sha256": hashlib.sha256(data).hexdigest()}
    _write_record(cache, record)


def _is_current(cache, record, name):
    entry = record["files"].get(name, {})
    if entry.get("made_from") != _inputs(record, name):
        return False
    try:
        data = (cache / name).read_bytes()
    except OSError:
        return False
    return hashlib.sha256(data).hexdigest() == entry.get("sha256")


def _inputs(record, name):
    if name == KERNEL:
        return record["packages"]["kernel"]["file"]
    if name == FIRMWARE:
        return record["packages"]["firmware"]["file"]
    if name == KERNEL_32:
        return record["packages"]["kernel-armhf"]["file"]
    recipe = hashlib.sha256(INIT.read_bytes() + Path(__file__).read_bytes()).hexdigest()
    if name == RAMDISK_32:
        return f"{record['packages']['busybox-armhf']['file']} {recipe}"
    if name == RAMDISK_STRESS:
        files = (record["packages"][role]["file"] for role in ("busybox", "kernel", *STRESS))
        return f"{' '.join(files)} {recipe}"
    return f"{record['packages']['busybox']['file']} {record['packages']['kernel']['file']} {recipe}"


def _build_kernel(cache, record):
    return raw_image(unpack(cache / "debs" / record["packages"]["kernel"]["file"], "boot/vmlinuz-"))


def _build_kernel_32(cache, record):
    data = unpack(cache / "debs" / record["packages"]["kernel-armhf"]["file"], "boot/vmlinuz-")
    if data[0x24:0x28] != struct.pack("<I", 0x016F2818):
        raise Failure("the armhf kernel is not a zImage (no magic number at offset 0x24)")
    return data


def _build_firmware(cache, record):
    return unpack(cache / "debs" / record["packages"]["firmware"]["file"], "usr/lib/u-boot/qemu_arm64/u-boot.bin")


def _module(cache, record, name):
    """Returns a driver of the kernel's, unpacked."""
    data = unpack(cache / "debs" / record["packages"]["kernel"]["file"], "lib/modules/", f"/{name}.ko.xz")
    return lzma.decompress(data)


def raw_image(data):
    """Returns a raw arm64 Image from one, a gzip'd one, or an EFI zboot file."""
    if data[4:8] == b"zimg":
        offset, size = struct.unpack_from("<II", data, 8)
        packing = data[24:56].split(b"\0")[0].decode(errors="replace")
        payload = data[offset:offset + size]
        unpackers = {"gzip": gzip.decompress, "xzkern": lzma.decompress, "lzma": lzma.decompress}
        if packing not in unpackers:
            raise Failure(f"the kernel is an EFI zboot file packed with {packing}, which can't be unpacked here")
        data = unpackers[packing](payload)
    elif data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    if data[0x38:0x3c] != b"ARM\x64":
        raise Failure("the kernel is not an arm64 Image (no magic number at offset 0x38)")
    return data


def _build_ramdisk(cache, record):
    return _ramdisk(cache, record, "busybox", MODULES)


def _build_ramdisk_32(cache, record):
    return _ramdisk(cache, record, "busybox-armhf", ())


def _build_ramdisk_stress(cache, record):
    more = {}
    for package, names in STRESS.items():
        deb = cache / "debs" / record["packages"][package]["file"]
        for name in names:
            # A library's file has its name and more digits.
            folders = ("usr/bin/", "lib/aarch64-linux-gnu/", "usr/lib/aarch64-linux-gnu/")
            data = unpack(deb, tuple(folder + name for folder in folders))
            more[f"{'bin' if name == package else 'lib'}/{name}"] = data
    return _ramdisk(cache, record, "busybox", MODULES, more)


def _ramdisk(cache, record, role, modules, more=None):
    busybox = unpack(cache / "debs" / record["packages"][role]["file"], "bin/busybox")
    archive = cpio.Archive()
    for folder in ("bin", "sbin", "usr", "usr/bin", "usr/sbin", "dev", "proc", "sys", "tmp", "etc", "root", "lib", "lib/modules"):
        archive.folder(folder)
    archive.file("bin/busybox", busybox, 0o755)
    archive.link("bin/sh", "busybox")
    # The kernel opens this before the first process can mount /dev.
    archive.character_device("dev/console", 5, 1)
    for name in modules:
        archive.file(f"lib/modules/{name}.ko", _module(cache, record, name))
    for name, data in (more or {}).items():
        archive.file(name, data, 0o755)
    archive.file("init", INIT.read_bytes(), 0o755)
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0) as file:
        file.write(archive.finish())
    return packed.getvalue()
