"""Watching a film while it arrives, and after: how soon, how fast, and what it costs.

    python -m benchmarks.stream [--rounds 3] [--only swarm|http|disk|status] [--size 700]

Four parts: a film that comes from a slow swarm (ours and WebTorrent's own server), one that comes
from a web server as slow and as far away, a complete one over loopback (ours and nginx), and how
soon `status` answers meanwhile. Every byte is compared.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
from pathlib import Path

from benchmarks import stream_disk, stream_http, stream_swarm
from benchmarks.stream_player import MIB


def make_content(path: Path, size: int) -> Path:
    """A film of random bytes."""
    with path.open("wb") as file:
        for _ in range(size // MIB):
            file.write(os.urandom(MIB))
    return path


def show_swarm(figures: stream_swarm.Figures, rounds: int) -> None:
    """A table: median and worst of each row."""
    names = list(figures)
    if "WebTorrent" not in names:
        print("WebTorrent is missing: npm install --ignore-scripts in tests/peers/node")
    print(f"\nSeconds, median (worst) of {rounds} rounds; 5 MB/s, 20 ms, 700 MB, 1 MiB pieces")
    print("| | " + " | ".join(names) + " | aim |")
    print("|---" * (len(names) + 2) + "|")
    for row in stream_swarm.ROWS:
        cells = [
            f"{statistics.median(seconds):.2f} ({max(seconds):.2f})" if seconds else "-"
            for seconds in (figures[name][row] for name in names)
        ]
        print(f"| {row} | " + " | ".join(cells) + f" | {stream_swarm.AIMS.get(row, '')} |")


async def run(parts: list[str], rounds: int, size: int, contender: str) -> None:
    """Measure and print."""
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        content = make_content(folder / "film.mkv", size * MIB)
        async with stream_swarm.swarm(folder, content) as common:
            if "swarm" in parts:
                show_swarm(await stream_swarm.measure(common, rounds, contender), rounds)
            if "http" in parts:
                stream_http.show(await stream_http.measure(content, rounds), rounds)
            if "disk" in parts:
                stream_disk.show_disk(await stream_disk.measure(folder, content, rounds), rounds)
            if "status" in parts:
                found = await stream_disk.status_meanwhile(folder, content)
                arriving = await stream_swarm.status_while_watching(common, folder / "arriving")
                stream_disk.show_status({**found, "a film arrives and is watched": arriving})


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=700, help="MiB of the film")
    parser.add_argument("--only", choices=("swarm", "http", "disk", "status"))
    parser.add_argument("--contender", default="", help="of the swarm, only this one")
    given = parser.parse_args()
    parts = [given.only] if given.only else ["swarm", "http", "disk", "status"]
    asyncio.run(run(parts, given.rounds, given.size, given.contender))


if __name__ == "__main__":
    main()
