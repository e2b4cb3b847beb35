"""The media folder goes away under a download: moved, replaced by a file, or unmounted.

`python -m lab.crash.root` does it all. Nothing may be written where the folder was, the job says
what is wrong, and it goes on by itself when the folder is back.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from lab.crash import films, mounts
from lab.crash.faults import said
from lab.crash.films import MIB, Film
from lab.crash.swarm import Swarm
from tests.acceptance.backend import Backend
from tests.peers.torrents import sha256_of

SETTINGS = {"CHILLY_MIN_FREE_SPACE": "1000000", "CHILLY_RATE_LIMIT_START": "9999/second"}
SAID_WITHIN = 5.0
_AWAY_FOR = 1.5
_LIMIT = 60.0
_SIZE = 8 * MIB


@dataclass
class Verdict:
    """What happened to one download."""

    said: float = 0.0
    resumed: float = 0.0
    sentence: str = ""
    broken: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"said after {self.said:.1f} s, completed {self.resumed:.1f} s after it was back; "
            f"{self.sentence!r}; broken promises: {len(self.broken)}"
        )


@dataclass(frozen=True)
class Loss:
    """How the folder goes away and comes back, and what may lie there meanwhile."""

    go: Callable[[], None]
    back: Callable[[], None]
    meanwhile: Callable[[], list[str]]


def unmounted(media: Path, disk: Path) -> Loss:
    """The mount goes away at once, though files are open on it."""

    def go() -> None:
        subprocess.run(["umount", "--lazy", str(media)], check=True)

    return Loss(go, lambda: bind(disk, media), lambda: _below(media))


def _below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def replaced(media: Path, _disk: Path) -> Loss:
    """A file lies where the folder was."""
    away = media.with_name("away")

    def go() -> None:
        media.rename(away)
        media.write_text("a file")

    def back() -> None:
        media.unlink()
        away.rename(media)

    def meanwhile() -> list[str]:
        return [] if media.read_text() == "a file" else ["the file was written to"]

    return Loss(go, back, meanwhile)


def bind(disk: Path, media: Path) -> None:
    """The disk's folder is there again."""
    subprocess.run(["mount", "--bind", str(disk), str(media)], check=True)


async def lose(folder: Path, loss_of: Callable[[Path, Path], Loss], *, host: str) -> Verdict:
    """One film whose folder goes away in the middle."""
    verdict, ours, disk = Verdict(), folder / "server", folder / "disk"
    media = ours / "media"
    media.mkdir(parents=True)
    with mounts.tmpfs(disk, 64 * MIB):
        if loss_of is unmounted:
            bind(disk, media)
        try:
            async with Swarm() as swarm:
                film = films.make(folder / "source", 1, _SIZE, host=host)
                port = await swarm.seed(
                    film.name, film.torrent.path, film.torrent.folder, host=host, rate=2 * MIB
                )
                film = Film(1, film.torrent, film.sha256, host, port)
                async with Backend(ours, SETTINGS, warm=True) as server:
                    await _download(server, film, loss_of(media, disk), verdict)
        finally:
            if loss_of is unmounted:
                mounts.unmount(media)
                verdict.broken += [f"on the bare mount point: {path}" for path in _below(media)]
    return verdict


async def _download(server: Backend, film: Film, loss: Loss, verdict: Verdict) -> None:
    job, began, away = await server.start(film.magnet, id="film"), time.monotonic(), False
    while job["status"] in ("queued", "active") and time.monotonic() - began < _LIMIT:
        job = await server.job("film")
        if not away and job["progress"]["bytesDownloaded"] > 2 * MIB:
            away, gone = True, time.monotonic()
            loss.go()
            while not verdict.sentence and time.monotonic() - gone < 2 * SAID_WITHIN:
                job = await server.job("film")
                if "folder" in said(job) or "mounted" in said(job) or "disk" in said(job):
                    verdict.sentence, verdict.said = said(job), time.monotonic() - gone
                await asyncio.sleep(0.05)
            await asyncio.sleep(_AWAY_FOR)
            verdict.broken += [f"written meanwhile: {what}" for what in loss.meanwhile()]
            loss.back()
            began = time.monotonic()
        await asyncio.sleep(0.05)
    verdict.resumed = time.monotonic() - began
    if not verdict.sentence or verdict.said > SAID_WITHIN:
        verdict.broken.append(f"said after {verdict.said:.1f} s: {verdict.sentence!r}")
    if job["status"] != "completed":
        verdict.broken.append(f"the job is {job['status']}: {said(job)}")
    elif sha256_of(server.media / job["path"]) != film.sha256:
        verdict.broken.append("the film is wrong")


def main() -> int:
    """The command line."""
    broken = 0
    for loss_of in (unmounted, replaced):
        with tempfile.TemporaryDirectory(prefix="chilly-root-") as folder:
            verdict = asyncio.run(lose(Path(folder), loss_of, host="127.0.82.1"))
        load = f"load {os.getloadavg()[0]:.1f}"
        lines = [f"{loss_of.__name__} ({load}): {verdict}", *verdict.broken]
        sys.stdout.write("\n".join(lines) + "\n")
        broken += len(verdict.broken)
    return min(1, broken)


if __name__ == "__main__":
    sys.exit(main())
