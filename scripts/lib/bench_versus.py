"""Shows what operations cost under other hypervisors, and how many times as much as here."""

TITLES = {"native": "bare machine", "xen": "Xen", "kvm": "KVM", "kvm-nvhe": "KVM, no VHE"}
FIRST = 26
COLUMN = 12


def text(measured, peers):
    """Returns the table: a line for each operation, two columns for each peer."""
    heads = "operation".ljust(FIRST) + "Entresol".rjust(COLUMN) + "".join(TITLES[peer].rjust(2 * COLUMN) for peer in peers)
    lines = ["instructions per operation, and how many times as many as here", "", heads]
    for name, row in measured["rows"].items():
        others = [peers[peer]["rows"].get(name) for peer in peers]
        cells = [cell for other in others for cell in _beside(row, other)]
        lines.append(name.ljust(FIRST) + "".join(cell.rjust(COLUMN) for cell in (f"{row['instructions']:g}", *cells)))
    return "\n".join(lines)


def _beside(row, other):
    """Returns a peer's cost, and its multiple of ours."""
    if other is None:
        return "-", ""
    ours, theirs = row["instructions"], other["instructions"]
    # Where one executes nothing, no multiple says how much more the other does.
    if not ours or not theirs:
        return f"{theirs:g}", ""
    multiple = theirs / ours
    return f"{theirs:g}", f"{multiple:.{1 if multiple >= 1 else 2}f}x"
