"""The long runs, from the command line: `python -m lab.crash.soak --help`."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
import tempfile
import time
from pathlib import Path

from lab.crash.fire import Fire

_SHOW = 10.0
"""Seconds between two lines of progress."""


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


async def soak(rounds: int, seed: int) -> int:
    """The loop of `test_crash.py`, long.

    Returns:
        How many promises were broken.
    """
    began = shown = time.monotonic()
    host = f"127.{seed % 200 + 20}.{seed // 200 % 250}"
    with tempfile.TemporaryDirectory(prefix="chilly-soak-", ignore_cleanup_errors=True) as folder:
        async with Fire(Path(folder), seed, host=host) as fire:
            for number in range(rounds):
                broken = len(fire.tally.broken)
                await fire.round()
                for promise in fire.tally.broken[broken:]:
                    _say(f"BROKEN {promise}")
                if time.monotonic() - shown > _SHOW:
                    shown = time.monotonic()
                    spent = shown - began
                    _say(
                        f"{number + 1} of {rounds} rounds in {spent:.0f} s, "
                        f"{fire.tally.acks} acks, {len(fire.tally.broken)} broken promises"
                    )
            await fire.finish()
    _say(f"{fire.tally.summary()}\ntook {time.monotonic() - began:.0f} s")
    return len(fire.tally.broken)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Shake the real server for long.")
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--seed", type=int, default=None, help="repeat a run")
    wanted = parser.parse_args()
    seed = secrets.randbelow(1_000_000) if wanted.seed is None else wanted.seed
    _say(f"seed {seed}; repeat this run with SEED={seed}")
    return min(1, asyncio.run(soak(wanted.rounds, seed)))


if __name__ == "__main__":
    sys.exit(main())
