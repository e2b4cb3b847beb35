"""`make fuzz MINUTES=30`: atheris on every target, then a look for leaks; prints a table.

What breaks a target is kept in `lab/fuzz/found/<target>` and is run in the tests from then on.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lab.fuzz.targets import TARGETS

FOUND = Path(__file__).parent / "found"
_LEAK_KIB = 4096
"""What memory may differ by over nine rounds of a corpus."""


def say(text: str) -> None:
    """A line of output, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _worker(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["nice", "-n", "10", sys.executable, "-m", "lab.fuzz.worker", *arguments],
        capture_output=True, text=True, errors="replace", cwd=Path(__file__).parents[2],
    )  # fmt: skip


def fuzz(name: str, seconds: float, folder: Path) -> int:
    """Fuzz one target; how many flaws there were."""
    corpus, broken = folder / name, FOUND / name
    corpus.mkdir(parents=True)
    kept = [path.read_bytes() for path in broken.glob("*")] if broken.is_dir() else []
    for number, data in enumerate([*TARGETS[name].seeds, *kept]):
        (corpus / f"seed{number}").write_bytes(data)
    crashes = folder / f"{name}-broken"
    crashes.mkdir()
    ran = _worker(
        name, str(corpus), f"-max_total_time={seconds:.0f}", "-print_final_stats=1", "-timeout=20",
        "-rss_limit_mb=2048", f"-artifact_prefix={crashes}/",
    )  # fmt: skip
    counted = re.search(r"number_of_executed_units: *(\d+)", ran.stderr)
    covered = re.findall(r" cov: (\d+)", ran.stderr)
    leak = _worker(name, str(corpus), "--replay")
    grown = -1
    if leak.returncode == 0:
        before, after = map(int, leak.stdout.split())
        grown = after - before
    for path in crashes.iterdir():
        broken.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, broken / path.name)
    inputs = len(list(corpus.iterdir()))
    flaws = len(list(crashes.iterdir())) + (ran.returncode != 0)
    execs, edges = int(counted[1]) if counted else 0, covered[-1] if covered else 0
    say(
        f"{name:10} {execs:>10,} execs, {edges:>5} edges, {inputs:>5} inputs, "
        f"memory {grown:+} KiB, {'BROKEN' if flaws else 'held'}"
    )
    if flaws:
        told = (ran.stdout + ran.stderr).splitlines()[-40:]
        say("\n".join([f"ended with {ran.returncode}", *told]))
    return flaws + (grown > _LEAK_KIB)


def run(minutes: float, names: Sequence[str], at_once: int) -> int:
    """Fuzz these targets, so many minutes in sum; how many flaws there were."""
    seconds = 60 * minutes / len(names)
    with (
        tempfile.TemporaryDirectory(prefix=f"fuzz-{os.getpid()}-") as folder,
        ThreadPoolExecutor(at_once) as pool,
    ):
        return sum(pool.map(lambda name: fuzz(name, seconds, Path(folder)), names))


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Fuzz what strangers can send us.")
    parser.add_argument("targets", nargs="*", choices=[[], *TARGETS], help="only these")
    parser.add_argument("--minutes", type=float, default=30, help="in sum")
    parser.add_argument("--at-once", type=int, default=1, help="processes")
    wanted = parser.parse_args()
    say(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; fuzzers at nice 10")
    return min(1, run(wanted.minutes, wanted.targets or [*TARGETS], wanted.at_once))


if __name__ == "__main__":
    sys.exit(main())
