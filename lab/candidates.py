"""Ten sources of one film of which eight are of no use, again and again: all end in the right film.

Of the ten are 3 dead (a magnet nobody has, a server that refuses, one that never answers), 2 that
stand still at 40 %, 1 fake, 1 that is not what was announced, 1 below the speed floor, and 2 good
ones. The bad ones come in random order, the good ones last. `python -m lab.candidates --runs 50`
divides the times of the rules by 30, `--defaults` leaves them as they are.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.acceptance.backend import Backend
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.torrents import Torrent, make_film, make_torrent, sha256_of

SIZE = 2 << 20
_PIECE = 16 * 1024
_CUT = int(0.4 * SIZE)
_RATES = {"trickles": 4_000, "paced": 100_000}
"""Bytes per second of the slow manners, over all connections."""
DIVIDED = {"CHILLY_SOURCE_PATIENCE": "3", "CHILLY_SOURCE_SLOW": "10"}
_DEFAULT = {"CHILLY_SOURCE_PATIENCE": "90", "CHILLY_SOURCE_SLOW": "300"}
_SLACK = 3.0
"""Seconds from the end of a time to the event: reports come once a second."""


# --- origins ------------------------------------------------------------------------------------


@dataclass
class Origin:
    """A server whose paths are `/<run>/<manner>/film.mkv`.

    Attributes:
        films: the film of each run.
        host: the address at which it listens.
        port: the port.
    """

    films: dict[str, bytes] = field(default_factory=dict)
    host: str = "127.0.0.1"
    port: int = 0
    _pacing: dict[str, asyncio.Lock] = field(default_factory=dict)

    def link(self, run: str, manner: str) -> str:
        """The link to a film that is sent in this manner."""
        return f"http://{self.host}:{self.port}/{run}/{manner}/film.mkv"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers requests of one connection."""
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode("latin-1"):
                await self._answer(head, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, head: str, writer: asyncio.StreamWriter) -> None:
        method, path, _ = head.split(" ", 2)
        _, run, manner, _ = path.split("/")
        if manner == "hangs":
            await asyncio.sleep(3600)
        film = self.films[run] if manner != "lies" else self.films[run][: SIZE // 4]
        wanted = re.search(r"(?im)^range: bytes=(\d+)-(\d*)", head)
        first = int(wanted[1]) if wanted else 0
        last = min(len(film), int(wanted[2]) + 1 if wanted and wanted[2] else len(film))
        span = f"Content-Range: bytes {first}-{last - 1}/{len(film)}\r\n" if wanted else ""
        status = "206 Partial Content" if wanted else "200 OK"
        writer.write(
            f"HTTP/1.1 {status}\r\nContent-Length: {last - first}\r\nAccept-Ranges: bytes\r\n"
            f'ETag: "{run}"\r\nContent-Type: video/x-matroska\r\n{span}\r\n'.encode()
        )
        if method != "HEAD":
            await self._send(run, manner, memoryview(film)[first:last], first, writer)

    async def _send(
        self, run: str, manner: str, part: memoryview, first: int, writer: asyncio.StreamWriter
    ) -> None:
        if manner == "stalls":
            writer.write(part[: max(0, _CUT - first)])
            if first + len(part) > _CUT:
                await writer.drain()
                await asyncio.sleep(3600)
        elif manner in _RATES:
            lock, step = self._pacing.setdefault(run, asyncio.Lock()), _RATES[manner] // 4
            for at in range(0, len(part), step):
                async with lock:
                    writer.write(part[at : at + step])
                    await writer.drain()
                    await asyncio.sleep(0.25)
        else:
            writer.write(part)
        await writer.drain()


@asynccontextmanager
async def serving(host: str = "127.0.0.1") -> AsyncIterator[Origin]:
    """An origin at this address."""
    origin, tasks = Origin(host=host), set[asyncio.Task[None]]()

    def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(origin.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(serve, host, 0)
    origin.port = server.sockets[0].getsockname()[1]
    try:
        yield origin
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


# --- ten sources --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sources:
    """The ten sources of one run, the first of which is the job's own.

    Attributes:
        digest: SHA-256 of the right film.
        kinds: what each is, by its URN.
        given: as a start takes them.
    """

    digest: str
    kinds: dict[str, str]
    given: list[dict[str, Any]]

    @property
    def start(self) -> dict[str, Any]:
        """The members of a start."""
        own, *rest = self.given
        named = {"source_urn": own["sourceUrn"], "source_type": own["sourceType"]}
        return {**named, "candidates": rest}


async def ten_sources(folder: Path, run: int, origin: Origin, seeder: LibtorrentPeer) -> Sources:
    """Makes a film and its ten sources; those that are torrents are seeded."""
    rng, name = random.Random(run), str(run)
    path = folder / name / "film.mkv"
    digest = make_film(path, SIZE, seed=run)
    origin.films[name] = path.read_bytes()

    async def torrent(what: str) -> str:
        made = await asyncio.to_thread(_make, folder / name, run, what)
        have = range(_CUT // _PIECE) if what == "part" else None
        await seeder.seed(made.path, made.folder, have=have)
        return f"{made.magnet}&x.pe=127.0.0.1:{seeder.port}"

    nobody = f"magnet:?xt=urn:btih:{rng.randbytes(20).hex()}&dn=Nobody"
    bad = [
        ("dead", "torrent", nobody),
        ("dead", "http", f"http://127.0.0.1:9/{run}/film.mkv"),
        ("dead", "http", origin.link(name, "hangs")),
        ("stalls", "torrent", await torrent("part")),
        ("stalls", "http", origin.link(name, "stalls")),
        ("fake", "torrent", await torrent("fake")),
        ("lies", "http", origin.link(name, "lies")),
        ("slow", "http", origin.link(name, "trickles")),
    ]
    good = [("good", "torrent", await torrent("film")), ("good", "http", origin.link(name, "well"))]
    rng.shuffle(bad)
    while bad[0][0] == "lies":  # of a job's own source nothing was announced
        rng.shuffle(bad)
    rng.shuffle(good)
    every = bad + good
    given = [{"sourceType": kind, "sourceUrn": urn, "size": SIZE} for _, kind, urn in every]
    return Sources(digest, {urn: what for what, _, urn in every}, given)


def _make(folder: Path, run: int, what: str) -> Torrent:
    """A torrent of the film, or of something else."""
    inside = folder / what / f"Film {run} {what}"
    if what == "fake":
        make_film(inside / "film.rar", SIZE, seed=run)
        (inside / "password.txt").write_text("visit us")
        return make_torrent(inside, folder / "fake.torrent", piece_size=_PIECE)
    film = inside.with_suffix(".mkv")
    make_film(film, SIZE, seed=run)
    return make_torrent(film, folder / f"{what}.torrent", piece_size=_PIECE)


# --- a run --------------------------------------------------------------------------------------


@dataclass
class Outcome:
    """What came of one run.

    Attributes:
        left: of each source that was left: its kind, seconds it had, and why.
        wasted: bytes that came and were of no use.
        seconds: from the start to the film.
        broken: promises that were not kept.
    """

    left: list[tuple[str, float, str]] = field(default_factory=list)
    wasted: int = 0
    seconds: float = 0.0
    broken: list[str] = field(default_factory=list)

    def judge(self, patience: float, slow: float) -> None:
        """Notes which sources had more time than they may have."""
        most = {"dead": patience, "stalls": patience, "slow": slow * 31 / 30}
        for kind, seconds, why in self.left:
            if kind == "good":
                self.broken.append(f"a good source was left: {why}")
            elif seconds > most.get(kind, 0.0) + _SLACK:
                self.broken.append(f"a source that {kind} had {seconds:.1f} s: {why}")


def read(changes: list[tuple[str, float, Any]], kinds: dict[str, str]) -> Outcome:
    """What the events of a job tell: name, time and news of each."""
    outcome, began = Outcome(), None
    for name, at, news in changes:
        if name == "started":
            began = began or at
        elif name == "source" and began is not None:
            seconds = at - began
            outcome.left.append((kinds[news["from"]["sourceUrn"]], seconds, news["reason"]))
            began = None
    outcome.seconds = changes[-1][1] - changes[0][1]
    return outcome


async def one(server: Backend, sources: Sources, run: int, times: dict[str, str]) -> Outcome:
    name, own = f"run-{run}", sources.start
    await server.start(
        own["source_urn"], id=name, sourceType=own["source_type"], candidates=own["candidates"]
    )
    changes: list[tuple[str, float, Any]] = []
    async with server.listen(f"/events/{name}", last_id=0) as events:
        async for event in events:
            changes.append((event["event"], time.monotonic(), event.get("source")))
            if event["event"] in ("completed", "error", "canceled"):
                break
    job = (await server.http.get(f"/downloads/{name}")).json()
    outcome = read(changes, sources.kinds)
    outcome.wasted = job["figures"]["wasted"]
    outcome.judge(float(times["CHILLY_SOURCE_PATIENCE"]), float(times["CHILLY_SOURCE_SLOW"]))
    if job["status"] != "completed":
        outcome.broken.append(f"it is {job['status']}: {job.get('error')}")
    elif await asyncio.to_thread(sha256_of, server.media / job["path"]) != sources.digest:
        outcome.broken.append("the film is not the right one")
    return outcome


async def runs(folder: Path, count: int, at_once: int, times: dict[str, str]) -> int:
    """Runs so many jobs and tells of each; the number of broken promises."""
    settings = {**times, "CHILLY_MAX_ACTIVE": str(at_once)}
    free, broken, began = asyncio.Semaphore(at_once), 0, time.monotonic()
    async with AsyncExitStack() as stack:
        origin = await stack.enter_async_context(serving())
        seeder = await stack.enter_async_context(LibtorrentPeer(time_limit=7200))
        server = await stack.enter_async_context(Backend(folder, settings, warm=True))

        async def tell(run: int) -> None:
            nonlocal broken
            async with free:
                sources = await ten_sources(folder / "sources", run, origin, seeder)
                outcome = await one(server, sources, run, times)
            left = ", ".join(f"{kind} {seconds:.1f} s" for kind, seconds, _ in outcome.left)
            waste = f"{outcome.wasted / SIZE:.2f} films wasted"
            print(f"run {run}: {outcome.seconds:.1f} s, {waste}; left: {left}", flush=True)
            for sentence in outcome.broken:
                print(f"  BROKEN: {sentence}", flush=True)
            broken += len(outcome.broken)

        async with asyncio.TaskGroup() as group:
            for run in range(count):
                group.create_task(tell(run))
    print(f"{count} runs in {time.monotonic() - began:.0f} s; broken promises: {broken}")
    return broken


def main() -> int:
    """Reads the command line and runs; 1 if a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--at-once", type=int, default=5)
    parser.add_argument("--defaults", action="store_true", help="do not divide the times by 30")
    wish = parser.parse_args()
    times = _DEFAULT if wish.defaults else DIVIDED
    with tempfile.TemporaryDirectory(prefix="candidates-") as folder:
        return int(asyncio.run(runs(Path(folder), wish.runs, wish.at_once, times)) > 0)


if __name__ == "__main__":
    sys.exit(main())
