"""Saves what a running torrent has: first the data reaches the disk, then the claim to have it.

Order: the engine says what it has, hands it to the system, the files are flushed, and the claim is
stored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from chilly_movies import failpoints
from chilly_movies.drivers.torrent.claims import Claim, Look, flush
from chilly_movies.drivers.torrent.torrent import Torrent
from chilly_movies.errors import DiskError
from chilly_movies.ports import ResumeStore

IDLE = 5
"""So many times longer is the wait while nothing arrives: only to see whether files vanish."""
MANY_FILES = 1000
"""With more files than that, saves become rarer: each looks at all of them."""


class Keeper:
    """Saves one torrent while it runs.

    Args:
        store: where claims are kept.
        key: the job's key.
        torrent: what is saved.
        folder: where the engine writes to.
        seconds: how long what was downloaded may be unsaved.
        dirty: how many bytes of it may be unsaved.
    """

    def __init__(
        self,
        store: ResumeStore,
        key: str,
        torrent: Torrent,
        folder: Path,
        *,
        seconds: float,
        dirty: int,
    ) -> None:
        self._store = store
        self._key = key
        self._torrent = torrent
        self._folder = folder
        self._seconds = seconds
        self._dirty = dirty
        self._paths: dict[int, str] = {}
        self._looks: dict[int, Look] = {}
        self._saved_at = asyncio.get_running_loop().time()
        self._saved_bytes = torrent.state.done
        self._owes = False
        self._saving: asyncio.Task[None] | None = None

    def watch(self, paths: Mapping[int, str]) -> None:
        """These are the files, by file index."""
        self._paths = dict(paths)

    def save_if_due(self) -> None:
        """Begin a save if it is time for one and none is under way.

        Raises:
            DiskError: a file is gone, or the disk refused the save before this one.
            StoreError: the save before this one could not be stored.
        """
        if self._saving is not None and self._saving.done():
            done, self._saving = self._saving, None
            done.result()
        now, have = asyncio.get_running_loop().time(), self._torrent.state.done
        pace = max(1.0, len(self._paths) / MANY_FILES) * (IDLE if have == self._saved_bytes else 1)
        due = now - self._saved_at >= self._seconds * pace
        if self._saving is None and (due or have - self._saved_bytes >= self._dirty):
            self._saved_at, self._saved_bytes = now, have
            self._saving = asyncio.create_task(
                self._save(only_if_modified=not self._owes, closing=False), name="resume save"
            )

    async def save(self, *, closing: bool = False) -> None:
        """Save now, after the save that is under way.

        Args:
            closing: nothing will be written any more, so the claim may be believed later.
        """
        await self._settle()
        await self._save(only_if_modified=False, closing=closing)

    async def aclose(self) -> None:
        """Wait for the save that is under way. Idempotent."""
        await self._settle()

    async def _settle(self) -> None:
        saving, self._saving = self._saving, None
        if saving is not None:
            await asyncio.wait([saving])
            if not saving.cancelled():
                saving.exception()  # the save that follows does what this one could not

    async def _save(self, *, only_if_modified: bool, closing: bool) -> None:
        self._owes = True
        data = await self._torrent.save(only_if_modified=only_if_modified, closing=closing)
        failpoints.reach("resume.taken")
        if data is not None:
            await self._torrent.flush()  # what it has may still wait to be written
        try:
            self._looks = await asyncio.to_thread(
                flush, self._folder, self._paths, self._looks, closing=closing
            )
        except OSError as error:
            raise DiskError(f"The unfinished data cannot be saved: {error.strerror}.") from None
        failpoints.reach("resume.flushed")
        if data is not None:
            claim = Claim(data, self._looks, closed=closing)
            await self._store.save_resume(self._key, claim.encode())
        failpoints.reach("resume.stored")
        self._owes = False
