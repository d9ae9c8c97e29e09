"""Runs the bench guest elsewhere: on the bare machine, under Debian's Xen, under Debian's KVM.

Each runs in the same emulated machine as the hypervisor, and the guest is the
same file. Xen starts it as its only domain (dom0less), with the scheduler and
the treatment of WFI under which it is quickest. KVM starts it by a program of
ours that does nothing else (tests/peers), as the first process of Linux.
"""

import fcntl
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path

import bench_run
import cpio
import guests
import host
from elf import Elf
from project import ROOT, Failure, cache_dir, shown, write_whole

XEN_PACKAGE = "xen-hypervisor-4.17-arm64"
XEN_FILE = "boot/xen-4.17-arm64"
# Clearing free memory takes long and changes nothing; messages would be counted.
XEN_ARGUMENTS = "console=dtuart bootscrub=0 guest_loglvl=none sched=credit2"
# Where QEMU puts the guest for Xen to take it.
MODULE = 0x6000_0000
CPUS = 2
MEMORY = 256 << 20
# Linux starts slowly where every instruction is counted.
DEADLINE = 900
END = "bench: done"
# What a tick of Linux's clock adds to a row that it falls into, an iteration at most.
NOISE = 1.0


def _native(machine, folder, guest, _shared):
    return machine.command(CPUS, "-kernel", _put(folder, "bench", guest), el2=False)


def _xen(machine, folder, guest, shared):
    command = machine.command(1 if shared else CPUS, "-kernel", str(_xen_image()))
    _call([*command, "-machine", f"dumpdtb={folder}/machine.dtb"])
    board = _call(["dtc", "-q", "-I", "dtb", "-O", "dts", f"{folder}/machine.dtb"]).decode()
    tree = _put(folder, "xen.dtb", compiled(xen_tree(board, len(guest), shared)))
    loader = f"loader,file={_put(folder, 'bench', guest)},addr={MODULE:#x},force-raw=on"
    return [*command, "-dtb", tree, "-device", loader]


def _kvm(machine, folder, guest, shared, arguments=""):
    archive = cpio.Archive()
    archive.folder("dev")
    archive.character_device("dev/console", 5, 1)
    archive.character_device("dev/random", 1, 8)
    archive.character_device("dev/kvm", 10, 232)
    archive.file("init", bench_run.build("kvm", "peers").read_bytes(), 0o755)
    archive.file("bench", guest)
    archive.file("bench.dtb", compiled(kvm_tree(machine.gic, shared)))
    if shared:
        archive.file("shared", b"")
    ramdisk = _put(folder, "initrd.cpio", archive.finish())
    return machine.command(CPUS, "-kernel", str(_linux()), "-initrd", ramdisk, "-append", f"console=ttyAMA0 quiet {arguments}")


def _kvm_without_vhe(machine, folder, guest, shared):
    return _kvm(machine, folder, guest, shared, "kvm-arm.mode=nvhe")


PEERS = {"native": _native, "xen": _xen, "kvm": _kvm, "kvm-nvhe": _kvm_without_vhe}


def fetch(names):
    """Makes present what these peers need."""
    silent = lambda what, change=False: None  # noqa: E731
    host.qemu(silent)
    host.device_tree_compiler(silent)
    if "xen" in names:
        _xen_image()
    if {"kvm", "kvm-nvhe"} & set(names):
        _linux()


def run(name, machine):
    """Runs the guest there and returns the numbers; `fetch` came before."""
    guest, rows = bench_run.guest_image(), {}
    with tempfile.TemporaryDirectory(prefix="bench-", dir=ROOT / "target") as folder:
        # The bare machine has no two CPUs on one.
        for shared in (False,) if name == "native" else (False, True):
            command = PEERS[name](machine, Path(folder), guest, shared)
            rows.update(bench_run.rows_of(_output(name, command), None, NOISE)[0])
    return {"rows": rows}


def _output(name, command):
    """Runs QEMU until the guest is done; what ran it may go on for ever."""
    lines = []
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace") as machine:
        clock = threading.Timer(DEADLINE, machine.kill)
        clock.start()
        try:
            for line in machine.stdout:
                lines.append(line)
                if END in line:
                    return "".join(lines)
        finally:
            clock.cancel()
            machine.kill()
    raise Failure(f"{name}: the guest did not come to its end; the last that was said: {''.join(lines)[-300:]}")


# --- what they start from -------------------------------------------------------

def _xen_image():
    """Returns the path of Xen, fetched if it isn't here."""
    image = cache_dir() / Path(XEN_FILE).name
    cache_dir().mkdir(parents=True, exist_ok=True)
    with open(cache_dir() / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not image.is_file():
            guests.need_apt(f"Xen comes from Debian's archive; elsewhere put an arm64 Xen 4.17 as {shown(image)}")
            apt = guests.Apt(cache_dir(), "arm64")
            apt.run("apt-get", "-q", "update")
            package = apt.debs / apt.download(XEN_PACKAGE)["file"]
            write_whole(image, guests.unpack(package, XEN_FILE))
            package.unlink()
            shutil.rmtree(apt.folder)
    return image


def _linux():
    """Returns the path of the kernel, whose KVM is measured."""
    image = cache_dir() / guests.KERNEL
    if not image.is_file():
        raise Failure(f"{shown(image)}, whose KVM is to be measured, isn't there: run scripts/setup")
    return image


def _put(folder, name, data):
    write_whole(folder / name, data)
    return str(folder / name)


# --- device trees ---------------------------------------------------------------

def compiled(source):
    """Returns a device tree's binary form."""
    return _call(["dtc", "-q", "-I", "dts", "-O", "dtb"], source.encode())


def _call(command, text=b""):
    done = subprocess.run(command, input=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if done.returncode:
        raise Failure(f"{command[0]} failed: {done.stderr.decode(errors='replace')[-300:]}")
    return done.stdout


def xen_tree(board, size, shared=False):
    """Returns the board's device tree with Xen's domain added, whose kernel has `size` bytes.

    WFI is left to the CPU, as that is quickest, unless vCPUs share one: there it
    is what lets the other one run.
    """
    wait = "trap" if shared else "native"
    return board + f"""
/ {{ chosen {{
    xen,xen-bootargs = "{XEN_ARGUMENTS} vwfi={wait}";
    #address-cells = <2>;
    #size-cells = <2>;
    domU1 {{
        compatible = "xen,domain";
        #address-cells = <2>;
        #size-cells = <2>;
        cpus = <{CPUS}>;
        memory = <0 {MEMORY >> 10}>;
        vpl011;
        module@{MODULE:x} {{
            compatible = "multiboot,kernel", "multiboot,module";
            reg = <0 {MODULE:#x} 0 {size}>;
            bootargs = "{_arguments(shared)}";
        }};
    }};
}}; }};
"""


def kvm_tree(gic, shared=False):
    """Returns the device tree of the guest under KVM, which tests/peers makes come true."""
    kind, second = {2: ("arm,cortex-a15-gic", "0x8010000 0 0x2000"), 3: ("arm,gic-v3", "0x80a0000 0 0x40000")}[gic]
    cpus = "".join(f"""
        cpu@{cpu} {{ device_type = "cpu"; compatible = "arm,armv8"; reg = <{cpu}>; enable-method = "psci"; }};""" for cpu in range(CPUS))
    return f"""/dts-v1/;
/ {{
    #address-cells = <2>;
    #size-cells = <2>;
    interrupt-parent = <&gic>;
    chosen {{ bootargs = "{_arguments(shared)}"; }};
    memory@40000000 {{ device_type = "memory"; reg = <0 0x40000000 0 {MEMORY}>; }};
    cpus {{
        #address-cells = <1>;
        #size-cells = <0>;{cpus}
    }};
    psci {{ compatible = "arm,psci-1.0"; method = "hvc"; }};
    timer {{ compatible = "arm,armv8-timer"; interrupts = <1 13 4>, <1 14 4>, <1 11 4>, <1 10 4>; }};
    gic: intc@8000000 {{
        compatible = "{kind}";
        interrupt-controller;
        #interrupt-cells = <3>;
        reg = <0 0x8000000 0 0x10000>, <0 {second}>;
    }};
    pl011@9000000 {{ compatible = "arm,pl011"; reg = <0 0x9000000 0 0x1000>; interrupts = <0 1 4>; }};
}};
"""


def _arguments(shared):
    """Returns what tells the guest which rows are wanted."""
    return "switch" if shared else ""
