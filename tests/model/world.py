"""A small world for the real `Downloader`: time, store, disk and driver obey the test alone.

Nothing here decides what is right; that is `spec.py`. Everything runs on a loop whose time
moves only when told, so that a run can be repeated exactly.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from chilly_movies.drivers.mock.driver import MockDriver
from chilly_movies.errors import DiskError, InvalidRequest, JobLost, StoreError
from chilly_movies.jobs.bus import Subscription
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.jobs.events import Change
from chilly_movies.jobs.figures import Moved
from chilly_movies.jobs.models import (
    Job,
    Peer,
    Phase,
    Progress,
    Report,
    Source,
    SourceFacts,
    SourceType,
)
from chilly_movies.jobs.ports import JobStore, Loaded
from chilly_movies.jobs.retry import RetryPolicy
from chilly_movies.jobs.source_rules import SourceRules
from chilly_movies.jobs.swarm import Metainfo, PieceMap, Tracker
from chilly_movies.storage.jobs import open_stores
from chilly_movies.storage.memory import MemoryJobStore
from tests.doubles import Clock

T = TypeVar("T")

ATTEMPTS = 3
"""How many tries the downloader of this world has."""
TRIES = 2
"""How many it has with a source while there is another one."""
_NO_RULES = SourceRules(silence=0, slow=0)
"""No source is left for its silence: time moves by steps here."""
OWN_TRACKER = "http://own.example/announce"
"""The one that every torrent of this world names itself."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose time stands still until `now` is moved."""

    now = 0.0

    def time(self) -> float:
        """The time all timers go by."""
        return self.now

    @property
    def busy(self) -> bool:
        """Whether anything besides the running callback could run without time passing."""
        return bool(self._ready)  # type: ignore[attr-defined]


@dataclass(eq=False)
class Write:
    """A change on its way to the store."""

    change: Change
    gate: asyncio.Future[None]


@dataclass
class Disk:
    """What outlives a process: the order of all commits, and which data is complete.

    Attributes:
        on_commit: called with each change that became durable and the job after it.
        complete: the keys of which all data is there.
        emptied: those of which nothing is there, as their source was given up.
    """

    on_commit: Callable[[Change, Job | None], None]
    log: list[Change] = field(default_factory=list)
    complete: set[str] = field(default_factory=set)
    emptied: set[str] = field(default_factory=set)


class GatedStore:
    """A store whose writes wait, fail, or survive their caller, as the test says.

    As with the real one, a write that was handed over happens whether or not the caller waits.
    """

    def __init__(self, inner: JobStore, disk: Disk) -> None:
        self._inner = inner
        self._disk = disk
        self.holding = False
        self.failing = 0
        self.dead = False
        self.at_work = 0
        self.rests = asyncio.Event()
        self.held: list[Write] = []
        self.refused: set[str] = set()
        self._tasks: set[asyncio.Task[int]] = set()

    @property
    def tasks(self) -> set[asyncio.Task[int]]:
        """The writes that go on by themselves."""
        return self._tasks

    async def load(self) -> Loaded:
        """As a store does."""
        self._fail_if_told()
        return await self._working(self._inner.load())

    async def add(self, job: Job, change: Change) -> int:
        """As a store does, once the gate is open."""
        return await self._hand_over(change, job, lambda: self._inner.add(job, change))

    async def record(self, job: Job, change: Change) -> int:
        """As a store does, once the gate is open."""
        return await self._hand_over(change, job, lambda: self._inner.record(job, change))

    async def delete(self, job: Job, change: Change) -> int:
        """As a store does, once the gate is open."""
        return await self._hand_over(change, None, lambda: self._inner.delete(job, change))

    async def save_progress(self, moved: Sequence[Job]) -> frozenset[str]:
        """As a store does."""
        self._fail_if_told()
        await self._stop_if_dead()
        return await self._working(self._inner.save_progress(moved))

    async def save_totals(self, totals: Moved) -> None:
        """As a store does."""
        self._fail_if_told()
        await self._stop_if_dead()
        await self._working(self._inner.save_totals(totals))

    async def changes_since(
        self, seq: int, job_id: str | None = None, *, limit: int = 1000
    ) -> list[Change]:
        """As a store does."""
        return await self._working(self._inner.changes_since(seq, job_id, limit=limit))

    async def aclose(self) -> None:
        """As a store does."""
        await self._stop_if_dead()
        await self._working(self._inner.aclose())

    async def kill(self) -> None:
        """Let go of the file below, after the process that used it has died."""
        await self._working(self._inner.aclose())

    async def _hand_over(
        self, change: Change, job: Job | None, write: Callable[[], Coroutine[Any, Any, int]]
    ) -> int:
        await self._stop_if_dead()
        task = asyncio.ensure_future(self._write(change, job, write))
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    def _done(self, task: asyncio.Task[int]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()

    async def _write(
        self, change: Change, job: Job | None, write: Callable[[], Coroutine[Any, Any, int]]
    ) -> int:
        if self.holding:
            held = Write(change, asyncio.get_running_loop().create_future())
            self.held.append(held)
            try:
                await held.gate
            finally:
                self.held.remove(held)
        self._fail_if_told()
        try:
            change = replace(change, seq=await self._working(write()))
        except JobLost:
            self.refused.add(change.id)
            raise
        self._disk.log.append(change)
        self._disk.on_commit(change, job)
        return change.seq

    async def _working(self, work: Coroutine[Any, Any, T]) -> T:
        self.at_work += 1
        self.rests.clear()
        try:
            return await work
        finally:
            self.at_work -= 1
            if not self.at_work:
                self.rests.set()

    def _fail_if_told(self) -> None:
        if self.failing and not self.dead:
            self.failing -= 1
            raise StoreError("The disk is full.")

    async def _stop_if_dead(self) -> None:
        if self.dead:
            await asyncio.get_running_loop().create_future()


@dataclass(eq=False)
class Run:
    """A driver's generator for one job that is open right now."""

    job: Job
    orders: asyncio.Queue[Report | Exception | None] = field(default_factory=asyncio.Queue)
    closing: asyncio.Future[None] | None = None


class PuppetDriver(MockDriver):
    """Does what it is told, and refuses what no driver may be asked.

    Attributes:
        runs: what runs now, by the job's key.
        sticky: closing a run lasts until `let_go`.
        stuck: so many times the data of a source that is given up cannot be deleted.
        wrong: what the core did wrong.
        may_remove: whether a job is given up for good.
        is_left: whether the source of a job may be given up for another.
        on_run: called with each job that is run, as it is then.
    """

    def __init__(self, disk: Disk) -> None:
        super().__init__()
        self._disk = disk
        self.runs: dict[str, Run] = {}
        self.removed: set[str] = set()
        self.sticky = False
        self.stuck = 0
        self.dead = False
        self.wrong: list[str] = []
        self.may_remove: Callable[[Job], bool] = lambda _job: True
        self.is_left: Callable[[Job], bool] = lambda _job: False
        self.on_run: Callable[[Job], None] = lambda _job: None

    def identify(self, source: Source) -> SourceFacts:
        """One identity for each source."""
        return SourceFacts((f"mock:{source.urn or (source.data or b'').decode()}",))

    async def run(self, job: Job, *, check: bool = False) -> AsyncGenerator[Report, None]:
        """Yield what the test orders."""
        if check and not job.is_running:
            return
        if job.key in self.runs:
            self.wrong.append(f"two runs of '{job.id}' at the same time")
        if job.key in self.removed and job.moving_to is None:
            self.wrong.append(f"'{job.id}' runs after its data was deleted")
        self._disk.emptied.discard(job.key)
        self.on_run(job)
        run = self.runs[job.key] = Run(job)
        try:
            if job.moving_to is not None:
                yield Report(moving(100), path=job.moving_to, complete=True)
                if not job.seeding:
                    return
            while (order := await run.orders.get()) is not None:
                if isinstance(order, Exception):
                    raise order
                if order.complete:
                    self._disk.complete.add(job.key)
                yield order
            self._disk.complete.add(job.key)
        finally:
            await self._close(run)

    async def adjust(self, job: Job) -> None:
        """Take over the options."""
        if (run := self.runs.get(job.key)) is not None:
            run.job = replace(run.job, options=job.options, mirrors=job.mirrors)

    async def _close(self, run: Run) -> None:
        if self.sticky and not self.dead:
            run.closing = asyncio.get_running_loop().create_future()
            with suppress(asyncio.CancelledError):
                await run.closing
        if self.runs.get(run.job.key) is run:
            del self.runs[run.job.key]

    async def remove(self, job: Job, *, delete_files: bool) -> None:
        """Note it; a job that runs or is still wanted may not be removed."""
        if job.key in self.runs:
            self.wrong.append(f"data of '{job.id}' deleted while it runs")
        if self.is_left(job):
            if self.stuck:
                self.stuck -= 1
                raise DiskError("The job's files cannot be deleted.")
            self._disk.emptied.add(job.key)
            return
        if not self.may_remove(job):
            self.wrong.append(f"data of '{job.id}' deleted before its row says so")
        self.removed.add(job.key)

    async def peers(self, job: Job) -> tuple[Peer, ...]:
        """None."""
        return ()

    async def aclose(self) -> None:
        """All runs must be closed by now."""
        if self.runs and not self.dead:
            self.wrong.append("the driver was closed while it ran jobs")


class PuppetSwarm:
    """What a driver of torrents knows of swarms, as far as the core asks.

    Args:
        driver: runs the jobs.
    """

    def __init__(self, driver: PuppetDriver) -> None:
        self._driver = driver

    async def trackers(self, job: Job) -> Sequence[Tracker]:
        """The torrent's own, and what the user made of them."""
        known = {OWN_TRACKER: 0}
        for url in job.trackers.removed:
            known.pop(url, None)
        known |= dict(job.trackers.added)
        return [Tracker(url, tier) for url, tier in sorted(known.items())]

    async def vet_tracker(self, url: str) -> str:
        """Only http is spoken here."""
        if not url.startswith("http"):
            raise InvalidRequest("It is no announce URL.", field="urls")
        return url

    async def choose_trackers(self, job: Job) -> None:
        """Take over the choice."""
        if (run := self._driver.runs.get(job.key)) is not None:
            run.job = replace(run.job, trackers=job.trackers)

    async def announce(self, job: Job) -> bool:
        """Whether it runs."""
        return job.key in self._driver.runs

    async def call(self, job: Job, address: str) -> bool:
        """Whether it runs."""
        return job.key in self._driver.runs

    async def ban(self, job: Job, address: str) -> None:
        """Nobody is there."""

    async def pieces(self, job: Job) -> PieceMap | None:
        """None."""
        return None

    async def metainfo(self, job: Job) -> Metainfo | None:
        """None."""
        return None


def moving(percent: float, phase: Phase | None = Phase.DOWNLOADING) -> Progress:
    """Figures of a job that runs."""
    return Progress(percent, int(percent), 100, 5, 5, 5, 1, 1, phase=phase)


class World:
    """One downloader after the other over the same disk.

    Args:
        folder: for the database; None = the store in memory.
        empty: a database of the newest schema without jobs.
        max_active: for every downloader.
        on_commit: see `Disk`.
    """

    downloader: Downloader
    driver: PuppetDriver
    store: GatedStore

    def __init__(
        self,
        folder: Path | None,
        empty: Path | None,
        max_active: int,
        on_commit: Callable[[Change, Job | None], None],
    ) -> None:
        self.loop = VirtualLoop()
        self.clock = Clock()
        self.disk = Disk(on_commit)
        self.heard: list[Change] = []
        self._memory = MemoryJobStore()
        self._folder, self._lives, self._max_active = folder, 0, max_active
        self._ears: list[Subscription] = []
        if folder is not None and empty is not None:
            shutil.copy(empty, self._path)

    @property
    def _path(self) -> Path:
        assert self._folder is not None
        return self._folder / f"life-{self._lives}.db"

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end, then let everything run that can."""

        async def both() -> T:
            result = await work
            await self._quiet()
            return result

        return self.loop.run_until_complete(both())

    async def _quiet(self) -> None:
        while True:
            await asyncio.sleep(0)
            if self.store.at_work:
                await self.store.rests.wait()  # asleep, so that its thread gets its turn
            elif not self.loop.busy:
                break
        self.listen()

    def listen(self) -> None:
        """Take what listeners were told so far."""
        for ear in self._ears:
            while ear._waiting:
                self.heard.append(ear._waiting.popitem(last=False)[1])

    def launch(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begin something and let everything run that can."""

        async def begin() -> asyncio.Task[T]:
            return asyncio.ensure_future(work)

        return self.do(begin())

    async def _nothing(self) -> None:
        pass

    def wait_idle(self) -> None:
        """Let everything run that can without time passing."""
        self.do(self._nothing())

    def forward(self, seconds: float) -> None:
        """Let time pass; what is due on the way happens in its turn, at first one by one."""
        end = self.loop.now + seconds
        for turn in range(10):
            timers = [t.when() for t in self.loop._scheduled if not t.cancelled()]  # type: ignore[attr-defined]
            step = min([end, *(when for when in timers if when > self.loop.now)])
            step = end if turn == 9 else step
            self.clock.forward(step - self.loop.now)
            self.loop.now = step
            self.wait_idle()
            if step >= end:
                return

    def open(self, set_up: Callable[[PuppetDriver], None]) -> None:
        """A new process over what is on the disk.

        Args:
            set_up: called with its driver before anything is run.
        """
        inner: JobStore = self._memory
        if self._folder is not None:
            inner, _ = open_stores(self._path)
        self.store = GatedStore(inner, self.disk)
        removed = self.driver.removed if hasattr(self, "driver") else set()
        self.driver = PuppetDriver(self.disk)
        self.driver.removed = removed
        set_up(self.driver)
        self.downloader = Downloader(
            dict.fromkeys(SourceType, self.driver),
            self.store,
            max_active=self._max_active,
            retry=RetryPolicy(
                ATTEMPTS, short_attempts=TRIES, rules=_NO_RULES, base=60.0, cap=600.0
            ),
            clock=self.clock,
            swarms={SourceType.HTTP: PuppetSwarm(self.driver)},
        )
        self._ears = [self.downloader._bus.subscribe(size=100_000)]
        known, since = len(self.heard), self.heard[-1].seq if self.heard else 0
        self.do(self.downloader.open())
        missed = self.do(self.downloader.changes_since(since))
        live = [change.seq for change in self.heard[known:] if change.durable]
        first = live[0] if live else float("inf")
        self.heard[known:known] = [change for change in missed if change.seq < first]

    def take_over(self, job_id: str) -> None:
        """Another server takes a job from this one, which does not hear of it."""
        if self._folder is None:
            job = self._memory._jobs[job_id]
            self._memory._jobs[job_id] = replace(job, owner="other", epoch=job.epoch + 1)
            return
        with closing(sqlite3.connect(self._path)) as other, other:
            words = "UPDATE jobs SET owner = 'other', epoch = epoch + 1 WHERE id = ?"
            other.execute(words, (job_id,))

    def crash(self, survives: Callable[[int], bool]) -> None:
        """Kill the process; of the writes under way those survive whose number says so."""
        self.listen()
        self._ears = []
        held = list(self.store.held)
        self.store.dead = self.driver.dead = True
        for number, write in enumerate(held):
            if not survives(number):
                write.gate.cancel()
        writes = set(self.store.tasks)
        self.do(self._kill(writes))
        for number, write in enumerate(held):
            if survives(number):
                write.gate.set_result(None)
        self.wait_idle()
        if self._folder is not None:
            self._copy_database()
        self.do(self.store.kill())

    async def _kill(self, spared: set[asyncio.Task[int]]) -> None:
        while tasks := asyncio.all_tasks() - spared - {asyncio.current_task()}:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=0)
            await asyncio.sleep(0)

    def _copy_database(self) -> None:
        """What a kill leaves behind: the file and its log, not folded in."""
        old = self._path
        self._lives += 1
        for tail in ("", "-wal"):
            source = old.with_name(old.name + tail)
            if source.exists():
                shutil.copy(source, self._path.with_name(self._path.name + tail))

    def destroy(self) -> None:
        """Leave nothing behind."""
        if not self.store.dead:
            self.crash(lambda _number: False)
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()
