"""The jobs in memory, and the one way to change them: decide, persist, tell.

The store numbers a change when it keeps it, and the change is told right after that: numbers rise
in the order of the commits, and so they are told. What is not stored, figures say, repeats the
number of the newest stored change that it builds on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from chilly_movies.errors import DuplicateDownload, JobLost, JobNotFound, StoreError
from chilly_movies.jobs import events as e
from chilly_movies.jobs.alone import Alone
from chilly_movies.jobs.bus import EventBus
from chilly_movies.jobs.figures import Totals
from chilly_movies.jobs.lifecycle import apply
from chilly_movies.jobs.models import Job, Phase, Status
from chilly_movies.jobs.ports import Cluster, JobStore, Loaded
from chilly_movies.jobs.queue import Order, To, placed
from chilly_movies.runtime.tasks import begin

T = TypeVar("T")

_PROGRESS_INTERVAL = 0.5
"""Seconds between two progress messages of one job."""
_QUEUED = e.Queued()


class Ledger:
    """All jobs, their numbers and locks. The Downloader is its only user.

    Args:
        store: where jobs are kept.
        bus: where changes are told.
        clock: the present time, aware.
        cluster: which jobs are ours.

    Attributes:
        totals: what all jobs moved.
        order: of all jobs, and the positions of those that have one.
    """

    def __init__(
        self,
        store: JobStore,
        bus: EventBus,
        clock: Callable[[], datetime],
        cluster: Cluster | None = None,
    ) -> None:
        self._cluster = cluster or Alone()
        self._store = store
        self._bus = bus
        self._clock = clock
        self.totals = Totals(clock)
        self._jobs: dict[str, Job] = {}
        self._running: dict[str, None] = {}
        self._lost: set[str] = set()
        # A lock lives as long as somebody holds it or waits for it, so that ids that come and go
        # leave nothing behind, and nobody ever gets a second lock for the same id.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._seq = 0
        self._dirty: set[str] = set()
        self._changing: set[str] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._owners: dict[str, set[str]] = {}
        self._position = 0
        self._placing = asyncio.Lock()
        self.order = Order(self._jobs)
        self._told_at: dict[str, float] = {}
        self._told_phase: dict[str, Phase | None] = {}
        self._telling: dict[str, asyncio.TimerHandle] = {}

    async def load(self) -> Loaded:
        """Read all jobs from the store, and hear how the run before ended."""
        loaded = await self._store.load()
        self.totals.load(loaded.totals)
        for job in loaded.jobs:
            self._put(job)
        self._seq = loaded.last_seq
        with suppress(StoreError):  # it is tried again with the next figures
            await self.save_totals()
        return loaded

    @property
    def seq(self) -> int:
        """The number up to which every change was told: later ones are still being stored."""
        return self._seq

    def __iter__(self) -> Iterator[Job]:
        return iter(tuple(self._jobs.values()))

    def __contains__(self, job_id: object) -> bool:
        return job_id in self._jobs

    def get(self, job_id: str) -> Job:
        """The job as it is now.

        Raises:
            JobNotFound: there is none with this id.
        """
        try:
            return self._jobs[job_id]
        except KeyError:
            raise JobNotFound(f"There is no job '{job_id}'.") from None

    def lock(self, job_id: str) -> asyncio.Lock:
        """The lock that every change of this job needs."""
        found = self._locks.get(job_id)
        if found is None:
            found = self._locks[job_id] = asyncio.Lock()
        return found

    def next_position(self) -> int:
        """The place behind the last job in the queue; never the same twice."""
        self._position += 1
        return self._position

    def refuse_duplicate(self, job_id: str, identities: tuple[str, ...]) -> None:
        """Check that no other job has the same film data; canceled ones do not count.

        Raises:
            DuplicateDownload: one has.
        """
        for other in set().union(*(self._owners.get(i, ()) for i in identities)) - {job_id}:
            # one that is not among the jobs yet is being stored right now
            if other not in self._jobs or self._jobs[other].status is not Status.CANCELED:
                raise DuplicateDownload(f"Job '{other}' already downloads this.", existing_id=other)

    def running(self) -> Sequence[Job]:
        """The jobs a driver has to run, and no others, however many there are."""
        return [self._jobs[job_id] for job_id in self._running]

    def is_ours(self, job: Job) -> bool:
        """Whether the job is this server's to run."""
        return job.id not in self._lost and self._cluster.owns(job)

    async def take(self, job_id: str) -> Job:
        """Make a job ours before a verb changes it; the caller holds its lock.

        Raises:
            JobLost: another server runs it.
        """
        known = self.get(job_id)
        job = await self._cluster.take(known)
        if job is not known:
            self._lost.discard(job_id)
            self._put(job)
        return job

    def _let_go(self, job_id: str) -> None:
        """Run and change the job no more: another server does, or it is gone."""
        if job_id in self._jobs:
            self._lost.add(job_id)
        self._running.pop(job_id, None)
        self._hush(job_id)

    def _put(self, job: Job) -> None:
        self._count(job)
        self.order.note(self._jobs.get(job.id), job)
        self._jobs[job.id] = job
        if job.is_running and self.is_ours(job):
            self._running[job.id] = None
        else:
            self._running.pop(job.id, None)
        self._position = max(self._position, job.position)
        self._own(job.id, job.identities)

    def _count(self, job: Job) -> None:
        """Add what it moved since it was last heard of to what all moved."""
        if (known := self._jobs.get(job.id)) is not None:
            self.totals.add(known.counted, job.counted)

    def _drop(self, job: Job) -> None:
        self.order.note(self._jobs.pop(job.id, None), None)
        self._running.pop(job.id, None)
        self._lost.discard(job.id)
        self._hush(job.id)
        self._told_at.pop(job.id, None)
        self._told_phase.pop(job.id, None)
        self._disown(job.id, job.identities)

    def _own(self, job_id: str, identities: Iterable[str]) -> None:
        for identity in identities:
            self._owners.setdefault(identity, set()).add(job_id)

    def _disown(self, job_id: str, identities: Iterable[str]) -> None:
        for identity in identities:
            self._owners.get(identity, set()).discard(job_id)
            if not self._owners.get(identity):
                self._owners.pop(identity, None)

    async def shielded(self, work: Coroutine[Any, Any, T]) -> T:
        """Run to the end even if the caller is cancelled: half a change is worse than a late one.

        Returns:
            What `work` returns.
        """
        task = begin(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def wait_idle(self) -> None:
        """Wait for all shielded work; tell no more progress."""
        for timer in self._telling.values():
            timer.cancel()
        self._telling.clear()
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- changes; the caller holds the job's lock -------------------------------------------

    async def add(self, job: Job, birth: e.Queued | e.Held = _QUEUED) -> Job:
        """Record the birth of a job. Its film counts as taken from before the write."""
        self._own(job.id, job.identities)
        try:
            await self._commit(self._store.add, birth, job, self._put)
        except BaseException:
            self._disown(job.id, job.identities)
            raise
        return job

    async def record(self, job_id: str, event: e.Event) -> Job:
        """Apply a state change, store it, then tell it.

        A film that the event makes the job's counts as taken from before the write.

        Raises:
            IllegalTransition: nothing was changed.
            DuplicateDownload: the same; the film is another job's.
            StoreError: it could not be stored; nothing was changed.
        """
        known = self.get(job_id)
        job = apply(known, event, self._clock())
        new = tuple(identity for identity in job.identities if identity not in known.identities)
        self.refuse_duplicate(job_id, new)
        self._own(job_id, new)
        try:
            await self._commit(self._store.record, event, job, self._put)
        except BaseException:
            self._disown(job_id, new)
            raise
        return job

    async def place(self, job_id: str, to: To | None, before: str | None) -> Job:
        """Puts a job elsewhere in the queue; see `queue.placed`.

        One after the other, so that each is told beside the neighbours that listeners know.
        """
        async with self._placing:
            jobs, job = self.order.jobs(), self.get(job_id)
            event = placed(jobs, job, to, before, self.next_position)
            return job if event is None else await self.record(job_id, event)

    async def record_soon(self, job_id: str, event: e.Event) -> Job:
        """Like `record`, for callers without the lock that may be cancelled at any time."""
        lock = self.lock(job_id)
        await lock.acquire()

        async def locked() -> Job:
            try:
                return await self.record(job_id, event)
            finally:
                lock.release()

        return await self.shielded(locked())

    async def remove(self, job_id: str) -> None:
        """Delete the job and tell so; none is put beside it meanwhile."""
        async with self._placing:
            await self._remove(job_id)

    async def _remove(self, job_id: str) -> None:
        removed = e.Removed()
        job = apply(self.get(job_id), removed, self._clock())
        await self._commit(self._store.delete, removed, job, self._drop)

    async def _commit(
        self,
        write: Callable[[Job, e.Change], Awaitable[int]],
        event: e.Event,
        job: Job,
        keep: Callable[[Job], None],
    ) -> None:
        """Let the store write and number a change, then take it into memory, then tell it."""
        change = e.Change.of(self._seq, event.name, job, news=event.news)
        self._changing.add(job.id)
        try:
            seq = await write(job, change)
        except JobLost:
            self._let_go(job.id)
            raise
        finally:
            self._changing.discard(job.id)
        keep(job)
        self._hush(job.id)
        self._seq = seq
        self._bus.publish(replace(change, seq=seq))

    # --- progress ---------------------------------------------------------------------------

    def note(self, job_id: str, event: e.Progressed) -> Job:
        """Take new figures into memory and tell them, at most twice a second for each job.

        A new phase is told at once. `save_progress` stores the figures later.

        Raises:
            JobLost: another server runs the job.
        """
        if job_id in self._lost:
            raise JobLost.of(job_id)
        job = apply(self.get(job_id), event, self._clock())
        self._count(job)
        self._jobs[job_id] = job
        if job.is_running or job.status is Status.QUEUED:  # a check that a crash ends is forgotten
            self._dirty.add(job_id)
        if self._told_phase.get(job_id) is not job.progress.phase:
            self._cancel_telling(job_id)
            self._tell_now(job_id)
        else:
            self._tell_progress(job_id)
        return job

    def _tell_progress(self, job_id: str) -> None:
        """Publish now, or at the end of the half second if something was published in it."""
        loop = asyncio.get_running_loop()
        if job_id in self._telling:
            return
        wait = self._told_at.get(job_id, float("-inf")) + _PROGRESS_INTERVAL - loop.time()
        if wait <= 0:
            self._tell_now(job_id)
        else:
            self._telling[job_id] = loop.call_later(wait, self._tell_now, job_id)

    def _hush(self, job_id: str) -> None:
        """A state change stores and tells the figures itself."""
        self._dirty.discard(job_id)
        self._cancel_telling(job_id)

    def _cancel_telling(self, job_id: str) -> None:
        timer = self._telling.pop(job_id, None)
        if timer is not None:
            timer.cancel()

    def _tell_now(self, job_id: str) -> None:
        self._telling.pop(job_id, None)
        job = self._jobs.get(job_id)
        if job is None or job_id in self._changing:
            return  # the job is gone or about to change
        self._told_at[job_id] = asyncio.get_running_loop().time()
        self._told_phase[job_id] = job.progress.phase
        self._bus.publish(e.Change.of(self._seq, e.Progressed.name, job, durable=False))

    def tell(self, job_id: str, name: str, news: Mapping[str, Any]) -> bool:
        """Tell what is new of one file of a job. It is not stored, and only the newest counts.

        It is left out while a change of the job is being stored: listeners would see its status
        go back.

        Returns:
            Whether it was told.
        """
        job = self._jobs.get(job_id)
        if job is None or job_id in self._changing:
            return False
        self._bus.publish(e.Change.of(self._seq, name, job, durable=False, news=dict(news)))
        return True

    async def save_progress(self) -> None:
        """Store all figures that moved since the last call, in one write."""
        # a job whose change is being stored right now would be overwritten with older figures
        dirty = {i for i in self._dirty if i in self._jobs and i not in self._changing}
        if not dirty:
            return
        self._dirty -= dirty
        try:
            moved = [self._jobs[job_id] for job_id in dirty]
            lost = await self._store.save_progress(moved)
        except BaseException:
            self._dirty |= dirty
            raise
        for job in moved:
            known = self._jobs.get(job.id)  # one with its name may have come after it
            if job.id in lost and known is not None and known.key == job.key:
                self._let_go(job.id)

    async def save(self) -> None:
        """Store all that moved since the last call."""
        await self.save_progress()
        await self.save_totals()

    async def save_totals(self) -> None:
        """Store what all jobs moved, if that is more than what is stored."""
        if not self.totals.is_saved:
            self.totals.is_saved = True
            try:
                await self._store.save_totals(self.totals.all_time)
            except BaseException:
                self.totals.is_saved = False
                raise
