"""Power cuts in the middle of http downloads: what is claimed lies on the disk, and all ends right.

    python -m lab.crash.http_power [--cuts 20]

As in `lab.crash.power` a cut is a copy of the image that state folder and media root lie on, made
while the server stands still. Each copy is mounted and looked at; then the server is started on it,
first while the web server is away, and then until every film is there.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import secrets
import signal
import sqlite3
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.crash import mounts, store
from lab.crash.accounts import data_of
from lab.crash.films import MIB
from lab.crash.http_origin import HttpOrigin, Range, count
from tests.acceptance.backend import Backend
from tests.peers.torrents import make_film, sha256_of

_IMAGE = 400 * MIB
_FILMS = 5
_SIZE = 24 * MIB
_RATE = 1 * MIB
_ROUND = 5
"""Cuts of one busy run: it is over after half a minute."""
_SHM = Path("/dev/shm")  # copies are quick there


@dataclass
class Verdict:
    """What all cuts together showed."""

    cuts: int = 0
    jobs: int = 0
    claimed: int = 0
    missing: int = 0
    completed: int = 0
    finished: int = 0
    broken: list[str] = field(default_factory=list)

    def summary(self, seed: int) -> str:
        """A few lines for people."""
        return "\n".join(
            [
                f"seed {seed}: {self.cuts} power cuts, {self.jobs} jobs in the copies",
                f"{self.claimed / MIB:.1f} MiB claimed, of which {self.missing} bytes not there",
                f"{self.completed} films that were completed are whole, {self.finished} more came",
                f"broken promises: {len(self.broken)}",
                *self.broken,
            ]
        )


@dataclass(frozen=True)
class _World:
    """What all runs share."""

    folder: Path
    films: dict[str, Path]
    origin: HttpOrigin

    def settings(self, root: Path) -> dict[str, str]:
        """The server's settings for an image that is mounted there."""
        return {
            "CHILLY_MEDIA_ROOT": str(root / "media"),
            "CHILLY_STATE_DIR": str(root / "state"),
            "CHILLY_MIN_FREE_SPACE": "0",
            "CHILLY_LOG_LEVEL": "warning",
        }


@asynccontextmanager
async def _world(folder: Path, seed: int) -> AsyncIterator[_World]:
    films = {f"film{n}.mkv": folder / "origin" / f"film{n}.mkv" for n in range(_FILMS)}
    for number, path in enumerate(films.values()):
        make_film(path, _SIZE, seed=seed + number)
    async with HttpOrigin(films, _RATE) as origin:
        yield _World(folder, films, origin)


async def http_power_cuts(folder: Path, seed: int, cuts: int) -> Verdict:
    """A busy run with so many cuts, and what they showed."""
    verdict, chance = Verdict(), random.Random(seed)
    with tempfile.TemporaryDirectory(
        prefix="chilly-cut-", dir=_SHM if _SHM.is_dir() else None
    ) as shm:
        image, root = Path(shm) / "disk", folder / "disk"
        mounts.make_image(image, _IMAGE)
        async with _world(folder, seed) as world:
            with mounts.mounted(image, root):
                copies = await _busy_run(world, image, root, cuts, chance)
            for number, copy in enumerate(copies):
                await _judge(world, copy, number, verdict)
    return verdict


async def _busy_run(
    world: _World, image: Path, root: Path, cuts: int, chance: random.Random
) -> list[Path]:
    """Fetch all films, some of them paused now and then, and copy the image meanwhile."""
    copies: list[Path] = []
    server = Backend(world.folder / "server", world.settings(root), warm=True)
    await server.__aenter__()
    try:
        for name in world.films:
            wish = {"id": name, "sourceType": "http", "sourceUrn": f"{world.origin.url}/{name}"}
            await server.verb("start", wish)
        while len(copies) < cuts:
            await asyncio.sleep(chance.uniform(0.3, 2.0))
            verb = chance.choice(("pause", "resume", "resume", ""))
            job = chance.choice(list(world.films))
            if verb and (await server.job(job))["status"] not in ("completed", "failed"):
                await server.http.post(f"/download/{verb}", json={"id": job})
            copies.append(await _cut(server, image, root, len(copies)))
    finally:
        await server.kill()
    return copies


async def _cut(server: Backend, image: Path, root: Path, number: int) -> Path:
    """Copy the image while the server stands still."""
    copy = image.with_name(f"cut{number}")
    os.kill(server.pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(0.02)  # what the kernel does for it just now comes to its end
        for _ in range(10):
            before = mounts.commits(root)
            await asyncio.to_thread(mounts.copy_image, image, copy)
            if mounts.commits(root) == before:
                break
    finally:
        os.kill(server.pid, signal.SIGCONT)
    return copy


async def _judge(world: _World, copy: Path, number: int, verdict: Verdict) -> None:
    """Mount a copy, look at it, and start the server on it."""
    verdict.cuts += 1
    root = world.folder / f"after{number}"
    with mounts.mounted(copy, root):
        good = _look(world, root, verdict, f"cut {number}: ")
        if good is not None:
            await _start(world, root, good, verdict, f"cut {number}: ")
    copy.unlink()


def _look(world: _World, root: Path, verdict: Verdict, where: str) -> dict[str, int] | None:
    """Compare what is claimed with what is there; how much of each film is, None without jobs."""
    stored = store.read(root / "state")
    if stored.integrity != "ok":
        verdict.broken.append(f"{where}the database is broken: {stored.integrity}")
        return None
    claims, good = _claims(root / "state"), {}
    for job in stored.jobs.values():
        verdict.jobs += 1
        path, film = data_of(job, root / "media"), world.films[job.id].read_bytes()
        there = path.read_bytes() if path is not None and path.is_file() else b""
        good[job.id] = _alike(there, film)
        if job.status == "completed":
            verdict.completed += there == film
            if there != film:
                verdict.broken.append(f"{where}{job.id} is completed and not whole")
            continue
        claimed = claims.get(job.key, [])
        missing = sum(end - begin - _alike_part(there, film, begin, end) for begin, end in claimed)
        verdict.claimed += count(claimed)
        verdict.missing += missing
        if missing:
            verdict.broken.append(f"{where}{missing} claimed bytes of {job.id} are not there")
    return good


def _alike(there: bytes, film: bytes) -> int:
    """How many blocks' bytes are what they should be."""
    return sum(
        _alike_part(there, film, at, min(len(film), at + 4096)) for at in range(0, len(film), 4096)
    )


def _alike_part(there: bytes, film: bytes, begin: int, end: int) -> int:
    if there[begin:end] == film[begin:end]:
        return end - begin
    return sum(a == b for a, b in zip(there[begin:end], film[begin:end], strict=False))


def _claims(state: Path) -> dict[str, list[Range]]:
    """The ranges that are said to be on the disk, by job key."""
    with tempfile.TemporaryDirectory(prefix="chilly-db-") as folder:
        for name in ("chilly.db", "chilly.db-wal"):
            if (state / name).exists():
                (Path(folder) / name).write_bytes((state / name).read_bytes())
        with closing(sqlite3.connect(Path(folder) / "chilly.db")) as database:
            tables = {row[0] for row in database.execute("SELECT name FROM sqlite_master")}
            rows = database.execute("SELECT key, data FROM resume") if "resume" in tables else ()
            return {key: [(b, e) for b, e in json.loads(data)["spans"]] for key, data in rows}


async def _start(
    world: _World, root: Path, good: dict[str, int], verdict: Verdict, where: str
) -> None:
    """What the server says with nobody to ask, and what it makes of it when there is somebody."""
    world.origin.away, world.origin.rate = True, 1 << 40
    async with Backend(
        world.folder / f"server{root.name}", world.settings(root), warm=True
    ) as server:
        await asyncio.sleep(0.7)
        for job in await _listed(server):
            says = job["progress"]["bytesDownloaded"]
            if job["status"] != "completed" and says > good.get(job["id"], 0):
                verdict.broken.append(f"{where}{job['id']} says {says}, has {good.get(job['id'])}")
        world.origin.away = False
        for job in await _listed(server):
            if job["status"] == "completed":
                continue
            for verb in ("pause", "resume"):  # it may be complete by now
                await server.http.post(f"/download/{verb}", json={"id": job["id"]})
            done = await server.wait(job["id"])
            film = root / "media" / str(done["path"])
            right = done["status"] == "completed" and sha256_of(film) == sha256_of(
                world.films[job["id"]]
            )
            verdict.finished += right
            if not right:
                verdict.broken.append(f"{where}{job['id']} ended as {done['status']}, or wrongly")


async def _listed(server: Backend) -> list[dict[str, Any]]:
    answer = await server.http.get("/downloads")
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Cut the power of http downloads.")
    parser.add_argument("--cuts", type=int, default=20)
    parser.add_argument("--seed", type=int, default=None)
    wanted = parser.parse_args()
    seed = secrets.randbelow(1_000_000) if wanted.seed is None else wanted.seed
    total = Verdict()
    for start in range(0, wanted.cuts, _ROUND):
        with tempfile.TemporaryDirectory(prefix="chilly-power-") as folder:
            cuts = min(_ROUND, wanted.cuts - start)
            found = asyncio.run(http_power_cuts(Path(folder), seed + start, cuts))
        for name in ("cuts", "jobs", "claimed", "missing", "completed", "finished", "broken"):
            setattr(total, name, getattr(total, name) + getattr(found, name))
        sys.stdout.write(f"{total.cuts} cuts, {len(total.broken)} broken promises\n")
        sys.stdout.flush()
    sys.stdout.write(total.summary(seed) + "\n")
    return min(1, len(total.broken))


if __name__ == "__main__":
    sys.exit(main())
