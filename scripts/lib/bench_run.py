"""Builds the bench guest and runs it under the hypervisor."""

import re
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

import cpio
import host
from build import target_dir
from elf import Elf
from project import ROOT, TARGET, Failure, shown, write_whole

GIGAHERTZ = 1_000_000_000
PLUGIN = ROOT / "scripts" / "lib" / "bench_traffic.c"
KINDS = ("EL2", "MRS", "MSR", "ISB", "DSB", "DMB", "TLBI", "atomic")
ROW = re.compile(r"BENCH (\S+) \d+ \d+ (\d+) ([\d.]+)( UNDEF)?")
BOOT = re.compile(r"BOOT made (\d+) arrived (\d+)")
READY = re.compile(r"ready to make VMs at count (\d+)")
# QEMU's counter runs at 1 GHz on these by itself; others are told.
FAST_COUNTERS = ("max",)
DEADLINE = 600
# SHF_ALLOC of a section's flags.
ALLOCATED = 2


class Machine:
    """What is emulated."""

    def __init__(self, cpu, gic, vhe):
        self.name = f"{cpu}, GICv{gic}" + (", VHE" if vhe == "on" else "")
        self.cpu = cpu if cpu in FAST_COUNTERS else f"{cpu},cntfrq={GIGAHERTZ}"
        self.gic = gic
        self.arguments = f"vhe={vhe}" if vhe == "on" else ""

    def command(self, cpus, *more, el2=True):
        """Returns QEMU's command line."""
        on = "on" if el2 else "off"
        return [
            host.QEMU, "-machine", f"virt,virtualization={on},gic-version={self.gic},dtb-randomness=off",
            "-cpu", self.cpu, "-smp", str(cpus), "-m", "2G", "-nographic", "-nic", "none",
            "-icount", "shift=0,sleep=off", "-rtc", "base=2024-01-01,clock=vm", *more,
        ]


def hypervisor(machine, elf):
    """Runs everything there is under the hypervisor and returns the numbers."""
    silent = lambda what, change=False: None  # noqa: E731
    host.qemu(silent)
    elf = Path(elf) if elf else build("entresol")
    guest = guest_image()
    with tempfile.TemporaryDirectory(prefix="bench-", dir=ROOT / "target") as folder:
        boot = _Boot(machine, Path(folder), elf, guest)
        rows, _ = boot.run(cpus=2, vcpus=2, memory=256)
        shared, _ = boot.run(cpus=2, vcpus=2, memory=256, arguments="switch", pin=[0, 0])
        _, small = boot.run(cpus=1, vcpus=1, memory=256, arguments="switch")
        _, large = boot.run(cpus=1, vcpus=1, memory=512, arguments="switch")
    rows.update({name: row for name, row in shared.items() if not name.startswith("check_")})
    return {
        "rows": rows,
        "boot": {
            "to_ready": small[2],
            "to_first_vm": small[0],
            "per_MiB_of_guest_memory": round((large[1] - small[1]) / 256, 1),
        },
        "image": _sections(elf),
    }


def guest_image():
    """Builds the guest; returns its flat image."""
    return Elf(build("bench", "guests")).image()


class _Boot:
    def __init__(self, machine, folder, elf, guest):
        self.machine, self.folder, self.guest = machine, folder, guest
        self.image = folder / "entresol.img"
        write_whole(self.image, Elf(elf).image())
        self.plugin = _plugin(folder)

    def run(self, cpus, vcpus, memory, arguments="", pin=None):
        """Boots one VM; returns its rows, and when it was made, when it ran, and when the hypervisor was ready."""
        archive = cpio.Archive()
        keys = {"kernel": '"bench"', "bootargs": f'"{arguments}"', "cpus": vcpus, "memory": f'"{memory}M"'}
        if pin is not None:
            keys["pin"] = pin
        archive.file("vms.toml", ("[vm.bench]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items())).encode())
        archive.file("bench", self.guest)
        bundle, traffic = self.folder / "bundle.cpio", self.folder / "traffic"
        write_whole(bundle, archive.finish())
        command = self.machine.command(cpus, "-kernel", str(self.image), "-initrd", str(bundle), "-append", self.machine.arguments)
        if self.plugin:
            command += ["-plugin", f"{self.plugin},out={traffic}"]
        log = _output(command)
        return rows_of(log, traffic.read_text().splitlines() if self.plugin else None)


def _output(command):
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=DEADLINE, check=False)
    except subprocess.TimeoutExpired as late:
        tail = (late.stdout or b"").decode(errors="replace")[-300:]
        raise Failure(f"the guest was not done within {DEADLINE} s; the last it said: {tail}") from late
    if "bench: done" not in done.stdout:
        raise Failure(f"the guest did not come to its end; the last it said: {done.stdout[-300:]}")
    return done.stdout


def rows_of(log, traffic, noise=0.0):
    """Returns the rows of a guest's output with EL2's instructions by kind beside them.

    The rows that prove the unit may be off by `noise` instructions, where a peer's
    own clock interrupts the guest.
    """
    rows = {}
    found = list(ROW.finditer(log))
    if traffic is not None and len(traffic) != len(found):
        raise Failure(f"{len(found)} rows, but {len(traffic)} operations were counted by kind")
    for number, (name, frequency, cost, undefined) in enumerate(match.groups() for match in found):
        if int(frequency) != GIGAHERTZ:
            raise Failure(f"the guest's counter runs at {frequency} Hz, so a tick is no instruction; it has to be {GIGAHERTZ}")
        if undefined:
            continue
        rows[name] = {"instructions": float(cost)}
        if traffic is not None:
            rows[name].update(zip(KINDS, map(int, traffic[number].split())))
    for name, proof in (("check_empty", 0.0), ("check_10nops", 10.0)):
        if not 0 <= rows.pop(name, {}).get("instructions", -1) - proof <= noise:
            raise Failure(f"{name} isn't {proof}: a tick is no instruction here")
    boot, ready = BOOT.search(log), READY.search(log)
    return rows, (int(boot[1]), int(boot[2]), int(ready[1]) if ready else None)


def _plugin(folder):
    """Builds QEMU's plugin; None where there is no C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        return None
    plugin = folder / "traffic.so"
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", str(plugin), str(PLUGIN)], check=True)
    return plugin


def build(binary, package="entresol"):
    """Builds a program for the bare target; returns its ELF file."""
    command = ["cargo", "build", "--quiet", "--release", "--target", TARGET, "--package", package, "--bin", binary, "--target-dir", str(target_dir())]
    if subprocess.run(command, cwd=ROOT, check=False).returncode:
        raise Failure(f"cargo could not build {binary}; its messages are above")
    return target_dir() / TARGET / "release" / binary


def _sections(elf):
    """Returns the sizes of the image's sections in bytes."""
    data = Path(elf).read_bytes()
    table, = struct.unpack_from("<Q", data, 40)
    size, count, names = struct.unpack_from("<HHH", data, 58)
    headers = [struct.unpack_from("<IIQQQQ", data, table + n * size) for n in range(count)]
    sizes = {}
    for name, _, _, _, _, length in headers:
        at = headers[names][4] + name
        sizes[data[at:data.index(b"\0", at)].decode()] = length
    parts = {part: sizes.get(part, 0) for part in (".text", ".rodata", ".data", ".bss")}
    if not parts[".text"]:
        raise Failure(f"{shown(elf)}: no section .text")
    # All that the Image header asks the loader for: stacks, tables and the first heap too.
    loaded = [header for header in headers if header[2] & ALLOCATED]
    parts["RAM at boot"] = loaded[-1][3] + loaded[-1][5] - loaded[0][3]
    return parts
