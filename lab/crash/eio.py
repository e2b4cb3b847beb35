"""The system refuses or loses reads and writes of a running download: EIO, EMFILE, short, lost.

`python -m lab.crash.eio --faults 200` injects them with strace into real servers. Whatever
happens, the server lives, and a film that is called completed is right, byte for byte.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from lab.crash import films
from lab.crash.faults import said
from lab.crash.films import MIB, Film
from lab.crash.swarm import Swarm
from tests.acceptance.backend import Backend
from tests.peers.torrents import sha256_of

_WRITE, _READ = "pwrite64,pwritev,pwritev2", "pread64,preadv,preadv2"
FAULTS = {
    "a write is refused": f"{_WRITE}:error=EIO",
    "a write is short": f"{_WRITE}:retval=5000",
    "a write is lost": f"{_WRITE}:retval=16384",
    "a read is refused": f"{_READ}:error=EIO",
    "a read ends early": f"{_READ}:retval=0",
    "a flush is refused": "fsync,fdatasync:error=EIO",
    "no descriptor is left": "openat:error=EMFILE",
}
SETTINGS = {
    "CHILLY_MIN_FREE_SPACE": "1000000",
    "CHILLY_RATE_LIMIT_START": "9999/second",
}
_SIZE = 6 * MIB
_HELD = 6.0
"""Seconds at most that faults are injected into a download."""
_WITHIN = 90.0


@dataclass
class Verdict:
    """What all faults together showed."""

    injected: Counter[str] = field(default_factory=Counter)
    films: int = 0
    told: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def summary(self) -> str:
        """A few lines for people."""
        lines = (
            f"{self.injected.total()} faults injected into {self.films} downloads",
            *(f"{count:>5} times {what}" for what, count in sorted(self.injected.items())),
            f"all completed and right, after {max(self.seconds):.1f} s at most"
            if not self.broken
            else f"broken promises: {len(self.broken)}",
            *self.broken,
            *(f"said {count} times: {what}" for what, count in self.told.most_common(6)),
        )
        return "\n".join(lines)


class FaultyDisk:
    """A server whose system calls fail. Use it with `async with`, then `round()`.

    Args:
        folder: everything lies below it.
        host: of the peer that has the film.
        seed: of all that is random.
        verdict: where what happened is noted.
    """

    def __init__(self, folder: Path, host: str, seed: int, verdict: Verdict) -> None:
        self._folder = folder
        self._host = host
        self._dice = random.Random(seed)
        self._stack = AsyncExitStack()
        self._server = Backend(folder / "server", SETTINGS)
        self._film: Film | None = None
        self.verdict = verdict

    async def __aenter__(self) -> Self:
        swarm = await self._stack.enter_async_context(Swarm(time_limit=24 * 3600))
        film = films.make(self._folder / "source", 1, _SIZE, host=self._host)
        port = await swarm.seed(
            film.name, film.torrent.path, film.torrent.folder, host=self._host, rate=3 * MIB
        )
        self._film = Film(1, film.torrent, film.sha256, self._host, port)
        await self._stack.enter_async_context(self._server)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def round(self, what: str) -> None:
        """One film, and faults of one kind while it arrives."""
        assert self._film is not None
        self.verdict.films += 1
        name, began = f"film{self.verdict.films}", time.monotonic()
        job = await self._server.start(self._film.magnet, id=name)
        staged = await self._staged()
        first = self._dice.randrange(1, 6)
        times = f"{first}..{first + self._dice.randrange(6)}"
        heard: set[str] = set()
        async with self._injecting(what, f"{FAULTS[what]}:when={times}", staged):
            while time.monotonic() - began < _HELD and job["status"] != "completed":
                job = await self._outcome(name, heard)
        while time.monotonic() - began < _WITHIN and job["status"] in ("queued", "active"):
            job = await self._outcome(name, heard)
        self.verdict.seconds.append(time.monotonic() - began)
        self.verdict.told.update(heard or {"nothing: it went on at once"})
        self._judge(name, what, job)
        await self._server.http.delete(f"/downloads/{name}", params={"deleteFiles": "true"})

    async def _outcome(self, name: str, heard: set[str]) -> dict[str, Any]:
        job = await self._server.job(name)
        if job.get("error") or "disk" in said(job) or "read" in said(job):
            heard.add(said(job))
        await asyncio.sleep(0.05)
        return job

    def _judge(self, name: str, what: str, job: dict[str, Any]) -> None:
        if job["status"] != "completed":
            self.verdict.broken.append(f"{name}, {what}: {job['status']}, {said(job)!r}")
        elif sha256_of(self._server.media / job["path"]) != self._film_sha():
            self.verdict.broken.append(f"{name}, {what}: completed, and its film is wrong")

    def _film_sha(self) -> str:
        assert self._film is not None
        return self._film.sha256

    async def _staged(self) -> Path:
        """The file of unfinished data, as soon as it is there."""
        folder = self._server.media / ".incomplete"
        async with asyncio.timeout(_WITHIN):
            while True:
                for path in folder.glob("*/*"):
                    if path.is_file():
                        return path
                await asyncio.sleep(0.01)

    @asynccontextmanager
    async def _injecting(self, what: str, fault: str, path: Path) -> AsyncIterator[None]:
        log = self._folder / "strace.log"
        calls = fault.partition(":")[0]
        tracer = await asyncio.create_subprocess_exec(
            "strace", "-f", "-qq", "-o", str(log), "-p", str(self._server.pid), "-P", str(path),
            "-e", f"trace={calls}", "-e", f"inject={fault}",
            stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            yield
        finally:
            if tracer.returncode is None:
                tracer.send_signal(signal.SIGINT)
            await asyncio.wait_for(tracer.wait(), 30)
            self.verdict.injected[what] += log.read_text().count("(INJECTED)")


async def run(wanted: int, seed: int, lanes: int) -> Verdict:
    """Inject so many faults."""
    verdict = Verdict()
    kinds = list(FAULTS)
    with tempfile.TemporaryDirectory(prefix="chilly-eio-", ignore_cleanup_errors=True) as folder:

        async def lane(number: int) -> None:
            place, host = Path(folder) / str(number), f"127.{90 + number}.{seed % 250}.1"
            place.mkdir()
            async with FaultyDisk(place, host, seed + number, verdict) as disk:
                while verdict.injected.total() < wanted:
                    await disk.round(kinds[verdict.films % len(kinds)])

        await asyncio.gather(*map(lane, range(lanes)))
    return verdict


def missing() -> str:
    """Why it cannot be done here, or nothing."""
    return "" if shutil.which("strace") and os.geteuid() == 0 else "strace or root is missing"


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="System calls of downloads fail.")
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--lanes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    wanted = parser.parse_args()
    if why := missing():
        sys.stdout.write(f"{why}\n")
        return 1
    verdict = asyncio.run(run(wanted.faults, wanted.seed, wanted.lanes))
    load = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    sys.stdout.write(f"seed {wanted.seed}; {load}\n{verdict.summary()}\n")
    return min(1, len(verdict.broken))


if __name__ == "__main__":
    sys.exit(main())
