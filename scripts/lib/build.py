"""Builds the hypervisor, and flattens it."""

import os
import subprocess
from pathlib import Path

from elf import Elf
from project import ROOT, TARGET, Failure, shown


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


def _cargo(target, what, **variables):
    command = ["cargo", "build", "--release", "--target", target, *what, "--target-dir", str(target_dir())]
    # From the top, so that its configuration and toolchain apply. Messages are for a person.
    environment = {**os.environ, **variables}
    if subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode:
        raise Failure("cargo could not build it; its messages are above")
