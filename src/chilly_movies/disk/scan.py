"""Looks at what lies at a place on the disk: which files of it are part of a film."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from chilly_movies.disk.roots import RootedPath
from chilly_movies.disk.unwanted import is_half_written, is_left_out
from chilly_movies.errors import SourceRejected
from chilly_movies.jobs.options import MAX_FILES

_DEEPEST = 64
"""Folders in one another; each costs a descriptor while it is looked into."""


@dataclass(frozen=True, slots=True)
class FoundFile:
    """An ordinary file of a source, as it looked.

    Attributes:
        path: the names that lead to it from the source; none = the source is the file.
        size: bytes.
        mtime_ns: when it was written to last.
    """

    path: tuple[str, ...]
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Found:
    """What a source holds.

    Attributes:
        files: in the order of their paths.
        is_folder: whether the source is a folder.
    """

    files: tuple[FoundFile, ...]
    is_folder: bool


def look(place: RootedPath) -> Found:
    """Look at a file, or at all files of a folder; follows no symbolic link. Blocks.

    Raises:
        FileNotFoundError: nothing is there.
        SourceRejected: nothing there is part of a film, or there is too much.
        SourceUnavailable: its root is not there.
        OSError: the system refused.
    """
    if not stat.S_ISDIR(place.stat().st_mode):
        if is_half_written(place.name):
            raise SourceRejected(f"'{place.urn}' has the name of a file that is still written to.")
        handle = place.open_file()
        try:
            return Found((_found((), os.fstat(handle)),), is_folder=False)
        finally:
            os.close(handle)
    handle = place.open_folder()
    files = []
    for file in walk(handle):
        files.append(file)
        if len(files) > MAX_FILES:
            raise SourceRejected(f"'{place.urn}' holds more than {MAX_FILES:,} files.")
    if not files:
        raise SourceRejected(f"'{place.urn}' holds no file that could be taken.")
    return Found(tuple(sorted(files, key=lambda file: file.path)), is_folder=True)


def walk(folder: int, path: tuple[str, ...] = ()) -> Iterator[FoundFile]:
    """All files below an open folder, which is closed at the end; follows no symbolic link. Blocks.

    Args:
        folder: its descriptor.
        path: the names that lead to it, for the paths of the files.

    Raises:
        OSError: the system refused.
    """
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if not is_left_out(entry.name)]
        for name in names:
            try:
                found = os.stat(name, dir_fd=folder, follow_symlinks=False)
                if stat.S_ISDIR(found.st_mode) and len(path) < _DEEPEST:
                    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
                    yield from walk(os.open(name, flags, dir_fd=folder), (*path, name))
            except (FileNotFoundError, NotADirectoryError):
                continue  # gone or swapped since it was listed
            if stat.S_ISREG(found.st_mode):
                yield _found((*path, name), found)
    finally:
        os.close(folder)


def _found(path: tuple[str, ...], status: os.stat_result) -> FoundFile:
    return FoundFile(path, status.st_size, status.st_mtime_ns)
