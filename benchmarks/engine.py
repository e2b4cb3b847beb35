"""Our backend against other BitTorrent programs, all downloading the same film over loopback.

Run as `python -m benchmarks.engine`. Each download has a new tracker and a new libtorrent seeder
in its own process; the contenders take turns, so that a busy moment hits all of them. Ours is a
server process: a client starts the job over HTTP and watches the event stream all the time. With
`--tree` another clone of ours, with its own `.venv`, takes part, so that two states of the code are
compared in the same minutes. Each figure is a median; the spread is that of the rounds, and a ratio
is taken between the downloads of one round.

The numbers say something about this machine at this moment, the ratios a little more.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.leechers import ALL_BYTES, LEECHERS, Leecher, Scene, of_tree
from benchmarks.meter import Mark, Watch
from chilly_movies.tracker.http import run_tracker
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.process import free_port
from tests.peers.torrents import Torrent, make_film, make_torrent, sha256_of

PIECE_SIZE = 1 << 20
BASELINE = "libtorrent"
HEADINGS = (
    "client", "until", "seconds", "min-max", "MB/s", "CPU s", "peak MB", "first byte s",
    "speed ratio", "ratio min-max",
)  # fmt: skip


@dataclass(slots=True)
class Row:
    """One line of the table: a contender at one of its points, over all rounds."""

    name: str
    until: str
    missing: str = ""
    marks: list[Mark] = field(default_factory=list)
    first_bytes: list[float] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """The median of all rounds."""
        return statistics.median(mark.seconds for mark in self.marks)

    def figures(self, size: int, baseline: Row | None) -> dict[str, Any]:
        """Medians in plain numbers; what there is no number for is None."""
        shown: dict[str, Any] = {"client": self.name, "until": self.until}
        if not self.marks:
            return {**shown, "missing": self.missing}
        seconds = [mark.seconds for mark in self.marks]
        others = [] if baseline is None else [mark.seconds for mark in baseline.marks]
        ratios = [other / own for other, own in zip(others, seconds, strict=False)]
        return {
            **shown,
            "seconds": round(self.seconds, 2),
            "min-max": spread(seconds),
            "MB/s": round(size / 1e6 / self.seconds),
            "CPU s": round(statistics.median(mark.usage.cpu for mark in self.marks), 2),
            "peak MB": round(statistics.median(mark.usage.peak for mark in self.marks) / 1e6),
            "first byte s": round(statistics.median(self.first_bytes), 2)
            if self.first_bytes
            else None,
            "speed ratio": round(statistics.median(ratios), 2) if ratios else None,
            "ratio min-max": spread(ratios) if ratios else None,
            "runs": [round(each, 3) for each in seconds],
        }


def spread(values: Sequence[float]) -> str:
    """The least and the greatest of them."""
    return f"{min(values):.2f}-{max(values):.2f}"


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine", description=__doc__)
    parser.add_argument("--size-mib", type=int, default=1024, help="size of the film")
    parser.add_argument("--rounds", type=int, default=5, help="downloads of each contender")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument("--only", metavar="NAME,...", help="of these contenders only")
    parser.add_argument(
        "--tree", type=Path, action="append", default=[], metavar="PATH",
        help="another clone of ours that takes part; may be given again",
    )  # fmt: skip
    parser.add_argument("--dir", type=Path, help="where to work; else where temporary files go")
    options = parser.parse_args(arguments)
    names = [leecher.name for leecher in LEECHERS]
    chosen = options.only.split(",") if options.only else names
    if unknown := set(chosen) - set(names):
        parser.error(f"no contender {', '.join(sorted(unknown))}; there is: {', '.join(names)}")
    options.leechers = [leecher for leecher in LEECHERS if leecher.name in chosen]
    try:
        options.leechers += map(of_tree, options.tree)
    except ValueError as error:
        parser.error(str(error))
    return options


def file_system(path: Path) -> str:
    """The type of the file system a folder is on."""
    found = ("", "unknown")
    path = path.resolve()
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, point, kind, *_ = line.split()
        if path.is_relative_to(point) and len(point) >= len(found[0]):
            found = (point, kind)
    return found[1]


async def download(leecher: Leecher, torrent: Torrent, port: int, folder: Path) -> Watch:
    """One download with a tracker and a seeder of its own; what it got is compared, too."""
    folder.mkdir()  # noqa: ASYNC240  # nothing else runs yet
    try:
        async with run_tracker(port=port), LibtorrentPeer() as seeder:
            await seeder.seed(torrent.path, torrent.folder)
            watch = await leecher.run(Scene(torrent, seeder, folder))
        got = folder / torrent.name
        if await asyncio.to_thread(sha256_of, got) != sha256_of(torrent.content):
            raise RuntimeError(f"{leecher.name} got something else")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return watch


async def measure(leechers: Sequence[Leecher], size: int, rounds: int, work: Path) -> list[Row]:
    """All contenders in turn, for so many rounds."""
    port = free_port()
    make_film(work / "seeded" / "film.mkv", size, seed=1)
    torrent = make_torrent(
        work / "seeded" / "film.mkv", work / "film.torrent", piece_size=PIECE_SIZE,
        trackers=[f"http://127.0.0.1:{port}/announce"], private=True,
    )  # fmt: skip
    rows = [Row(one.name, until, one.missing()) for one in leechers for until in one.marks]
    present = [leecher for leecher in leechers if not leecher.missing()]
    for number in range(rounds):
        # another one begins each round, so that nobody always follows the same one
        first = number % max(1, len(present))
        for leecher in present[first:] + present[:first]:
            watch = await download(leecher, torrent, port, work / "got")
            for row in (row for row in rows if row.name == leecher.name):
                row.marks += [mark for mark in watch.marks if mark.name == row.until]
                if watch.first_byte is not None:
                    row.first_bytes.append(watch.first_byte)
    return rows


def table(figures: Sequence[dict[str, Any]]) -> str:
    """The figures as lines with columns; a missing contender says what is missing."""
    lines = [list(HEADINGS)]
    for row in figures:
        cells = [row.get(heading) for heading in HEADINGS]
        if "missing" in row:
            cells[2] = row["missing"]
        lines.append(["-" if cell is None else str(cell) for cell in cells])
    lines.insert(1, ["-" * len(heading) for heading in HEADINGS])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |"
        for line in lines
    )


async def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    size = options.size_mib << 20
    work = Path(tempfile.mkdtemp(prefix="chilly-bench-", dir=options.dir))
    try:
        kind = file_system(work)
        rows = await measure(options.leechers, size, options.rounds, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    baseline = next((r for r in rows if r.name == BASELINE and r.until == ALL_BYTES), None)
    figures = [row.figures(size, baseline) for row in rows]
    print(
        f"{options.size_mib} MiB, pieces of {PIECE_SIZE >> 20} MiB, one seeder on loopback, "
        f"to {kind}, median of {options.rounds} with their least and greatest.\n"
        "Seconds, CPU and first byte count from the start command; the ratio is to bare "
        f"{BASELINE}, to its last byte, in the same round.\n\n{table(figures)}"
    )
    if options.json is not None:
        report = {"sizeMib": options.size_mib, "rounds": options.rounds, "fileSystem": kind}
        text = json.dumps({**report, "rows": figures}, indent=2)
        options.json.write_text(text + "\n")
    return figures


def main(arguments: Sequence[str] | None = None) -> None:
    asyncio.run(run(parse(arguments)))


if __name__ == "__main__":
    main()
