"""The time of day leaps under a running server: by hours and days, to 1970 and to 2038.

What lasts must last as long as it was to last: waits for a next attempt, rate limits, heartbeats
of event streams, signed links, speed limits. `python -m lab.crash.clock`; it needs libfaketime.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx2

from lab.crash.faults import clock_missing, faked_clock
from lab.crash.herd import SETTINGS, Herd
from tests.acceptance.backend import Backend
from tests.peers.libtorrent_peer import LibtorrentPeer

SKIPPED = 77
DRIFT = 1.0
LEAPS = ("+1d", "-1d", "-3d", "-56y", "+12y", "+2h", "+0")
"""In turn: days, back three times in a row, to 1970; to 2038, hours, and back."""
_KEY = "a key for the clock"
_KIB = 1024
_SPEED = 64 * _KIB
_HEARTBEAT = 15.0
_LINK = 40
_GOES_ON = 5.6
"""Seconds until new bytes arrive, up to 1 of which libfaketime takes to see the leap."""
_NEVER = 60.0
_SET_BACK = "The clock of this machine was set back"
_UNITS = {"d": 86_400, "h": 3600, "y": 365 * 86_400}


class Source:
    """A link to a torrent that is always out of order; notes when it was asked for what."""

    def __init__(self) -> None:
        self.asked: dict[str, list[float]] = {}
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Source:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    def url(self, name: str) -> str:
        """A link of its own for each job."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/{name}.torrent"

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        name = head.split()[1].strip("/").removesuffix(".torrent")
        self.asked.setdefault(name, []).append(time.monotonic())
        writer.write(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()


class Clock:
    """A server whose time of day leaps, and what is timed meanwhile.

    Args:
        folder: everything lies below it.
        seeder: who offers films.
        source: a link that never works.
        drift: seconds by which anything may be late; a busy machine needs more.
    """

    def __init__(
        self, folder: Path, seeder: LibtorrentPeer, source: Source, drift: float = DRIFT
    ) -> None:
        self._drift = drift
        self.drifts: dict[str, list[float]] = {}
        self.broken: list[str] = []
        self._stamp = folder / "now"
        settings = {
            **SETTINGS, **faked_clock(self._stamp), "API_SECRET": _KEY,
            "CHILLY_RATE_LIMIT_CANCEL": "3/minute",
        }  # fmt: skip
        self._server = Backend(folder / "server", settings)
        self._herd = Herd(folder / "films", seeder)
        self._source = source
        self._offset = 0
        self._begun_anew = 0
        self._beats: list[float] = []
        self._ids: list[int] = []
        self._long = self._short = ""
        self._signed = self._limited = self._window = 0.0

    async def run(self, leaps: tuple[str, ...]) -> None:
        """All leaps, in one life of the server."""
        async with self._server:
            self._server.http.headers["X-API-Key"] = _KEY
            tasks = [asyncio.create_task(self._beat()), asyncio.create_task(self._hear())]
            await self._begin()
            if len(leaps) > 1:
                tasks.append(asyncio.create_task(self._short_link()))
            for number, leap in enumerate(leaps):
                await self._leap(leap, f"again-{number}")
            if len(leaps) > 1:
                await asyncio.wait(tasks[2:])
            await self._end(len(leaps) > 1)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await self._replayed()

    def _timed(self, what: str, seconds: float, wanted: float, more: float = 0.0) -> None:
        drift = seconds - wanted
        self.drifts.setdefault(what, []).append(drift)
        if abs(drift) > self._drift + more:
            self.broken.append(f"{what}: {seconds:.1f} s instead of {wanted:.1f} s")

    async def _begin(self) -> None:
        small = await self._herd.grow(1, 100 * _KIB)
        big = await self._herd.grow(1, 150 * _SPEED, piece=16 * _KIB)  # a piece a block
        await self._server.start(small[0].magnet, id="done")
        assert (await self._server.wait("done"))["status"] == "completed"
        await self._server.start(big[0].magnet, id="slow", downloadLimit=_SPEED)
        self._long = await self._link(6 * 3600)
        self._short, self._signed = await self._link(_LINK), time.monotonic()
        for _ in range(4):
            answer = await self._server.http.post("/download/cancel", json={"id": "nobody"})
        assert answer.status_code == 429, answer.text
        self._limited, self._window = time.monotonic(), float(answer.headers["Retry-After"])

    async def _link(self, seconds: int) -> str:
        query = {"path": "/stream/done/0", "seconds": str(seconds)}
        answer = await self._server.http.get("/links", params=query)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["url"])

    async def _opens(self, link: str) -> bool:
        async with httpx2.AsyncClient(base_url=self._server.url, trust_env=False) as stranger:
            answer = await stranger.get(link, headers={"Range": "bytes=0-9"})
        return answer.status_code == 206

    async def _leap(self, leap: str, job: str) -> None:
        """A job waits for its next attempt while the time of day leaps."""
        await self._server.start(self._source.url(job), id=job)
        early, due = await self._due(job)
        had = len(self._source.asked[job])
        moves = asyncio.create_task(self._moves(leap))
        await self._has_leapt(leap)
        if not await self._opens(self._long):
            self.broken.append(f"a link of six hours ends with {leap}")
        answer = await self._server.http.post("/download/cancel", json={"id": "nobody"})
        if time.monotonic() < self._limited + self._window - DRIFT:
            left = float(answer.headers.get("Retry-After", 0))
            wanted = self._limited + self._window - time.monotonic()
            self._timed("rate limit, as told", left, wanted, 0.5)  # told in whole seconds
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(due - time.monotonic() + 10):
                while len(self._source.asked[job]) == had:  # noqa: ASYNC110 (another process)
                    await asyncio.sleep(0.02)
        at = self._source.asked[job][had:] or [time.monotonic()]
        wanted = min(max(at[0], early), due)  # it was recorded somewhere between the two
        self._timed(f"next attempt ({leap})", at[0] - early, wanted - early)
        await self._server.http.delete(f"/downloads/{job}")
        await moves

    async def _moves(self, leap: str) -> None:
        """Let the clock leap; the download goes on soon, and not faster than it may."""
        began, before, times = time.monotonic(), await self._has(), self._begun_anew
        back, self._offset = _seconds(leap) < self._offset, _seconds(leap)
        self._stamp.write_text(leap)
        await self._has_leapt(leap)
        async with asyncio.timeout(_NEVER):
            while back and self._begun_anew == times:  # noqa: ASYNC110 (another process)
                await asyncio.sleep(0.02)
            had = await self._has()  # what came before is of the old engine
            while (size := await self._has()) <= had:  # noqa: ASYNC110 (another process)
                await asyncio.sleep(0.1)
        passed = time.monotonic() - began
        self.drifts.setdefault(f"new bytes {'back' if back else 'on'}", []).append(passed)
        if passed > _GOES_ON + self._drift:
            self.broken.append(f"after {leap} nothing arrives for {passed:.1f} s")
        if size - before > 1.1 * _SPEED * (passed + DRIFT):
            self.broken.append(f"after {leap} {size - before} bytes arrive in {passed:.1f} s")

    async def _has(self) -> int:
        """Bytes of the film that arrived so far."""
        return int((await self._server.job("slow"))["progress"]["bytesDownloaded"])

    async def _due(self, job: str) -> tuple[float, float]:
        """When, by our clock, the next attempt is to be made: at the earliest, at the latest."""
        while True:
            asked = len(self._source.asked.get(job, []))
            shown = await self._server.job(job)
            if asked and shown["nextAttemptAt"] is not None:
                wait = _when(shown["nextAttemptAt"]) - _when(shown["updatedAt"])
                return self._source.asked[job][-1] + wait, time.monotonic() + wait
            await asyncio.sleep(0.01)

    async def _has_leapt(self, leap: str) -> None:
        """Wait until the server tells another time of day; its library looks once a second."""
        wanted = _seconds(leap)
        async with asyncio.timeout(8):
            while True:
                answer = await self._server.http.get("/health")
                told = parsedate_to_datetime(answer.headers["date"])
                if abs((told - datetime.now(UTC)).total_seconds() - wanted) < 60:
                    return
                await asyncio.sleep(0.1)

    async def _beat(self) -> None:
        """When a stream on which nothing happens says that it is there."""
        with contextlib.suppress(httpx2.HTTPError):
            async with self._server.http.stream("GET", "/events?id=nobody", timeout=60) as answer:
                async for line in answer.aiter_lines():
                    if line.startswith(": "):
                        self._beats.append(time.monotonic())

    async def _hear(self) -> None:
        with contextlib.suppress(httpx2.HTTPError):
            async with self._server.listen("/events") as events:
                async for event in events:
                    if event["_id"] is not None:
                        self._ids.append(event["_id"])
                    self._begun_anew += _is_anew(event)

    async def _short_link(self) -> None:
        while await self._opens(self._short):  # noqa: ASYNC110 (another process)
            await asyncio.sleep(0.1)
        self._timed("link", time.monotonic() - self._signed, _LINK)

    async def _end(self, whole: bool) -> None:
        """What was begun before the first leap ends when it should."""
        if whole:
            for answer_in in range(600):
                answer = await self._server.http.post("/download/cancel", json={"id": "nobody"})
                if answer.status_code != 429 or answer_in == 599:
                    break
                await asyncio.sleep(0.1)
            self._timed("rate limit", time.monotonic() - self._limited, self._window)
        elif not await self._opens(self._short):
            self.broken.append("a link ended too early")
        for first, second in zip(self._beats, self._beats[1:], strict=False):
            self._timed("heartbeat", second - first, _HEARTBEAT)

    async def _replayed(self) -> None:
        """Who comes back hears all state changes that were told live, in the same order."""
        if self._ids != sorted(self._ids):  # figures repeat the newest number
            self.broken.append("event numbers fell")


def _is_anew(event: Mapping[str, Any]) -> bool:
    """Whether the slow download leaves an engine that is given up."""
    if event["event"] != "retrying" or event["id"] != "slow":
        return False
    return _SET_BACK in event["error"]["message"]


def _seconds(leap: str) -> int:
    """By how much a clock that leapt differs from the true one."""
    return int(leap[:-1]) * _UNITS[leap[-1]] if leap[-1] in _UNITS else 0


def _when(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


async def leaps(folder: Path, which: tuple[str, ...], drift: float = DRIFT) -> Clock:
    """A run with these leaps."""
    async with LibtorrentPeer() as seeder, Source() as source:
        clock = Clock(folder, seeder, source, drift)
        await clock.run(which)
    return clock


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Let the time of day leap.")
    parser.add_argument("--leaps", nargs="+", default=list(LEAPS))
    wanted: Any = parser.parse_args()
    if missing := clock_missing():
        sys.stdout.write(f"{missing}\n")
        return SKIPPED
    with tempfile.TemporaryDirectory(prefix="chilly-clock-") as folder:
        clock = asyncio.run(leaps(Path(folder), tuple(wanted.leaps)))
    for what, drifts in clock.drifts.items():
        worst = max(drifts, key=abs)
        sys.stdout.write(f"{what}: {len(drifts)} times, at most {worst:+.2f} s off\n")
    sys.stdout.write(f"leaps {' '.join(wanted.leaps)}: {len(clock.broken)} broken promises\n")
    sys.stdout.write("".join(f"{broken}\n" for broken in clock.broken))
    return min(1, len(clock.broken))


if __name__ == "__main__":
    sys.exit(main())
