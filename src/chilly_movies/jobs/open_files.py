"""Reading films while they arrive: who may read what, and for how long.

A file that somebody reads keeps its job ahead of the queue. A reader ends when its job fails, is
canceled or removed; of a paused job it gets what is there already.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from chilly_movies.errors import (
    ChillyError,
    DiskError,
    EngineError,
    FileNotFound,
    JobNotFound,
    NotArrived,
    NotReadable,
    UnsupportedSource,
)
from chilly_movies.jobs import events as e
from chilly_movies.jobs.adjustments import chosen_files
from chilly_movies.jobs.bus import EventBus
from chilly_movies.jobs.ledger import Ledger
from chilly_movies.jobs.models import FileStanding, Job, MediaFile, Status, is_video
from chilly_movies.jobs.ports import Driver, FileReader

_ENDS = {
    "error": "The download failed.",
    "canceled": "The download was canceled.",
    "removed": "The download was removed.",
    "source": "The download begins anew; open it again.",
}
_PAUSED = "The download is paused; resume it, or ask with resume=true."


def main_video(files: tuple[MediaFile, ...]) -> MediaFile:
    """The largest video among the wanted files.

    Raises:
        FileNotFound: there is none.
    """
    videos = [file for file in files if file.wanted and is_video(file.path)]
    if not videos:
        raise FileNotFound("This download has no video among its chosen files.")
    return max(videos, key=lambda file: file.size)


class Reading:
    """All open files. The Downloader is its only user.

    Args:
        drivers: who runs which kind of source.
        ledger: where the jobs are.
        bus: where changes are told.
        resume: the verb.
        wake: called when the queue is to be looked at.
    """

    def __init__(
        self,
        drivers: Mapping[str, Driver],
        ledger: Ledger,
        bus: EventBus,
        resume: Callable[[str], Awaitable[Job]],
        wake: Callable[[], None],
    ) -> None:
        self._drivers = drivers
        self._ledger = ledger
        self._bus = bus
        self._resume = resume
        self._wake = wake
        self._open: dict[str, set[_Watch]] = {}
        self._readers: Counter[tuple[str, int]] = Counter()
        self._listener: asyncio.Task[None] | None = None
        self._closed = False

    def is_read(self, job_id: str) -> bool:
        """Whether somebody reads, or waits to read, a file of this job."""
        return any(not watch.quiet for watch in self._open.get(job_id, ()))

    @asynccontextmanager
    async def open(
        self, job_id: str, index: int | None, *, resume: bool, bitrate: int | None, quiet: bool
    ) -> AsyncIterator[FileReader]:
        """See `Downloader.open_file`."""
        if self._closed:
            raise EngineError("This downloader is closed.")
        watch = self._register(job_id, quiet=quiet)
        try:
            if not quiet:
                await self._set_going(self._ledger.get(job_id), resume=resume)
            job = await self._with_files(job_id, watch)
            file = main_video(job.files) if index is None else _file(job, index)
            if not file.wanted:
                raise NotReadable("This file is not chosen for download; choose it first.")
            reader = await self._open_now(job, file.index, bitrate, quiet=quiet)
            self._count(job.id, file.index, 0 if quiet else +1)
            try:
                yield _Watched(reader, watch)
            finally:
                self._count(job.id, file.index, 0 if quiet else -1)
                await reader.aclose()
        finally:
            self._unregister(job_id, watch)

    async def _open_now(
        self, job: Job, index: int, bitrate: int | None, *, quiet: bool
    ) -> FileReader:
        """Open it where it lies; where that is may have changed since the job was looked up."""
        while True:
            try:
                driver = self._driver(job)
                return await driver.open_file(job.as_run, index, bitrate=bitrate, quiet=quiet)
            except FileNotFound:
                before, job = job, self._ledger.get(job.id)
                if job is before:  # places are not compared: it may have gone and come back
                    raise

    def _count(self, job_id: str, index: int, change: int) -> None:
        """Tell how many readers a file has now; a change of 0 is none."""
        if not change:
            return
        self._readers[job_id, index] += change
        readers = self._readers[job_id, index]
        if not readers:
            del self._readers[job_id, index]
        self._ledger.tell(job_id, e.STREAM, {"index": index, "readers": readers})

    def _driver(self, job: Job) -> Driver:
        kind = job.running_source.type
        if (driver := self._drivers.get(kind)) is None:
            raise UnsupportedSource(
                f"This server has no driver for the source type '{kind}' any more."
            )
        return driver

    async def _set_going(self, job: Job, *, resume: bool) -> None:
        """Let a job that stands still go on, if it may; refuse what never will."""
        if job.status in (Status.FAILED, Status.CANCELED):
            raise NotReadable(f"Job '{job.id}' is {job.status}, so nothing more of it arrives.")
        if job.status is Status.PAUSED and not resume:
            raise NotReadable(_PAUSED)
        retrying = job.status is Status.QUEUED and job.next_attempt_at is not None
        if job.status is Status.PAUSED or retrying:
            await self._resume(job.id)
        self._wake()

    async def _with_files(self, job_id: str, watch: _Watch) -> Job:
        """The job once its files are known."""
        while not (job := self._ledger.get(job_id)).files:
            if job.status is Status.COMPLETED:
                raise FileNotFound("This download has no files.")
            if watch.quiet:
                raise NotArrived("The files of this download are not known yet.")
            await watch.changed()
        return job

    # --- what is told to open files ---------------------------------------------------------

    def _register(self, job_id: str, *, quiet: bool) -> _Watch:
        self._ledger.get(job_id)
        watch = _Watch(lambda: self._is_paused(job_id), quiet=quiet)
        self._open.setdefault(job_id, set()).add(watch)
        if self._listener is None:
            self._listener = asyncio.create_task(self._listen(), name="readers")
        return watch

    def _is_paused(self, job_id: str) -> bool:
        return job_id in self._ledger and self._ledger.get(job_id).status is Status.PAUSED

    def _unregister(self, job_id: str, watch: _Watch) -> None:
        watches = self._open.get(job_id, set())
        watches.discard(watch)
        if not watches:
            self._open.pop(job_id, None)
        if not self._open and self._listener is not None:
            self._listener.cancel()
            self._listener = None

    async def _listen(self) -> None:
        async with self._bus.subscribe() as changes:
            async for change in changes:
                for watch in tuple(self._open.get(change.id, ())):
                    watch.tell(change)
        self._end_all()  # the bus closed, or we were too slow for it

    def _end_all(self) -> None:
        for watches in tuple(self._open.values()):
            for watch in tuple(watches):
                watch.end(EngineError("The server stops."))

    def close(self) -> None:
        """End all readers and open no more."""
        self._closed = True
        self._end_all()
        if self._listener is not None:
            self._listener.cancel()
            self._listener = None

    # --- the files themselves ---------------------------------------------------------------

    async def files(self, job: Job) -> tuple[FileStanding, ...]:
        """See `Downloader.files`."""
        driver = self._drivers.get(job.running_source.type)
        if driver is None or not job.files:
            return ()
        return await driver.files(job.as_run)

    async def choose(self, job: Job, priorities: Mapping[int, int]) -> Job:
        """See `Downloader.choose_files`; the caller holds the job's lock."""
        chosen = chosen_files(job, priorities)
        if chosen == job.priorities():
            return job
        job = await self._ledger.record(job.id, e.FilesChosen(tuple(sorted(chosen.items()))))
        if job.is_running:
            await self._driver(job).adjust(job.as_run)
        return job


def _file(job: Job, index: int) -> MediaFile:
    for file in job.files:
        if file.index == index:
            return file
    raise FileNotFound(f"This download has no file {index}.")


class _Watch:
    """What one reader has to hear of its job."""

    def __init__(self, is_paused: Callable[[], bool], *, quiet: bool) -> None:
        self.quiet = quiet
        self.ended: ChillyError | None = None
        self._is_paused = is_paused
        self._news: set[asyncio.Future[None]] = set()

    def tell(self, change: e.Change) -> None:
        """A change of the job."""
        if change.event in _ENDS:
            kind = JobNotFound if change.event == "removed" else NotReadable
            self.end(kind(_ENDS[change.event]))
        elif change.durable:
            self._wake()

    def end(self, error: ChillyError) -> None:
        """Nothing more may be read."""
        self.ended = self.ended or error
        self._wake()

    def _wake(self) -> None:
        for news in tuple(self._news):
            if not news.done():
                news.set_result(None)

    def check(self, *, waiting: bool) -> None:
        """Raise if reading, or waiting for missing bytes, makes no sense any more."""
        if self.ended is not None:
            raise self.ended
        if waiting and self._is_paused():
            raise NotReadable(_PAUSED)

    async def changed(self) -> None:
        """Wait for the next change of the job's state."""
        self.check(waiting=True)
        news = self.news()
        try:
            await news
        finally:
            self._news.discard(news)
        self.check(waiting=True)

    def news(self) -> asyncio.Future[None]:
        """Done at the next change of the job's state."""
        news: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._news.add(news)
        return news

    def forget(self, news: asyncio.Future[None]) -> None:
        """Nobody waits for it any more."""
        self._news.discard(news)


class _Watched:
    """A driver's reader that ends with its job."""

    def __init__(self, reader: FileReader, watch: _Watch) -> None:
        self._reader = reader
        self._watch = watch
        self.size = reader.size
        self.name = reader.name

    def available(self, offset: int) -> int:
        return self._reader.available(offset)

    async def read(self, offset: int, length: int) -> bytes:
        try:
            return await self._read(offset, length)
        except DiskError:
            self._watch.check(waiting=False)  # no wonder if the job was removed meanwhile
            raise

    async def _read(self, offset: int, length: int) -> bytes:
        there = offset >= self.size or self._reader.available(offset) > 0
        self._watch.check(waiting=not there)
        if there:
            return await self._reader.read(offset, length)
        if self._watch.quiet:
            raise NotArrived("This part of the file has not arrived yet.")
        reading = asyncio.ensure_future(self._reader.read(offset, length))
        try:
            while not reading.done():
                news = self._watch.news()
                try:
                    either: list[asyncio.Future[Any]] = [reading, news]
                    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    self._watch.forget(news)
                if not reading.done():
                    self._watch.check(waiting=True)
            return reading.result()
        finally:
            reading.cancel()

    async def aclose(self) -> None:
        await self._reader.aclose()
