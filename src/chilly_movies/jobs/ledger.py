"""The jobs in memory, and the one way to change them: decide, persist, tell.

Changes are numbered when they are decided and told in that order, whatever the order in which
their writes finish, so that no listener ever sees a number go back.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from chilly_movies.errors import DuplicateDownload, JobNotFound
from chilly_movies.jobs import events as e
from chilly_movies.jobs.bus import EventBus
from chilly_movies.jobs.figures import Totals
from chilly_movies.jobs.lifecycle import apply
from chilly_movies.jobs.models import Job, Phase, Status
from chilly_movies.jobs.ports import JobStore, Loaded
from chilly_movies.jobs.queue import To, placed
from chilly_movies.runtime.tasks import begin

T = TypeVar("T")

_RESERVE = 10_000
"""Numbers set aside for progress, which is told before it is stored."""
_PROGRESS_INTERVAL = 0.5
"""Seconds between two progress messages of one job."""
_QUEUED = e.Queued()


@dataclass(slots=True)
class _Entry:
    """A numbered change on its way to the listeners."""

    seq: int
    change: e.Change | None = None
    is_written: bool = False


class Ledger:
    """All jobs, their numbers and locks. The Downloader is its only user.

    Args:
        store: where jobs are kept.
        bus: where changes are told.
        clock: the present time, aware.

    Attributes:
        totals: what all jobs moved.
    """

    def __init__(self, store: JobStore, bus: EventBus, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._bus = bus
        self._clock = clock
        self.totals = Totals(clock)
        self._jobs: dict[str, Job] = {}
        self._running: dict[str, None] = {}
        # A lock lives as long as somebody holds it or waits for it, so that ids that come and go
        # leave nothing behind, and nobody ever gets a second lock for the same id.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._seq = 0
        self._reserved = 0
        self._outbox: deque[_Entry] = deque()
        self._dirty: set[str] = set()
        self._changing: set[str] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._owners: dict[str, set[str]] = {}
        self._position = 0
        self._placing = asyncio.Lock()
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
        self._reserved = loaded.last_seq
        await self._reserve()
        return loaded

    @property
    def seq(self) -> int:
        """The highest number given out."""
        return self._seq

    @property
    def told(self) -> int:
        """The number up to which every change was told: later ones are still being stored."""
        return self._outbox[0].seq - 1 if self._outbox else self._seq

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

    def _put(self, job: Job) -> None:
        self._count(job)
        self._jobs[job.id] = job
        if job.is_running:
            self._running[job.id] = None
        else:
            self._running.pop(job.id, None)
        self._position = max(self._position, job.position)
        self._own(job)

    def _count(self, job: Job) -> None:
        """Add what it moved since it was last heard of to what all moved."""
        if (known := self._jobs.get(job.id)) is not None:
            self.totals.add(known.counted, job.counted)

    def _drop(self, job: Job) -> None:
        self._jobs.pop(job.id, None)
        self._running.pop(job.id, None)
        self._hush(job.id)
        self._told_at.pop(job.id, None)
        self._told_phase.pop(job.id, None)
        self._disown(job)

    def _own(self, job: Job) -> None:
        for identity in job.identities:
            self._owners.setdefault(identity, set()).add(job.id)

    def _disown(self, job: Job) -> None:
        for identity in job.identities:
            self._owners.get(identity, set()).discard(job.id)
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
        self._own(job)
        try:
            await self._commit(birth.name, job)
        except BaseException:
            self._disown(job)
            raise
        return job

    async def record(self, job_id: str, event: e.Event) -> Job:
        """Apply a state change, store it, then tell it.

        Raises:
            IllegalTransition: nothing was changed.
            StoreError: it could not be stored; nothing was changed.
        """
        job = apply(self.get(job_id), event, self._clock())
        await self._commit(event.name, job, event.news)
        return job

    async def place(self, job_id: str, to: To | None, before: str | None) -> Job:
        """Puts a job elsewhere in the queue; see `queue.placed`.

        One after the other, so that each is told beside the neighbours that listeners know.
        """
        async with self._placing:
            event = placed(self._jobs.values(), self.get(job_id), to, before, self.next_position)
            return self.get(job_id) if event is None else await self.record(job_id, event)

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
        job = apply(self.get(job_id), e.Removed(), self._clock())
        entry = self._number()
        change = e.Change.of(entry.seq, e.Removed.name, job)
        self._changing.add(job_id)
        try:
            await self._store.delete(change)
            self._drop(job)
            entry.change = change
        finally:
            self._changing.discard(job_id)
            self._release(entry)

    async def _commit(self, name: str, job: Job, news: Mapping[str, Any] | None = None) -> None:
        entry = self._number()
        change = e.Change.of(entry.seq, name, job, news=news)
        self._changing.add(job.id)
        try:
            await self._store.record(job, change)
            self._put(job)
            self._hush(job.id)
            entry.change = change
        finally:
            self._changing.discard(job.id)
            self._release(entry)

    # --- progress ---------------------------------------------------------------------------

    def note(self, job_id: str, event: e.Progressed) -> Job:
        """Take new figures into memory and tell them, at most twice a second for each job.

        A new phase is told at once. `save_progress` stores the figures later.
        """
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
        if job is None or job_id in self._changing or self._seq >= self._reserved:
            return  # the job is gone or about to change, or no number is set aside
        self._told_at[job_id] = asyncio.get_running_loop().time()
        self._told_phase[job_id] = job.progress.phase
        entry = self._number()
        entry.change = e.Change.of(entry.seq, e.Progressed.name, job, durable=False)
        self._release(entry)

    def tell(self, job_id: str, name: str, news: Mapping[str, Any]) -> bool:
        """Tell what is new of one file of a job. It is not stored, and only the newest counts.

        It is left out while a change of the job is being stored: listeners would see its status
        go back.

        Returns:
            Whether it was told.
        """
        job = self._jobs.get(job_id)
        if job is None or job_id in self._changing or self._seq >= self._reserved:
            return False
        entry = self._number()
        entry.change = e.Change.of(entry.seq, name, job, durable=False, news=dict(news))
        self._release(entry)
        return True

    async def save_progress(self) -> None:
        """Store all figures that moved since the last call, in one write."""
        # a job whose change is being stored right now would be overwritten with older figures
        dirty = {i for i in self._dirty if i in self._jobs and i not in self._changing}
        if not dirty and self._reserved - self._seq >= _RESERVE // 2:
            return
        self._dirty -= dirty
        try:
            await self._reserve([self._jobs[job_id] for job_id in dirty])
        except BaseException:
            self._dirty |= dirty
            raise

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

    async def _reserve(self, dirty: list[Job] | None = None) -> None:
        reserved = self._seq + _RESERVE
        await self._store.save_progress(dirty or [], reserved)
        self._reserved = reserved

    # --- numbers and order ------------------------------------------------------------------

    def _number(self) -> _Entry:
        self._seq += 1
        entry = _Entry(self._seq)
        self._outbox.append(entry)
        return entry

    def _release(self, entry: _Entry) -> None:
        """The entry's write ended (its change is None if it failed): tell all that is in turn."""
        entry.is_written = True
        while self._outbox and self._outbox[0].is_written:
            change = self._outbox.popleft().change
            if change is not None:
                self._bus.publish(change)
