"""Films that are damaged while we do not look, by the hundred, with the real server.

Each trial damages one file of one job in one way at one time. Whatever happens, no job may be
called completed whose film is not right; what is unfinished is mended by itself, and a finished
film stays as it is until somebody asks: `recheck` must find the damage, `resume` mend it.
`python -m lab.crash.damage --trials 600`
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from chilly_movies import Phase
from lab.crash.herd import SETTINGS, Herd, Small, listed, until_all
from tests.acceptance.backend import Backend
from tests.integration.engine import running, until
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.torrents import make_film, make_torrent, sha256_of

PIECE = 64 * 1024
SIZE = 7 * PIECE - 12_345
HERD = 24
_RATE = 48 * 1024
_WITHIN = 90.0


# --- kinds of damage ----------------------------------------------------------------------------


def bit(path: Path, dice: random.Random) -> None:
    """One bit is another."""
    with path.open("r+b") as file:
        at = dice.randrange(max(1, path.stat().st_size))
        byte = os.pread(file.fileno(), 1, at) or b"\0"
        os.pwrite(file.fileno(), bytes([byte[0] ^ 1 << dice.randrange(8)]), at)


def hole(path: Path, dice: random.Random) -> None:
    """A stretch of any length is zero."""
    with path.open("r+b") as file:
        at = dice.randrange(SIZE)
        os.pwrite(file.fileno(), bytes(dice.randrange(1, SIZE - at + 1)), at)


def short(path: Path, dice: random.Random) -> None:
    """Its end is gone."""
    os.truncate(path, dice.randrange(max(1, path.stat().st_size)))


def long(path: Path, dice: random.Random) -> None:
    """There is one byte too many."""
    with path.open("r+b") as file:
        os.pwrite(file.fileno(), dice.randbytes(1), max(SIZE, path.stat().st_size))


def lost(path: Path, dice: random.Random) -> None:
    """One piece was never written."""
    with path.open("r+b") as file:
        at = PIECE * dice.randrange((SIZE + PIECE - 1) // PIECE)
        os.pwrite(file.fileno(), bytes(min(PIECE, SIZE - at)), at)


def swapped(path: Path, dice: random.Random) -> None:
    """Another file of the same size lies there."""
    other = path.with_name(path.name + ".other")
    other.write_bytes(dice.randbytes(SIZE))
    other.replace(path)


def gone(path: Path, dice: random.Random) -> None:
    """It is not there any more."""
    path.unlink()


KINDS: tuple[Callable[[Path, random.Random], None], ...] = (
    bit, hole, short, long, lost, swapped, gone,
)  # fmt: skip


# --- trials -------------------------------------------------------------------------------------


@dataclass
class Account:
    """What was seen."""

    trials: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    mended: int = 0
    told: int = 0
    harmless: int = 0
    broken: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Trials so far."""
        return sum(self.trials.values())

    def summary(self) -> str:
        """A few lines for people."""
        return "\n".join(
            [
                f"{self.total} trials: " + ", ".join(f"{n} {k}" for k, n in self.trials.items()),
                "kinds: " + ", ".join(f"{count} {kind}" for kind, count in self.kinds.items()),
                (
                    f"{self.mended} unfinished films completed and right; {self.told} finished "
                    f"ones left as they were, found by recheck, mended by resume"
                ),
                f"completed wrongly, or otherwise broken: {len(self.broken)}",
                *self.broken,
            ]
        )


class Trials:
    """Herds of jobs, damaged one by one.

    Args:
        folder: everything lies below it.
        seeder: who offers the films.
        dice: all that is random.
    """

    def __init__(self, folder: Path, seeder: LibtorrentPeer, dice: random.Random) -> None:
        self.account = Account()
        self._folder = folder
        self._herd = Herd(folder / "films", seeder)
        self._server = Backend(folder / "server", SETTINGS, warm=True)
        self._dice = dice
        self._herds = 0
        self._jobs: dict[str, Small] = {}

    @property
    def _media(self) -> Path:
        return self._server.media

    async def herd(self, count: int = HERD) -> None:
        """So many new films: each is damaged before it is finished, and once more after that."""
        self._herds += 1
        films = await self._herd.grow(count, SIZE, piece=PIECE, rate=_RATE)
        self._jobs = {f"job-{self._herds}-{n}": film for n, film in enumerate(films)}
        self._server = Backend(self._folder / "server", SETTINGS, warm=True)
        async with self._server:
            for name, film in self._jobs.items():
                await self._server.start(film.magnet, id=name)
            some = lambda job: job["progress"]["bytesDownloaded"] >= PIECE  # noqa: E731
            await self._all(some, "begins")
            names = list(self._jobs)
            await self._while_it_runs(names[0::4])
            await self._while_paused(names[1::4])
            await self._stop(polite=self._herds % 2 == 0)
        await self._while_down([*names[2::4], *names[3::4]])
        await self._herd.limit(films, 0)
        self._server = Backend(self._folder / "server", SETTINGS, warm=True)
        async with self._server:
            for name in names[1::4]:
                await self._server.verb("resume", {"id": name})
            await self._end()
            await self._finished(names[0::2], "of a finished film, server up")
            await self._stop(polite=self._herds % 2 == 1)
        await self._finished(names[1::2], "of a finished film, server down")
        self._server = Backend(self._folder / "server", SETTINGS, warm=True)
        async with self._server:
            await self._found_and_mended()
            for name in names:
                await self._server.http.delete(f"/downloads/{name}?deleteFiles=true")

    async def _stop(self, *, polite: bool) -> None:
        await (self._server.stop() if polite else self._server.kill())

    async def _all(self, wanted: Callable[..., bool], what: str) -> None:
        for name, job in (await until_all(self._server, self._jobs, wanted, _WITHIN)).items():
            why = f"{job.get('status')}, {job.get('reason')}, {job.get('error')}"
            self.account.broken.append(f"{name} never {what}: {why}")

    def _unfinished(self, film: Small) -> Path | None:
        return next(self._media.glob(f".incomplete/*/{film.torrent.name}"), None)

    def _damage(self, path: Path, when: str) -> str:
        kind = self._dice.choice(KINDS)
        try:
            kind(path, self._dice)
        except FileNotFoundError:
            return ""  # it was published meanwhile
        self.account.trials[when] += 1
        self.account.kinds[kind.__name__] += 1
        return kind.__name__

    async def _while_it_runs(self, names: list[str]) -> None:
        """Only what was unfinished before and after the damage counts."""
        for name in names:
            path = self._unfinished(self._jobs[name])
            state = await self._server.job(name)
            if path is None or state["progress"]["bytesDownloaded"] > SIZE - 2 * PIECE:
                self.account.harmless += 1
                continue
            self._damage(path, "while it downloads")
            await asyncio.sleep(self._dice.uniform(0, 0.05))

    async def _while_paused(self, names: list[str]) -> None:
        for name in names:
            await self._server.verb("pause", {"id": name})
            path = self._unfinished(self._jobs[name])
            if path is not None:
                self._damage(path, "while it is paused")

    async def _while_down(self, names: list[str]) -> None:
        how = "after SIGTERM" if self._herds % 2 == 0 else "after SIGKILL"
        for name in names:
            path = self._unfinished(self._jobs[name])
            if path is not None:
                self._damage(path, f"while the server is down {how}")

    async def _end(self) -> None:
        """All complete, and every film is right."""
        await self._all(lambda job: job["status"] in ("completed", "failed"), "ends")
        for name, job in (await listed(self._server)).items():
            film = self._jobs.get(name)
            if film is None or job["status"] != "completed":
                sentence = job.get("error") or job.get("reason")
                self.account.broken.append(f"{name} is {job['status']}: {sentence}")
            elif not film.is_whole(self._media / job["path"]):
                self.account.broken.append(f"{name} is completed and its film is not right")
            else:
                self.account.mended += 1

    async def _finished(self, names: list[str], when: str) -> None:
        for name in names:
            self._damage(self._media / self._jobs[name].torrent.name, when)

    async def _found_and_mended(self) -> None:
        """Nobody touched them; asked, each damage is found; asked again, it is mended."""
        looks = {}
        for name, film in self._jobs.items():
            path, job = self._media / film.torrent.name, await self._server.job(name)
            looks[name] = sha256_of(path) if path.exists() else "gone"
            if job["status"] != "completed":
                self.account.broken.append(f"{name}, finished, is {job['status']} by itself")
        for name in self._jobs:
            answer = await self._server.http.post(f"/downloads/{name}/recheck")
            assert answer.status_code in (200, 202), answer.text
        await self._all(lambda job: job["status"] == "failed", "tells the damage")
        for name, film in self._jobs.items():
            path, job = self._media / film.torrent.name, await self._server.job(name)
            if looks[name] != (sha256_of(path) if path.exists() else "gone"):
                self.account.broken.append(f"the finished film of {name} was touched")
            if (job.get("error") or {}).get("code") != "damaged":
                self.account.broken.append(f"{name} does not say damaged: {job.get('error')}")
            elif job["status"] == "failed":
                await self._server.verb("resume", {"id": name})
        await self._all(lambda job: job["status"] == "completed", "is mended")
        for name, film in self._jobs.items():
            path = self._media / str((await self._server.job(name))["path"])
            if film.is_whole(path):
                self.account.told += 1
            else:
                self.account.broken.append(f"{name} was mended and is not right")


async def cost(folder: Path, size: int) -> float:
    """Seconds that comparing a finished film of so many bytes with its hashes takes."""
    make_film(folder / "media" / "big.mkv", size)
    torrent = make_torrent(folder / "media" / "big.mkv", folder / "big.torrent")
    async with running(folder) as downloader:
        await downloader.adopt("big.mkv", torrent.path.read_bytes(), id="a")
        await until(downloader, "a", lambda job: job.progress.phase is Phase.SEEDING)
        began = time.monotonic()
        await downloader.recheck("a")
        await until(downloader, "a", lambda job: job.progress.phase is Phase.CHECKING)
        await until(downloader, "a", lambda job: job.progress.phase is Phase.SEEDING)
        return time.monotonic() - began


async def trials(folder: Path, seed: int, count: int, herd: int = HERD) -> Account:
    """At least so many trials."""
    async with LibtorrentPeer(time_limit=3600) as seeder:
        run = Trials(folder, seeder, random.Random(seed))
        while run.account.total < count:
            await run.herd(herd)
            sys.stdout.write(f"{run.account.total} trials, {len(run.account.broken)} broken\n")
            sys.stdout.flush()
            if len(run.account.broken) > 20:
                break
    return run.account


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Damage films while nobody looks.")
    parser.add_argument("--trials", type=int, default=600)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--cost", type=int, default=1024, help="MiB to measure a check; 0 = none")
    wanted = parser.parse_args()
    seed = secrets.randbelow(1_000_000) if wanted.seed is None else wanted.seed
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chilly-damage-") as folder:
        account = asyncio.run(trials(Path(folder), seed, wanted.trials))
    sys.stdout.write(f"seed {seed}: {account.summary()}\ntook {time.monotonic() - began:.0f} s\n")
    if wanted.cost:
        with tempfile.TemporaryDirectory(prefix="chilly-damage-") as folder:
            seconds = asyncio.run(cost(Path(folder), wanted.cost << 20))
        load, per = os.getloadavg()[0], seconds * 1024 / wanted.cost
        sys.stdout.write(f"a check takes {per:.2f} s/GiB (load of the machine {load:.1f})\n")
    return min(1, len(account.broken))


if __name__ == "__main__":
    sys.exit(main())
