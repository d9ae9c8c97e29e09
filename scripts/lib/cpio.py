"""Writes cpio archives in the `newc` format, the same bytes for the same input."""

FILE = 0o100000
FOLDER = 0o040000
LINK = 0o120000
CHARACTER_DEVICE = 0o020000


class Archive:
    """An archive being built; entries keep the order in which they are added."""

    def __init__(self):
        self._parts = []
        self._entries = 0

    def file(self, name, data, mode=0o644):
        """Adds a regular file."""
        self._entry(name, FILE | mode, data)

    def folder(self, name):
        """Adds a folder; those above it must have been added before."""
        self._entry(name, FOLDER | 0o755)

    def link(self, name, target):
        """Adds a symbolic link to `target`."""
        self._entry(name, LINK | 0o777, target.encode())

    def character_device(self, name, major, minor, mode=0o600):
        """Adds a character device's node."""
        self._entry(name, CHARACTER_DEVICE | mode, device=(major, minor))

    def finish(self):
        """Returns the archive's bytes."""
        self._entry("TRAILER!!!", 0)
        return b"".join(self._parts)

    def _entry(self, name, mode, data=b"", device=(0, 0)):
        self._entries += 1
        encoded = name.encode() + b"\0"
        fields = (
            self._entries,  # inode: distinct, so that nothing looks hard-linked
            mode,
            0, 0,  # uid, gid
            1,  # links
            0,  # time
            len(data),
            0, 0,  # the file system's device
            *device,
            len(encoded),
            0,  # checksum, unused in this format
        )
        header = b"070701" + b"".join(b"%08x" % field for field in fields)
        self._parts += [_padded(header + encoded), _padded(data)]


def _padded(data):
    return data + bytes(-len(data) % 4)
