"""A server that sleeps as a laptop does: SIGSTOP for long, its peers alive and waiting.

`python -m lab.crash.sleep --seconds 30 150`: after each sleep bytes must arrive again within
ten seconds, by themselves.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from lab.crash import faults
from lab.crash.fire import Fire

WITHIN = 10.0


async def sleeps(folder: Path, seed: int, seconds: list[float]) -> Fire:
    """One life of the server for each sleep, in each a job that downloads when it begins."""
    async with Fire(folder, seed, sizes=(8, 4, 6), host=f"127.34.{seed % 250}") as fire:
        for each in seconds:
            await fire.round(partial(faults.stopped, seconds=each, within=WITHIN))
            sys.stdout.write(f"{fire.tally.notes[-1]}\n")
            sys.stdout.flush()
        await fire.finish()
    return fire


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Put the server to sleep for long.")
    parser.add_argument("--seconds", type=float, nargs="+", default=[30, 30, 30, 150, 150])
    parser.add_argument("--seed", type=int, default=None)
    wanted = parser.parse_args()
    seed = secrets.randbelow(1_000_000) if wanted.seed is None else wanted.seed
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chilly-sleep-", ignore_cleanup_errors=True) as folder:
        fire = asyncio.run(sleeps(Path(folder), seed, wanted.seconds))
    sys.stdout.write(f"{fire.tally.summary()}\ntook {time.monotonic() - began:.0f} s\n")
    return min(1, len(fire.tally.broken))


if __name__ == "__main__":
    sys.exit(main())
