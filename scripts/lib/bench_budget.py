"""The recorded numbers, and what exceeds them."""

import json

from project import ROOT, write_whole

FILE = ROOT / "tests" / "budgets.json"
# What a number may grow by before it is too much: compilers move an instruction or two.
TOLERANCE = 1.02


def load():
    """Returns the recorded numbers by the machine's name."""
    return json.loads(FILE.read_text()) if FILE.exists() else {}


def record(name, measured):
    """Makes what was measured on a machine the recorded numbers."""
    recorded = load()
    recorded[name] = measured
    write_whole(FILE, _lines(recorded).encode())


def exceeded(measured, recorded):
    """Returns a line for each number that is more than 2 % above its record."""
    lines = []
    for part in recorded:
        for name, before in recorded[part].items():
            now = measured.get(part, {}).get(name)
            if now is None:
                lines.append(f"{name} was not measured")
                continue
            if not isinstance(before, dict):
                before, now = {part: before}, {part: now}
            for kind in before:
                if kind not in now:
                    lines.append(f"{name}: no {kind} was counted; is there a C compiler?")
                elif now[kind] > before[kind] * TOLERANCE:
                    lines.append(f"{name}: {now[kind]:g} {kind}, recorded {before[kind]:g}")
    return lines


def _lines(recorded):
    """Returns JSON with one row a line, so that a change of a record is a line's change."""
    machines = []
    for machine in sorted(recorded):
        parts = []
        for part, rows in recorded[machine].items():
            inner = ",\n".join(f"      {json.dumps(name)}: {json.dumps(value)}" for name, value in rows.items())
            parts.append(f"    {json.dumps(part)}: {{\n{inner}\n    }}")
        machines.append(f"  {json.dumps(machine)}: {{\n" + ",\n".join(parts) + "\n  }")
    return "{\n" + ",\n".join(machines) + "\n}\n"
