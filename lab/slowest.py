"""Prints what tests cost: CPU of their own process, CPU of those they started, and wall time.

`python -m lab.slowest tests/integration -n 2` takes whatever pytest takes. On a busy machine the
CPU can still be compared, the wall time can not. A process that was killed together with whoever
should have waited for it is missing.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Generator, Mapping
from pathlib import Path

import pytest

FOLDER = "CHILLY_LAB_SLOWEST"
"""The setting that says where each process of pytest leaves its figures."""
_MOST = 40
_TICKS = os.sysconf("SC_CLK_TCK")
_spent: dict[str, tuple[float, float, float]] = {}

Costs = Mapping[str, tuple[float, float, float]]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Note what this test costs, with its fixtures."""
    before, own, others = time.monotonic(), *_cpu()
    try:
        return (yield)
    finally:
        after, own_after, others_after = time.monotonic(), *_cpu()
        _spent[item.nodeid] = (own_after - own, others_after - others, after - before)


def pytest_sessionfinish() -> None:
    """Leave the figures of this process."""
    path = Path(os.environ[FOLDER], f"{os.getpid()}.json")
    path.write_text(json.dumps(_spent))


def _cpu() -> tuple[float, float]:
    """Seconds that this process took so far, and those below it."""
    own, ended = (
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )
    return own, ended + _running(os.getpid())


def _running(pid: int) -> float:
    """Seconds of all below a process that still run, and of those they waited for."""
    found = 0.0
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            for child in children.read_text().split():
                fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
                found += sum(map(int, fields[11:15])) / _TICKS + _running(int(child))
        except OSError:  # it has just ended
            continue
    return found


def table(costs: Costs) -> list[str]:
    """The dearest files, and the dearest tests without their parameters."""
    lines = []
    for title, end in (("file", "::"), ("test", "[")):
        sums: dict[str, list[float]] = defaultdict(lambda: [0.0] * 3)
        for test, figures in costs.items():
            key = test.partition(end)[0]
            sums[key] = [a + b for a, b in zip(sums[key], figures, strict=True)]
        lines.append(f"{'own':>8} {'started':>8} {'wall':>8}  {title}")
        dearest = sorted(sums.items(), key=lambda entry: -entry[1][0] - entry[1][1])[:_MOST]
        lines += [f"{a:8.1f} {b:8.1f} {c:8.1f}  {key}" for key, (a, b, c) in dearest]
    lines.append(f"{sum(own + others for own, others, _ in costs.values()):.0f} s of CPU in all")
    return lines


def main(arguments: list[str]) -> int:
    """Run pytest with these arguments; its exit code."""
    costs: dict[str, tuple[float, float, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "lab.slowest", *arguments]
        code = subprocess.run(command, env={**os.environ, FOLDER: folder}, check=False).returncode
        for path in Path(folder).iterdir():
            costs |= json.loads(path.read_text())
    print("\n".join(table(costs)))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
