"""The recorded numbers, and what exceeds them."""

import json

from project import ROOT, write_whole

FILE = ROOT / "tests" / "budgets.json"
# What a number may grow by before it is too much: compilers move an instruction or two.
TOLERANCE = 1.02
# What an operation may cost at most on any machine, whatever the record says, and what is aimed at.
LIMITS = {
    "psci_version_hvc": (85, 55),
    "sysreg_r_id_aa64pfr0": (95, 60),
    "sysreg_w_actlr": (95, 60),
    "sysreg_w_oslar": (95, 60),
    "sysreg_w_dcisw": (95, 60),
    "mmio_r_gicd_typer": (150, 90),
    "mmio_w_gicd_icenabler1": (220, 140),
    "mmio_r_uart_fr": (150, 90),
    "sgi_self": (350, 220),
    "timer_busy_latency": (320, 200),
    "timer_wfi_latency_2ms": (360, 220),
    "ipi_pingpong_wfi": (1000, 600),
}
# The same for what is no operation: instructions from power-on, and bytes of all sections.
TO_READY = 3_000_000
IMAGE = 400 << 10


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


def above_limits(measured):
    """Returns a line for each operation that costs more than it may at most, and for what else does."""
    rows = measured["rows"]
    lines = []
    for name, (most, _) in LIMITS.items():
        if name not in rows:
            lines.append(f"{name} was not measured")
        elif rows[name]["instructions"] > most:
            lines.append(f"{name}: {rows[name]['instructions']:g} instructions, {most} at most")
    to_ready, image = measured["boot"]["to_ready"], sections(measured)
    if to_ready > TO_READY:
        lines.append(f"to_ready: {to_ready:,} instructions, {TO_READY:,} at most")
    if image > IMAGE:
        lines.append(f"image: {image:,} bytes, {IMAGE:,} at most")
    return lines


def sections(measured):
    """Returns the bytes of all sections of the image."""
    return sum(size for name, size in measured["image"].items() if name.startswith("."))


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
