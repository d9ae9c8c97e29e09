"""Makes FAT32 file systems, the same bytes for the same input.

After Microsoft's "FAT32 File System Specification" (version 1.03). Names keep
their case and length by long-name entries. Nothing is fragmented, and no file
has a time of its own.
"""

import struct
import zlib

from project import Failure

SECTOR = 512
# Sectors before the first table: boot sector, information, and copies of both.
RESERVED = 32
TABLES = 2
ROOT_CLUSTER = 2
# With fewer clusters a file system is taken for FAT16, whatever it says.
FEWEST_CLUSTERS = 65525
END_OF_CHAIN = 0x0FFFFFFF
LARGEST_FILE = (1 << 32) - 1

READ_ONLY, HIDDEN, SYSTEM, LABEL, FOLDER, FILE = 1, 2, 4, 8, 16, 32
LONG_NAME = READ_ONLY | HIDDEN | SYSTEM | LABEL
# 1980-01-01, the first day that FAT knows.
DATE = (1 << 5) | 1
IN_SHORT_NAMES = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'()-@^_`{}~")
NOT_IN_NAMES = frozenset('"*/:<>?\\|')


class FatVolume:
    """A file system being put together; `file` adds to it, `pieces` gives it."""

    def __init__(self, label):
        self.label = label.upper().encode("ascii")[:11].ljust(11)
        self._root = {}

    def file(self, path, data):
        """Adds a file; the folders on its path ("EFI/BOOT/X.EFI") are made."""
        *folders, name = path.split("/")
        folder = self._root
        for part in folders:
            folder = folder.setdefault(_checked(part), {})
            if not isinstance(folder, dict):
                raise Failure(f"{path}: {part} is a file")
        if len(data) > LARGEST_FILE:
            raise Failure(f"{path} has {len(data)} bytes; FAT32 takes less than 4 GiB")
        if name.lower() in (known.lower() for known in folder):
            raise Failure(f"{path} is there twice (FAT does not tell case apart)")
        folder[_checked(name)] = bytes(data)

    def smallest_size(self):
        """Returns the bytes that hold everything, with an eighth of room to spare."""
        needed = sum(_contents_of(self._root)) * 9 // 8 + (2 << 20)
        smallest = (FEWEST_CLUSTERS + 2) * (SECTOR + 4 * TABLES) + (RESERVED + 8) * SECTOR
        return max(_rounded(needed + needed // 64, 1 << 20), _rounded(smallest, 1 << 20))

    def pieces(self, size, hidden_sectors=0):
        """Returns the file system for `size` bytes as pairs of offset and bytes.

        What no piece covers is zero. `hidden_sectors` is where on its disk the
        partition begins.
        """
        shape = _Shape(size)
        layout = _Layout(shape)
        self._place(layout)
        if layout.next_cluster > shape.clusters + 2:
            raise Failure(f"the files don't fit a file system of {size} bytes")
        number = zlib.crc32(b"".join(data for _, data in layout.pieces))
        boot = self._boot_sector(shape, hidden_sectors, number)
        information = _information(shape, layout)
        table = b"".join(struct.pack("<I", entry) for entry in layout.table)
        fixed = [(start * SECTOR, sector) for first in (0, 6) for start, sector in ((first, boot), (first + 1, information))]
        tables = [((RESERVED + copy * shape.table_sectors) * SECTOR, table) for copy in range(TABLES)]
        return fixed + tables + layout.pieces

    def _place(self, layout):
        """Lays folders out before what is in them, the root first."""
        label = [_entry(self.label, LABEL, 0, 0)]
        waiting = [(self._root, layout.folder(_entries_in(self._root) + 1), 0, label)]
        while waiting:
            folder, cluster, parent, entries = waiting.pop(0)
            if folder is not self._root:
                entries += [_entry(b".".ljust(11), FOLDER, cluster, 0), _entry(b"..".ljust(11), FOLDER, parent, 0)]
            above = 0 if folder is self._root else cluster
            taken = set()
            for name, contents in folder.items():
                if isinstance(contents, dict):
                    start = layout.folder(_entries_in(contents) + 2)
                    waiting.append((contents, start, above, []))
                    entries += _named(name, taken, FOLDER, start, 0)
                else:
                    start = layout.file(contents)
                    entries += _named(name, taken, FILE, start, len(contents))
            layout.put(cluster, b"".join(entries))

    def _boot_sector(self, shape, hidden_sectors, number):
        head = struct.pack(
            "<3s8sHBHBHHBHHHII", b"\xeb\x58\x90", b"ENTRESOL", SECTOR, shape.cluster_sectors, RESERVED, TABLES,
            0, 0, 0xF8, 0, 63, 255, hidden_sectors, shape.sectors)
        extended = struct.pack("<IHHIHH12xBBBI11s8s", shape.table_sectors, 0, 0, ROOT_CLUSTER, 1, 6, 0x80, 0, 0x29, number, self.label, b"FAT32   ")
        return _signed(head + extended)


class _Shape:
    """How a file system of a given size is divided."""

    def __init__(self, size):
        self.sectors = size // SECTOR
        # Small clusters while the tables stay small: what 64 MiB hold must be clusters enough.
        self.cluster_sectors = 1 if size <= 512 << 20 else 8
        left = self.sectors - RESERVED
        per_table = SECTOR // 4 * self.cluster_sectors + TABLES
        self.table_sectors = -(-(left + 2 * self.cluster_sectors) // per_table)
        self.clusters = (left - TABLES * self.table_sectors) // self.cluster_sectors
        if self.clusters < FEWEST_CLUSTERS:
            raise Failure(f"{size} bytes are too few for FAT32")
        self.cluster_size = self.cluster_sectors * SECTOR
        self.data = (RESERVED + TABLES * self.table_sectors) * SECTOR


class _Layout:
    """Which clusters are whose."""

    def __init__(self, shape):
        self.shape = shape
        self.table = [0x0FFFFFF8, END_OF_CHAIN]
        self.pieces = []
        self.next_cluster = ROOT_CLUSTER

    def folder(self, entries):
        return self._take(32 * entries)

    def file(self, data):
        if not data:
            return 0
        start = self._take(len(data))
        self.put(start, data)
        return start

    def put(self, cluster, data):
        self.pieces.append((self.shape.data + (cluster - ROOT_CLUSTER) * self.shape.cluster_size, data))

    def _take(self, size):
        start = self.next_cluster
        self.next_cluster += max(1, -(-size // self.shape.cluster_size))
        self.table += [*range(start + 1, self.next_cluster), END_OF_CHAIN]
        return start


def _information(shape, layout):
    free = shape.clusters + 2 - layout.next_cluster
    return _signed(b"RRaA".ljust(484, b"\0") + b"rrAa" + struct.pack("<II", free, layout.next_cluster))


def _signed(sector):
    return sector.ljust(510, b"\0") + b"\x55\xaa"


def _rounded(number, to):
    return -(-number // to) * to


def _contents_of(folder):
    """Yields roughly what everything below a folder takes, in bytes."""
    yield 4096 + 32 * _entries_in(folder)
    for contents in folder.values():
        if isinstance(contents, dict):
            yield from _contents_of(contents)
        else:
            yield _rounded(len(contents), 4096)


def _entries_in(folder):
    return sum(1 + -(-len(name) // 13) for name in folder)


def _checked(name):
    if not name or name in (".", "..") or len(name) > 255 or NOT_IN_NAMES & set(name) or not name.isascii():
        raise Failure(f"{name!r} is no name for a file on a FAT file system")
    return name


def _entry(short, attributes, cluster, size):
    return struct.pack("<11sBBBHHHHHHHI", short, attributes, 0, 0, 0, DATE, DATE, cluster >> 16, 0, DATE, cluster & 0xFFFF, size)


def _named(name, taken, attributes, cluster, size):
    """Returns the entries of a file: the long name's, last part first, and the short one's."""
    short = _short_name(name, taken)
    taken.add(short)
    last = [_entry(short, attributes, cluster, size)]
    if _joined(short) == name:
        return last
    checksum = 0
    for byte in short:
        checksum = ((checksum >> 1) + ((checksum & 1) << 7) + byte) & 0xFF
    text = name.encode("utf-16-le")
    count = -(-len(name) // 13)
    if len(name) % 13:
        text += b"\0\0"
    text = text.ljust(26 * count, b"\xff")
    long = []
    for part in range(count, 0, -1):
        units = text[26 * (part - 1):26 * part]
        order = part | (0x40 if part == count else 0)
        long.append(struct.pack("<B10sBBB12sH4s", order, units[:10], LONG_NAME, 0, checksum, units[10:22], 0, units[22:]))
    return long + last


def _joined(short):
    stem, extension = short[:8].rstrip().decode(), short[8:].rstrip().decode()
    return f"{stem}.{extension}" if extension else stem


def _short_name(name, taken):
    """Returns the eight and three characters that a name has on old systems."""
    stem, _, extension = name.upper().rpartition(".") if "." in name else (name.upper(), "", "")
    allowed = lambda text: bytes(byte for byte in text.encode() if byte in IN_SHORT_NAMES)  # noqa: E731
    short_stem, short_extension = allowed(stem), allowed(extension)
    fits = short_stem.decode() == stem and short_extension.decode() == extension
    if fits and 1 <= len(stem) <= 8 and len(extension) <= 3:
        short = short_stem.ljust(8) + short_extension.ljust(3)
        if short not in taken:
            return short
    for number in range(1, 10000):
        tail = b"~%d" % number
        short = (short_stem[:8 - len(tail)] + tail).ljust(8) + short_extension[:3].ljust(3)
        if short not in taken:
            return short
    raise Failure(f"too many files are named like {name}")
