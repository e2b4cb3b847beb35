"""A disk fills up under a running download: the films' disk, the database's, or both.

`python -m lab.crash.full` does it on tmpfs and on ext4 (root, loop devices).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import httpx2

from lab.crash import films, mounts, store
from lab.crash.faults import said
from lab.crash.films import MIB, Film
from lab.crash.swarm import Swarm
from tests.acceptance.backend import Backend
from tests.peers.torrents import sha256_of

Volume = Literal["data", "database", "both"]
SETTINGS = {"CHILLY_MIN_FREE_SPACE": "2000000", "CHILLY_RATE_LIMIT_START": "9999/second"}
SEEN_WITHIN, RESUMED_WITHIN = 5.0, 15.0
_SIZES = {"data": 64 * MIB, "database": 24 * MIB}
_LIMIT = 60.0


@dataclass
class Verdict:
    """What one full disk showed.

    Attributes:
        seen: seconds until the job said so.
        resumed: seconds until bytes arrived again, once there was room.
        answers: how often a call was answered with which status while there was no room.
    """

    seen: float = 0.0
    resumed: float = 0.0
    sentence: str = ""
    answers: dict[str, int] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"said after {self.seen:.1f} s, going on after {self.resumed:.1f} s; "
            f"{self.answers}; {self.sentence!r}; broken promises: {len(self.broken)}"
        )


@contextmanager
def volume(kind: str, folder: Path, size: int) -> Iterator[None]:
    """A file system of a kind at a folder."""
    if kind == "tmpfs":
        with mounts.tmpfs(folder, size):
            yield
        return
    image = folder.parent.parent / f"{folder.name}.img"
    mounts.make_image(image, size)
    with mounts.mounted(image, folder):
        yield
    image.unlink()


class FullDisk:
    """One server, its volumes, and a film that arrives slowly."""

    def __init__(
        self, folder: Path, which: Volume, server: Backend, film: Film, *, held: float
    ) -> None:
        self.verdict = Verdict()
        self._server = server
        self._film = film
        names = {"data": ["media"], "database": ["state"], "both": ["media", "state"]}[which]
        self._fillers = [folder / name / "filler" for name in names]
        self._state = folder / "state"
        self._full = False
        self._held = held

    async def run(self) -> None:
        """Fill, look, make room, look again."""
        server = self._server
        await server.start(self._film.magnet, id="film")
        await self._past(2 * MIB)
        asking = asyncio.create_task(self._ask())
        try:
            await asyncio.to_thread(self._fill)
            await self._say_so()
            await asyncio.sleep(self._held)
        finally:
            asking.cancel()
            await asyncio.wait([asking])
            for filler in self._fillers:
                filler.unlink(missing_ok=True)
        await self._go_on()

    def _fill(self) -> None:
        self._full = True
        for filler in self._fillers:
            with filler.open("wb", buffering=0) as file, suppress(OSError):
                for size in (MIB, 4096, 1):
                    with suppress(OSError):
                        while True:
                            file.write(bytes(size))

    async def _past(self, size: int) -> None:
        async with asyncio.timeout(_LIMIT):
            while (await self._server.job("film"))["progress"]["bytesDownloaded"] < size:  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    async def _say_so(self) -> None:
        began = time.monotonic()
        while time.monotonic() - began < _LIMIT:
            job = await self._server.job("film")
            words = said(job)
            if "full" in words or "room" in words or "space" in words:
                self.verdict.seen, self.verdict.sentence = time.monotonic() - began, words
                if self.verdict.seen > SEEN_WITHIN:
                    self.verdict.broken.append(f"said only after {self.verdict.seen:.1f} s")
                return
            if job["status"] == "completed":
                break
            await asyncio.sleep(0.05)
        self.verdict.broken.append(f"nothing was said; the job is {job['status']}, {said(job)!r}")

    async def _ask(self) -> None:
        """What front ends ask, and a verb, again and again."""
        number = 0
        while True:
            for path in ("/downloads", "/downloads/film", "/health", "/download/status/film"):
                self._note("GET", await self._server.http.get(path))
            number += 1
            answer = await self._server.http.post(
                "/download/start",
                json={"id": f"other{number}", "sourceType": "torrent",
                      "sourceUrn": f"magnet:?xt=urn:btih:{number:040x}"},
            )  # fmt: skip
            self._note("start", answer)
            if answer.status_code == 200:
                gone = await self._server.http.delete(f"/downloads/other{number}")
                self._note("remove", gone)
            await asyncio.sleep(0.2)

    def _note(self, what: str, answer: httpx2.Response) -> None:
        if not self._full:
            return
        key = f"{what} {answer.status_code}"
        self.verdict.answers[key] = self.verdict.answers.get(key, 0) + 1
        if answer.status_code >= 500 and (what == "GET" or answer.status_code != 503):
            self.verdict.broken.append(f"{what}: {answer.text}")

    async def _go_on(self) -> None:
        began = time.monotonic()
        before = (await self._server.job("film"))["progress"]["bytesDownloaded"]
        job: dict[str, Any] = {}
        while time.monotonic() - began < _LIMIT:
            job = await self._server.job("film")
            if job["status"] in ("completed", "failed"):
                break
            if not self.verdict.resumed and job["progress"]["bytesDownloaded"] > before:
                self.verdict.resumed = time.monotonic() - began
            await asyncio.sleep(0.05)
        if self.verdict.resumed > RESUMED_WITHIN:
            self.verdict.broken.append(f"going on only after {self.verdict.resumed:.1f} s")
        if job["status"] != "completed":
            self.verdict.broken.append(f"the job is {job['status']}: {said(job)}")
        elif sha256_of(self._server.media / job["path"]) != self._film.sha256:
            self.verdict.broken.append("the film is wrong")
        await self._server.kill()
        stored = store.read(self._state, after=0)
        if stored.integrity != "ok":
            self.verdict.broken.append(f"the database: {stored.integrity}")
        if stored.jobs["film"].status != job["status"]:
            self.verdict.broken.append(f"stored is {stored.jobs['film'].status}")


async def fill_up(
    folder: Path, kind: str, which: Volume, *, host: str, size: int = 24, held: float = 6.0
) -> Verdict:
    """One film through a full disk.

    Args:
        folder: everything lies below it.
        kind: of file system, tmpfs or ext4.
        which: disk fills up.
        host: of the peer that has the film.
        size: of the film in MiB.
        held: seconds that the disk stays full after the job said so.
    """
    ours = folder / "server"
    ours.mkdir()
    with (
        volume(kind, ours / "media", _SIZES["data"]),
        volume(kind, ours / "state", _SIZES["database"]),
    ):
        async with Swarm() as swarm:
            film = films.make(folder / "source", 1, size * MIB, host=host)
            port = await swarm.seed(
                film.name, film.torrent.path, film.torrent.folder, host=host, rate=size * MIB // 12
            )
            film = Film(1, film.torrent, film.sha256, host, port)
            async with Backend(ours, SETTINGS, warm=True) as server:
                disk = FullDisk(ours, which, server, film, held=held)
                await disk.run()
                return disk.verdict


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Full disks under a running download.")
    parser.add_argument("--kind", choices=("tmpfs", "ext4"), action="append")
    parser.add_argument("--which", choices=("data", "database", "both"), action="append")
    wanted = parser.parse_args()
    broken = 0
    for kind in wanted.kind or ("tmpfs", "ext4"):
        for which in wanted.which or ("data", "database", "both"):
            with tempfile.TemporaryDirectory(prefix="chilly-full-") as folder:
                verdict = asyncio.run(fill_up(Path(folder), kind, which, host="127.0.81.1"))
            load = f"load {os.getloadavg()[0]:.1f}"
            sys.stdout.write("\n".join([f"{kind}, {which} ({load}): {verdict}", *verdict.broken]))
            sys.stdout.write("\n")
            sys.stdout.flush()
            broken += len(verdict.broken)
    return min(1, broken)


if __name__ == "__main__":
    sys.exit(main())
