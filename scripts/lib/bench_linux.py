"""Counts Linux's boot, as a guest and on the bare machine, by the test that holds it."""

import re
import subprocess

from project import ROOT, Failure

SPAN = re.compile(r"(\S+): (\d+) instructions as a guest, (\d+) natively, ratio ([\d.]+), at most ([\d.]+)")
TESTS = {"max": "on_max", "cortex-a72": "on_cortex_a72"}


def spans(cpu):
    """Prints the numbers of one CPU; returns a line if the guest executes too much."""
    if cpu not in TESTS:
        raise Failure(f"--linux is for {' and '.join(TESTS)}")
    command = ["cargo", "test", "--quiet", "--test", "bootspan", TESTS[cpu], "--", "--exact", "--nocapture"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    found = SPAN.search(done.stdout)
    if found is None:
        raise Failure(f"Linux's boot was not counted: {done.stdout[-500:]}")
    _, guest, native, ratio, most = found.groups()
    print(f"Linux's boot: {int(guest):,} instructions as a guest, {int(native):,} natively: {ratio} times as many, {most} at most\n")
    return [f"Linux's boot: {ratio} times as many instructions, {most} at most"] if float(ratio) > float(most) else []
