"""Fetches what a Raspberry Pi 4 starts from: its boot firmware and device tree.

Both come from Debian's packages, by the same apt as the default guest's
software, and land in the folder `rpi4` of the cache. The firmware may be
copied, for use with Raspberry Pis, together with its licence.
"""

import fcntl
import hashlib
import json
import shutil

import guests
from project import Failure, cache_dir, shown, write_whole

FIRMWARE_PACKAGE = "raspi-firmware"
FIRMWARE = "usr/lib/raspi-firmware/"
TREE = "bcm2711-rpi-4-b.dtb"
LICENCE = "LICENCE.broadcom"
# What the GPU runs, what it adapts that to the board's memory with, and the rest.
NAMES = ("start4.elf", "fixup4.dat", LICENCE, TREE)
RECORD = "files.json"


def folder():
    """Returns where the files are."""
    return cache_dir() / "rpi4"


def read():
    """Returns the files by name."""
    if not _is_complete():
        raise Failure(f"{shown(folder())} lacks the Raspberry Pi's boot files: run scripts/setup")
    return {name: (folder() / name).read_bytes() for name in NAMES}


def make_present(quiet=False):
    """Makes the folder complete; does nothing where it already is."""
    folder().mkdir(parents=True, exist_ok=True)
    with open(cache_dir() / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_complete():
            _download()
    if not quiet:
        for package in _record()["packages"]:
            print(f"setup: boot files from package {package['name']} {package['version']}")


def _record():
    try:
        return json.loads((folder() / RECORD).read_text())
    except (OSError, ValueError):
        return {}


def _is_complete():
    sums = _record().get("sha256", {})
    return all((folder() / name).is_file() and _sum((folder() / name).read_bytes()) == sums.get(name) for name in NAMES)


def _sum(data):
    return hashlib.sha256(data).hexdigest()


def _download():
    guests.need_apt("the Raspberry Pi's boot files come from Debian's archive")
    apt = guests.Apt(cache_dir(), "arm64", "main non-free-firmware")
    print(f"setup: fetching a Raspberry Pi's boot files from {apt.mirror} into {shown(folder())}", flush=True)
    apt.run("apt-get", "-q", "update")
    firmware = apt.download(FIRMWARE_PACKAGE)
    kernel = apt.download(*guests.newest_kernel(apt, guests.BOARDS_KERNEL_META))
    debs = [apt.debs / package["file"] for package in (firmware, kernel)]
    release = kernel["name"].removeprefix("linux-image-")
    places = {
        "start4.elf": (debs[0], FIRMWARE + "start4.elf"),
        "fixup4.dat": (debs[0], FIRMWARE + "fixup4.dat"),
        LICENCE: (debs[0], f"usr/share/doc/{FIRMWARE_PACKAGE}/copyright"),
        TREE: (debs[1], f"usr/lib/linux-image-{release}/broadcom/{TREE}"),
    }
    sums = {}
    for name, place in places.items():
        data = guests.unpack(*place)
        write_whole(folder() / name, data)
        sums[name] = _sum(data)
    record = {"packages": [firmware, kernel], "sha256": sums}
    write_whole(folder() / RECORD, (json.dumps(record, indent=2) + "\n").encode())
    # A hundred megabytes of which 40 kilobytes were wanted.
    for deb in debs:
        deb.unlink()
    shutil.rmtree(apt.folder)
