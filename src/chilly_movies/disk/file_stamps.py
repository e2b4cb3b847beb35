"""Stamps of files: how they looked after they were flushed to the disk."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
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
        found = stat_of(path)
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
            # the folders up to the engine's, and the two above it, which are ours, too; it may be
            # a way to an open descriptor, so only the system knows what is above it
            line = [path.parent, *path.parent.parents]
            up = [folder / "..", folder / ".." / ".."]
            new.update([*line[: line.index(folder) + 1], *up])
        is_stable = time.time_ns() - found.st_mtime_ns > _STABLE_NS
        stamps[index] = FileStamp(
            name, found.st_size, found.st_mtime_ns, found.st_ctime_ns, is_stable
        )
    for entry in new:
        flush_folder(entry)
    return stamps


def _taken_away(path: Path) -> DiskError:
    return DiskError(f"The unfinished file '{path.name}' was taken away or cut short.")


def stat_of(path: Path) -> os.stat_result | None:
    """What the system says of a file, None if it cannot be asked."""
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


def stamps_of(folder: Path, paths: Mapping[int, str]) -> dict[int, FileStamp]:
    """How those of the files look that are there. Blocks.

    Raises:
        OSError: the disk refused.
    """
    stamps: dict[int, FileStamp] = {}
    for index, name in paths.items():
        try:
            found = (folder / name).lstat()
        except FileNotFoundError:
            continue
        stamps[index] = FileStamp(name, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    return stamps


def refuse_changed(before: Mapping[int, FileStamp], now: Mapping[int, FileStamp]) -> None:
    """Make sure that what was compared with its hashes is what lies there.

    Args:
        before: how the files looked when the comparison began.
        now: how they look; a rename changes their `ctime`, so that is left aside.

    Raises:
        DiskError: one of them looks different, or is not there.
    """
    for index, was in before.items():
        found = now.get(index)
        if found is None or (found.size, found.mtime_ns) != (was.size, was.mtime_ns):
            name = Path(was.path).name
            raise DiskError(f"The file '{name}' was changed after its check; it is checked again.")


def take(folder: Path, paths: Mapping[int, str]) -> dict[int, FileStamp]:
    """How files look to which we do not write. Blocks.

    They are flushed: after a power cut they are as they were when they were compared, or look
    different. Links are followed, as the user may have put one there.

    Args:
        folder: what the paths are relative to.
        paths: the files that may be there.

    Raises:
        OSError: the disk refused.
    """
    stamps: dict[int, FileStamp] = {}
    for index, name in paths.items():
        if (folder / name).is_file():  # a pipe would be waited for
            found = _flush_file(folder / name, with_times=True, links=True)
            if found is not None:
                stamps[index] = FileStamp(name, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    return stamps


def sizes(folder: Path, paths: Mapping[int, str], known: Mapping[int, int]) -> dict[int, int]:
    """How large the files are that are there. Blocks.

    Args:
        folder: what the paths are relative to.
        paths: the files that may be there.
        known: the sizes of those that must be there.

    Raises:
        DiskError: one that was there is gone or became shorter.
        OSError: the disk refused.
    """
    found: dict[int, int] = {}
    for index, name in paths.items():
        path = folder / name
        try:
            found[index] = path.stat().st_size
        except FileNotFoundError:
            found[index] = -1
        if found[index] < known.get(index, -1):
            raise _taken_away(path)
    return {index: size for index, size in found.items() if size >= 0}
