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
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from tests.acceptance.backend import Backend
from tests.fuzz.__main__ import say
from tests.siege.user import resident

_ROOT = Path(__file__).parents[2]
_CONTRACT = _ROOT / "contracts" / "openapi.yaml"
_CONFIG = _ROOT / "tests" / "acceptance" / "schemathesis.toml"
_UNLIMITED = {
    "CHILLY_RATE_LIMIT_START": "900000/minute",
    "CHILLY_RATE_LIMIT_CANCEL": "900000/minute",
    "CHILLY_MAX_ACTIVE": "20",
}
_ENDLESS = "^/(events|stream)"
_ROUND = 40
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


async def run(wanted: int, seed: int, folder: Path) -> int:
    """Rounds until there were so many requests; how many flaws there were."""
    began = time.monotonic()
    async with Backend(folder, _UNLIMITED, "--mock") as server:
        complaints, memory = "", 0.0
        number = 0
        while not complaints and (number < 2 or len(requests_in(server.log())) < wanted):
            complaints = await one_round(server.url, seed + number, _ROUND, folder)
            memory = memory or resident(server.pid)
            number += 1
            say(f"round {number}: {len(requests_in(server.log()))} requests so far, "
                f"{resident(server.pid):.1f} MB")  # fmt: skip
        grown = resident(server.pid) - memory
        health = (await server.http.get("/health")).json()
        log = server.log()
    requests = requests_in(log)
    for operation, statuses in sorted(by_operation(requests).items()):
        say(f"{operation:40} {dict(sorted(statuses.items()))}")
    broken = len([line for line in requests if line["status"] >= 500])
    flaws = broken + ('"level": "error"' in log) + bool(complaints) + (grown > _MEMORY_MB)
    say(complaints[-8000:])
    say(f"{len(requests)} requests in {time.monotonic() - began:.0f} s, {broken} of them 5xx, "
        f"{sum(health['jobs'].values())} jobs; memory after warm-up {memory:.1f} MB, "
        f"{grown:+.1f} at the end; load {os.getloadavg()[0]:.1f}")  # fmt: skip
    return flaws


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Fuzz the API by its contract.")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=None, help="repeat a run")
    wanted = parser.parse_args()
    seed = secrets.randbelow(1_000_000) if wanted.seed is None else wanted.seed
    say(f"seed {seed}; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(prefix=f"fuzz-api-{os.getpid()}-") as folder:
        return min(1, asyncio.run(run(wanted.requests, seed, Path(folder))))


if __name__ == "__main__":
    sys.exit(main())
