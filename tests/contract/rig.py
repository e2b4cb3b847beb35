"""A downloader on a store that can be opened again, and a mock driver whose time we hold."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any

from chilly_movies.drivers.mock.driver import MockDriver, MockScript
from chilly_movies.errors import DiskError
from chilly_movies.jobs.disk_guard import DiskGuard
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.jobs.models import Job, Report, SourceType, Status
from chilly_movies.jobs.ports import Cluster, Cursors, Driver, JobStore, ResumeStore
from chilly_movies.jobs.retry import RetryPolicy
from chilly_movies.jobs.source_rules import SourceRules
from chilly_movies.storage.jobs import open_stores
from chilly_movies.storage.memory import MemoryJobStore, MemoryResumeStore
from tests import doubles
from tests.doubles import Clock, until

NO_RULES = SourceRules(silence=0, slow=0)
"""No source is left for its silence: the clock of these tests does not move by itself."""
SCRIPT = MockScript(size=1000, seconds=4.0, metadata_seconds=1.0, seed_seconds=0.0)


class Pace:
    """The mock driver's time: it flows at once, or stands still until `flow`."""

    def __init__(self) -> None:
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._left = 0
        self.sleepers = 0

    def hold(self, *, after: int = 0) -> None:
        """Every wait lasts until `flow`, but for the next `after` ones."""
        self._flowing.clear()
        self._left = after

    def flow(self) -> None:
        """All waits end at once."""
        self._flowing.set()

    async def sleep(self, _seconds: float) -> None:
        """The `sleep` of a mock driver."""
        self.sleepers += 1
        try:
            if self._left:
                self._left -= 1
            else:
                await self._flowing.wait()
            await asyncio.sleep(0)
        finally:
            self.sleepers -= 1


class NotingDriver(MockDriver):
    """A mock driver that notes what it is told to remove, and whether it was closed.

    Attributes:
        break_disk: every report becomes a refusal of the disk.
    """

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.removed: list[tuple[str, bool]] = []
        self.closed = 0
        self.break_disk = False

    async def run(self, job: Job, *, check: bool = False) -> AsyncGenerator[Report, None]:
        """Play the script while the disk works."""
        async with aclosing(super().run(job, check=check)) as reports:
            async for report in reports:
                if self.break_disk:
                    raise DiskError("The film is gone.")
                yield report

    async def remove(self, job: Job, *, delete_files: bool) -> None:
        """Note it and do it."""
        self.removed.append((job.id, delete_files))
        await super().remove(job, delete_files=delete_files)

    async def aclose(self) -> None:
        """Note it."""
        self.closed += 1


class Rig:
    """Makes downloaders over one place on the disk or in memory.

    Attributes:
        path: of the database.
        pace: the time of the mock driver.
        clock: the time of the downloader.
        driver: the newest driver.
        downloader: the newest downloader.
    """

    driver: NotingDriver
    downloader: Downloader

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self.path = folder / "chilly.db"
        self._resume = MemoryResumeStore()
        self._jobs = MemoryJobStore(self._resume)
        self.pace = Pace()
        self.clock = Clock()
        self._opened: list[Downloader] = []

    def stores(self) -> tuple[JobStore, ResumeStore]:
        if self.kind == "sqlite":
            return open_stores(self.path)
        return self._jobs, self._resume

    def make(
        self,
        *,
        max_active: int = 3,
        max_active_disk: int = 2,
        script: MockScript = SCRIPT,
        attempts: int = 3,
        drivers: Mapping[str, Driver] | None = None,
        store: JobStore | None = None,
        guard: DiskGuard | None = None,
        cluster: Cluster | None = None,
        cursors: Cursors | None = None,
        rules: SourceRules = NO_RULES,
    ) -> Downloader:
        """A downloader that nobody opened yet."""
        jobs, resume = self.stores() if store is None else (store, self._resume)
        self.driver = NotingDriver(script, resume_store=resume, tick=1.0, sleep=self.pace.sleep)
        usual: dict[str, Driver] = dict.fromkeys(SourceType, self.driver)
        self.downloader = Downloader(
            usual if drivers is None else drivers,
            jobs,
            max_active=max_active,
            max_active_disk=max_active_disk,
            retry=RetryPolicy(attempts, base=60.0, cap=600.0, rules=rules),
            clock=self.clock,
            guard=guard,
            cluster=cluster,
            cursors=cursors,
        )
        self._opened.append(self.downloader)
        return self.downloader

    async def restart(self, **more: Any) -> Downloader:
        """Stop the downloader in order and open another over the same place."""
        await self.downloader.aclose()
        downloader = self.make(**more)
        await downloader.open()
        return downloader

    async def crash(self, **more: Any) -> Downloader:
        """Open another downloader over what was durable at this moment."""
        if self.kind == "sqlite":
            copy = self.path.with_name(f"after-{len(self._opened)}.db")
            with closing(sqlite3.connect(self.path)) as old, closing(sqlite3.connect(copy)) as new:
                old.backup(new)
            self.path = copy
        else:
            old_jobs, self._jobs = self._jobs, MemoryJobStore(self._resume)
            self._jobs._jobs = dict(old_jobs._jobs)
            self._jobs._changes = dict(old_jobs._changes)
            self._jobs._last_seq = old_jobs._last_seq
        downloader = self.make(**more)
        await downloader.open()
        return downloader

    async def aclose(self) -> None:
        """Close all downloaders that were made."""
        self.pace.flow()
        for downloader in self._opened:
            await downloader.aclose()

    async def add(self, job_id: str = "a", **wishes: Any) -> Job:
        """Start a film of its own."""
        return await self.downloader.start(
            {"source_urn": f"https://films.example/{job_id}", **wishes}, id=job_id
        )

    async def bring(self, status: Status, job_id: str = "a") -> Job:
        """A job that came to this status by the verbs alone; time stands still afterwards."""
        fails = "fail=source_rejected&failAt=0&failTimes=1&"
        query = fails if status is Status.FAILED else ""
        waiting = status in (Status.ACTIVE, Status.PAUSED, Status.CANCELED)
        if waiting:
            self.pace.hold()
        await self.add(job_id, source_urn=f"mock:?{query}name={job_id}")
        if waiting:
            await self.reach_active(job_id)
        elif status is not Status.QUEUED:
            await reach(self.downloader, job_id, status)
        if status is Status.PAUSED:
            await self.downloader.pause(job_id)
        if status is Status.CANCELED:
            await self.downloader.cancel(job_id)
        self.pace.hold()
        return await self.downloader.status(job_id)

    async def bring_half(self, job_id: str = "a") -> Job:
        """An active job of which half is there; time stands still."""
        self.pace.hold(after=3)
        await self.add(job_id)
        return await reach_when(
            self.downloader, job_id, lambda job: job.progress.bytes_downloaded == 500
        )

    async def reach_active(self, job_id: str = "a") -> Job:
        """Wait until the only running job is active and its driver waits for time to pass."""
        await reach(self.downloader, job_id, Status.ACTIVE)
        await until(lambda: self.pace.sleepers == 1)
        return await self.downloader.status(job_id)


async def reach(downloader: Downloader, job_id: str, *statuses: Status) -> Job:
    """Wait until the job has one of these statuses."""
    return await reach_when(downloader, job_id, lambda job: job.status in statuses)


async def reach_when(downloader: Downloader, job_id: str, holds: Callable[[Job], object]) -> Job:
    """Wait until something holds of the job, woken by its events."""
    async with asyncio.timeout(2 * doubles.PATIENCE), downloader.listen(job_id) as changes:
        while not holds(job := await downloader.status(job_id)):
            await anext(changes)
    return job


async def history(downloader: Downloader, job_id: str | None = None) -> list[str]:
    """The names of all stored changes."""
    return [change.event for change in await downloader.changes_since(0, job_id)]
