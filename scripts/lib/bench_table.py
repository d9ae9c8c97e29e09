"""Shows what was measured: as text, and as a drawing."""

from xml.sax.saxutils import escape

from bench_budget import IMAGE, LIMITS, sections

TITLES = {
    "psci_version_hvc": "PSCI_VERSION by HVC",
    "psci_version_smc": "PSCI_VERSION by SMC",
    "smccc_unknown_hvc": "unknown function",
    "smccc_workaround1_hvc": "SMCCC_ARCH_WORKAROUND_1",
    "sysreg_r_id_aa64pfr0": "ID register read",
    "sysreg_w_actlr": "ACTLR_EL1 write",
    "sysreg_w_oslar": "OSLAR_EL1 write",
    "sysreg_w_dcisw": "DC ISW",
    "mmio_r_gicd_typer": "GICD_TYPER read",
    "mmio_w_gicd_icenabler1": "GICD_ICENABLER write",
    "mmio_r_uart_fr": "UARTFR read",
    "sgi_self": "SGI to self, to its handler's end",
    "timer_busy_latency": "virtual timer to its handler",
    "timer_wfi_latency_2ms": "the same out of WFI, after 2 ms",
    "ipi_pingpong_wfi": "IPI there and back, both in WFI",
    "switch_pair_clean": "two IPIs and two switches on one CPU",
}
PARTS = {
    "many": "among many VMs, in instructions",
    "memory": "the hypervisor's own memory, in bytes",
    "boot": "boot, in instructions",
    "image": "image, in bytes",
}
KINDS = ("MRS", "MSR", "ISB", "DSB", "TLBI", "atomic")


def text(machine, measured, recorded):
    """Returns the table."""
    lines = [f"{machine.name}: instructions per operation, and what EL2 executes of some kinds", ""]
    heads = ["operation", "now", "at most", "aim", "record", *KINDS]
    lines.append(_line(heads))
    before = recorded.get("rows", {})
    for name, row in measured["rows"].items():
        limits = [_cell(limit) for limit in LIMITS.get(name, (None, None))]
        cells = [name, f"{row['instructions']:g}", *limits, _cell(before.get(name, {}).get("instructions"))]
        cells += [_cell(row.get(kind)) for kind in KINDS]
        lines.append(_line(cells))
    for part, title in PARTS.items():
        lines += ["", title] if part in measured else []
        for name, value in measured.get(part, {}).items():
            lines.append(_line([name, f"{value:,}", "", "", _cell(recorded.get(part, {}).get(name))]))
    lines.append(_line(["all sections", f"{sections(measured):,}", f"{IMAGE:,}"]))
    return "\n".join(lines)


def _line(cells):
    widths = [26, 12, 9, 7, 12] + [7] * (len(cells) - 5)
    first = cells[0].ljust(widths[0])
    return (first + "".join(cell.rjust(width) for cell, width in zip(cells[1:], widths[1:]))).rstrip()


def _cell(value):
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def svg(machine, measured):
    """Returns the table as a drawing: a bar for each operation."""
    rows = [(name, title, measured["rows"][name]) for name, title in TITLES.items() if name in measured["rows"]]
    most = max(row["instructions"] for _, _, row in rows)
    height = 72 + 24 * len(rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 {height}" font-family="sans-serif" font-size="13">',
        f'<rect width="760" height="{height}" fill="#fff"/>',
        f'<text x="16" y="26" font-size="15" font-weight="bold">{escape(machine.name)}: instructions per operation, guest and hypervisor</text>',
    ]
    for number, (name, title, row) in enumerate(rows):
        y = 48 + 24 * number
        # Square roots keep the short bars visible beside the long ones.
        scale = lambda value: max(2, 380 * (value / most) ** 0.5)  # noqa: E731
        width = scale(row["instructions"])
        parts.append(f'<text x="16" y="{y + 13}">{escape(title)}</text>')
        parts.append(f'<rect x="290" y="{y}" width="{width:.1f}" height="17" fill="#2a6f97"/>')
        end = width
        for limit, colour in zip(LIMITS.get(name, ()), ("#c1121f", "#52a447")):
            at = scale(limit)
            end = max(end, at)
            parts.append(f'<rect x="{289 + at:.1f}" y="{y - 2}" width="3" height="21" fill="{colour}"/>')
        parts.append(f'<text x="{298 + end:.1f}" y="{y + 13}">{row["instructions"]:g}</text>')
    y = 44 + 24 * len(rows)
    parts.append(f'<text x="16" y="{y + 13}" fill="#555">Red: what it may cost at most. Green: what is aimed at.</text>')
    return "\n".join([*parts, "</svg>", ""])
