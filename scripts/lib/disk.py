"""Makes disk images: a master boot record, and one FAT partition."""

import os
import struct
import tempfile
import zlib
from pathlib import Path

from fat import SECTOR, FatVolume
from project import Failure, shown

# Types of partitions in the master boot record.
FAT32_LBA = 0x0C
EFI_SYSTEM = 0xEF

# Where the partition begins: what flash and disks of all kinds are aligned to.
START = 1 << 20
# Cylinders and heads are history: this says "see the sector numbers".
NO_CYLINDERS = b"\xfe\xff\xff"


def write(path, files, label, kind):
    """Writes a disk image with the files, a dict of paths and bytes."""
    volume = FatVolume(label)
    for name, data in files.items():
        volume.file(name, data)
    size = volume.smallest_size()
    pieces = [(START + offset, data) for offset, data in volume.pieces(size, START // SECTOR)]
    _write_sparse(path, START + size, [(0, _boot_record(kind, size, pieces)), *pieces])


def write_folder(path, files):
    """Writes the files into a folder, to be copied to a medium as they are."""
    for name, data in files.items():
        target = Path(path) / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def _boot_record(kind, size, pieces):
    signature = zlib.crc32(b"".join(data[:SECTOR] for _, data in pieces))
    partition = struct.pack("<B3sB3sII", 0, NO_CYLINDERS, kind, NO_CYLINDERS, START // SECTOR, size // SECTOR)
    return bytes(440) + struct.pack("<IH", signature, 0) + partition + bytes(48) + b"\x55\xaa"


def _write_sparse(path, size, pieces):
    """Writes `pieces`, with holes between, so that a reader sees the old file or the new one."""
    path = Path(path)
    if not path.parent.is_dir():
        raise Failure(f"no folder {shown(path.parent)} to write {path.name} into")
    handle, partial = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.truncate(size)
            for offset, data in pieces:
                file.seek(offset)
                file.write(data)
        os.chmod(partial, 0o644)
        os.replace(partial, path)
    except BaseException:
        os.unlink(partial)
        raise
