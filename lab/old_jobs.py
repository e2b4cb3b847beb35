"""How today's program takes over a state folder of the first version with many jobs.

`python -m lab.old_jobs --tree FOLDER`: FOLDER is a clone at 9e7d285 in which `make setup` was run.
Its program makes the jobs, in all states, from a seeder and a web server on loopback, and is
killed. Then today's program opens the folder, as it was left, several times. Ends with 1 if it is
not ready in time, a job or a stored event is missing or another, or what waited does not go on.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.crash.herd import listed, until_all
from lab.old_state import (
    HOST,
    PORT,
    magnet,
    opened_again,
    replayed,
    same_member,
    seeder,
    stored_events,
)
from tests.acceptance.backend import Backend
from tests.integration.web_answers import http, web_answers
from tests.peers.torrents import Torrent, make_film, make_torrent

_PIECE = 16 * 1024
_WHOLE, _WAITING, _WRONG = 40, 20, 50
"""Films that are complete, films that go on later, and links that lead to no torrent."""
_SETTINGS = {
    "CHILLY_MAX_ACTIVE": "3",
    "CHILLY_METADATA_TIMEOUT": "86400",
    "CHILLY_MIN_FREE_SPACE": "1000000",
    "CHILLY_LOG_LEVEL": "warning",
    "CHILLY_RATE_LIMIT_START": "99999/second",
    "CHILLY_RATE_LIMIT_CANCEL": "99999/second",
}
_AT_ONCE = 8


@dataclass
class Left:
    """What the program of before left behind.

    Attributes:
        jobs: as its API told of them, by id.
        events: number, job and name of all that it stored.
        heard: the newest number that a listener of its events heard.
        waiting: films that wait for their seeder.
    """

    jobs: dict[str, dict[str, Any]]
    events: list[tuple[int, str, str]]
    heard: int
    waiting: dict[str, Torrent]


@dataclass
class Account:
    """What was seen.

    Attributes:
        ready: seconds from the start of the process to the first page of jobs.
        cpu: seconds of CPU that this took the process.
        broken: what is not as it should be.
    """

    ready: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)


def films(folder: Path, kind: str, count: int, first_seed: int) -> dict[str, Torrent]:
    """So many small films of one kind."""
    made = {}
    for number in range(count):
        name = f"{kind}-{number}"
        make_film(folder / name / f"{name}.mkv", 4 * _PIECE, seed=first_seed + number)
        path = folder / name / f"{name}.mkv"
        made[name] = make_torrent(path, folder / f"{name}.torrent", piece_size=_PIECE)
    return made


async def each(names: Iterable[str], work: Callable[[str], Awaitable[object]]) -> None:
    """Do something for every name, some at the same time, and begin in their order."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(name: str) -> None:
        async with gate:
            await work(name)

    async with asyncio.TaskGroup() as group:
        for name in names:
            group.create_task(one(name))


async def fill(ours: Backend, web: str, made: Path, count: int) -> dict[str, Torrent]:
    """Makes the jobs; gives the films that wait for their seeder."""
    whole = films(made, "whole", _WHOLE, 0)
    async with seeder() as peer:
        for film in whole.values():
            await peer.seed(film.path, film.folder)
        await each(whole, lambda name: ours.start(magnet(whole[name]), id=name))
        await until_all(ours, whole, lambda job: job["status"] == "completed", 120.0)
    wrong = [f"wrong-{number}" for number in range(_WRONG)]
    await each(wrong, lambda name: ours.start(f"{web}/{name}.torrent", id=name))
    await until_all(ours, wrong, lambda job: job["status"] == "failed", 60.0)
    waiting = films(made, "waiting", _WAITING, _WHOLE)
    await each(waiting, lambda name: ours.start(magnet(waiting[name]), id=name))
    rest = [f"nobody-{number}" for number in range(count - _WHOLE - _WRONG - _WAITING)]
    await each(rest, lambda name: ours.start(nobody(name), id=name))
    await each(rest[0::5], lambda name: ours.verb("pause", {"id": name}))
    await each(rest[1::5], lambda name: ours.verb("cancel", {"id": name}))
    return waiting


def nobody(name: str) -> str:
    """A magnet that no peer has."""
    digest = hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()
    return f"magnet:?xt=urn:btih:{digest}&dn={name}&x.pe={HOST}:{PORT}"


async def leave(tree: Path, folder: Path, made: Path, count: int) -> Left:
    """Lets the program of before make the jobs, and kills it."""
    old = Backend(folder, _SETTINGS, program=tree / ".venv" / "bin" / "chilly")
    nonsense = http("200 OK", b"this is no torrent")
    async with web_answers(lambda _: nonsense) as web, old as ours:
        waiting = await fill(ours, web.url, made, count)
        jobs = await listed(ours)
        heard = await newest_heard(ours)
        await ours.kill()
    return Left(jobs, stored_events(folder), heard, waiting)


async def newest_heard(ours: Backend) -> int:
    """The newest number that a listener hears: in that version progress had numbers, too."""
    heard = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(3), ours.listen("/events", last_id=0) as events:
            async for event in events:
                heard = max(heard, event["_id"] or 0)
    return heard


async def take_over(folder: Path, left: Left, account: Account, *, go_on: bool) -> None:
    """Opens the folder with today's program and looks at all of it."""
    began = time.monotonic()
    async with Backend(folder, _SETTINGS) as ours:
        assert (await ours.http.get("/downloads")).status_code == 200
        account.ready.append(time.monotonic() - began)
        account.cpu.append(cpu_seconds(ours.pid))
        now = await listed(ours)
        if now.keys() != left.jobs.keys():
            account.broken.append(f"other jobs: {sorted(now.keys() ^ left.jobs.keys())[:5]}")
        lost = [
            f"{name}: {member} is {now[name].get(member)!r}, not {value!r}"
            for name, job in left.jobs.items()
            for member, value in job.items()
            if name in now and not same_member(member, value, now[name].get(member))
        ]
        account.broken += lost[:5]
        account.broken += [
            f"{name} was {job['status']} and is {now[name]['status']}"
            for name, job in left.jobs.items()
            if name in now and job["status"] not in ("queued", "active", now[name]["status"])
        ]
        last = left.events[-1][0]
        for since in (0, left.events[len(left.events) // 2][0], last):
            told = await replayed(ours, last, since) if since < last else []
            if told != [event for event in left.events if event[0] > since]:
                account.broken.append(f"another history after {since}")
        if go_on:
            account.broken += await went_on(ours, left)


def cpu_seconds(pid: int) -> float:
    """What a process used so far; on a busy machine that says more than the time does."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, after_name[11:13])) / os.sysconf("SC_CLK_TCK")


async def went_on(ours: Backend, left: Left) -> list[str]:
    """What is wrong once the seeder of the films that wait is there."""
    async with seeder() as peer, ours.listen("/events", last_id=left.heard) as events:
        for film in left.waiting.values():
            await peer.seed(film.path, film.folder)
        late = await until_all(ours, left.waiting, lambda job: job["status"] == "completed", 120.0)
        wanted, numbers = set(left.waiting), list[int]()
        async with asyncio.timeout(30):
            while wanted:
                event = await anext(events)
                numbers += [] if event["_id"] is None else [event["_id"]]
                wanted -= {event["id"]} if event["event"] == "completed" else set()
    wrong = [f"{name} does not go on: {job['status']}" for name, job in late.items()]
    if numbers != sorted(numbers) or numbers[0] < left.heard:
        wrong.append(f"numbers fall for who heard {left.heard}: {numbers[:5]}")
    return wrong


async def measure(tree: Path, count: int, runs: int) -> tuple[Left, Account]:
    """One folder, opened so many times as it was left."""
    account = Account()
    with tempfile.TemporaryDirectory(prefix="chilly-old-jobs-") as scratch:
        folder, kept = Path(scratch, "installation"), Path(scratch, "kept")
        left = await leave(tree, folder, Path(scratch, "made"), count)
        shutil.copytree(folder, kept)
        for run in range(runs):
            shutil.rmtree(folder)
            opened_again(kept, folder)
            await take_over(folder, left, account, go_on=run == runs - 1)
    return left, account


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Take over many jobs of the first version.")
    parser.add_argument("--tree", type=Path, required=True, help="clone at 9e7d285, set up")
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--within", type=float, default=3.0, help="seconds until it is ready")
    wanted = parser.parse_args()
    left, account = asyncio.run(measure(wanted.tree.resolve(), wanted.jobs, wanted.runs))
    ready, cpu = (
        ", ".join(f"{seconds:.2f}" for seconds in figures)
        for figures in (account.ready, account.cpu)
    )
    slow = statistics.median(account.ready) > wanted.within
    lines = [
        f"{len(left.jobs)} jobs, {len(left.events)} stored events, {left.heard} heard last",
        f"ready after {ready} s (at most {wanted.within:g}), {cpu} s of CPU",
        f"broken promises: {len(account.broken) + slow}",
        *account.broken,
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    return int(slow or bool(account.broken))


if __name__ == "__main__":
    sys.exit(main())
