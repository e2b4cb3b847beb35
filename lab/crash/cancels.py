"""Canceled and removed jobs, then kill -9 at once: none of them may ever come back.

In each life of the server a herd of jobs is ended by many verbs at once, and the process is
killed 0 to 500 ms after one of the later ones was acknowledged, with others in the air. Only
what was acknowledged before the kill counts. `python -m lab.crash.cancels --jobs 1000`
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import secrets
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from lab.crash import store
from lab.crash.herd import SETTINGS, Herd, Small, listed, until_all
from tests.acceptance.backend import Backend
from tests.peers.libtorrent_peer import LibtorrentPeer

PIECE = 64 * 1024
SIZE = 6 * PIECE
HERD = 60
CLEAN_WITHIN = 5.0
_RATE = 32 * 1024
_VERBS = ("cancel", "remove", "remove with files")


@dataclass
class Account:
    """What was seen."""

    kills: int = 0
    canceled: int = 0
    removed: int = 0
    finished: int = 0
    fresh: int = 0
    air: int = 0
    again: int = 0
    clean: list[float] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    @property
    def acks(self) -> int:
        """Acknowledged ends of jobs so far."""
        return self.canceled + self.removed

    def summary(self) -> str:
        """A few lines for people."""
        return "\n".join(
            [
                (
                    f"{self.acks} acknowledged ends of jobs before {self.kills} kills: "
                    f"{self.canceled} cancels, {self.removed} removals "
                    f"({self.finished} of finished films); {self.fresh} of them at most 500 ms "
                    f"before the kill; {self.air} more were in the air"
                ),
                (
                    f"files gone after the server was ready again: "
                    f"{max(self.clean, default=0):.2f} s at most"
                ),
                f"{self.again} ids of removed jobs taken for other films, none with old data",
                f"came back, left files, or otherwise broken: {len(self.broken)}",
                *self.broken,
            ]
        )


class Cancels:
    """Herds of jobs, ended and killed.

    Args:
        folder: everything lies below it.
        seeder: who offers the films.
        dice: all that is random.
    """

    def __init__(self, folder: Path, seeder: LibtorrentPeer, dice: random.Random) -> None:
        self.account = Account()
        self._folder = folder
        self._herd = Herd(folder / "films", seeder)
        self._dice = dice
        self._lives = 0
        self._told: dict[str, str] = {}
        self._films: dict[str, Small] = {}
        self._keys: dict[str, str] = {}

    def _backend(self) -> Backend:
        return Backend(self._folder / "server", SETTINGS, warm=True)

    async def life(self, count: int = HERD) -> None:
        """One herd, its end, a kill, and what a new start makes of it."""
        self._lives += 1
        films = await self._herd.grow(count, SIZE, piece=PIECE, rate=_RATE)
        await self._herd.limit(films[: count // 4], 0)  # these are finished by then
        self._films = {f"job-{self._lives}-{n}": film for n, film in enumerate(films)}
        server = self._backend()
        async with server:
            for name, film in self._films.items():
                await server.start(film.magnet, id=name)
            begun = lambda job: job["progress"]["bytesDownloaded"] > 0  # noqa: E731
            late = await until_all(server, self._films, begun, 60)
            self.account.broken += [f"{name} never began: {job}" for name, job in late.items()]
            jobs = store.read(self._folder / "server" / "state").jobs
            self._keys = {name: jobs[name].key for name in self._films}
            await self._end_and_kill(server)
        await self._check()

    async def _end_and_kill(self, server: Backend) -> None:
        acked: dict[str, tuple[str, str, float]] = {}
        whole = {n for n, job in (await listed(server)).items() if job["status"] == "completed"}
        verbs = [asyncio.create_task(self._end(server, name, acked)) for name in self._films]
        some = self._dice.randrange(len(verbs) // 3, len(verbs) - 2)
        while len(acked) < some:  # noqa: ASYNC110 (another process)
            await asyncio.sleep(0.001)
        await asyncio.sleep(self._dice.uniform(0, 0.5))
        told, now = dict(acked), time.monotonic()  # what was known before the kill
        await server.kill()
        for verb_in_the_air in verbs:
            verb_in_the_air.cancel()
        await asyncio.wait(verbs)
        self.account.kills += 1
        self.account.air += len(self._films) - len(told)
        for name, (verb, status, at) in told.items():
            self.account.fresh += now - at <= 0.5
            self._told[name] = "completed" if status == "completed" else verb
            if verb != "cancel":
                self.account.removed += 1
                self.account.finished += name in whole
            elif status == "canceled":
                self.account.canceled += 1

    async def _end(
        self, server: Backend, name: str, acked: dict[str, tuple[str, str, float]]
    ) -> None:
        await asyncio.sleep(self._dice.uniform(0, 0.1))
        verb = self._dice.choice(_VERBS)
        with contextlib.suppress(httpx2.HTTPError):
            if verb == "cancel":
                answer = await server.http.post("/download/cancel", json={"id": name})
            else:
                files = "true" if verb.endswith("files") else "false"
                answer = await server.http.delete(f"/downloads/{name}?deleteFiles={files}")
            if answer.status_code in (200, 204):
                status = answer.json()["status"] if answer.status_code == 200 else "removed"
                acked[name] = (verb, status, time.monotonic())
            elif answer.status_code < 500:
                self.account.broken.append(f"{verb} of {name}: {answer.text}")

    async def _check(self) -> None:
        """The next start: all that was told to end is gone, now and in all later lives."""
        server = self._backend()
        async with server:
            ready = time.monotonic()
            await self._gone(await listed(server))
            staged = server.media / ".incomplete"
            ended = {self._keys[name] for name in self._films if self._told.get(name) in _VERBS}
            while any((staged / key).exists() for key in ended):
                if time.monotonic() - ready > CLEAN_WITHIN:
                    left = [key for key in ended if (staged / key).exists()]
                    self.account.broken.append(f"data of {len(left)} ended jobs is still there")
                    break
                await asyncio.sleep(0.02)
            self.account.clean.append(time.monotonic() - ready)
            self._no_film_lies_about(server)
            await self._take_an_id_again(server)
            for name in await listed(server):
                if name in self._films and name not in self._told:
                    await server.http.delete(f"/downloads/{name}?deleteFiles=true")
        await self._herd.limit(self._films.values(), 0)

    async def _gone(self, jobs: dict[str, dict[str, Any]]) -> None:
        for name, verb in self._told.items():
            status = jobs.get(name, {}).get("status", "missing")
            right = {"cancel": "canceled", "completed": "completed"}.get(verb, "missing")
            if status != right:
                self.account.broken.append(f"{name}: {verb} was acknowledged, it is {status}")

    def _no_film_lies_about(self, server: Backend) -> None:
        for name, film in self._films.items():
            there = (server.media / film.torrent.name).exists()
            if there and self._told.get(name) == "remove with files":
                self.account.broken.append(f"the film of {name} was removed and is there")

    async def _take_an_id_again(self, server: Backend) -> None:
        """The id of a removed job is a new job's; of a canceled one it is refused."""
        gone = [name for name in self._films if self._told.get(name, "").startswith("remove")]
        if gone:
            name = self._dice.choice(gone)
            (film,) = await self._herd.grow(1, SIZE, piece=PIECE)
            await server.start(film.magnet, id=name)
            job = await server.wait(name)
            if job["status"] != "completed" or not film.is_whole(server.media / job["path"]):
                self.account.broken.append(f"{name}, begun anew, is not the new film: {job}")
            self.account.again += 1
            await server.http.delete(f"/downloads/{name}?deleteFiles=true")
        for name in (name for name in self._films if self._told.get(name) == "cancel"):
            other = self._films[next(n for n in self._films if n != name)]
            body = {"id": name, "sourceType": "torrent", "sourceUrn": other.magnet}
            answer = await server.http.post("/download/start", json=body)
            if answer.status_code != 409:
                self.account.broken.append(f"the id of canceled {name} was given: {answer.text}")


async def cancels(folder: Path, seed: int, count: int, herd: int = HERD) -> Account:
    """At least so many acknowledged ends of jobs."""
    async with LibtorrentPeer(time_limit=3600) as seeder:
        run = Cancels(folder, seeder, random.Random(seed))
        while run.account.acks < count and len(run.account.broken) < 20:
            await run.life(herd)
            done = run.account
            sys.stdout.write(f"{done.kills} kills, {done.acks} acks, {len(done.broken)} broken\n")
            sys.stdout.flush()
    return run.account


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="End jobs, kill the server, look for zombies.")
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=None)
    wanted = parser.parse_args()
    seed = secrets.randbelow(1_000_000) if wanted.seed is None else wanted.seed
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chilly-cancels-") as folder:
        account = asyncio.run(cancels(Path(folder), seed, wanted.jobs))
    sys.stdout.write(f"seed {seed}: {account.summary()}\ntook {time.monotonic() - began:.0f} s\n")
    return min(1, len(account.broken))


if __name__ == "__main__":
    sys.exit(main())
