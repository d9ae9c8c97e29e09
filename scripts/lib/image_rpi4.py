"""A Raspberry Pi 4: the card its firmware starts the hypervisor from."""

import disk
import rpi4
from project import ROOT

LABEL = "ENTRESOL"
PARTITION = disk.FAT32_LBA

CONFIG = ROOT / "boards" / "rpi4" / "config.txt"


def files(made):
    """Returns the firmware's files, what it loads, and what tells it to."""
    return {
        "config.txt": CONFIG.read_bytes(),
        # There even if empty: without one the firmware makes up arguments for Linux.
        "cmdline.txt": made.append.encode() + b"\n",
        "entresol.img": made.image,
        "bundle.cpio": made.bundle,
        **rpi4.read(),
    }
