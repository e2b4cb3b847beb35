"""The server killed at every failpoint there is, at its first, second, ... time, and started again.

`python -m lab.crash.points`: after each kill the store is whole, every job is what it was told
to be, and in the next life all films are finished, right, and nothing else lies there.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from lab.crash import promises, store
from lab.crash.herd import SETTINGS, Herd, Small, listed, until_all
from tests.acceptance.backend import Backend
from tests.peers.libtorrent_peer import LibtorrentPeer

POINTS = (
    *(f"resume.{step}@{n}" for step in ("taken", "flushed", "stored") for n in range(1, 9)),
    *(f"closing.{step}@{n}" for step in ("taken", "flushed", "stored") for n in range(1, 4)),
    *(
        f"publish.{step}@{n}"
        for step in ("verified", "flushed", "told", "renamed")
        for n in range(1, 4)
    ),
    *(f"{step}@{n}" for step in ("canceled.stored", "remove.deleted") for n in (1, 2)),
    *(f"move.{step}@{n}" for step in ("told", "renamed") for n in (1, 2)),
)
_SIZE = 1_900_000
_RATE = 300_000
_WITHIN = 60.0


@dataclass
class Account:
    """What was seen."""

    killed: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def summary(self) -> str:
        """A few lines for people."""
        return "\n".join(
            [
                f"killed at {len(self.killed)} points: {' '.join(self.killed)}",
                f"never reached: {' '.join(self.missed) or 'none'}",
                f"broken promises: {len(self.broken)}",
                *self.broken,
            ]
        )


async def kill_at(point: str, folder: Path, herd: Herd, account: Account) -> None:
    """One life that ends there, and the next one."""
    films = await herd.grow(4, _SIZE, piece=32 * 1024, rate=_RATE)
    jobs = {f"job-{number}": film for number, film in enumerate(films)}
    ended: dict[str, str] = {}
    begun: set[str] = set()
    ours = Backend(folder / "server", {**SETTINGS, "CHILLY_FAILPOINT": f"{point}:exit"}, warm=True)
    async with ours:
        acting = asyncio.create_task(_act(ours, point, jobs, begun, ended))
        try:
            await ours.died(within=_WITHIN)
            account.killed.append(point)
        except TimeoutError:
            account.missed.append(point)
        acting.cancel()
        await asyncio.wait([acting])
        await ours.kill()
    stored = store.read(folder / "server" / "state")
    account.broken += [f"{point}: {why}" for why in promises.whole(stored)]
    # what was in the air at the kill may be there or not
    jobs = {name: film for name, film in jobs.items() if name in begun | stored.jobs.keys()}
    account.broken += [f"{point}: {name} is lost" for name in _lost(jobs, ended, stored)]
    await herd.limit(films, 0)
    async with Backend(folder / "server", SETTINGS, warm=True) as ours:
        account.broken += [f"{point}: {why}" for why in await _verdict(ours, jobs, ended)]


def _lost(jobs: dict[str, Small], ended: dict[str, str], stored: store.Stored) -> list[str]:
    return [n for n in jobs if n not in stored.jobs and not ended.get(n, "").startswith("remove")]


async def _act(
    ours: Backend, point: str, jobs: dict[str, Small], acked: set[str], ended: dict[str, str]
) -> None:
    """What leads to the point: downloads, and for some points verbs, job by job."""
    with contextlib.suppress(httpx2.HTTPError):
        for name, film in jobs.items():
            await ours.start(film.magnet, id=name)
            acked.add(name)
        verb = point.partition(".")[0]
        if verb in ("resume", "closing", "publish"):
            return
        begun = lambda job: job["progress"]["bytesDownloaded"] > 0  # noqa: E731
        done = lambda job: job["status"] == "completed"  # noqa: E731
        await until_all(ours, jobs, done if verb == "move" else begun, _WITHIN)
        for name in jobs:
            if verb == "canceled":
                ended[name] = "canceled"
                await ours.verb("cancel", {"id": name})
            elif verb == "remove":
                ended[name] = "remove"
                await ours.http.delete(f"/downloads/{name}?deleteFiles=true")
            else:
                body = {"folder": f"elsewhere/{name}"}
                answer = await ours.http.post(f"/downloads/{name}/move", json=body)
                assert answer.status_code in (200, 202), answer.text
            await asyncio.sleep(0.5)


async def _verdict(ours: Backend, jobs: dict[str, Small], ended: dict[str, str]) -> list[str]:
    """What is wrong in the life after the kill."""
    wanted = [name for name in jobs if name not in ended]
    settled = lambda job: job["status"] == "completed" and not job.get("movingTo")  # noqa: E731
    late = await until_all(ours, wanted, settled, _WITHIN)
    found = [f"{name} does not finish: {job.get('status')}" for name, job in late.items()]
    shown, keys = await listed(ours), {}
    for name, job in store.read(ours.media.parent / "state").jobs.items():
        keys[name] = job.key
    for name in jobs:
        status = shown.get(name, {}).get("status", "missing")
        path = ours.media / str(shown.get(name, {}).get("path"))
        if name not in ended and status == "completed" and not jobs[name].is_whole(path):
            found.append(f"{name} is completed and not right")
        elif ended.get(name) == "canceled" and status != "canceled":
            found.append(f"{name} was canceled and is {status}")
        elif ended.get(name) == "remove" and status not in ("missing", "canceled"):
            found.append(f"{name} was removed and is {status}")
    films = [path for path in ours.media.rglob("*.mkv") if ".incomplete" not in path.parts]
    there = {str(path.relative_to(ours.media)) for path in films}
    known = {str(job["path"]) for job in shown.values() if job.get("path")}
    found += [f"{name} belongs to nobody" for name in sorted(there - known)]
    staged = ours.media / ".incomplete"
    async with asyncio.timeout(5):
        while any(any((staged / key).rglob("*.mkv")) for key in keys.values()):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return found


async def all_points(folder: Path, points: list[str], at_once: int) -> Account:
    """Each of these points, some at the same time."""
    account, gate = Account(), asyncio.Semaphore(at_once)
    async with LibtorrentPeer(time_limit=3600) as seeder:
        herd = Herd(folder / "films", seeder)

        async def one(number: int, point: str) -> None:
            async with gate:
                try:
                    await kill_at(point, folder / str(number), herd, account)
                except (AssertionError, TimeoutError) as error:
                    account.broken.append(f"{point}: {error!r}")
                sys.stdout.write(f"{point}: {len(account.broken)} broken so far\n")
                sys.stdout.flush()

        async with asyncio.TaskGroup() as group:
            for number, point in enumerate(points):
                group.create_task(one(number, point))
    return account


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Kill the server at each failpoint.")
    parser.add_argument("--points", nargs="+", default=list(POINTS), metavar="NAME@TIME")
    parser.add_argument("--at-once", type=int, default=3)
    wanted = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chilly-points-") as folder:
        account = asyncio.run(all_points(Path(folder), wanted.points, wanted.at_once))
    sys.stdout.write(f"{account.summary()}\ntook {time.monotonic() - began:.0f} s\n")
    return min(1, len(account.broken) + len(account.missed))


if __name__ == "__main__":
    sys.exit(main())
