"""Bad neighbours: a peer and a web seed that send rubbish, a tracker that names nobody.

Each has an address of its own; one honest peer has another. The film must arrive whole, little may
be wasted, and the job must say what happened. `python -m lab.crash.liars --rounds 100`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import secrets
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from lab.crash import films
from lab.crash.faults import said
from lab.crash.films import MIB, Film
from lab.crash.swarm import Swarm
from lab.crash.tracker import Tracker
from tests.acceptance.backend import Backend
from tests.peers.torrents import sha256_of

SETTINGS = {
    "CHILLY_MIN_FREE_SPACE": "1000000",
    "CHILLY_RATE_LIMIT_START": "9999/second",
    "CHILLY_MAX_ACTIVE": "8",
}
PIECE = 512 * 1024
LIMIT = max(MIB, 10 * PIECE)
"""So many wrong bytes may be taken in a round. The engine decides when a peer is found out, so one
round in a hundred takes a little more (docs/durability.md); the median is promised."""
_SIZE = 12 * MIB
_WITHIN = 60.0
_RATE = 8 * MIB
"""Bytes a second of each liar; the honest peer sends 3 MiB."""


class BadWebSeed:
    """A web server that answers every range with as many wrong bytes.

    Args:
        host: where it listens.
    """

    def __init__(self, host: str) -> None:
        self._host = host
        self._server: asyncio.Server | None = None
        self.sent = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self._host, 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    @property
    def url(self) -> str:
        """Of the film it says it has."""
        assert self._server is not None
        return f"http://{self._host}:{self._server.sockets[0].getsockname()[1]}/film.mkv"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                asked = re.search(rb"(?i)range: bytes=(\d+)-(\d+)", head)
                first, last = (int(asked[1]), int(asked[2])) if asked else (0, _SIZE - 1)
                writer.write(
                    b"HTTP/1.1 206 Partial Content\r\nContent-Length: %d\r\n"
                    b"Content-Range: bytes %d-%d/%d\r\n\r\n"
                    % (last + 1 - first, first, last, _SIZE)
                )
                for at in range(first, last + 1, 16384):
                    chunk = b"\x55" * min(16384, last + 1 - at)
                    writer.write(chunk)
                    await writer.drain()
                    self.sent += len(chunk)
                    await asyncio.sleep(len(chunk) / _RATE)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


class LyingTracker(Tracker):
    """Names many peers, none of which is there."""

    def peers(self) -> bytes:
        """Thirty addresses nobody listens at."""
        return b"".join(bytes((127, 1, 1, number, 200, 1)) for number in range(30))


@dataclass
class Verdict:
    """What all rounds together showed."""

    rounds: int = 0
    wasted: list[int] = field(default_factory=list)
    web_wasted: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    sentences: set[str] = field(default_factory=set)
    broken: list[str] = field(default_factory=list)

    @property
    def both(self) -> list[int]:
        """The wrong bytes of each round, of peer and web seed together, the least first."""
        return sorted(map(sum, zip(self.wasted, self.web_wasted, strict=True)))

    @property
    def is_wasteful(self) -> bool:
        """Whether more was taken than allowed in half of the rounds or more."""
        return self.both[len(self.both) // 2] > LIMIT

    def summary(self) -> str:
        """A few lines for people."""
        both = self.both
        peer, web = max(self.wasted) / MIB, max(self.web_wasted) / MIB
        median, most = both[len(both) // 2] / MIB, both[-1] / MIB
        lines = (
            f"{self.rounds} rounds, films of {_SIZE / MIB:g} MiB in pieces of {PIECE // 1024} KiB",
            f"wrong bytes sent: median {median:.2f}, most {most:.2f} MiB, {LIMIT / MIB:g} allowed",
            f"more than allowed in {sum(sent > LIMIT for sent in both)} rounds",
            f"by the peer at most {peer:.2f}, by the web seed at most {web:.2f} MiB",
            f"completed after {max(self.seconds):.1f} s at most",
            *sorted(self.sentences)[:3],
            f"broken promises: {len(self.broken)}",
            *self.broken,
        )
        return "\n".join(lines)


class Neighbourhood:
    """A server, and honest peers. Use it with `async with`, then `round()` as often as you like.

    Args:
        folder: everything lies below it.
        seed: decides which addresses are used.
        lanes: how many rounds may go on at a time.
    """

    def __init__(self, folder: Path, seed: int, *, lanes: int = 1) -> None:
        self.verdict = Verdict()
        self._folder = folder
        self._net = f"127.{20 + seed % 200}"
        self._lanes = lanes
        self._swarm = Swarm(time_limit=24 * 3600)
        self._server = Backend(folder / "server", SETTINGS, warm=True)
        self._stack = AsyncExitStack()
        self._films: list[Film] = []
        self._rubbish: list[Path] = []
        self._number = 0

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._swarm)
        for lane in range(self._lanes):
            host = f"{self._net}.0.{lane + 1}"
            film = films.make(self._folder / "source", lane, _SIZE, host=host, piece=PIECE)
            port = await self._swarm.seed(
                film.name, film.torrent.path, film.torrent.folder, host=host, rate=3 * MIB
            )
            folder = self._folder / f"rubbish{lane}"
            folder.mkdir()
            (folder / film.torrent.name).write_bytes(
                bytes(256 - n for n in range(1, 257)) * (_SIZE // 256)
            )
            self._films.append(film)
            self._rubbish.append(folder)
            self._films[lane] = Film(film.number, film.torrent, film.sha256, host, port)
        await self._stack.enter_async_context(self._server)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def round(self, lane: int = 0) -> None:
        """One film, with liars nobody has met before."""
        self._number += 1
        self.verdict.rounds += 1
        film, name = self._films[lane], f"liar{self._number}"
        high, low = divmod(self._number, 60)
        host = f"{self._net}.{high + 1}"
        port = await self._swarm.seed(
            name,
            film.torrent.path,
            self._rubbish[lane],
            host=f"{host}.{low * 4 + 1}",
            rate=_RATE,
            blind=True,
        )
        tracker = LyingTracker(f"{host}.{low * 4 + 2}", 1)
        await tracker.start()
        try:
            async with BadWebSeed(f"{host}.{low * 4 + 3}") as web:
                link = (
                    f"{film.magnet}&x.pe={host}.{low * 4 + 1}:{port}&ws={web.url}&tr={tracker.url}"
                )
                await self._download(film, name, link)
            self.verdict.wasted.append((await self._swarm.sent(name)).payload)
            self.verdict.web_wasted.append(web.sent)
        finally:
            await tracker.stop()
            await self._swarm.drop(name)

    async def _download(self, film: Film, name: str, link: str) -> None:
        began, heard = time.monotonic(), ""
        job = await self._server.start(link, id=name)
        while job["status"] in ("queued", "active") and time.monotonic() - began < _WITHIN:
            heard = said(job) if "wrong" in said(job) else heard
            await asyncio.sleep(0.05)
            job = await self._server.job(name)
        self.verdict.seconds.append(time.monotonic() - began)
        if job["status"] != "completed":
            peers = (await self._server.http.get(f"/downloads/{name}/peers")).text
            self.verdict.broken.append(f"{name} is {job['status']}: {said(job)} {peers}")
        elif sha256_of(self._server.media / job["path"]) != film.sha256:
            self.verdict.broken.append(f"{name}: the film is wrong")
        if not heard:
            self.verdict.broken.append(f"{name}: nothing was said")
        self.verdict.sentences.add(heard)
        await self._server.http.delete(f"/downloads/{name}", params={"deleteFiles": "true"})


async def run(rounds: int, seed: int, lanes: int) -> Verdict:
    """So many rounds, some at a time."""
    with tempfile.TemporaryDirectory(prefix="chilly-liars-", ignore_cleanup_errors=True) as folder:
        async with Neighbourhood(Path(folder), seed, lanes=lanes) as neighbourhood:

            async def lane(number: int) -> None:
                while neighbourhood.verdict.rounds < rounds:
                    await neighbourhood.round(number)

            await asyncio.gather(*map(lane, range(lanes)))
            return neighbourhood.verdict


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Films among peers that lie.")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--lanes", type=int, default=4)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(200))
    wanted = parser.parse_args()
    verdict = asyncio.run(run(wanted.rounds, wanted.seed, wanted.lanes))
    load = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    sys.stdout.write(f"seed {wanted.seed}; {load}\n{verdict.summary()}\n")
    return int(bool(verdict.broken) or verdict.is_wasteful)


if __name__ == "__main__":
    sys.exit(main())
