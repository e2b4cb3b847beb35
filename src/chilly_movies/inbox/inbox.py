"""Makes jobs of what is dropped into watch folders, and sees to the files afterwards.

A folder is looked at when the system says that something changed in it, and now and then besides.
What stayed as it is for a while, and is not open for writing, is taken: the job's id is made of its
place and its stamp, so that a crash in between starts nothing twice.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import structlog

from chilly_movies.disk.roots import RootedPath, Roots
from chilly_movies.errors import (
    ChillyError,
    DuplicateDownload,
    InvalidRequest,
    JobNotFound,
    SettingsError,
)
from chilly_movies.inbox import dropped as d
from chilly_movies.inbox.dropped import Dropped
from chilly_movies.inbox.memory import Memory
from chilly_movies.inbox.settings import InboxSettings, Watch, read_watches
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.jobs.models import Job, SourceType, Status
from chilly_movies.jobs.requests import MAX_TORRENT_BYTES, MAX_URN

log = structlog.get_logger(__name__)

_MEMORY = "watched.json"
_LOOK_AGAIN = 30.0
"""Seconds until folders are looked at of which the system says nothing, as on network disks."""


class Inbox:
    """The watch folders of one downloader.

    Args:
        watches: the folders.
        roots: what they are in.
        memory: what was taken already.
        rest: seconds that a file must stay as it is until it is taken.
    """

    def __init__(
        self, watches: Sequence[Watch], roots: Roots, memory: Memory, *, rest: float
    ) -> None:
        self._folders = [(watch, roots.find(watch.folder)) for watch in watches]
        self._memory = memory
        self._rest = rest
        self._seen: dict[str, tuple[str, float]] = {}
        self._refused: dict[str, str] = {}
        self._troubles: dict[str, str] = {}
        self._closed = False
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def open(self, downloader: Downloader) -> None:
        """Begin to watch. Idempotent."""
        if self._folders and not self._tasks and not self._closed:
            downloader.on("completed", self._on_completed)
            work = ((self._run(downloader), "inbox"), (self._listen(), "inbox-watch"))
            self._tasks = [asyncio.create_task(each, name=name) for each, name in work]

    async def aclose(self) -> None:
        """Stop watching. Idempotent."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    def _on_completed(self, _: Job) -> None:
        self._wake.set()

    async def _listen(self) -> None:
        """Wake the other task whenever something changed in one of the folders."""
        from watchfiles import awatch  # only where there are watch folders

        while True:
            paths = [Path(place.root.folder, *place.parts) for _, place in self._folders]
            there = [path for path in paths if await asyncio.to_thread(path.is_dir)]
            with suppress(OSError):  # there are no more watches to be had, or a folder is gone
                if there:
                    async for _ in awatch(*there, watch_filter=None):
                        self._wake.set()
            await asyncio.sleep(_LOOK_AGAIN)

    async def _run(self, downloader: Downloader) -> None:
        while True:
            self._wake.clear()
            waits = False
            for watch, folder in self._folders:
                try:
                    waits = await self._look(downloader, watch, folder) or waits
                    self._troubles.pop(folder.urn, None)
                except (ChillyError, OSError) as error:
                    self._say_once(folder.urn, _why(error))
                except Exception:  # the other folders must not suffer
                    log.exception("a watch folder was not looked at", folder=folder.urn)
            pause = min(_LOOK_AGAIN, self._rest / 2) if waits else _LOOK_AGAIN
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            await asyncio.sleep(min(0.2, self._rest / 4))  # a file that grows wakes all the time

    def _say_once(self, folder: str, problem: str) -> None:
        """Log why a folder cannot be read, once for as long as it is so."""
        if self._troubles.get(folder) != problem:
            self._troubles[folder] = problem
            log.warning("a watch folder cannot be read", folder=folder, problem=problem)

    async def _look(self, downloader: Downloader, watch: Watch, folder: RootedPath) -> bool:
        """Take what rests in a folder; whether something there has to be looked at again soon."""
        others = frozenset(other.urn for _, other in self._folders if other != folder)
        found = await asyncio.to_thread(d.look_into, folder, others)
        there = [one.place.urn for one in found]
        await asyncio.to_thread(self._memory.keep_only, folder.urn, there)
        waits = False
        for one in found:
            urn = one.place.urn
            if self._refused.get(urn) == one.stamp:
                continue
            known = await asyncio.to_thread(self._memory.get, urn)
            if known is not None and known[0] == one.stamp:
                await self._see_to(downloader, watch, folder, one, known[1])
            elif not await self._rests(one):
                waits = True
            else:
                await self._take(downloader, watch, folder, one)
        return waits

    async def _rests(self, one: Dropped) -> bool:
        """Whether it stayed as it is for long enough, and nobody writes to it."""
        now, (stamp, since) = time.monotonic(), self._seen.get(one.place.urn, ("", 0.0))
        if stamp != one.stamp:
            self._seen[one.place.urn] = (one.stamp, now)
            return False
        if now - since < self._rest or not one.is_whole:
            return False
        try:
            return not await asyncio.to_thread(d.is_written_to, one)
        except (ChillyError, OSError):
            return False  # it is gone or swapped: the next look tells

    async def _take(
        self, downloader: Downloader, watch: Watch, folder: RootedPath, one: Dropped
    ) -> None:
        urn = one.place.urn
        try:
            job_id = await self._start(downloader, watch, one)
        except DuplicateDownload as error:
            if await self._make_way(downloader, watch, folder, one, error.existing_id):
                return
            job_id = error.existing_id
            log.info("a dropped file is there already", file=urn, job=job_id)
        except InvalidRequest as error:
            self._refused[urn] = one.stamp
            log.warning("a dropped file cannot be read, and is left", file=urn, problem=_why(error))
            return
        except (ChillyError, OSError) as error:
            log.warning("a dropped file was not taken yet", file=urn, problem=_why(error))
            return
        self._seen.pop(urn, None)
        await asyncio.to_thread(self._memory.put, urn, one.stamp, job_id)
        await self._see_to(downloader, watch, folder, one, job_id)

    async def _start(self, downloader: Downloader, watch: Watch, one: Dropped) -> str:
        """Start the job, or jobs, of what was dropped; the id of the first.

        Raises:
            InvalidRequest: it is broken.
            DuplicateDownload: there is a job of the same film.
        """
        urn, labels = one.place.urn, watch.labels
        if not _is_text(urn):
            raise InvalidRequest("Its name is not UTF-8 text: rename it.")
        job_id = "watch-" + hashlib.sha256(f"{urn}\0{one.stamp}".encode()).hexdigest()[:32]
        if one.kind == "film":
            kind = SourceType.LOCAL.value
            await downloader.start(id=job_id, source_type=kind, source_urn=urn, labels=labels)
        elif one.kind == "torrent":
            data = await asyncio.to_thread(d.read, one.place, MAX_TORRENT_BYTES)
            await downloader.start(id=job_id, torrent=data, labels=labels)
        else:
            data = await asyncio.to_thread(d.read, one.place, 2 * MAX_URN)
            await self._start_links(downloader, data.decode("utf-8", "replace"), job_id, labels)
        return job_id

    async def _start_links(
        self, downloader: Downloader, text: str, job_id: str, labels: Mapping[str, str]
    ) -> None:
        """Start a job for each of the links; those that have one already are passed over."""
        links = text.split()
        if not links:
            raise InvalidRequest("There is no link in it.")
        if not all(link.lower().startswith("magnet:") for link in links):
            raise InvalidRequest("There is something else than magnet links in it.")
        for number, link in enumerate(links):
            name = f"{job_id}-{number}" if number else job_id
            try:
                await downloader.start(id=name, source_urn=link, labels=labels)
            except DuplicateDownload as error:
                log.info("a dropped link is there already", job=error.existing_id)

    async def _make_way(
        self,
        downloader: Downloader,
        watch: Watch,
        folder: RootedPath,
        one: Dropped,
        existing_id: str,
    ) -> bool:
        """Let another film of a name that is known come, too: it gets a number.

        Returns:
            False if the film stays as it is and is not taken.
        """
        if one.kind != "film" or watch.done == "keep":
            return False
        with suppress(JobNotFound):
            if not (await downloader.status(existing_id)).status.is_final:
                return True  # its source is being taken, and may be this very file
        name = await asyncio.to_thread(d.rename, one, folder, None)
        log.info("a dropped film has the name of one before it", file=one.place.urn, name=name)
        self._wake.set()
        return True

    async def _see_to(
        self, downloader: Downloader, watch: Watch, folder: RootedPath, one: Dropped, job_id: str
    ) -> None:
        """Do with a file that was taken what is set, once its job needs it no more."""
        urn, done = one.place.urn, watch.done
        if done == "keep" or (one.kind == "film" and not await _is_complete(downloader, job_id)):
            return
        try:
            if done == "move":
                await asyncio.to_thread(d.rename, one, folder, d.DONE)
            else:
                await asyncio.to_thread(d.delete, one)
        except (ChillyError, OSError) as error:
            log.warning("a dropped file stays where it is", file=urn, problem=_why(error))
        else:
            log.info("a dropped file is done", file=urn, job=job_id, done=done)


def _why(error: Exception) -> str:
    """What went wrong, without the path that the system names."""
    return (error.strerror or "it cannot be read") if isinstance(error, OSError) else str(error)


def _is_text(name: str) -> bool:
    """Whether a name can be stored and shown; on Linux a file's may be any bytes."""
    return not any("\ud800" <= sign <= "\udfff" for sign in name)


async def _is_complete(downloader: Downloader, job_id: str) -> bool:
    with suppress(JobNotFound):
        return (await downloader.status(job_id)).status is Status.COMPLETED
    return False


def watch_folders(settings: InboxSettings, roots: Roots, state: Path) -> Inbox:
    """The watch folders that the settings name.

    Args:
        settings: the user's.
        roots: what they are in.
        state: the folder in which is remembered what was taken.

    Raises:
        SettingsError: one of them is in no root.
    """
    try:
        memory = Memory(state / _MEMORY)
        return Inbox(read_watches(settings.watch), roots, memory, rest=settings.watch_rest)
    except InvalidRequest as error:
        raise SettingsError(f"A folder of CHILLY_WATCH cannot be watched: {error}") from None
