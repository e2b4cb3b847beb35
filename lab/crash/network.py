"""A network that fails: silence for half a minute, lost packets, trackers that lie or sleep.

All of it in a network namespace of its own, where nftables drops what goes to and from the
peers and trackers; the API stays reachable. `python -m lab.crash.network --help`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest

from lab.crash.herd import SETTINGS, Herd, Small, until_all
from lab.crash.tracker import Tracker, bad_trackers
from tests.acceptance.backend import Backend
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.netns import network_namespace

SKIPPED = 77
AFTER_HEAL = 15.0
_PEERS = "127.35.0.0/16"
_SEEDER = "127.35.0.1"
_KIB = 1024
_LOST = "random mod 100"


@dataclass
class Account:
    """What was seen."""

    jobs: int = 0
    completed: int = 0
    after_heal: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    dropped: int = 0
    broken: list[str] = field(default_factory=list)

    def summary(self) -> str:
        """A few lines for people."""
        heal = f"{max(self.after_heal, default=0):.1f} s at most, "
        heal += f"{sorted(self.after_heal or [0])[len(self.after_heal) // 2]:.1f} s in the middle"
        loss = ", ".join(f"{seconds:.1f}" for seconds in self.losses) or "none"
        return "\n".join(
            [
                f"{self.completed} of {self.jobs} jobs completed and right",
                f"first bytes after a silence, of {len(self.after_heal)} downloads: {heal}",
                f"rounds with lost packets took (s): {loss}; {self.dropped} packets were dropped",
                f"broken promises: {len(self.broken)}",
                *self.broken,
            ]
        )


# --- what is done to the network ----------------------------------------------------------------


def _nft(*words: str) -> str:
    done = subprocess.run(["nft", *words], capture_output=True, text=True, timeout=10)
    if done.returncode:
        raise OSError(f"nft {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


@contextmanager
def dropping(share: str = "") -> Iterator[None]:
    """Packets from and to peers and trackers vanish; all of them, or this share."""
    _nft("add", "table", "inet", "fire")
    _nft("add", "chain", "inet", "fire", "in", "{ type filter hook input priority 0 ; }")
    try:
        for end in ("saddr", "daddr"):
            part = f"numgen {share} " if share else ""
            _nft("add", "rule", "inet", "fire", "in", f"ip {end} {_PEERS} {part}counter drop")
            if share:
                break  # each packet once: peers' addresses are at both ends or at one
        yield
    finally:
        _nft("delete", "table", "inet", "fire")


def dropped() -> int:
    """How many packets were dropped since the rules are there."""
    words = _nft("list", "table", "inet", "fire").split()
    return sum(int(words[at + 1]) for at, word in enumerate(words) if word == "packets")


# --- rounds -------------------------------------------------------------------------------------


class Network:
    """A server, a seeder and trackers, and rounds of trouble between them.

    Args:
        server: the server.
        herd: makes films.
        trackers: the bad ones, and one that is good.
    """

    def __init__(self, server: Backend, herd: Herd, trackers: list[str]) -> None:
        self.account = Account()
        self._server = server
        self._herd = herd
        self._trackers = trackers
        self._number = 0

    async def _begin(self, count: int, size: int, rate: int) -> dict[str, Small]:
        """New jobs: each second one learns of the seeder by trackers only."""
        films = await self._herd.grow((count + 1) // 2, size, rate=rate)
        films += await self._herd.grow(count // 2, size, rate=rate, trackers=self._trackers)
        jobs = {}
        for film in films:
            self._number += 1
            jobs[f"job-{self._number}"] = film
            await self._server.start(film.magnet, id=f"job-{self._number}")
        self.account.jobs += len(jobs)
        return jobs

    async def _end(self, jobs: dict[str, Small], within: float = 120.0) -> None:
        """Everything completes, and is right."""
        late = await until_all(
            self._server, jobs, lambda job: job["status"] in ("completed", "failed"), within
        )
        for name, film in jobs.items():
            job = await self._server.job(name)
            if job["status"] != "completed":
                why = f"{job['status']}, {job.get('reason')}, {job.get('error')}"
                self.account.broken.append(f"{name} does not complete: {why}")
            elif not film.is_whole(self._server.media / job["path"]):
                self.account.broken.append(f"{name} is completed and is not right")
            else:
                self.account.completed += name not in late
                await self._server.http.delete(f"/downloads/{name}?deleteFiles=true")

    async def silence(self, count: int, seconds: float) -> None:
        """The peers and trackers are out of reach for so long, in the middle of downloads."""
        rate = 96 * _KIB
        jobs = await self._begin(count, 40 * rate, rate)
        begun = lambda job: job["progress"]["bytesDownloaded"] > rate  # noqa: E731
        await until_all(self._server, jobs, begun, 60)
        with dropping():
            await asyncio.sleep(seconds)
            lost = dropped()
        healed = time.monotonic()
        self.account.dropped += lost
        before = {name: (await self._server.job(name))["progress"] for name in jobs}
        async with asyncio.TaskGroup() as group:
            for name, progress in before.items():
                group.create_task(self._first(name, progress["bytesDownloaded"], healed))
        await self._herd.limit(jobs.values(), 0)
        await self._end(jobs)

    async def _first(self, name: str, size: int, healed: float) -> None:
        """Wait for more bytes than that."""
        while time.monotonic() - healed < 100:
            job = await self._server.job(name)
            if job["progress"]["bytesDownloaded"] > size or job["status"] == "completed":
                took = time.monotonic() - healed
                self.account.after_heal.append(took)
                if took > AFTER_HEAL:
                    self.account.broken.append(f"{name} went on only {took:.1f} s after the heal")
                return
            await asyncio.sleep(0.2)
        self.account.broken.append(f"{name} did not go on within 100 s: {job.get('reason')}")

    async def lossy(self, count: int, percent: int, size: int) -> None:
        """Downloads while so many packets of a hundred are lost."""
        began = time.monotonic()
        with dropping(f"{_LOST} < {percent}"):
            jobs = await self._begin(count, size, 0)
            await self._end(jobs, 300)
            self.account.dropped += dropped()
        self.account.losses.append(time.monotonic() - began)


async def _never_failed(server: Backend, account: Account) -> None:
    """Whoever listens must never hear of an error: all troubles here pass."""
    with contextlib.suppress(httpx2.HTTPError):
        async with server.listen("/events") as events:
            async for event in events:
                if event["status"] == "failed":
                    account.broken.append(f"{event['id']} failed: {event.get('error')}")


async def storm(folder: Path, wish: argparse.Namespace) -> Account:
    """All rounds, in one life of the server."""
    async with contextlib.AsyncExitStack() as stack:
        bad = await stack.enter_async_context(bad_trackers(_SEEDER[:-1] + "2"))
        seeder = await stack.enter_async_context(
            LibtorrentPeer(host=_SEEDER, time_limit=wish.limit)
        )
        honest = Tracker(_SEEDER, seeder.port)
        await honest.start()
        stack.push_async_callback(honest.stop)
        server = await stack.enter_async_context(Backend(folder / "server", SETTINGS))
        herd = Herd(folder / "films", seeder, _SEEDER)
        network = Network(server, herd, [*bad, honest.url])
        hearing = asyncio.create_task(_never_failed(server, network.account))
        for number in range(wish.rounds):
            if wish.seconds:
                await network.silence(wish.jobs, wish.seconds)
            if wish.loss:
                await network.lossy(wish.jobs, wish.loss, wish.size * _KIB)
            done = network.account
            sys.stdout.write(f"round {number + 1}: {done.summary()}\n")
            sys.stdout.flush()
        hearing.cancel()
    return network.account


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Shake the network between server and peers.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=10, help="downloads in each part of a round")
    parser.add_argument("--seconds", type=float, default=30.0, help="of silence; 0 = none")
    parser.add_argument("--loss", type=int, default=10, help="percent of packets; 0 = none")
    parser.add_argument(
        "--size", type=int, default=2048, help="KiB of a film in the rounds of loss"
    )
    parser.add_argument("--limit", type=float, default=3600.0, help="seconds, then all is killed")
    wish = parser.parse_args()
    if shutil.which("nft") is None:
        sys.stdout.write("nft (nftables) is not installed\n")
        return SKIPPED
    try:
        with (
            network_namespace(),
            tempfile.TemporaryDirectory(prefix="chilly-net-") as folder,
        ):
            account = asyncio.run(storm(Path(folder), wish))
    except pytest.skip.Exception as reason:
        sys.stdout.write(f"{reason}\n")
        return SKIPPED
    sys.stdout.write(f"in all: {account.summary()}\n")
    return min(1, len(account.broken))


if __name__ == "__main__":
    sys.exit(main())
