"""WebRTC only: ours with Node, a page in Chromium and libtorrent, again and again.

Run as `python -m benchmarks.webrtc`. Each run has new peers, a new tracker, and no other way to
find or to reach a peer than WebRTC: all happens in a network namespace made for it. What arrived
is compared byte for byte; the program ends with 1 if any run failed.

`--plan proof` repeats transfers between ours and the others, `--plan start` compares how soon the
first byte comes with ours and with others as the leecher. `--plan load` fetches from Chromium while
other processes use all processors, which makes connections break in mid-film: column "still" has
the longest time in which nothing arrived between the first byte and the last.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pytest

from chilly_movies import Job, Phase, Status, WebTorrentDownloader
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.tracker.http import run_tracker
from tests.peers.browser import BrowserPeer
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.netns import Network, network_namespace
from tests.peers.node_tracker import NodeTracker
from tests.peers.process import LinePeer
from tests.peers.torrents import Torrent, make_film, make_torrent, sha256_of
from tests.peers.webtorrent import WebTorrentPeer

OURS = "ours"
PEERS = (OURS, "node", "chromium", "libtorrent")
PLANS = {
    "proof": ("node>ours*20", "ours>node*20", "chromium>ours*10", "ours>chromium*10"),
    "start": (
        "node>ours*20", "node>node*20", "chromium>ours*20", "chromium>node*20",
        "libtorrent>ours*20", "libtorrent>node*20", "libtorrent>libtorrent*20",
    ),
    "load": ("chromium>ours*40", "chromium>libtorrent*10"),
}  # fmt: skip
BUSY = {"load": 2 * (os.cpu_count() or 1)}
"""Processes that only compute, by plan."""
PIECE_SIZE = 1 << 18
RUN_LIMIT = 120.0
_POLL = 0.01
_LOOK = 0.1
_ENDED = (Status.COMPLETED, Status.FAILED, Status.CANCELED)
HEADINGS = (
    "seeder", "leecher", "runs", "failed", "first byte s", "worst", "whole s", "worst", "MB/s",
    "still s", "worst",
)  # fmt: skip
_NO_TCP = {
    "enable_incoming_tcp": False,
    "enable_outgoing_tcp": False,
    "enable_incoming_utp": False,
    "enable_outgoing_utp": False,
}


@dataclass(frozen=True, slots=True)
class Run:
    """One transfer: seconds from the leecher's start, or what went wrong.

    Attributes:
        still: the longest time in which nothing arrived in mid-film; None if nobody looked.
    """

    first_byte: float = 0.0
    whole: float = 0.0
    problem: str = ""
    still: float | None = None

    def rate(self, size: int) -> float:
        """MB/s from the first byte to the last."""
        return size / 1e6 / max(0.001, self.whole - self.first_byte)


@dataclass(frozen=True, slots=True)
class Pair:
    """Who seeds, who leeches, and how often."""

    seeder: str
    leecher: str
    times: int

    @classmethod
    def of(cls, text: str) -> Pair:
        """Reads `seeder>leecher*times`."""
        seeder, _, rest = text.partition(">")
        leecher, _, times = rest.partition("*")
        if seeder not in PEERS or leecher not in PEERS or not (times or "1").isdigit():
            raise argparse.ArgumentTypeError(f"{text!r} is no SEEDER>LEECHER*TIMES")
        return cls(seeder, leecher, int(times or 1))


@dataclass(frozen=True, slots=True)
class Scene:
    """What one run has: the network, a torrent with one WebSocket tracker, and an empty folder."""

    network: Network
    torrent: Torrent
    folder: Path

    @property
    def got(self) -> Path:
        """Where the leecher puts what it gets."""
        return self.folder / "got" / self.torrent.name


class Seeding(Protocol):
    """What a leecher has to know of its seeder."""

    async def has_sent(self) -> bool:
        """Whether a byte of payload has left it."""


# --- the others -------------------------------------------------------------------------


@asynccontextmanager
async def foreign(kind: str, scene: Scene) -> AsyncIterator[LinePeer]:
    """A peer of another program, in a process of its own."""
    host = scene.network.address
    peers: dict[str, Callable[[], LinePeer]] = {
        "node": lambda: WebTorrentPeer(rtc=True, tcp=False, host=host),
        "chromium": BrowserPeer,
        "libtorrent": lambda: LibtorrentPeer(tcp=False, host=host),
    }
    async with peers[kind]() as peer:
        yield peer


class _ForeignSeed:
    def __init__(self, peer: LinePeer) -> None:
        self._peer = peer

    async def has_sent(self) -> bool:
        return (await self._peer.stats()).uploaded > 0


# --- ours -------------------------------------------------------------------------------


@asynccontextmanager
async def ours(folder: Path, seed_ratio: float = 0.0) -> AsyncIterator[Downloader]:
    """Our downloader, with WebRTC as its only transport."""
    async with WebTorrentDownloader(
        folder, state_dir=folder.with_name(f"{folder.name}-state"), port=0, dht=False,
        allow_private_addresses=True, stun_server="", seed_ratio=seed_ratio, extra=_NO_TCP,
    ) as downloader:  # fmt: skip
        yield downloader


class _OurSeed:
    def __init__(self, downloader: Downloader) -> None:
        self._downloader = downloader

    async def has_sent(self) -> bool:
        return (await self._downloader.status("a")).progress.ratio > 0


@asynccontextmanager
async def seeding(kind: str, scene: Scene) -> AsyncIterator[Seeding]:
    """A seeder that a tracker knows."""
    torrent = scene.torrent
    if kind != OURS:
        async with foreign(kind, scene) as peer:
            await peer.seed(torrent.path, torrent.folder)
            yield _ForeignSeed(peer)
        return
    media = scene.folder / "offered"
    media.mkdir()
    (media / torrent.name).hardlink_to(torrent.content)
    async with ours(media, seed_ratio=100.0) as downloader:
        async with downloader.listen("a") as changes:
            await downloader.adopt(torrent.name, torrent.path.read_bytes(), id="a")
            while (await downloader.status("a")).progress.phase is not Phase.SEEDING:
                await anext(changes)
        yield _OurSeed(downloader)


async def end_of(downloader: Downloader) -> tuple[Job, float]:
    """The job once it has ended, and the longest time in which nothing more of it arrived."""
    had, since, still = 0, time.monotonic(), 0.0
    while (job := await downloader.status("a")).status not in _ENDED:
        now, has = time.monotonic(), job.progress.bytes_downloaded
        if has != had or not has or job.progress.phase is not Phase.DOWNLOADING:
            had, since = has, now
        still = max(still, now - since)
        await asyncio.sleep(_LOOK)
    return job, still


async def leeching(kind: str, scene: Scene, seeder: Seeding) -> Run:
    """Fetches the film once."""
    if kind != OURS:
        async with foreign(kind, scene) as peer:
            await peer.leech(scene.torrent.path, scene.got.parent)
            await peer.wait_done(within=RUN_LIMIT)
            times = await peer.times()
        return Run(times.first_byte or 0.0, times.done or 0.0)
    async with ours(scene.got.parent) as downloader:
        began = time.monotonic()
        data = scene.torrent.path.read_bytes()
        await downloader.start(id="a", torrent=data)
        while not await seeder.has_sent():  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(_POLL)
        first = time.monotonic() - began
        job, still = await end_of(downloader)
        whole = time.monotonic() - began
    problem = "" if job.status is Status.COMPLETED else f"{job.status}: {job.error}"
    return Run(first, whole, problem, still)


# --- the runs ---------------------------------------------------------------------------


@asynccontextmanager
async def tracking(kind: str, network: Network) -> AsyncIterator[str]:
    """A WebSocket tracker, as `chilly tracker` or npm's; its announce address."""
    if kind == OURS:
        async with run_tracker(network.address) as url:
            yield url.ws
    else:
        async with NodeTracker(host=network.address) as tracker:
            yield tracker.ws


async def run_once(pair: Pair, tracker: str, network: Network, work: Path) -> Run:
    """One transfer between new peers; whatever goes wrong is its result."""
    folder = Path(tempfile.mkdtemp(dir=work))
    content = work / "seeded" / "film.mkv"
    try:
        async with asyncio.timeout(RUN_LIMIT), tracking(tracker, network) as url:
            torrent = make_torrent(
                content, folder / "film.torrent", trackers=[url], piece_size=PIECE_SIZE
            )
            scene = Scene(network, torrent, folder)
            async with seeding(pair.seeder, scene) as seeder:
                run = await leeching(pair.leecher, scene, seeder)
        if not run.problem and sha256_of(scene.got) != sha256_of(content):
            return Run(problem="the bytes differ")
    except Exception as error:  # noqa: BLE001  # the next run must come, whatever it was
        return Run(problem=f"{type(error).__name__}: {error}".splitlines()[0])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return run


@dataclass(slots=True)
class Row:
    """One line of the table: a pair over all its runs."""

    pair: Pair
    runs: list[Run] = field(default_factory=list)

    def figures(self, size: int) -> dict[str, Any]:
        """Medians and worst values in plain numbers; None where no run came through."""
        good = [run for run in self.runs if not run.problem]
        first, whole = [run.first_byte for run in good], [run.whole for run in good]
        rates = [run.rate(size) for run in good]
        still = [run.still for run in good if run.still is not None]
        return {
            "seeder": self.pair.seeder,
            "leecher": self.pair.leecher,
            "runs": len(self.runs),
            "failed": len(self.runs) - len(good),
            "firstByte": round(statistics.median(first), 2) if good else None,
            "worstFirstByte": round(max(first), 2) if good else None,
            "whole": round(statistics.median(whole), 2) if good else None,
            "worstWhole": round(max(whole), 2) if good else None,
            "MB/s": round(statistics.median(rates), 1) if good else None,
            "still": round(statistics.median(still), 2) if still else None,
            "worstStill": round(max(still), 2) if still else None,
        }


def table(figures: Sequence[dict[str, Any]]) -> str:
    """The figures as a table."""
    lines = [list(HEADINGS), ["---"] * len(HEADINGS)]
    lines += [["-" if cell is None else str(cell) for cell in row.values()] for row in figures]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |"
        for line in lines
    )


async def measure(
    pairs: Sequence[Pair], size: int, tracker: str, network: Network, work: Path
) -> list[Row]:
    """All pairs in turn until each had its runs, so that a busy moment hits all of them."""
    make_film(work / "seeded" / "film.mkv", size, seed=5)
    rows = [Row(pair) for pair in pairs]
    for number in range(max(pair.times for pair in pairs)):
        for row in rows:
            if number < row.pair.times:
                run = await run_once(row.pair, tracker, network, work)
                row.runs.append(run)
                print(_line(number + 1, row.pair, run, size), flush=True)
    return rows


def _line(number: int, pair: Pair, run: Run, size: int) -> str:
    head = f"{number:3} {pair.seeder} > {pair.leecher}: "
    if run.problem:
        return head + "FAILED, " + run.problem
    times = f"first byte {run.first_byte:.2f} s, whole {run.whole:.2f} s"
    still = "" if run.still is None else f", still for {run.still:.1f} s"
    return f"{head}{times}, {run.rate(size):.0f} MB/s{still}"


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.webrtc", description=__doc__)
    parser.add_argument("--plan", choices=sorted(PLANS), default="proof", help="which pairs")
    parser.add_argument("--only", metavar="SEEDER>LEECHER*TIMES,...", help="these pairs instead")
    parser.add_argument("--rounds", type=int, help="runs of each pair instead of the plan's")
    parser.add_argument("--size-mib", type=int, default=64, help="size of the film")
    parser.add_argument(
        "--busy", type=int, metavar="N", help="processes that only compute, instead of the plan's"
    )
    parser.add_argument(
        "--tracker", choices=[OURS, "npm"], default=OURS, help="who introduces them"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    options = parser.parse_args(arguments)
    wanted = options.only.split(",") if options.only else PLANS[options.plan]
    try:
        pairs = [Pair.of(text) for text in wanted]
    except argparse.ArgumentTypeError as error:
        parser.error(str(error))
    if options.rounds is not None:
        pairs = [Pair(pair.seeder, pair.leecher, options.rounds) for pair in pairs]
    options.pairs = pairs
    if options.busy is None:
        options.busy = BUSY.get(options.plan, 0)
    return options


@contextmanager
def others_computing(count: int) -> Iterator[None]:
    """So many processes use the processors meanwhile."""
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            stack.callback(process.wait)
            stack.callback(process.kill)
        yield


async def run(options: argparse.Namespace, network: Network) -> bool:
    """Runs, prints the table, and tells whether every transfer came through."""
    size = options.size_mib << 20
    work = Path(tempfile.mkdtemp(prefix="chilly-webrtc-"))
    try:
        with others_computing(options.busy):
            rows = await measure(options.pairs, size, options.tracker, network, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    figures = [row.figures(size) for row in rows]
    print(
        f"\n{options.size_mib} MiB over WebRTC only, tracker: {options.tracker}, {options.busy} "
        "other processes compute. Medians and\nworst of all runs; seconds count from the leecher's "
        "start."
        f"\n\n{table(figures)}"
    )
    if options.json is not None:
        runs = [[vars_of(one) for one in row.runs] for row in rows]
        report = [{**told, "each": each} for told, each in zip(figures, runs, strict=True)]
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    return not any(told["failed"] for told in figures)


def vars_of(one: Run) -> dict[str, Any]:
    """A run for the report."""
    if one.problem:
        return {"problem": one.problem}
    times = {"firstByte": one.first_byte, "whole": one.whole, "still": one.still}
    return {name: None if at is None else round(at, 3) for name, at in times.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    options = parse(arguments)
    try:
        with network_namespace() as network:
            good = asyncio.run(run(options, network))
    except (pytest.skip.Exception, pytest.fail.Exception) as error:
        sys.exit(f"No network namespace: {error}")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
