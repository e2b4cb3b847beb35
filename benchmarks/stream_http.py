"""How soon a film behind a link can be watched: 5 MB/s in all, 20 ms away, as in the swarm's part.

The clock starts with the command to fetch it. All connections share the one line, as they do at
home. A second row of figures is of a server that has no ranges.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
from pathlib import Path

from benchmarks.stream_player import MIB, Film, Player
from benchmarks.stream_swarm import BITRATE, PLAYED, ROUND_TRIP, SEEK_TO, UPLOAD, WITHIN, Ours
from tests.peers.distant import distant
from tests.peers.nginx import nginx

ROWS = (
    "first byte", "first MiB", "last MiB, asked for at once", "seek to 60 %: first byte",
    "seek to 60 %: first MiB", "standing still in 8 s, begun with 1 s of film",
    "no ranges: first byte", "no ranges: first MiB",
)  # fmt: skip
AIMS = {ROWS[1]: 0.3, ROWS[4]: 0.3}
Figures = dict[str, list[float]]
"""Seconds of each round, by row."""


async def measure(content: Path, rounds: int) -> Figures:
    """Several rounds, each with a server of ours that knows nothing of the film."""
    found: Figures = {row: [] for row in ROWS}
    film = Film(content)
    async with nginx(content.parent) as origin:
        port = int(origin.url.rpartition(":")[2])
        async with distant(port, ROUND_TRIP, UPLOAD) as far:
            base = f"http://127.0.0.1:{far}"
            for _ in range(rounds):
                figures = await _watch(f"{base}/{content.name}", film)
                figures += (await _watch(f"{base}/plain/{content.name}", film, seeks=False))[:2]
                for row, seconds in zip(ROWS, figures, strict=True):
                    found[row].append(seconds)
    return found


async def _watch(link: str, film: Film, *, seeks: bool = True) -> list[float]:
    loop = asyncio.get_running_loop()
    with tempfile.TemporaryDirectory() as folder:
        async with Ours(Path(folder)) as ours, asyncio.timeout(WITHIN + 2 * PLAYED):
            began = loop.time()
            wish = {"id": "film", "sourceType": "http", "sourceUrn": link}
            await ours.backend.verb("start", wish)
            url, lead = f"{ours.backend.url}/stream/film", loop.time() - began
            async with Player(url, film) as head:
                found = [lead + await head.until(1), lead + await head.until(MIB)]
                if not seeks:
                    return found
                async with Player(url, film, film.size - MIB) as tail:
                    found += [await tail.until(MIB)]
                await asyncio.sleep(PLAYED)
            async with Player(url, film, int(film.size * SEEK_TO)) as later:
                found += [await later.until(1), await later.until(MIB)]
            return [*found, head.watched.stalled(BITRATE, int(BITRATE))]


def show(found: Figures, rounds: int) -> None:
    """A table: median and worst of each row."""
    print(f"\nSeconds over http, median (worst) of {rounds} rounds; 5 MB/s, 20 ms, all connections")
    print("| | ours | aim |\n|---|---|---|")
    for row, seconds in found.items():
        median, aim = statistics.median(seconds), AIMS.get(row, "")
        print(f"| {row} | {median:.2f} ({max(seconds):.2f}) | {aim} |")
