"""What every script shares: where things are, and how a failure is told."""

import argparse
import os
import subprocess
import sys
import tempfile
import time
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


class Progress:
    """Shows on stderr that something long goes on: on a terminal in one line
    that changes, elsewhere in a line now and then."""

    def __init__(self, what):
        self._what = what
        self._terminal = sys.stderr.isatty()
        self._pause = 0.5 if self._terminal else 10
        self._start = self._shown = time.monotonic()

    def show(self, detail):
        """Shows `detail`, if the last time is long enough ago."""
        now = time.monotonic()
        if now - self._shown < self._pause:
            return
        self._shown = now
        line = f"{self._what}: {now - self._start:.0f} s{', ' if detail else ''}{detail}"
        print("\r\x1b[K" + line[:76] if self._terminal else line, end="" if self._terminal else "\n", file=sys.stderr, flush=True)

    def end(self):
        """Leaves the terminal as it was."""
        if self._terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def run_watched(command, log, detail, text=None, **options):
    """Runs a command with its output appended to the open file `log`, and shows
    what `detail()` says of it meanwhile; returns its status."""
    progress = Progress("setup: " + " ".join(str(part) for part in command[:3]))
    stdin = subprocess.DEVNULL if text is None else subprocess.PIPE
    try:
        with subprocess.Popen(command, stdin=stdin, stdout=log, stderr=subprocess.STDOUT, **options) as running:
            if text is not None:
                running.stdin.write(text.encode())
                running.stdin.close()
            while True:
                try:
                    return running.wait(0.25)
                except subprocess.TimeoutExpired:
                    progress.show(detail())
    finally:
        progress.end()


def last_line(path):
    """Returns the last line of a log with something in it, or nothing."""
    try:
        lines = Path(path).read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


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
