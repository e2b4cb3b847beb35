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
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
    *(f"found.{step}@{n}" for step in ("linked", "copied") for n in (1, 2)),
    *(
        f"source:{step}@{n}"
        for step in ("remove.deleted", "source.removed", "source.changed")
        for n in (1, 2)
    ),
)
"""A word before `:` says what is done; without one that is what the point's name begins with."""
_PATIENCE = {"CHILLY_SOURCE_PATIENCE": "2"}
"""A source that stands still is left so soon, in the lives that are about that."""
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
    verb, settings = _verb_of(point), SETTINGS
    halves: dict[str, Small] = {}
    if verb == "source":  # of the first source of each there is a part, and never more
        begins = await herd.grow(4, _SIZE, piece=32 * 1024, have=range(10))
        halves, settings = dict(zip(jobs, begins, strict=True)), {**SETTINGS, **_PATIENCE}
    mine = _lay_damaged(folder / "server" / "media" / "mine", jobs) if verb == "found" else {}
    fatal = {**settings, "CHILLY_FAILPOINT": f"{point.rpartition(':')[2]}:exit"}
    ours = Backend(folder / "server", fatal, warm=True)
    async with ours:
        acting = asyncio.create_task(_act(ours, verb, jobs, halves, begun, ended))
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
    async with Backend(folder / "server", settings, warm=True) as ours:
        account.broken += [f"{point}: {why}" for why in await _verdict(ours, jobs, ended)]
        changed = [path.name for path, data in mine.items() if path.read_bytes() != data]
        account.broken += [f"{point}: {name}, which is the user's, is another" for name in changed]
        if halves:
            shown = await listed(ours)
            wrong = [n for n in jobs if not _is_switched(shown[n], halves[n], jobs[n])]
            account.broken += [f"{point}: {name} names other sources" for name in wrong]


def _lay_damaged(folder: Path, jobs: Mapping[str, Small]) -> dict[Path, bytes]:
    """What a user may have: each film under another name, with a wrong byte in its middle.

    So it is found, linked and compared, and then copied, for only some of it is right.
    """
    folder.mkdir(parents=True)
    found = {}
    for name, film in jobs.items():
        data = bytearray(film.torrent.content.read_bytes())
        data[len(data) // 2] ^= 1
        found[folder / f"{name}.bin"] = bytes(data)
    for path, whole in found.items():
        path.write_bytes(whole)
    return found


def _verb_of(point: str) -> str:
    """What is done until the server is killed there."""
    given, colon, _ = point.partition(":")
    return given if colon else point.partition(".")[0]


def _is_switched(job: Mapping[str, Any], first: Small, second: Small) -> bool:
    """Whether a job is called after its first source and runs its second."""
    return (job["sourceUrn"], job["activeSource"]["sourceUrn"]) == (first.magnet, second.magnet)


def _lost(jobs: dict[str, Small], ended: dict[str, str], stored: store.Stored) -> list[str]:
    return [n for n in jobs if n not in stored.jobs and not ended.get(n, "").startswith("remove")]


async def _act(
    ours: Backend,
    verb: str,
    jobs: dict[str, Small],
    halves: dict[str, Small],
    acked: set[str],
    ended: dict[str, str],
) -> None:
    """What leads to the point: downloads, and for some points verbs, job by job."""
    with contextlib.suppress(httpx2.HTTPError):
        for name, film in jobs.items():
            if name in halves:
                others = [{"sourceUrn": film.magnet}]
                await ours.start(halves[name].magnet, id=name, candidates=others)
            else:
                await ours.start(film.magnet, id=name)
            acked.add(name)
        if verb in ("resume", "closing", "publish", "source", "found"):
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
    shown = await listed(ours)
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
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(5):
            while any(staged.rglob("*.mkv")):  # noqa: ASYNC110 (another process)
                await asyncio.sleep(0.05)
    left = sorted(str(path.relative_to(staged)) for path in staged.rglob("*.mkv"))
    return found + [f"{path} is left over" for path in left]


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
