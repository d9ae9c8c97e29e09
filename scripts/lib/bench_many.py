"""Runs the bench guest beside others: what VMs and vCPUs take of memory, and what they add to the
cost of an operation.
"""

import queue
import re
import subprocess
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import bench_run
import cpio
from elf import Elf
from project import ROOT, Failure, write_whole

# Where Ctrl-] leads: to the hypervisor's own commands.
COMMANDS = "\x1d"
FREE = re.compile(r"free: (\d+) KiB for VMs; heap: (\d+) of \d+ bytes used")
# The least a VM can have, in MiB.
SMALL = 16
MANY_VMS = 16
MANY_VCPUS = {2: 8, 3: 64}


class Vm:
    """What a line of `vms.toml` says of a VM."""

    def __init__(self, name, arguments, vcpus=1, memory=SMALL, pin=None):
        self.name = name
        self.memory = memory
        keys = {"kernel": '"bench"', "bootargs": f'"{arguments}"', "cpus": vcpus, "memory": f'"{memory}M"'}
        if pin is not None:
            keys["pin"] = pin
        self.text = f"[vm.{name}]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items())


class Boots:
    """Boots one hypervisor with one set of VMs or another."""

    def __init__(self, machine, folder, elf, guest):
        self.machine, self.folder, self.guest = machine, Path(folder), guest
        self.image = self.folder / "entresol.img"
        write_whole(self.image, Elf(elf).image())

    @contextmanager
    def start(self, cpus, vms):
        """Starts QEMU; gives a function that types and waits for a line."""
        archive = cpio.Archive()
        archive.file("vms.toml", "".join(vm.text for vm in vms).encode())
        archive.file("bench", self.guest)
        bundle = self.folder / "many.cpio"
        write_whole(bundle, archive.finish())
        command = self.machine.command(cpus, "-kernel", str(self.image), "-initrd", str(bundle), "-append", self.machine.arguments)
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace") as qemu:
            talk = _Talk(qemu)
            try:
                yield talk
            finally:
                qemu.kill()
                talk.reader.join()


class _Talk:
    def __init__(self, qemu):
        self.qemu, self.said, self.lines = qemu, [], queue.Queue()
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self):
        for line in self.qemu.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def type(self, text):
        """Types on the console."""
        self.qemu.stdin.write(text)
        self.qemu.stdin.flush()

    def wait(self, pattern):
        """Returns the match of the first line from here on that has the pattern."""
        end = time.monotonic() + bench_run.DEADLINE
        while True:
            try:
                line = self.lines.get(timeout=max(0, end - time.monotonic()))
            except queue.Empty:
                line = None
            if line is None:
                raise Failure(f"no {re.compile(pattern).pattern!r} came; the last was:\n{''.join(self.said[-5:])}")
            self.said.append(line)
            if found := re.search(pattern, line):
                return found


@contextmanager
def booted(machine, elf):
    """Builds what is needed; gives a [`Boots`]."""
    elf = Path(elf) if elf else bench_run.build("entresol")
    with tempfile.TemporaryDirectory(prefix="bench-", dir=ROOT / "target") as folder:
        yield Boots(machine, folder, elf, bench_run.guest_image())


def memory(boots):
    """Returns what a VM and a vCPU take of EL2's own memory, in bytes: heap, tables and frames,
    but for the guest's RAM.
    """
    gic = boots.machine.gic
    one = _taken(boots, [Vm("a", "idle")])
    vms = _taken(boots, [Vm(f"v{n}", "idle") for n in range(1 + MANY_VMS)])
    vcpus = _taken(boots, [Vm("a", "idle", vcpus=MANY_VCPUS[gic])])
    return {
        "per_VM_of_one_vCPU": round((vms - one) / MANY_VMS),
        "per_vCPU_more": round((vcpus - one) / (MANY_VCPUS[gic] - 1)),
    }


def _taken(boots, vms):
    """Returns what these VMs and the hypervisor have of the machine's RAM, in bytes, but for the
    guests'; from an origin that does not depend on the VMs.
    """
    with boots.start(1, vms) as talk:
        for _ in vms:
            talk.wait("bench: sleeps")
        talk.type(COMMANDS)
        talk.type("vms\r")
        free, heap = map(int, talk.wait(FREE).groups())
    return heap - (free << 10) - (sum(vm.memory for vm in vms) << 20)
