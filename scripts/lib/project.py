"""What every script shares: where things are, and how a failure is told."""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = "aarch64-unknown-none-softfloat"
UEFI_TARGET = "aarch64-unknown-uefi"
# What the test guest in AArch32 is built for.
TARGET_32 = "armv7a-none-eabi"


class Failure(Exception):
    """Ends a script with one line on stderr and a status."""

    def __init__(self, message, status=1):
        super().__init__(message)
        self.status = status


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def __init__(self, **options):
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **options)

    def error(self, message):
        raise Failure(f"{message}; try {self.prog} --help", 2)


def run_script(main):
    """Runs `main()`, turns what goes wrong into one line, and exits."""
    name = "scripts/" + Path(sys.argv[0]).name
    try:
        status = main()
    except Failure as failure:
        line = " ".join(str(failure).split())
        print(f"{name}: {line}", file=sys.stderr)
        status = failure.status
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:
        # The reader went away: nobody is left to tell. The descriptor is
        # replaced so that the interpreter's own flush at exit stays silent.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 141
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"{name}: {where}{error.strerror or error}", file=sys.stderr)
        status = 1
    sys.exit(status)


def cache_dir():
    """Returns where downloads are kept: ENTRESOL_CACHE, or .cache at the top."""
    return Path(os.environ.get("ENTRESOL_CACHE") or ROOT / ".cache").resolve()


def shown(path):
    """Returns `path` as a user would type it: relative to where they are, if below."""
    try:
        return str(Path(path).resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def output_of(command, **options):
    """Returns a command's stdout, or None if it isn't there or fails."""
    try:
        done = subprocess.run(
            [str(part) for part in command],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
            text=True, check=False, **options,
        )
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None


def write_whole(path, data):
    """Writes `data` to `path` so that a reader sees the old file or the new one."""
    path = Path(path)
    if not path.parent.is_dir():
        raise Failure(f"no folder {shown(path.parent)} to write {path.name} into")
    handle, partial = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(partial, 0o644)
        os.replace(partial, path)
    except BaseException:
        os.unlink(partial)
        raise
