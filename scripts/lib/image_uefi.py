"""A machine with UEFI: its EFI system partition, or what a USB stick needs."""

import build
import disk

LABEL = "ENTRESOL"
PARTITION = disk.EFI_SYSTEM

# Where firmware looks on a medium that no boot entry names. What the
# application reads lies beside it.
FOLDER = "EFI/BOOT"


def files(made):
    """Returns the application, which carries the hypervisor, and what it reads."""
    files = {
        f"{FOLDER}/BOOTAA64.EFI": build.uefi_application(made.image),
        f"{FOLDER}/bundle.cpio": made.bundle,
    }
    if made.append:
        files[f"{FOLDER}/cmdline.txt"] = made.append.encode() + b"\n"
    return files
