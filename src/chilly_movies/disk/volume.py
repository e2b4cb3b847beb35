"""The volume of the media folder: how much is free, and whether it is the one we know.

A mark in the folder tells it from the bare mount point that is left when its disk goes away.
Nothing is ever made or written there while the mark is missing.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from chilly_movies.disk.files import staging_folder
from chilly_movies.disk.plain import refuse_link
from chilly_movies.errors import DiskError, DiskFull, OutOfDescriptors, SettingsError
from chilly_movies.jobs.ports import Room
from chilly_movies.names import INCOMPLETE
from chilly_movies.runtime.descriptors import shortage
from chilly_movies.runtime.state_folder import StateFolder

MARK = ".chilly-media"
_MARK_TEXT = (
    "This file tells Chilly Movies that the disk of its media folder is mounted.\n"
    "If it is missing there, and the folder is the right one all the same, make an empty one.\n"
)


def disk_error(code: int | None, sentence: str) -> DiskError:
    """The error for what the system refused with this `errno`."""
    if (short := shortage(code)) is not None:
        return OutOfDescriptors(short)
    return (DiskFull if code in (errno.ENOSPC, errno.EDQUOT) else DiskError)(sentence)


def check_writable(media_root: Path) -> None:
    """Make the media root and try to write there; a full disk is not refused.

    Raises:
        SettingsError: it cannot be written.
    """
    probe = media_root / INCOMPLETE / ".writable"
    try:
        probe.parent.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return
        raise SettingsError(
            f"The folder CHILLY_MEDIA_ROOT ({media_root}) cannot be written: {error.strerror}."
        ) from None


@dataclass(frozen=True, slots=True)
class _Place:
    """Which disk a folder was on."""

    path: str
    device: int
    mounted: bool


class MediaVolume:
    """Implements `ports.Volume` for one media folder.

    Args:
        media_root: the folder.
        state: where it is remembered which disk the folder was on; None = nowhere.
    """

    def __init__(self, media_root: Path, state: StateFolder | None = None) -> None:
        self._root = media_root
        self._state = state
        self._known: _Place | None = None
        self._read = False

    async def measure(self) -> Room:
        """See `ports.Volume`."""
        return await asyncio.to_thread(self.measure_now)

    async def held(self, key: str) -> int:
        """See `ports.Volume`."""

        def allocated() -> int:
            total = 0
            for parent, _, names in os.walk(staging_folder(self._root, key)):
                for name in names:
                    with suppress(OSError):
                        total += os.lstat(Path(parent, name)).st_blocks * 512  # holes do not count
            return total

        return await asyncio.to_thread(allocated)

    async def missing(self, paths: Sequence[str]) -> frozenset[str]:
        """See `ports.Volume`."""
        return await asyncio.to_thread(lambda: frozenset(p for p in paths if self._lacks(p)))

    def _lacks(self, path: str) -> bool:
        try:
            (self._root / path).lstat()
        except OSError as error:
            return error.errno in (errno.ENOENT, errno.ENOTDIR)
        return False

    def measure_now(self) -> Room:
        """The same as `measure`, for callers outside an event loop."""
        if not self._read:
            self._known, self._read = self._recall(), True
        try:
            refuse_link(self._root / INCOMPLETE)
            self._recognise()
            volume = os.statvfs(self._root)
        except OSError as error:
            return Room(0, f"The media folder cannot be used: {error.strerror}.")
        if volume.f_flag & os.ST_RDONLY or not os.access(self._root, os.W_OK | os.X_OK):
            return Room(0, "The media folder is read-only.")
        return Room(volume.f_bavail * volume.f_frsize)

    def problem(self) -> str | None:
        """The same as `measure`'s, but nothing is made or remembered."""
        self._known, self._read = self._recall(), True
        try:
            self._recognise(make=False)
        except OSError as error:
            return f"The media folder cannot be used: {error.strerror}."
        return None

    @property
    def is_remembered(self) -> bool:
        """Whether films were written to this folder before."""
        place = self._recall()
        return place is not None and place.path == str(self._root)

    @property
    def remembered(self) -> Path | None:
        """The folder that films were last written to, whichever is asked for now."""
        place = self._recall()
        return None if place is None else Path(place.path)

    @property
    def is_marked(self) -> bool:
        """Whether films were written to this folder, by whatever path it was known then."""
        return (self._root / INCOMPLETE / MARK).exists()

    # --- whether it is the one we know ------------------------------------------------------

    def _recognise(self, *, make: bool = True) -> None:
        """Tell whether it is the folder we know, and mark one that is new to us.

        Raises:
            OSError: it is not there, or its disk is not mounted.
        """
        mark = self._root / INCOMPLETE / MARK
        known = self._known if self._known and self._known.path == str(self._root) else None
        if not self._root.exists():
            nearest = next(path for path in self._root.parents if path.exists())
            if known is not None and nearest.stat().st_dev != known.device:
                raise _NotMountedError
            if make:
                self._root.mkdir(parents=True, exist_ok=True)
        here = _Place(str(self._root), self._root.stat().st_dev, self._root.is_mount())
        if not self._root.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if not mark.exists():
            if known is not None and (
                here.device != known.device or (known.mounted and not here.mounted)
            ):
                raise _NotMountedError
            if not make or not _make(mark):
                return  # only looking, read-only, or full
        if make and here != self._known:
            self._known = here
            self._remember(here)

    def _recall(self) -> _Place | None:
        try:
            text = self._state.media_root.read_text() if self._state is not None else ""
            place = _Place(**json.loads(text)) if text else None
        except (OSError, ValueError, TypeError):
            return None
        if place is None or not isinstance(place.path, str) or "\0" in place.path:
            return None
        return place

    def _remember(self, place: _Place) -> None:
        if self._state is None:
            return
        known = {"path": place.path, "device": place.device, "mounted": place.mounted}
        try:
            self._state.make()
            fresh = self._state.media_root.with_suffix(".new")
            fresh.touch(mode=0o600)
            fresh.write_text(json.dumps(known))
            fresh.replace(self._state.media_root)
        except OSError:
            return  # a full state folder: what is remembered is only older


class _NotMountedError(OSError):
    """Something lies where the media folder was, and it is not that folder."""

    strerror = f"its disk seems not to be mounted, for {INCOMPLETE}/{MARK} is missing in it"


def _make(mark: Path) -> bool:
    try:
        mark.parent.mkdir(exist_ok=True)
        mark.write_text(_MARK_TEXT)
    except OSError:
        return False
    return True
