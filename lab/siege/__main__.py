"""`make siege`: each attack against a real server, beside a local user; prints a table."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from lab.siege.field import Siege, Verdict
from lab.siege.plan import ROWS


def say(text: str) -> None:
    """A line of output, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


async def besiege(names: Sequence[str], small: bool, requests: int, folder: Path) -> int:
    """Run the attacks; how many of them the server did not stand."""
    rows = [row for row in ROWS if not names or row.attack in names]
    found: list[Verdict] = []
    for number, (settings, some) in enumerate(groupby(rows, lambda row: row.settings)):
        async with Siege(folder / str(number), settings) as siege:
            await siege.warm_up()
            for row in some:
                facts = dict(row.small if small else row.full)
                if row.attack == "forwarded" and requests:
                    facts["requests"] = requests
                found.append(await siege.stand(row, facts))
                say(found[-1].line())
            say(f"the server's log: {await siege.complaints() or 'no errors'}")
    return sum(bool(verdict.broken) for verdict in found)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Besiege the API and watch a local user.")
    parser.add_argument("attacks", nargs="*", help="only these")
    parser.add_argument("--small", action="store_true", help="as in the tests of every day")
    parser.add_argument("--requests", type=int, default=0, help="calls that lie about their origin")
    wanted = parser.parse_args()
    say(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; attackers at nice 10")
    with tempfile.TemporaryDirectory(prefix=f"siege-{os.getpid()}-") as folder:
        return min(
            1, asyncio.run(besiege(wanted.attacks, wanted.small, wanted.requests, Path(folder)))
        )


if __name__ == "__main__":
    sys.exit(main())
