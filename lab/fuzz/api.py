"""`make fuzz-api REQUESTS=10000`: the whole contract under schemathesis, and what it costs."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lab.fuzz.__main__ import say
from lab.siege.user import resident
from tests.acceptance.backend import Backend

_ROOT = Path(__file__).parents[2]
_CONTRACT = _ROOT / "contracts" / "openapi.yaml"
_CONFIG = _ROOT / "tests" / "acceptance" / "schemathesis.toml"
_UNLIMITED = {
    "CHILLY_RATE_LIMIT_START": "900000/minute",
    "CHILLY_RATE_LIMIT_CANCEL": "900000/minute",
    "CHILLY_MAX_ACTIVE": "20",
}
_ENDLESS = r"^/(events|stream/\{id\}($|/))"
"""Events, which never end, and films, which are as long as films; the playlist is neither."""
_ROUND = 25
"""Examples of a phase in one round; the first round is warm-up."""
_MEMORY_MB = 20.0


async def one_round(url: str, seed: int, examples: int, folder: Path) -> str:
    """One run over all operations and chains of them; what it complains of."""
    fuzzer = await asyncio.create_subprocess_exec(
        "nice", "-n", "5", Path(sys.executable).parent / "schemathesis",
        "--config-file", _CONFIG, "run", _CONTRACT, "--url", url,
        "--exclude-path-regex", _ENDLESS, "--checks", "all", "--max-examples", str(examples),
        "--seed", str(seed), "--request-timeout", "10",
        cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await fuzzer.communicate()
    return "" if fuzzer.returncode == 0 else said.decode(errors="replace")


def requests_in(log: str) -> list[dict[str, Any]]:
    """The requests of an access log."""
    lines = (json.loads(line) for line in log.splitlines() if line.startswith("{"))
    return [line for line in lines if line.get("event") == "request"]


def by_operation(requests: Iterable[dict[str, Any]]) -> dict[str, Counter[int]]:
    """How often each operation of the contract gave each status."""
    paths = yaml.safe_load(_CONTRACT.read_text())["paths"]
    known = [(path, re.compile(re.sub(r"\\?\{\w+\\?\}", "[^/]+", path))) for path in paths]
    found: dict[str, Counter[int]] = {}
    for line in requests:
        fits = [path for path, pattern in known if pattern.fullmatch(line["path"])]
        operation = (
            f"{line['method']} {min(fits, key=lambda path: path.count('{'))}" if fits else "?"
        )
        found.setdefault(operation, Counter())[line["status"]] += 1
    return found


@dataclass
class Lane:
    """One fuzzer with a server of its own: two that share one would trip over each other's jobs.

    Attributes:
        number: from 0.
        rounds: how many are done.
        requests: how many its server had so far.
        log: of its server.
        complaints: what the fuzzer complains of.
        memory: MB of the server after the first round.
        grown: MB more at the end.
        jobs: how many there were at the end.
    """

    number: int
    rounds: int = 0
    requests: int = 0
    log: str = ""
    complaints: str = ""
    memory: float = 0.0
    grown: float = 0.0
    jobs: int = 0


async def fuzz(lane: Lane, lanes: Sequence[Lane], wanted: int, seed: int, folder: Path) -> None:
    """Rounds until all lanes together had so many requests, two at least: one is warm-up."""
    async with Backend(folder, _UNLIMITED, "--mock") as server:
        while lane.rounds < 2 or sum(each.requests for each in lanes) < wanted:
            own_seed = seed + lane.number + len(lanes) * lane.rounds
            lane.complaints = await one_round(server.url, own_seed, _ROUND, folder)
            lane.rounds += 1
            lane.requests = len(requests_in(server.log()))
            lane.memory = lane.memory or resident(server.pid)
            lane.grown = resident(server.pid) - lane.memory
            say(f"server {lane.number + 1}, round {lane.rounds}: {lane.requests} requests so far, "
                f"{resident(server.pid):.1f} MB")  # fmt: skip
            if lane.complaints:
                break
        lane.jobs = sum((await server.http.get("/health")).json()["jobs"].values())
        lane.log = server.log()


async def run(wanted: int, seed: int, count: int, folder: Path) -> int:
    """All lanes at once; how many flaws there were."""
    began = time.monotonic()
    lanes = [Lane(number) for number in range(count)]
    async with asyncio.TaskGroup() as group:
        for lane in lanes:
            group.create_task(fuzz(lane, lanes, wanted, seed, folder / str(lane.number)))
    took = time.monotonic() - began
    log = "".join(lane.log for lane in lanes)
    complaints = "".join(lane.complaints[-8000:] for lane in lanes)
    grown = sum(lane.grown for lane in lanes)
    requests = requests_in(log)
    for operation, statuses in sorted(by_operation(requests).items()):
        say(f"{operation:40} {dict(sorted(statuses.items()))}")
    broken = len([line for line in requests if line["status"] >= 500])
    flaws = broken + ('"level": "error"' in log) + bool(complaints) + (grown > _MEMORY_MB)
    say(complaints)
    say(f"{len(requests)} requests in {took:.0f} s, {broken} of them 5xx, "
        f"{sum(lane.jobs for lane in lanes)} jobs; memory after warm-up "
        f"{sum(lane.memory for lane in lanes):.1f} MB in {count} servers, "
        f"{grown:+.1f} at the end; load {os.getloadavg()[0]:.1f}")  # fmt: skip
    return flaws


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Fuzz the API by its contract.")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--lanes", type=int, default=2, help="fuzzers at once")
    parser.add_argument("--seed", type=int, default=None, help="repeat a run")
    wanted = parser.parse_args()
    seed = secrets.randbelow(1_000_000) if wanted.seed is None else wanted.seed
    say(f"seed {seed}; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(prefix=f"fuzz-api-{os.getpid()}-") as folder:
        return min(1, asyncio.run(run(wanted.requests, seed, wanted.lanes, Path(folder))))


if __name__ == "__main__":
    sys.exit(main())
