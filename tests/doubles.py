"""Stand-ins at the ports, and the values that tests of the core begin with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from chilly_movies.errors import StoreError
from chilly_movies.jobs.events import Change
from chilly_movies.jobs.models import Job, Source, SourceType, Status
from chilly_movies.jobs.ports import Loaded, Room
from chilly_movies.storage.memory import MemoryJobStore

NOON = datetime(2030, 1, 2, 12, 0, tzinfo=UTC)
PATIENCE = 10.0
"""Seconds until a test no longer waits for what should have happened at once."""


def make_job(job_id: str = "a", status: Status = Status.QUEUED, **changes: Any) -> Job:
    """A job that says as little as possible."""
    job = Job(
        id=job_id,
        key=f"key-{job_id}",
        source=Source(SourceType.TORRENT, f"mock:{job_id}"),
        position=0,
        created_at=NOON,
        updated_at=NOON,
        status=status,
    )
    return replace(job, **changes)


class Clock:
    """The present time, which moves only when a test says so."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)


async def idle(rounds: int = 50) -> None:
    """Let everything run that can run without time passing."""
    for _ in range(rounds):
        await asyncio.sleep(0)


async def until(condition: Callable[[], object], seconds: float | None = None) -> None:
    """Wait until the condition holds; for what no event tells."""
    async with asyncio.timeout(seconds or PATIENCE):
        while not condition():  # noqa: ASYNC110 (there is no event to wait for)
            await asyncio.sleep(0.001)


class FakeVolume:
    """A disk whose free space and troubles a test decides.

    Attributes:
        room: what it says of itself.
        on_disk: bytes that lie on it already, by job key.
        looks: how often it was looked at.
    """

    def __init__(self, free: int) -> None:
        self.room = Room(free)
        self.on_disk: dict[str, int] = {}
        self.looks = 0

    async def measure(self) -> Room:
        """See `ports.Volume`."""
        self.looks += 1
        return self.room

    async def held(self, key: str) -> int:
        """See `ports.Volume`."""
        return self.on_disk.get(key, 0)

    async def missing(self, paths: Sequence[str]) -> frozenset[str]:
        """See `ports.Volume`."""
        return frozenset()


@dataclass(slots=True)
class Held:
    """A write that waits for `release` or `fail`."""

    change: Change
    gate: asyncio.Future[None]

    async def release(self) -> None:
        """Let the write through."""
        self.gate.set_result(None)
        await idle()

    async def fail(self) -> None:
        """Let the write fail."""
        self.gate.set_exception(StoreError("The disk is full."))
        await idle()


class GatedStore(MemoryJobStore):
    """A store whose writes can be held up, reordered or refused.

    Attributes:
        holding: whether writes wait; the waiting ones are in `held`.
        failing: how many of the next writes fail.
        saved: the jobs `save_progress` was given, call by call.
    """

    def __init__(self) -> None:
        super().__init__()
        self.holding = False
        self.failing = 0
        self.held: list[Held] = []
        self.saved: list[tuple[Job, ...]] = []

    async def _pass(self, change: Change | None) -> None:
        if self.failing:
            self.failing -= 1
            raise StoreError("The disk is full.")
        if self.holding and change is not None:
            held = Held(change, asyncio.get_running_loop().create_future())
            self.held.append(held)
            await held.gate

    async def load(self) -> Loaded:
        """As a store does, unless it fails."""
        await self._pass(None)
        return await super().load()

    async def add(self, job: Job, change: Change) -> int:
        """As a store does, when the gate opens."""
        await self._pass(change)
        return await super().add(job, change)

    async def record(self, job: Job, change: Change) -> int:
        """As a store does, when the gate opens."""
        await self._pass(change)
        return await super().record(job, change)

    async def delete(self, job: Job, change: Change) -> int:
        """As a store does, when the gate opens."""
        await self._pass(change)
        return await super().delete(job, change)

    async def save_progress(self, moved: Sequence[Job]) -> frozenset[str]:
        """As a store does, unless it fails."""
        await self._pass(None)
        self.saved.append(tuple(moved))
        return await super().save_progress(moved)
