"""Makes the bundle: `vms.toml` and the files it names, in one cpio archive."""

from pathlib import Path

import build
import cpio
import guests
from project import Failure, cache_dir, shown

# The keys of a `[vm.NAME]` table whose value is a file.
FILE_KEYS = ("kernel", "ramdisk", "dtb")


def make(vms_toml):
    """Returns the archive for the `vms.toml` at the given path, as bytes."""
    vms_toml = Path(vms_toml)
    try:
        text = vms_toml.read_bytes()
    except OSError as error:
        raise Failure(f"{shown(vms_toml)}: {error.strerror}; name a file that describes the VMs") from error
    archive = cpio.Archive()
    archive.file("vms.toml", text)
    for name in _names(vms_toml, text):
        archive.file(name, _read(vms_toml, name))
    return archive.finish()


def check(vms_toml):
    """Fails where `make` would for want of a file, without fetching anything."""
    vms_toml = Path(vms_toml)
    if not vms_toml.is_file():
        raise Failure(f"{shown(vms_toml)}: no such file; name a file that describes the VMs")
    for name in _names(vms_toml, vms_toml.read_bytes()):
        if name not in guests.NAMES and name not in build.GUESTS:
            _read(vms_toml, name)


def _names(vms_toml, text):
    """Returns the files that the description names, each once, in its order."""
    found = {}
    for vm, keys in _virtual_machines(vms_toml, text).items():
        for key in FILE_KEYS:
            name = keys.get(key)
            if name is None:
                continue
            if not isinstance(name, str):
                raise Failure(f"{shown(vms_toml)}: vm.{vm}: {key} must be a file's name in quotes")
            parts = Path(name).parts
            if not parts or Path(name).is_absolute() or ".." in parts or name == "vms.toml":
                raise Failure(f"{shown(vms_toml)}: vm.{vm}: {key} = {name!r} must be a relative path below {shown(vms_toml.parent)}")
            found[name] = None
    return list(found)


def _virtual_machines(vms_toml, text):
    try:
        import tomllib
    except ImportError as error:
        raise Failure("reading vms.toml needs Python 3.11 or newer (the module tomllib)") from error
    try:
        tables = tomllib.loads(text.decode()).get("vm", {})
    except ValueError as error:
        raise Failure(f"{shown(vms_toml)}: {error}") from error
    if not isinstance(tables, dict) or not tables:
        raise Failure(f"{shown(vms_toml)}: describes no VM; give it a [vm.NAME] table")
    for vm, keys in tables.items():
        if not isinstance(keys, dict):
            raise Failure(f"{shown(vms_toml)}: vm.{vm} must be a table: [vm.{vm}]")
    return tables


def _read(vms_toml, name):
    beside = vms_toml.parent / name
    if beside.is_file():
        return beside.read_bytes()
    if name in guests.NAMES:
        guests.make_present(quiet=True)
        return (cache_dir() / name).read_bytes()
    if name in build.GUESTS:
        return build.guest(name)
    raise Failure(f"{shown(vms_toml)}: names {name!r}, and there is no file {shown(beside)}")
