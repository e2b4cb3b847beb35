"""Kills a server between a completed job and a filed film, again and again.

`python -m lab.library_kills [TIMES]` goes round all failpoints of the library's acceptance tests
until there were so many kills (300 if not said), and prints how many films were filed just once.
Ends with 1 if one was not.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections import Counter
from itertools import cycle, islice
from pathlib import Path

from tests.acceptance.test_library import STEPS, killed_and_filed


async def kill(times: int) -> Counter[str]:
    """What became of so many films."""
    outcomes: Counter[str] = Counter()
    for number, step in enumerate(islice(cycle(STEPS), times), 1):
        with tempfile.TemporaryDirectory(prefix="library-kill-") as folder:
            try:
                await killed_and_filed(Path(folder), step)
                outcomes["once"] += 1
            except AssertionError as error:
                outcomes["not once"] += 1
                sys.stdout.write(f"{step}: {error}\n")
        if number % 25 == 0:
            sys.stdout.write(f"{number} kills: {dict(outcomes)}\n")
            sys.stdout.flush()
    return outcomes


def main() -> None:
    """Kills as often as is asked for."""
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    outcomes = asyncio.run(kill(times))
    sys.stdout.write(f"{times} kills: {dict(outcomes)}\n")
    sys.exit(outcomes["once"] != times)


if __name__ == "__main__":
    main()
