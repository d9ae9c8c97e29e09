"""QEMU's `virt` under U-Boot: a disk that U-Boot starts the hypervisor from."""

import disk

LABEL = "ENTRESOL"
PARTITION = disk.FAT32_LBA

# U-Boot looks for this on every disk, loads what it names and does `booti`. The
# device tree is the one that U-Boot was started with.
MENU = "extlinux/extlinux.conf"


def files(made):
    """Returns the hypervisor and the guests as files, and what tells U-Boot of them."""
    menu = ["default entresol", "label entresol", "  kernel /Image", "  initrd /bundle.cpio"]
    if made.append:
        menu.append(f"  append {made.append}")
    return {
        "Image": made.image,
        "bundle.cpio": made.bundle,
        MENU: "\n".join(menu).encode() + b"\n",
    }
