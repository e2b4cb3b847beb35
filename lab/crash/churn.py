"""Does the server leak? Jobs, listeners and readers come and go for long, with real torrents.

Between bouts everything is taken away again and the server is looked at in peace, so that what it
holds then is the same each time, unless something is kept that belongs to nobody.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import secrets
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from lab.crash.films import MIB
from lab.crash.tracker import Tracker
from tests.acceptance.backend import Backend
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.torrents import Torrent, make_film, make_torrent, sha256_of

SETTINGS = {
    "CHILLY_MIN_FREE_SPACE": "1000000",
    "CHILLY_RATE_LIMIT_START": "99999/second",
    "CHILLY_RATE_LIMIT_CANCEL": "99999/second",
    "CHILLY_MAX_STREAMS": "1000",
}
_PATIENCE = 60.0
_STILL = 3
"""So many looks in a row must show the same before the server counts as quiet."""


@dataclass(frozen=True, slots=True)
class Vitals:
    """What the server holds when nothing is asked of it.

    Attributes:
        lives: of jobs that began and ended so far.
        anonymous: resident bytes that are not pages of files.
    """

    lives: int
    memory: int
    anonymous: int
    descriptors: int
    threads: int
    tasks: int
    objects: int

    def __str__(self) -> str:
        return (
            f"{self.lives:>6} lives: {self.memory / MIB:6.1f} MiB resident, "
            f"{self.descriptors} descriptors, {self.threads} threads, {self.tasks} tasks, "
            f"{self.objects} objects"
        )


class Churn:
    """A server with jobs that come and go. Use it with `async with`.

    Args:
        folder: everything lies below it.
        seed: of all that is random.
        jobs: how many come and go at the same time.
    """

    def __init__(self, folder: Path, seed: int, *, jobs: int = 50) -> None:
        self.folder = folder
        self.lives = 0
        self.done: Counter[str] = Counter()
        self.told: dict[str, Any] = {}
        self.broken: list[str] = []
        self._dice = random.Random(seed)
        self._jobs = jobs
        self._stack = AsyncExitStack()
        self._films: list[tuple[Torrent, str]] = []
        self._links: list[str] = []
        settings = {**SETTINGS, "CHILLY_MAX_ACTIVE": str(max(2, jobs * 4 // 5))}
        self.server = Backend(folder / "server", settings)
        self._read_to = 0

    async def __aenter__(self) -> Churn:
        seeder = await self._stack.enter_async_context(LibtorrentPeer(time_limit=24 * 3600))
        tracker = Tracker("127.0.0.1", seeder.port)
        await tracker.start()
        self._stack.push_async_callback(tracker.stop)
        for number in range(self._jobs):
            content = self.folder / "source" / f"film{number}" / f"Film {number}.mkv"
            digest = make_film(content, self._dice.randrange(1, 5) * MIB, seed=number)
            torrent = make_torrent(content, content.with_suffix(".torrent"), piece_size=65536)
            await seeder.seed(torrent.path, torrent.folder, upload_limit=4 * MIB)
            self._films.append((torrent, digest))
            way = f"tr={tracker.url}" if number % 3 == 0 else f"x.pe=127.0.0.1:{seeder.port}"
            self._links.append(f"{torrent.magnet}&{way}")
        await self._stack.enter_async_context(self.server)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    # --- a bout -----------------------------------------------------------------------------

    async def bout(self, seconds: float) -> Vitals:
        """Let jobs come and go for a while, take all away, and look at what is left."""
        until = time.monotonic() + seconds
        limits = httpx2.Limits(max_connections=None, keepalive_expiry=2)  # the server's is 5 s
        async with httpx2.AsyncClient(
            base_url=self.server.url, timeout=_PATIENCE, trust_env=False, limits=limits
        ) as http:
            hands = [self._hand(http, number, until) for number in range(self._jobs)]
            await asyncio.gather(*hands, *(self._onlooker(http, until) for _ in range(5)))
        return await self.quiet()

    async def _hand(self, http: httpx2.AsyncClient, number: int, until: float) -> None:
        dice = random.Random(self._dice.random())
        while time.monotonic() < until:
            try:
                await asyncio.wait_for(self._life(http, number, dice), _PATIENCE)
            except (AssertionError, TimeoutError, httpx2.HTTPError) as error:
                self.broken.append(f"a life of film {number}: {type(error).__name__} {error}")
                return

    async def _life(self, http: httpx2.AsyncClient, number: int, dice: random.Random) -> None:
        self.lives += 1
        name = f"film{number}-{self.lives}"
        body = {"id": name, "sourceType": "torrent", "sourceUrn": self._links[number]}
        await self._post(http, "start", body)
        company = [
            asyncio.create_task(work(http, name, dice))
            for work in (self._listen, self._read)
            for _ in range(dice.choice((0, 0, 1, 2)))
        ]
        try:
            for _ in range(dice.randrange(4)):
                await asyncio.sleep(dice.uniform(0, 0.3))
                await self._post(http, "pause", {"id": name})
                await asyncio.sleep(dice.uniform(0, 0.1))
                await self._post(http, "resume", {"id": name})
            end = dice.choices(("completed", "canceled", "removed"), (6, 2, 2))[0]
            if end == "completed":
                await self._complete(http, name, number)
            else:
                await asyncio.sleep(dice.uniform(0, 0.6))
                if end == "canceled":
                    await self._post(http, "cancel", {"id": name})
            self.done[end] += 1
            gone = await http.delete(f"/downloads/{name}", params={"deleteFiles": "true"})
            assert gone.status_code == 204, gone.text
        finally:
            for task in company:
                if dice.random() < 0.5:  # half of them leave, half see the end
                    task.cancel()
            await asyncio.wait([*company, asyncio.create_task(asyncio.sleep(0))])

    async def _post(self, http: httpx2.AsyncClient, verb: str, body: dict[str, str]) -> None:
        answer = await http.post(f"/download/{verb}", json=body)
        assert answer.status_code in (200, 409), f"{verb}: {answer.text}"  # 409: it was completed
        self.done[verb] += 1

    async def _complete(self, http: httpx2.AsyncClient, name: str, number: int) -> None:
        while (job := (await http.get(f"/downloads/{name}")).json())["status"] != "completed":
            assert job["status"] != "failed", job
            await asyncio.sleep(0.1)
        if sha256_of(self.server.media / job["path"]) != self._films[number][1]:
            self.broken.append(f"{name} is completed and its film is wrong")

    async def _listen(self, http: httpx2.AsyncClient, name: str, dice: random.Random) -> None:
        wanted = dice.randrange(1, 30)
        with suppress(httpx2.HTTPError):
            async with http.stream("GET", f"/events/{name}", timeout=10) as answer:
                self.done["listener"] += 1
                async for _ in answer.aiter_lines():
                    wanted -= 1
                    if not wanted:
                        return

    async def _read(self, http: httpx2.AsyncClient, name: str, dice: random.Random) -> None:
        wanted, first = dice.randrange(1, 3 * MIB), dice.randrange(MIB)
        await asyncio.sleep(dice.uniform(0, 0.5))
        with suppress(httpx2.HTTPError):
            headers = {"Range": f"bytes={first}-"}
            async with http.stream("GET", f"/stream/{name}/0", headers=headers, timeout=10) as film:
                self.done[f"reader {film.status_code}"] += 1
                async for chunk in film.aiter_raw():
                    wanted -= len(chunk)
                    if wanted <= 0:
                        return

    async def _onlooker(self, http: httpx2.AsyncClient, until: float) -> None:
        """Watches everything for a moment, and asks what front ends ask."""
        dice = random.Random(self._dice.random())
        while time.monotonic() < until:
            with suppress(TimeoutError, httpx2.HTTPError):
                async with asyncio.timeout(dice.uniform(0.1, 2)):
                    for path in ("/downloads", "/health"):
                        await http.get(path)
                    async with http.stream("GET", "/events") as answer:
                        self.done["onlooker"] += 1
                        async for _ in answer.aiter_lines():
                            pass

    # --- peace ------------------------------------------------------------------------------

    async def quiet(self) -> Vitals:
        """What the server holds once nothing is left and nothing changes any more."""
        left = (await self.server.http.get("/downloads")).json()["items"]
        for job in left:
            await self.server.http.delete(f"/downloads/{job['id']}")
        await self.server.http.aclose()
        self.server.http = httpx2.AsyncClient(base_url=self.server.url, trust_env=False)
        seen: list[Vitals] = []
        async with asyncio.timeout(_PATIENCE):
            while True:
                seen = [*seen, await self.sample()][-_STILL:]
                kinds = {(now.descriptors, now.threads, now.tasks) for now in seen}
                if len(seen) == _STILL and len(kinds) == 1:
                    return seen[-1]
                await asyncio.sleep(1)

    async def sample(self) -> Vitals:
        """What the server holds at this moment; it is asked by signal, for requests hold things."""
        os.kill(self.server.pid, signal.SIGUSR1)
        told = await self._told()
        process = Path("/proc") / str(self.server.pid)
        lines = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        return Vitals(
            self.lives, int(lines["VmRSS"].split()[0]) * 1024,
            int(lines["RssAnon"].split()[0]) * 1024,
            len(list((process / "fd").iterdir())), int(lines["Threads"]),
            told["tasks"], told["objects"],
        )  # fmt: skip

    def open_files(self) -> dict[str, int]:
        """What the server's descriptors lead to."""
        found: Counter[str] = Counter()
        for entry in (Path("/proc") / str(self.server.pid) / "fd").iterdir():
            with suppress(OSError):
                found[str(entry.readlink()).partition(":")[0]] += 1
        return dict(found)

    async def _told(self) -> dict[str, Any]:
        log = self.folder / "server" / "server.log"
        async with asyncio.timeout(_PATIENCE):
            while True:
                with log.open("rb") as file:
                    file.seek(self._read_to)
                    fresh = file.read()
                whole = fresh[: fresh.rfind(b"\n") + 1]
                self._read_to += len(whole)
                for line in whole.splitlines():
                    if b'"vitals"' in line:
                        self.told = dict(json.loads(line))
                        return self.told
                await asyncio.sleep(0.05)


def growth(before: Vitals, after: Vitals) -> dict[str, float]:
    """By how many percent each figure grew."""
    names = ("memory", "descriptors", "threads", "tasks")
    return {name: 100 * (getattr(after, name) / getattr(before, name) - 1) for name in names}


async def leaks(minutes: float, seed: int, jobs: int, say: Callable[[str], None]) -> int:
    """Churn for so long, a bout a minute; returns how many figures grew by more than 5 %."""
    bouts = max(3, round(minutes))
    warm = bouts // 5  # the first ones only warm it up
    with tempfile.TemporaryDirectory(prefix="chilly-churn-", ignore_cleanup_errors=True) as folder:
        async with Churn(Path(folder), seed, jobs=jobs) as churn:
            seen = []
            for number in range(bouts):
                seen.append(await churn.bout(60 * minutes / bouts - _STILL))
                say(f"{'warm-up' if number <= warm else f'bout {number}':<8} {seen[-1]}")
                if seen[-1].descriptors > seen[0].descriptors:
                    say(f"         open: {churn.open_files()}")
        grown = growth(seen[warm], seen[-1])
        say(f"{churn.lives} lives of {jobs} jobs: {dict(sorted(churn.done.items()))}")
        say("growth since warm-up: " + ", ".join(f"{k} {v:+.1f} %" for k, v in grown.items()))
        for promise in churn.broken:
            say(f"BROKEN {promise}")
        return len(churn.broken) + sum(value > 5 for value in grown.values())


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Look for leaks in the real server.")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--jobs", type=int, default=50)
    parser.add_argument("--seed", type=int, default=None, help="repeat a run")
    wanted = parser.parse_args()
    seed = secrets.randbelow(1_000_000) if wanted.seed is None else wanted.seed
    _say(f"seed {seed}; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    return min(1, asyncio.run(leaks(wanted.minutes, seed, wanted.jobs, _say)))


if __name__ == "__main__":
    sys.exit(main())
