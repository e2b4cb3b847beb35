"""Power cuts: what a disk holds at some moment of a busy run, and what the server makes of it.

State folder and media root lie on an ext4 image. A cut is a copy of the image: what the device
was given so far, without what the kernel still had in memory. The server is stopped while the
copy is made, and a copy in whose time the journal moved is made again, so that it shows one
moment. Each copy is mounted, looked at, and the server is started on it with nobody to ask.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.crash import mounts, promises, store
from lab.crash.accounts import data_of
from lab.crash.films import MIB, Film
from lab.crash.fire import SETTINGS, Fire
from lab.crash.life import Life
from lab.crash.model import Told
from tests.peers.torrents import sha256_of

_IMAGE = 400 * MIB
_SHM = Path("/dev/shm")  # copies are quick there


@dataclass(frozen=True)
class Cut:
    """One copy of the image, and what was known outside at that moment."""

    number: int
    image: Path
    jobs: dict[str, Told]
    films: dict[str, Film]
    doomed: frozenset[str]
    gone: frozenset[str]


@dataclass
class Verdict:
    """What all cuts together showed."""

    cuts: int = 0
    claimed: int = 0
    unfounded: int = 0
    jobs: int = 0
    completed: int = 0
    checked: int = 0
    broken: list[str] = field(default_factory=list)

    def summary(self, seed: int) -> str:
        """A few lines for people."""
        return "\n".join(
            [
                (
                    f"seed {seed}: {self.cuts} power cuts; {self.jobs} jobs in the copies, "
                    f"{self.completed} completed ones whole"
                ),
                (
                    f"{self.claimed} pieces claimed by resume data, {self.unfounded} not on "
                    f"the disk; {self.checked} downloads checked by a start without peers"
                ),
                f"broken promises: {len(self.broken)}",
                *self.broken,
            ]
        )


def settings_at(root: Path) -> dict[str, str]:
    """The server's settings for an image that is mounted there."""
    return {
        **SETTINGS,
        "CHILLY_MEDIA_ROOT": str(root / "media"),
        "CHILLY_STATE_DIR": str(root / "state"),
    }


@asynccontextmanager
async def busy_run(folder: Path, seed: int, cuts: int) -> AsyncIterator[tuple[Fire, list[Cut]]]:
    """A server on an image, acting for as long as the cuts take; yields after its end.

    Args:
        folder: for everything else.
        seed: of all that is random.
        cuts: how many copies to make.
    """
    with tempfile.TemporaryDirectory(
        prefix="chilly-cut-", dir=_SHM if _SHM.is_dir() else None
    ) as fast:
        image, root = Path(fast) / "disk", folder / "disk"
        mounts.make_image(image, _IMAGE)
        host = f"127.{seed % 100 + 100}.{seed // 100 % 250}"
        settings = settings_at(root)
        async with Fire(folder, seed, settings=settings, rate=4 * MIB, host=host) as fire:
            made: list[Cut] = []
            with mounts.mounted(image, root):

                async def cutting(fire: Fire, life: Life) -> None:
                    while len(made) < cuts:
                        await asyncio.sleep(fire.random.uniform(0.2, 1.8))
                        made.append(await _cut(fire, life, image, root, len(made)))

                await fire.round(cutting)
            yield fire, made


async def _cut(fire: Fire, life: Life, image: Path, root: Path, number: int) -> Cut:
    """Copy the image while the server stands still."""
    copy = image.with_name(f"cut{number}")
    os.kill(life.server.pid, signal.SIGSTOP)
    try:
        known = {job.id: Told(job.id, job.intents) for job in fire.jobs.values()}
        cut = Cut(
            number, copy, known,
            {job.id: job.film for job in fire.jobs.values()},
            frozenset(job.id for job in fire.jobs.values() if job.doomed),
            frozenset(fire.gone),
        )  # fmt: skip
        await asyncio.sleep(0.02)  # what the kernel does for it just now comes to its end
        for _ in range(10):
            before = mounts.commits(root)
            await asyncio.to_thread(mounts.copy_image, image, copy)
            if mounts.commits(root) == before:
                break
    finally:
        os.kill(life.server.pid, signal.SIGCONT)
    return cut


async def judge(cut: Cut, folder: Path, verdict: Verdict) -> None:
    """Mount a copy, look at it, and start the server on it while no seeder answers."""
    verdict.cuts += 1
    root = folder / f"after{cut.number}"
    with mounts.mounted(cut.image, root):
        stored = store.read(root / "state", resume=True)
        found = [*promises.whole(stored), *_lost(cut, stored)]
        found += _unfounded(cut, stored, root / "media", verdict)
        found += [*_wrong(cut, stored, root / "media", verdict)]
        found += await _started(cut, stored, folder, root, verdict)
    verdict.broken += [f"cut {cut.number}: {promise}" for promise in found if promise]
    cut.image.unlink()


def _lost(cut: Cut, stored: store.Stored) -> list[str]:
    return list(promises.nothing_lost(stored, cut.jobs.values(), set(cut.gone)))


def _unfounded(cut: Cut, stored: store.Stored, media: Path, verdict: Verdict) -> list[str]:
    """Pieces that resume data claims and that are not there."""
    found = []
    for job in stored.jobs.values():
        if job.id not in cut.films or job.status in ("canceled", "completed"):
            continue
        claimed = stored.have.get(job.key, frozenset())
        path = data_of(job, media)
        bad = claimed - (cut.films[job.id].good(path) if path else frozenset())
        verdict.claimed += len(claimed)
        verdict.unfounded += len(bad)
        if bad:
            found.append(f"{len(bad)} of {len(claimed)} claimed pieces of {job.id} are not there")
    return found


def _wrong(cut: Cut, stored: store.Stored, media: Path, verdict: Verdict) -> list[str]:
    """Completed jobs whose film is not whole."""
    found = []
    for job in stored.jobs.values():
        verdict.jobs += 1
        if job.status != "completed" or job.id not in cut.films or job.id in cut.doomed:
            continue
        path = media / str(job.path)
        if path.is_file() and sha256_of(path) == cut.films[job.id].sha256:
            verdict.completed += 1
        else:
            found.append(f"{job.id} is completed and its film is not whole")
    return found


async def _started(
    cut: Cut, stored: store.Stored, folder: Path, root: Path, verdict: Verdict
) -> list[str]:
    """What a server says of the copy when there is nobody to fetch anything from."""
    good = {
        job.id: cut.films[job.id].bytes_of(cut.films[job.id].good(path))
        for job in stored.jobs.values()
        if job.id in cut.films and (path := data_of(job, root / "media")) is not None
    }
    life = Life(folder / f"server{cut.number}", settings_at(root), 0)
    await life.start()
    try:
        for job in stored.jobs.values():
            if job.status == "paused":
                await life.server.verb("resume", {"id": job.id})
        listed = await _settled(life, good)
    finally:
        await life.kill()
    found = []
    for job_id, shown in listed.items():
        was = stored.jobs[job_id].status if job_id in stored.jobs else "missing"
        says = shown["progress"]["bytesDownloaded"]
        if shown["status"] in ("active", "queued"):
            verdict.checked += 1
            if says > good.get(job_id, 0):
                found.append(f"{job_id} says {says} bytes and has {good.get(job_id, 0)}")
        elif shown["status"] not in (was, "completed"):
            found.append(f"{job_id} was {was} and is {shown['status']} after the start")
        elif shown["status"] == "completed" and was != "completed":
            film = cut.films[job_id]
            if sha256_of(root / "media" / shown["path"]) != film.sha256:
                found.append(f"{job_id} completed wrongly after the start")
    found += [f"{job_id} is gone after the start" for job_id in stored.jobs.keys() - listed.keys()]
    return found


async def _settled(life: Life, good: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """The jobs once everything was looked at that is there."""
    async with asyncio.timeout(30):
        while True:
            listed = await life.statuses()
            waiting = [
                job
                for job in listed.values()
                if job["status"] == "queued"
                or (job["status"] == "active" and job["progress"]["phase"] in (None, "checking"))
            ]
            if not waiting:
                await asyncio.sleep(0.6)  # figures are told twice a second
                return await life.statuses()
            await asyncio.sleep(0.1)


async def power_cuts(folder: Path, seed: int, cuts: int) -> Verdict:
    """A busy run with so many cuts, and what they showed."""
    verdict = Verdict()
    async with busy_run(folder, seed, cuts) as (fire, made):
        verdict.broken += fire.tally.broken
        for film in fire.films:
            await fire.swarm.offline(film.name, away=True)
        for cut in made:
            await judge(cut, folder, verdict)
    return verdict


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Cut the power of the real server.")
    parser.add_argument("--cuts", type=int, default=50)
    parser.add_argument("--seed", type=int, default=None)
    wanted = parser.parse_args()
    seed = secrets.randbelow(1_000_000) if wanted.seed is None else wanted.seed
    began, total = time.monotonic(), Verdict()
    for start in range(0, wanted.cuts, 10):
        with tempfile.TemporaryDirectory(prefix="chilly-power-") as folder:
            cuts = min(10, wanted.cuts - start)
            found = asyncio.run(power_cuts(Path(folder), seed + start, cuts))
        for name in ("cuts", "claimed", "unfounded", "jobs", "completed", "checked", "broken"):
            setattr(total, name, getattr(total, name) + getattr(found, name))
        sys.stdout.write(f"{total.cuts} cuts, {len(total.broken)} broken promises\n")
        sys.stdout.flush()
    sys.stdout.write(f"{total.summary(seed)}\ntook {time.monotonic() - began:.0f} s\n")
    return min(1, len(total.broken))


if __name__ == "__main__":
    sys.exit(main())
