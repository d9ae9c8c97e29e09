"""Reads 64-bit little-endian ELF files: flat images, and symbols.

As a program: `elf.py ELF IMAGE` writes the flat image.
"""

import bisect
import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from project import Failure, run_script, shown, write_whole  # noqa: E402

PT_LOAD = 1
SHT_SYMTAB = 2
STT_FUNC = 2
STT_NOTYPE = 0
# No image of this project comes near; a wild physical address does.
LARGEST_IMAGE = 1 << 30


class Elf:
    """An ELF file held in memory."""

    def __init__(self, path):
        self.path = path
        try:
            self.data = Path(path).read_bytes()
        except OSError as error:
            raise Failure(f"{shown(path)}: {error.strerror}") from error
        if self.data[:6] != b"\x7fELF\x02\x01":
            raise Failure(f"{shown(path)}: not a 64-bit little-endian ELF file")

    def image(self):
        """Returns the loadable segments laid out by physical address.

        It starts at the lowest physical address and ends where the last
        bytes that come from the file end: what follows is zeroed at boot.
        """
        segments = [segment for segment in self._segments() if segment[2] > 0]
        if not segments:
            raise Failure(f"{shown(self.path)}: nothing in it is loaded, so it makes no image")
        start = min(address for address, _, _ in segments)
        end = max(address + size for address, _, size in segments)
        if end - start > LARGEST_IMAGE:
            raise Failure(f"{shown(self.path)}: segments span {end - start:#x} bytes of physical addresses")
        image = bytearray(end - start)
        for address, offset, size in segments:
            image[address - start:address - start + size] = self._bytes(offset, size)
        return bytes(image)

    def symbols(self):
        """Returns code symbols as sorted `(address, size, name)` rows."""
        rows = []
        for kind, offset, size, link in self._sections():
            if kind != SHT_SYMTAB:
                continue
            names = self._bytes(*self._section(link)[1:3])
            for at in range(offset, offset + size, 24):
                name, info, _, index, value, length = self._unpack("<IBBHQQ", at)
                text = names[name:names.find(b"\0", name)].decode(errors="replace")
                # `$x` and `$d` mark code and data for disassemblers.
                if info & 15 in (STT_FUNC, STT_NOTYPE) and index and text and text[0] != "$":
                    rows.append((value, length, text))
        return sorted(rows)

    def _segments(self):
        table, = self._unpack("<Q", 32)
        size, count = self._unpack("<HH", 54)
        for at in range(table, table + size * count, size or 1):
            kind, _, offset, _, physical, in_file = self._unpack("<IIQQQQ", at)
            if kind == PT_LOAD:
                yield physical, offset, in_file

    def _sections(self):
        count, = self._unpack("<H", 60)
        return [self._section(index) for index in range(count)]

    def _section(self, index):
        table, = self._unpack("<Q", 40)
        size, = self._unpack("<H", 58)
        _, kind, _, _, offset, length, link = self._unpack("<IIQQQQI", table + index * size)
        return kind, offset, length, link

    def _bytes(self, offset, size):
        if offset + size > len(self.data):
            raise Failure(f"{shown(self.path)}: cut short; build it again")
        return self.data[offset:offset + size]

    def _unpack(self, layout, offset):
        return struct.unpack(layout, self._bytes(offset, struct.calcsize(layout)))


class Symbols:
    """Finds the symbol that an address lies in."""

    def __init__(self, elf):
        self._rows = elf.symbols()
        self._starts = [row[0] for row in self._rows]

    def find(self, address):
        """Returns `(name, offset)`, or None where no symbol covers `address`."""
        index = bisect.bisect_right(self._starts, address) - 1
        if index < 0:
            return None
        start, size, name = self._rows[index]
        # Symbols from assembly may have no size: they reach to the next one.
        if size and address >= start + size:
            return None
        return name, address - start


def main():
    if len(sys.argv) != 3:
        raise Failure("usage: elf.py ELF IMAGE", 2)
    write_whole(sys.argv[2], Elf(sys.argv[1]).image())


if __name__ == "__main__":
    run_script(main)
