"""What a program's process and its children use, read from /proc."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

_TICKS = os.sysconf("SC_CLK_TCK")
_PERIOD = 0.05
_SERVING_PERIOD = 0.002
_FIRST_BLOCK = 16 * 1024


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds, user and system, and peak resident bytes of a process and its children."""

    cpu: float = 0.0
    peak: int = 0


def family(pid: int) -> Iterator[int]:
    """A process and all its living descendants; nothing if it is gone."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return
    yield pid
    for child in children.split():
        yield from family(int(child))


def usage(pid: int) -> Usage:
    """What a process and its descendants have used so far; children that ended count, too."""
    cpu, peak = 0.0, 0
    for member in family(pid):
        try:
            stat = Path(f"/proc/{member}/stat").read_text()
            status = Path(f"/proc/{member}/status").read_text()
        except OSError:
            continue  # it ended just now
        # utime, stime, cutime and cstime; the name before them may hold anything
        cpu += sum(int(field) for field in stat.rpartition(")")[2].split()[11:15]) / _TICKS
        for line in status.splitlines():
            if line.startswith("VmHWM:"):
                peak += int(line.split()[1]) * 1024
    return Usage(cpu, peak)


def bytes_read(pid: int) -> int:
    """Bytes that a process and its descendants got from files so far."""
    total = 0
    for member in family(pid):
        try:
            total += int(Path(f"/proc/{member}/io").read_text().split()[1])
        except OSError:
            continue
    return total


@dataclass(frozen=True, slots=True)
class Mark:
    """A point a download reached: seconds since its start command, and what it took."""

    name: str
    seconds: float
    usage: Usage


class Watch:
    """Times one download from its start command, which the body of the context begins with.

    Args:
        seeder: process id of who serves it: its first read of a piece is the first payload.
        leecher: process id of who downloads, None if the start command starts it: see `follow`.
        prepare: called right before the clock starts.
    """

    def __init__(
        self, seeder: int, leecher: int | None = None, *, prepare: Callable[[], None]
    ) -> None:
        self._seeder = seeder
        self._leecher = leecher
        self._prepare = prepare
        self._before = Usage()
        self._read_before = 0
        self._last = Usage()
        self._began = 0.0
        self._tasks: list[asyncio.Task[None]] = []
        self.first_byte: float | None = None
        self.marks: list[Mark] = []

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._prepare)
        if self._leecher is not None:
            self._before = usage(self._leecher)
        self._read_before = bytes_read(self._seeder)
        self._tasks = [
            asyncio.create_task(self._watch_seeder(), name="watch-seeder"),
            asyncio.create_task(self._watch_leecher(), name="watch-leecher"),
        ]
        self._began = time.monotonic()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def follow(self, leecher: int) -> None:
        """Names the process that the start command started."""
        self._leecher = leecher

    def mark(self, name: str) -> None:
        """Says that the download reached a point now."""
        seconds = time.monotonic() - self._began
        self.marks.append(Mark(name, seconds, self._spent()))

    def _spent(self) -> Usage:
        now = Usage() if self._leecher is None else usage(self._leecher)
        if now.peak:  # else it ended: its last figures stand, at most one period old
            self._last = Usage(now.cpu - self._before.cpu, now.peak)
        return self._last

    async def _watch_leecher(self) -> None:
        while True:
            self._spent()
            await asyncio.sleep(_PERIOD)

    async def _watch_seeder(self) -> None:
        while bytes_read(self._seeder) - self._read_before < _FIRST_BLOCK:  # noqa: ASYNC110
            await asyncio.sleep(_SERVING_PERIOD)
        self.first_byte = time.monotonic() - self._began
