"""Builds the hypervisor, and flattens it."""

import os
import subprocess
from pathlib import Path

from elf import Elf
from project import ROOT, TARGET, UEFI_TARGET, Failure, shown, write_whole


# Guests of the project's own that a vms.toml may name, and what they are built from.
GUESTS = {"beacon.img": "beacon"}


def target_dir():
    """Returns where cargo builds: CARGO_TARGET_DIR, or target at the top."""
    return (ROOT / (os.environ.get("CARGO_TARGET_DIR") or "target")).resolve()


def hypervisor():
    """Builds the hypervisor; returns its ELF file."""
    _cargo(TARGET, ["--bin", "entresol"])
    return target_dir() / TARGET / "release" / "entresol"


def image(kernel):
    """Returns the flat image of a built hypervisor, given as an ELF file or as that image."""
    try:
        data = Path(kernel).read_bytes()
    except OSError as error:
        raise Failure(f"{shown(kernel)}: {error.strerror}; leave --kernel out to build one") from error
    return data if data[0x38:0x3C] == b"ARM\x64" else Elf(kernel).image()


def guest(name):
    """Builds one of `GUESTS`; returns its flat image's bytes."""
    program = GUESTS[name]
    _cargo(TARGET, ["--package", "guests", "--bin", program])
    return Elf(target_dir() / TARGET / "release" / program).image()


def uefi_application(image):
    """Builds the UEFI application that carries the flat image; returns its bytes."""
    carried = target_dir() / "uefi" / "Image"
    carried.parent.mkdir(parents=True, exist_ok=True)
    # Written only if it is another one: cargo goes by the file's time.
    if not carried.is_file() or carried.read_bytes() != image:
        write_whole(carried, image)
    _cargo(UEFI_TARGET, ["--package", "entresol-uefi"], ENTRESOL_IMAGE=str(carried))
    return (target_dir() / UEFI_TARGET / "release" / "entresol-uefi.efi").read_bytes()


def _cargo(target, what, **variables):
    command = ["cargo", "build", "--release", "--target", target, *what, "--target-dir", str(target_dir())]
    # From the top, so that its configuration and toolchain apply. Messages are for a person.
    environment = {**os.environ, **variables}
    if subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode:
        raise Failure("cargo could not build it; its messages are above")
