"""What more VMs and more vCPUs add to the cost of an operation."""

from xml.sax.saxutils import escape

import bench_run
from bench_many import Boots, Vm

CPUS = 4
VMS = (1, 2, 4, 8, 16)
VCPUS = {2: (2, 4, 8), 3: (2, 4, 8, 16, 32, 64)}
SWITCH = "switch_pair_clean"
ROWS = {
    "switch_pair_clean": "two IPIs and two switches on one CPU",
    "ipi_pingpong_wfi": "IPI there and back, both in WFI",
    "sgi_self": "SGI to self, to its handler's end",
    "timer_busy_latency": "virtual timer to its handler",
    "timer_wfi_latency_2ms": "the same out of WFI, after 2 ms",
}
TITLES = {
    "VMs": "VMs, of which all but one sleep on the CPUs of the one that is measured",
    "vCPUs": "vCPUs of one VM, of which all but two sleep, shared out among 4 CPUs",
}
COLOURS = ("#2a6f97", "#c1121f", "#52a447", "#bc6c25", "#6a4c93")


def measure(boots: Boots, most=None):
    """Returns the costs by what there is more of, by operation, by how many of it there are."""
    vms = [n for n in VMS if n <= (most or n)]
    vcpus = [n for n in VCPUS[boots.machine.gic] if n <= (most or n)]
    return {
        "VMs": _columns((n, _among_vms(boots, n)) for n in vms),
        "vCPUs": _columns((n, _among_vcpus(boots, n)) for n in vcpus),
    }


def switch_among(boots: Boots, count):
    """Returns what a pair of switches costs on a CPU that `count - 1` VMs more sleep on."""
    return _run(boots, _switching(2), count, [0])[SWITCH]


def _switching(vcpus):
    pin = [0] * vcpus
    return Vm("bench", f"switch settle others={vcpus - 2}", vcpus, 256, pin)


def _among_vms(boots, count):
    apart = _run(boots, Vm("bench", "scale settle", 2, 256, [0, 1]), count, [0, 1])
    return {**_run(boots, _switching(2), count, [0]), **apart}


def _among_vcpus(boots, count):
    pin = [n % CPUS for n in range(count)]
    apart = _run(boots, Vm("bench", f"scale settle others={count - 2}", count, 256, pin), 1, [])
    return {**_run(boots, _switching(count), 1, []), **apart}


def _run(boots, bench, count, sleepers_on):
    """Runs the bench VM and `count - 1` that sleep; returns its rows."""
    others = [Vm(f"s{n}", "idle", pin=[sleepers_on[n % len(sleepers_on)]]) for n in range(count - 1)]
    rows = {}
    with boots.start(CPUS, [*others, bench]) as talk:
        while True:
            line = talk.wait("BENCH |bench: done").string
            found = bench_run.ROW.search(line)
            if found is None:
                return rows
            if found[1] in ROWS:
                rows[found[1]] = float(found[3])


def _columns(runs):
    costs = {name: {} for name in ROWS}
    for count, rows in runs:
        for name, cost in rows.items():
            costs[name][str(count)] = cost
    return costs


def text(machine, scaling):
    """Returns the costs as text."""
    lines = [f"{machine.name}: instructions per operation"]
    for more, costs in scaling.items():
        counts = list(next(iter(costs.values())))
        lines += ["", TITLES[more], "operation".ljust(26) + "".join(count.rjust(9) for count in counts)]
        for name, by_count in costs.items():
            lines.append(name.ljust(26) + "".join(f"{by_count[count]:9g}" if count in by_count else " " * 9 for count in counts))
    return "\n".join(lines)


def svg(machine, scaling):
    """Returns the costs as a drawing: a field for each thing there is more of."""
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 700" font-family="sans-serif" font-size="13">',
        '<rect width="760" height="700" fill="#fff"/>',
        f'<text x="16" y="26" font-size="15" font-weight="bold">{escape(machine.name)}: instructions per operation, guest and hypervisor</text>',
    ]
    for number, (more, costs) in enumerate(scaling.items()):
        parts += _field(50 + 280 * number, TITLES[more], costs)
    for number, (name, title) in enumerate(ROWS.items()):
        y = 624 + 15 * number
        parts.append(f'<rect x="60" y="{y - 9}" width="14" height="4" fill="{COLOURS[number]}"/><text x="82" y="{y}">{escape(title)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _field(top, title, costs):
    """Returns a field: linear upwards from zero, each doubling the same width."""
    counts = sorted({int(count) for by_count in costs.values() for count in by_count})
    most = max(cost for by_count in costs.values() for cost in by_count.values())
    x = {count: 70 + 600 * n / max(1, len(counts) - 1) for n, count in enumerate(counts)}
    y = lambda cost: top + 220 - 200 * cost / most  # noqa: E731
    parts = [
        f'<text x="16" y="{top + 8}">{escape(title)}</text>',
        f'<line x1="60" y1="{top + 220}" x2="690" y2="{top + 220}" stroke="#999"/>',
    ]
    for count in counts:
        parts.append(f'<text x="{x[count]:.0f}" y="{top + 238}" text-anchor="middle">{count}</text>')
    for (name, by_count), colour in zip(costs.items(), COLOURS):
        points = [(x[int(count)], y(cost), cost) for count, cost in by_count.items()]
        path = " ".join(f"{at:.1f},{height:.1f}" for at, height, _ in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for at, height, cost in (points[:1] + points[-1:]) if name in ("switch_pair_clean", "ipi_pingpong_wfi") else []:
            parts.append(f'<text x="{at:.0f}" y="{height - 5:.1f}" font-size="11" fill="{colour}">{cost:g}</text>')
    return parts
