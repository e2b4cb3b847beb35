"""Saves what a running torrent has: first the data reaches the disk, then the claim to have it.

Order: the engine says what it has, hands it to the system, the files are flushed, and the claim is
stored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path

from chilly_movies.disk.file_stamps import FileStamp, flush, refuse_changed, sizes, take
from chilly_movies.disk.plain import Held
from chilly_movies.disk.threads import on_disk
from chilly_movies.disk.volume import disk_error
from chilly_movies.drivers.torrent.engine.torrent import Torrent
from chilly_movies.drivers.torrent.resume_claim import ResumeClaim
from chilly_movies.jobs.ports import ResumeStore
from chilly_movies.runtime import failpoints

IDLE = 5
"""So many times longer is the wait while nothing arrives: only to see whether files vanish."""
MANY_FILES = 1000
"""With more files than that, saves become rarer: each looks at all of them."""


class ResumeSaver:
    """Saves one torrent while it runs.

    A crash of the system costs what arrived since the last save that ended had begun. So a save
    begins early enough to end `within` seconds after that, if it takes as long as the last one;
    a disk that needs more than half of them is never left alone.

    Args:
        store: where claims are kept.
        key: the job's key.
        torrent: what is saved.
        folder: where the engine writes to.
        held: that folder, if it is held open.
        dirty: how many bytes have arrived when a save begins, if there is time for so many.
        seconds: the disk has so long for other work after a save. With many files it is longer.
        within: seconds after which all that arrived is to be saved, however little it is.
        stamps: how the files looked when they were compared, if nothing is written to them: they
            are claimed to be as they were then. None = they are written to, and looked at.
        clock: seconds that only grow; by default those of the event loop.

    Attributes:
        compared: how the files looked when they were compared with their hashes, after which
            nothing was written; empty = they were not.
    """

    def __init__(
        self,
        store: ResumeStore,
        key: str,
        torrent: Torrent,
        folder: Path,
        *,
        held: Held | None = None,
        dirty: int,
        seconds: float,
        within: float,
        stamps: Mapping[int, FileStamp] | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._store = store
        self._key = key
        self._torrent = torrent
        self._folder = folder
        self._held = held
        self.compared: Mapping[int, FileStamp] = {}
        self._dirty = dirty
        self._seconds = seconds
        self._within = within
        self._clock = clock or asyncio.get_running_loop().time
        self._paths: dict[int, str] = {}
        self._stamps: Mapping[int, FileStamp] = stamps or {}
        self._writes = stamps is None
        self._sizes: dict[int, int] = {}
        self._safe_at = self._ended_at = self._probed_at = self._clock()
        self._safe_bytes, self._took = torrent.state.received, 0.0
        self._owes = False
        self._blob: bytes | None = None
        self._saving: asyncio.Task[None] | None = None

    def watch(self, paths: Mapping[int, str]) -> None:
        """These are the files, by file index."""
        self._paths = dict(paths)

    def save_if_due(self) -> None:
        """Begin a save, or a look at the files, if it is time for one and none is under way.

        Raises:
            DiskError: a file is gone, or the disk refused the save before this one.
            StoreError: the save before this one could not be stored.
        """
        if self._saving is not None and self._saving.done():
            done, self._saving = self._saving, None
            done.result()
        if self._saving is not None:
            return
        now, arrived = self._clock(), self._torrent.state.received - self._safe_bytes
        rest = now - self._ended_at
        enough = arrived >= self._dirty and rest >= self._pace
        late = now + self._took >= self._safe_at + self._within
        if enough or late if arrived else rest >= self._pace * IDLE:
            self._begin(self._save(only_if_modified=not self._owes, closing=False))
        elif arrived and now - self._probed_at >= self._pace:
            self._begin(self._probe())

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        self._saving = asyncio.create_task(work, name="resume save")

    @property
    def _pace(self) -> float:
        return self._seconds * max(1.0, len(self._paths) / MANY_FILES)

    async def save(self, *, closing: bool = False) -> None:
        """Save now, after the save that is under way.

        Args:
            closing: nothing will be written any more, so the claim may be believed later.
        """
        await self._wait_idle()
        await self._save(only_if_modified=False, closing=closing)

    async def stamps(self) -> dict[int, FileStamp]:
        """How the files look, of which nothing is written.

        Raises:
            DiskError: the disk refused.
        """
        return await on_disk(lambda: take(self._folder, self._paths))

    async def vouch(self, stamps: Mapping[int, FileStamp]) -> None:
        """The files were compared, and looked so before: claim that, unless they changed since."""
        if await self.stamps() == stamps:
            self._stamps = stamps

    async def aclose(self) -> None:
        """Wait for the save that is under way. Idempotent."""
        await self._wait_idle()

    async def _wait_idle(self) -> None:
        saving, self._saving = self._saving, None
        if saving is not None:
            await asyncio.wait([saving])
            if not saving.cancelled():
                saving.exception()  # the save that follows does what this one could not

    async def _probe(self) -> None:
        """See whether the files are there and the store takes what it has: a save may be far off.

        A store that is full must be told within seconds.
        """

        def look() -> dict[int, int]:
            if self._held is not None:
                self._held.refuse_swapped()
            return sizes(self._folder, self._paths, self._sizes)

        try:
            self._sizes = await asyncio.to_thread(look)
        except OSError as error:
            sentence = f"The unfinished data cannot be found: {error.strerror}."
            raise disk_error(error.errno, sentence) from None
        if self._blob is not None:
            await self._store.save_resume(self._key, self._blob)
        self._probed_at = self._clock()

    async def _save(self, *, only_if_modified: bool, closing: bool) -> None:
        self._owes = True
        began, arrived = self._clock(), self._torrent.state.received
        data = await self._torrent.save(only_if_modified=only_if_modified, closing=closing)
        _reach("taken", closing=closing)
        if data is not None:
            await self._torrent.flush()  # what it has may still wait to be written
        if self._writes:
            try:
                self._stamps = await asyncio.to_thread(self._flush, closing=closing)
            except OSError as error:
                sentence = f"The unfinished data cannot be saved: {error.strerror}."
                raise disk_error(error.errno, sentence) from None
        _reach("flushed", closing=closing)
        if data is not None:
            claim = ResumeClaim(data, self._stamps, closed=closing)
            self._blob = claim.encode()
            await self._store.save_resume(self._key, self._blob)
        _reach("stored", closing=closing)
        self._owes = False
        self._safe_at, self._safe_bytes = began, arrived
        self._probed_at = self._ended_at = self._clock()
        self._took = self._ended_at - began

    def _flush(self, *, closing: bool) -> dict[int, FileStamp]:
        """Flush the files; only of those that lie where they are looked for next time.

        Raises:
            DiskError: their folder was replaced, or they are not what was compared.
        """
        if self._held is not None:
            self._held.refuse_swapped()
        stamps = flush(self._folder, self._paths, self._stamps, closing=closing)
        refuse_changed(self.compared, stamps)
        return stamps


def _reach(step: str, *, closing: bool) -> None:
    failpoints.reach(f"resume.{step}")
    if closing:  # the last save before a film is published is one of them
        failpoints.reach(f"closing.{step}")
