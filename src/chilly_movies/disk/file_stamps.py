"""Stamps of files: how they looked after they were flushed to the disk."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from chilly_movies.disk.files import flush_folder
from chilly_movies.errors import DiskError

_STABLE_NS = 100_000_000
"""A file that was written to so shortly before may change again without showing it."""


@dataclass(frozen=True, slots=True)
class FileStamp:
    """How a file looked.

    Attributes:
        path: below the folder the engine writes to.
        ctime_ns: when the file or what is known of it was changed last, which no program can set;
            None in claims of older versions.
        is_stable: it was flushed, and the last write was long enough before.
    """

    path: str
    size: int
    mtime_ns: int
    ctime_ns: int | None = None
    is_stable: bool = field(default=False, compare=False)

    def is_of(self, path: Path, *, exactly: bool = True) -> bool:
        """Whether the file there looks the same.

        Args:
            path: where it lies.
            exactly: it was not renamed either, as that changes its `ctime`.
        """
        found = _found(path)
        if found is None or (found.st_size, found.st_mtime_ns) != (self.size, self.mtime_ns):
            return False
        return not exactly or found.st_ctime_ns == self.ctime_ns


def flush(
    folder: Path, paths: Mapping[int, str], known: Mapping[int, FileStamp], *, closing: bool = False
) -> dict[int, FileStamp]:
    """Make what was written to the files survive a power cut. Blocks.

    Args:
        folder: what the paths are relative to.
        paths: the files that may be there.
        known: how they looked after the last flush; what did not change is not flushed again.
        closing: their times of change must survive, too.

    Returns:
        How those that are there look now.

    Raises:
        DiskError: one that was there is gone or became shorter.
        OSError: the disk refused.
    """
    stamps: dict[int, FileStamp] = {}
    new: set[Path] = set()
    for index, name in paths.items():
        before, path = known.get(index), folder / name
        if before is not None and before.is_stable and before.is_of(path):
            stamps[index] = before
            continue
        found = _flush_file(path, with_times=closing)
        if before is not None and (found is None or found.st_size < before.size):
            raise _taken_away(path)
        if found is None:
            continue
        if before is None:
            new.update(_down_to(folder, path.parent))
        is_stable = time.time_ns() - found.st_mtime_ns > _STABLE_NS
        stamps[index] = FileStamp(
            name, found.st_size, found.st_mtime_ns, found.st_ctime_ns, is_stable
        )
    for entry in new:
        flush_folder(entry)
    return stamps


def _taken_away(path: Path) -> DiskError:
    return DiskError(f"The unfinished file '{path.name}' was taken away or cut short.")


def _down_to(top: Path, folder: Path) -> Iterable[Path]:
    """The folder, its parents up to `top`, and the two above `top`, which are ours, too."""
    line = [folder, *folder.parents]
    # `top` may be a way to an open descriptor, so only the system knows what is above it
    return [*line[: line.index(top) + 1], top / "..", top / ".." / ".."]


def _found(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _flush_file(path: Path, *, with_times: bool, links: bool = False) -> os.stat_result | None:
    """Flush a file. How it looked before that; None if it is not there."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | (0 if links else os.O_NOFOLLOW))
    except FileNotFoundError:
        return None
    try:
        found = os.fstat(handle)
        (os.fsync if with_times else os.fdatasync)(handle)
        return found
    finally:
        os.close(handle)
