"""The verbs: start, pause, resume, cancel and the rest. The only writer of jobs.

One asyncio task runs each active job: it asks the job's driver for reports and records what
they say. Pause, cancel and shutdown end that task; the driver keeps what it needs to go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Self

import structlog

from chilly_movies.errors import ChillyError, EngineError, IllegalTransition
from chilly_movies.jobs import events as e
from chilly_movies.jobs import queue
from chilly_movies.jobs.adjustments import AdjustRequest, parse_changes
from chilly_movies.jobs.admission import Admission, Wish
from chilly_movies.jobs.bus import EVERYTHING, EventBus, Filter, Subscription
from chilly_movies.jobs.callbacks import Listener, Listeners
from chilly_movies.jobs.disk_guard import DiskGuard
from chilly_movies.jobs.disk_watch import DiskWatch
from chilly_movies.jobs.file_watch import FileWatch
from chilly_movies.jobs.follower import Followers
from chilly_movies.jobs.ledger import Ledger
from chilly_movies.jobs.models import (
    FileStanding,
    Job,
    ListenPort,
    Peer,
    Pool,
    Status,
)
from chilly_movies.jobs.open_files import Reading
from chilly_movies.jobs.options import Options, check_folder
from chilly_movies.jobs.ports import Cluster, Cursors, Driver, FileReader, JobStore
from chilly_movies.jobs.recovery import Upkeep
from chilly_movies.jobs.requests import missing_source
from chilly_movies.jobs.retry import RetryPolicy
from chilly_movies.jobs.runner import DISK_PAUSES, Network, Runner
from chilly_movies.jobs.scheduler import Scheduler, Slots, Waits
from chilly_movies.jobs.settings import JobSettings
from chilly_movies.jobs.sources import Peek, Sources
from chilly_movies.jobs.start_request import StartRequest, parse
from chilly_movies.jobs.stats import Stats
from chilly_movies.jobs.swarm import SwarmControl
from chilly_movies.jobs.swarm_verbs import Swarm
from chilly_movies.jobs.verbs import Verbs
from chilly_movies.net.limits import SpeedLimits
from chilly_movies.runtime import clocks
from chilly_movies.runtime.clocks import utc_now
from chilly_movies.runtime.single_flight import SingleFlight
from chilly_movies.runtime.tasks import every

log = structlog.get_logger(__name__)

_SAVE_INTERVAL = 1.0
"""Seconds between two bulk writes of progress."""


class Downloader:
    """Downloads films, remembers them, and tells what happens to them.

    It starts itself at the first verb. Every verb is idempotent and raises `JobNotFound` for an
    unknown id. Use it with `async with`, or call `aclose()` at the end.

    Args:
        drivers: who runs which kind of source, by the `source_type` of its jobs: any text of at
            most 32 characters.
        store: where jobs are kept.
        max_active: how many jobs may download at once; seeding ones do not count.
        max_active_disk: how many jobs may be imported from a disk at once, beside these.
        retry: how often and when a failed attempt is repeated.
        clock: the time of day, aware.
        steady: seconds that only grow; None = the system's, or as `clock` says if it is another.
        guard: who knows whether there is room on the disk; None = there always is.
        cluster: which jobs are this server's; None = all.
        cursors: where followers report how far they are; None = the store keeps all changes.
        limits: the speed limits that the drivers go by; None = some that nobody goes by.
        swarms: what knows the swarms of which kind of source; None = nothing does.
        peek: asks the server of a link what is there; None = none is asked.

    Attributes:
        followers: work that is done for every stored change.
        limits: the speed limits.
        sources: what sources are, before they are jobs.
        swarm: trackers, peers, pieces and torrent files of jobs.
    """

    def __init__(
        self,
        drivers: Mapping[str, Driver],
        store: JobStore,
        *,
        max_active: int = JobSettings.max_active,
        max_active_disk: int = JobSettings.max_active_disk,
        retry: RetryPolicy | None = None,
        clock: Callable[[], datetime] = utc_now,
        steady: Callable[[], float] | None = None,
        guard: DiskGuard | None = None,
        cluster: Cluster | None = None,
        cursors: Cursors | None = None,
        limits: SpeedLimits | None = None,
        swarms: Mapping[str, SwarmControl] | None = None,
        peek: Peek | None = None,
    ) -> None:
        self.limits = limits or SpeedLimits()
        self._drivers = dict(drivers)
        self._store = store
        self._bus = EventBus()
        self._ledger = Ledger(store, self._bus, clock, cluster)
        self._listeners = Listeners(self._bus)
        self.followers = Followers(self._ledger, self._bus, store, cursors)
        self._wake = asyncio.Event()
        guard, retry = guard or DiskGuard(), retry or RetryPolicy()
        self._guard = guard
        network = Network(lambda: self.network_problem, lambda: self.limits.limiter.rates.download)
        self._runner = Runner(
            self._drivers, self._ledger, retry, clock, self._wake.set, guard, network
        )
        self._reading = Reading(self._drivers, self._ledger, self._bus, self.resume, self._wake.set)
        if steady is None:
            steady = clocks.steady if clock is utc_now else lambda: clock().timestamp()
        waits = Waits(clock, steady, longest=max(retry.cap, DISK_PAUSES.cap))
        slots = Slots(self._drivers, {Pool.NETWORK: max_active, Pool.DISK: max_active_disk})
        self._scheduler = Scheduler(
            self._ledger, self._runner, slots, waits, self._wake, guard, self._reading.is_read
        )
        self._file_watch = FileWatch(self._ledger, self._reading.files)
        self._disk = DiskWatch(self._ledger, self._runner, guard)
        self._admission = Admission(self._drivers, self._ledger, clock, self._wake.set)
        self.sources = Sources(self._drivers, self._ledger, peek, self.open)
        self._upkeep = Upkeep(self._drivers, self._ledger, self._runner)
        self._verbs = Verbs(self._drivers, self._ledger, self._runner)
        self.swarm = Swarm(swarms or {}, self._ledger, self.status, self._verb)
        self._background: list[asyncio.Task[None]] = []
        self._opening = SingleFlight(self._open_once, "opening")
        self._closing = asyncio.Lock()
        self._open = False
        self._closed = False

    # --- life -------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def open(self) -> None:
        """Read the jobs and go on with those that were active. Every verb calls it. Idempotent.

        Raises:
            EngineError: it was closed.
        """
        if not self._open or self._closed:
            self._refuse_if_closed()
            await self._opening.run()

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise EngineError("This downloader is closed.")

    async def _open_once(self) -> None:
        self._refuse_if_closed()
        if self._open:
            return
        await self.limits.open()  # before anything is sent
        loaded = await self._ledger.load()
        self._listeners.open()
        await self._disk.check()  # before anything is written
        self._open = True
        self._upkeep.go_on(loaded)
        saving = every(_SAVE_INTERVAL, self._ledger.save, "saving progress")
        self._background = [
            asyncio.create_task(self._scheduler.run(), name="scheduler"),
            asyncio.create_task(saving, name="progress-saver"),
            asyncio.create_task(self._disk.run(), name="disk-watch"),
            asyncio.create_task(self._file_watch.run(), name="file-watch"),
            asyncio.create_task(self._upkeep.reconcile(), name="reconciler"),
        ]

    async def aclose(self) -> None:
        """Stop everything and keep it: active jobs go on at the next start. Idempotent."""
        self._closed = True
        await self._opening.wait_idle()
        async with self._closing:  # of two callers the second waits until the first is done
            if self._open:
                await self._stop()
            await self._close_parts()

    async def _stop(self) -> None:
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self.followers.aclose()
        await self._runner.stop_all()
        await self._ledger.wait_idle()
        try:
            await self._ledger.save()
        except ChillyError as error:
            log.error("progress was not saved", code=error.code, problem=str(error))
        self._open = False

    async def _close_parts(self) -> None:
        self.end_events()
        await self.limits.aclose()
        await self._listeners.aclose()
        try:
            for driver in {id(d): d for d in self._drivers.values()}.values():
                await driver.aclose()
        finally:
            await self._store.aclose()

    # --- verbs ------------------------------------------------------------------------------

    async def start(
        self, job: Mapping[str, Any] | StartRequest | None = None, /, **wishes: Any
    ) -> Job:
        """Accept a download. Returns once it is recorded, long before the film is there.

        Args:
            job: the seed's mapping (`{"id", "sourceType", "sourceUrn"}`); extra keys are ignored.
                Or a request that was checked already.
            **wishes: the same by keyword: `id`, `source_type`, `source_urn`, `torrent` (bytes of
                a `.torrent` file), `username`, `password`, `cookies`, `headers`, `labels`,
                `mirrors`, the fields of `Options`, and `held`: paused from the beginning.

        Returns:
            The job; an id and source that are known already give the job as it stands, and a
            known id without a source starts that job again if it is paused or failed.

        Raises:
            InvalidRequest: a value has the wrong form, or the source is broken.
            IdInUse: the id belongs to a job with another source.
            DuplicateDownload: another job has the same film data.
            MetadataError: a catalogue does not know the film that is named, or does not answer.
            DownloadError: a film that is named is not where its catalogue says.
        """
        await self.open()
        request = job if isinstance(job, StartRequest) else parse({**(job or {}), **wishes})
        if request.source is None:
            return await self._start_known(request.job_id, held=request.is_held)
        wish = await self.sources.wish(request)
        return wish if isinstance(wish, Job) else await self._admission.admit(wish)

    async def adopt(
        self,
        path: str,
        torrent: bytes,
        *,
        id: str | None = None,  # noqa: A002 (the contract's name)
        options: Options | None = None,
    ) -> Job:
        """Seed what lies in the media root already; it is checked first and never written to.

        It is seeded until it is stopped, unless the options have a goal. It is deleted by
        `remove(delete_files=True)` and by nothing else.

        Args:
            path: the file or folder the torrent was made of, relative to the media root.
            torrent: the bytes of the `.torrent` file.
            id: the job's name; None = one is made up.
            options: upload limit and seeding goal.

        Returns:
            The job; an id and torrent that are known already give the job as it stands.

        Raises:
            InvalidRequest: a value has the wrong form, the path leads out of the media root, or
                the torrent is broken.
            IdInUse: the id belongs to a job with another source.
            DuplicateDownload: another job has the same data.
        """
        await self.open()
        return await self._admission.admit(Wish.adopting(path, torrent, id, options or Options()))

    async def _start_known(self, job_id: str, *, held: bool) -> Job:
        if job_id not in self._ledger:
            raise missing_source(job_id)
        job = self._ledger.get(job_id)
        if job.status in (Status.PAUSED, Status.FAILED) and not held:
            return await self.resume(job_id)
        if job.status is Status.CANCELED:
            raise IllegalTransition(f"Job '{job_id}' is canceled and cannot become queued.")
        return job

    async def pause(self, job_id: str) -> Job:
        """Stop all traffic of the job, in both directions, before returning.

        A completed job stops seeding and stays completed.

        Raises:
            IllegalTransition: it is failed or canceled.
        """
        return await self._verb(job_id, self._verbs.pause)

    async def resume(self, job_id: str) -> Job:
        """Let a paused or failed job go on from what is there, as soon as a slot is free.

        Raises:
            IllegalTransition: it is completed or canceled.
        """
        return await self._verb(job_id, self._verbs.resume)

    async def cancel(self, job_id: str) -> Job:
        """Give a job up for good and delete its unfinished data.

        A completed job only stops seeding: its film stays until `remove(delete_files=True)`.
        """
        return await self._verb(job_id, self._verbs.cancel)

    async def recheck(self, job_id: str) -> Job:
        """Compare every byte of the job on the disk with its hash; nothing is written meanwhile.

        Returns at once; the phase is `checking` until it is done. A job that downloads goes on
        with what is right, a paused or failed one stays so, with true figures. A finished film
        that is not what it was becomes failed with the code `damaged`: it stays untouched until
        `resume` is asked to mend it where it lies. So does one of which a file is gone, and what
        is missing is fetched again; while its disk is away it is waited for.

        Raises:
            IllegalTransition: it is canceled.
        """
        return await self._verb(job_id, self._upkeep.recheck)

    async def move(self, job_id: str, folder: str) -> Job:
        """Choose in which folder of the media root the film is to lie.

        A finished film is moved there after this returned, with everything in its own folder, and
        the event `moved` tells when it is there; on another disk it is copied and flushed first,
        and only then deleted. An unfinished one is published there. Nothing is ever replaced: if
        the name is taken it gets a number.

        Args:
            job_id: which.
            folder: relative to the media root, `/` between folders; "" = the media root itself.
                It is made if it is not there.

        Raises:
            InvalidRequest: the folder is no plain relative path.
            IllegalTransition: the job is canceled, its film is damaged, its data is being
                checked for the first time, or it is being moved elsewhere.
        """
        folder = check_folder(folder)
        return await self._verb(job_id, lambda job: self._verbs.move(job, folder))

    async def adjust(
        self, job_id: str, changes: Mapping[str, Any] | AdjustRequest | None = None, /, **more: Any
    ) -> Job:
        """Change what is asked of a job, or kept with it: all that is given, or nothing.

        A driver that runs the job takes it over at once: a limit applies within 2 s, a goal that
        is reached already ends the seeding. A job that is complete and does not seed any more does
        not begin to. Another `folder` of a finished film moves it, as `move` does.

        Args:
            job_id: which.
            changes: by the contract's names or Python's; None as a value = the server's default.
                Or a request that was checked already.
            **more: the same by keyword: `labels` (merged; a label that is None is removed), and
                the fields of `Options` but for `allow_executables`.

        Returns:
            The job; one that is so already is given as it stands, and no event tells of it.

        Raises:
            InvalidRequest: a value has the wrong form, or there would be too many labels.
            IllegalTransition: the job is canceled; other files are wanted of a completed one; or
                its film cannot be moved (see `move`).
            NotReadable: files are chosen that are not known yet.
            FileNotFound: there is no such file.
        """
        if isinstance(changes, AdjustRequest):
            wanted = changes
        else:
            wanted = parse_changes({**(changes or {}), **more})
        await self.sources.settle(wanted.candidates)
        return await self._verb(job_id, lambda job: self._verbs.adjust(job, wanted))

    async def place(
        self, job_id: str, to: queue.To | None = None, *, before: str | None = None
    ) -> Job:
        """Put a job elsewhere in the queue: queued jobs start, and all are listed, in its order.

        What is active already stays so. A job keeps its place while it is paused, failed and
        resumed; it has a position while it is queued, active or paused.

        Args:
            job_id: which.
            to: `top` or `bottom`, or `up` or `down` by one position; no further than the end.
            before: instead, the id of another job, to stand directly before it.

        Raises:
            InvalidRequest: not exactly one of `to` and `before` is given, or `to` is none of these.
            JobNotFound: there is no job with one of the ids.
            IllegalTransition: one of both jobs is completed, failed or canceled.
        """
        queue.check_where(to, before)
        return await self._verb(job_id, lambda job: self._verbs.place(job, to, before))

    async def remove(self, job_id: str, *, delete_files: bool = False) -> None:
        """Take a job from the list; unfinished data goes with it.

        Args:
            job_id: which.
            delete_files: delete the finished film from the disk, too.
        """
        await self._verb(job_id, lambda job: self._verbs.remove(job, delete_files=delete_files))

    async def _verb(self, job_id: str, action: Callable[[Job], Any]) -> Job:
        """Run a verb under the job's lock, to its end even if the caller goes away."""
        await self.open()
        self._ledger.get(job_id)

        async def locked() -> Job:
            async with self._ledger.lock(job_id):
                job: Job = await action(await self._ledger.take(job_id))
            self._wake.set()
            return job

        return await self._ledger.shielded(locked())

    # --- questions --------------------------------------------------------------------------

    async def status(self, job_id: str) -> Job:
        """The job as it is now."""
        await self.open()
        return self._ledger.get(job_id)

    async def list(self) -> Sequence[Job]:
        """All jobs in queue order."""
        await self.open()
        return self._ledger.order.jobs()

    async def positions(self) -> Mapping[str, int]:
        """Where each queued, active or paused job stands in the queue, by its id: 1 to n."""
        await self.open()
        return self._ledger.order.positions()

    async def missing(self, jobs: Iterable[Job]) -> frozenset[str]:
        """The ids of those finished jobs whose film is not in the media folder any more."""
        return await self._guard.missing(list(jobs))

    async def stats(self) -> Stats:
        """What all jobs move and moved, and what there is room for."""
        return Stats.of(await self.list(), self._ledger.totals, await self._guard.free())

    async def peers(self, job_id: str) -> Sequence[Peer]:
        """The peers a job is connected to right now."""
        job = (await self.status(job_id)).as_run
        driver = self._drivers.get(job.source.type)
        return () if driver is None else await driver.peers(job)

    # --- files ------------------------------------------------------------------------------

    @asynccontextmanager
    async def open_file(
        self,
        job_id: str,
        index: int | None = None,
        *,
        resume: bool = False,
        bitrate: int | None = None,
        quiet: bool = False,
    ) -> AsyncIterator[FileReader]:
        """Read a file while it arrives; a queued job is started, ahead of all others.

        Args:
            job_id: which job.
            index: which file; None = the largest video.
            resume: let a paused job go on.
            bitrate: bytes per second of playing, for the read-ahead; None = not known.
            quiet: read only what has arrived; nothing is started, waited for or fetched sooner.

        Raises:
            NotArrived: a quiet reader wants what has not arrived.
            NotReadable: the job is paused, failed or canceled, or the file is not chosen.
            FileNotFound: there is no such file.
        """
        await self.open()
        opened = self._reading.open(job_id, index, resume=resume, bitrate=bitrate, quiet=quiet)
        async with opened as reader:
            yield reader

    async def files(self, job_id: str) -> Sequence[FileStanding]:
        """How far each file is, in the order of the job's `files`; empty before the metadata."""
        return await self._reading.files(await self.status(job_id))

    async def choose_files(self, job_id: str, priorities: Mapping[int, int]) -> Job:
        """Choose which files to have, and which first, whether or not the job runs.

        Args:
            job_id: which job.
            priorities: file index to 0 (not wanted) to 7 (first), 4 is usual; others stay.

        Raises:
            IllegalTransition: it is completed or canceled.
            NotReadable: its files are not known yet.
            FileNotFound: there is no such file.
            InvalidRequest: no file would be left, or a priority is none.
        """
        return await self._verb(job_id, lambda job: self._reading.choose(job, priorities))

    async def wait(self, job_id: str) -> Job:
        """Wait until the job is completed, failed or canceled.

        Raises:
            JobNotFound: there is no such job, or it was removed meanwhile.
            EngineError: the downloader was closed meanwhile.
        """
        async with self.listen(job_id) as changes:
            job = await self.status(job_id)
            while not job.status.is_final:
                if await anext(changes, None) is None:
                    raise EngineError("This downloader is closed.")
                job = self._ledger.get(job_id)
        return job

    # --- events -----------------------------------------------------------------------------

    def on(self, name: str, listener: Listener) -> None:
        """Call `listener(job)` at each event of this name; `error` gets `(error, job)`.

        Args:
            name: one of `EVENT_NAMES`.
            listener: a function or coroutine function. What it raises is logged, no more.

        Raises:
            InvalidRequest: there is no such event.
        """
        self._listeners.add(name, listener)

    def off(self, name: str, listener: Listener) -> None:
        """Call this listener no more."""
        self._listeners.discard(name, listener)

    async def events(self, job_id: str | None = None) -> AsyncIterator[e.Change]:
        """Changes from now on, of one job or of all. Ends when the downloader closes."""
        async with self.listen(job_id) as changes:
            async for change in changes:
                yield change

    @asynccontextmanager
    async def listen(
        self, job_id: str | None = None, wanted: Filter = EVERYTHING
    ) -> AsyncIterator[Subscription]:
        """A subscription that is registered before the body runs, so that nothing is missed."""
        async with await self.subscribe(job_id, wanted) as subscription:
            yield subscription

    async def subscribe(
        self, job_id: str | None = None, wanted: Filter = EVERYTHING
    ) -> Subscription:
        """Like `listen`; the caller closes it."""
        await self.open()
        return self._bus.subscribe(job_id, wanted=wanted)

    async def changes_since(self, seq: int, job_id: str | None = None) -> Sequence[e.Change]:
        """Stored state changes after number `seq`, oldest first, at most 1,000."""
        await self.open()
        return await self._store.changes_since(seq, job_id)

    async def snapshot(self, job_id: str | None = None) -> Sequence[e.Change]:
        """Every job's present state as changes of the name `snapshot`, all with one number.

        It is that of the newest change they build on.
        """
        jobs = await self.list() if job_id is None else [await self.status(job_id)]
        seq = self._ledger.seq
        return [e.Change.of(seq, e.SNAPSHOT, job, durable=False) for job in jobs]

    def tell(self, event: str, about: str, name: str | None, news: Mapping[str, Any]) -> None:
        """Tell those that asked for events of this name what happened beside the jobs."""
        self._bus.tell(e.Change.beside(self._ledger.seq, event, about, name, news))

    @property
    def last_seq(self) -> int:
        """The number up to which every change was told; later ones are still being stored."""
        return self._ledger.seq

    @property
    def network_problem(self) -> str | None:
        """One clause for why nothing is sent or received at the moment, None if it may be."""
        return None

    @property
    def listening(self) -> tuple[ListenPort, ...]:
        """The ports on which peers reach us; none before the first download."""
        return ()

    def end_events(self) -> None:
        """End all event streams and readers, so that a server can drain before `aclose`."""
        self._reading.close()
        self._bus.close()
