"""Looks at what lies in a watch folder. Everything here blocks, and follows no symbolic link."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import signal
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from chilly_movies.disk.files import publish
from chilly_movies.disk.programs import is_program
from chilly_movies.disk.roots import RootedPath
from chilly_movies.disk.unwanted import is_half_written, is_left_out
from chilly_movies.jobs.models import is_video
from chilly_movies.names import numbered

DONE = "done"
"""The folder in a watch folder that done files are moved to."""
_MOST = 20_000
"""Files of a dropped folder that are looked at; one with more is no film."""
Kind = Literal["torrent", "magnet", "film"]


@dataclass(frozen=True, slots=True)
class Dropped:
    """Something in a watch folder that a job can be made of.

    Attributes:
        place: where it lies.
        kind: what it is.
        stamp: how it looks; the same as long as no file of it is changed.
        is_whole: nothing in it has the name of a file that is still written to.
    """

    place: RootedPath
    kind: Kind
    stamp: str
    is_whole: bool = True


def look_into(folder: RootedPath, others: frozenset[str]) -> list[Dropped]:
    """What lies in a watch folder.

    Args:
        folder: the watch folder.
        others: places that are watch folders, too.

    Raises:
        DownloadError: it is not there.
        OSError: it cannot be read.
    """
    handle = folder.open_folder()
    try:
        found = []
        with os.scandir(handle) as entries:
            names = sorted(entry.name for entry in entries)
        for name in names:
            place = folder.child(name)
            if is_left_out(name) or name == DONE or place.urn in others:
                continue
            with suppress(FileNotFoundError):  # gone since it was listed
                dropped = _look_at(handle, place)
                found += [] if dropped is None else [dropped]
        return found
    finally:
        os.close(handle)


def _look_at(folder: int, place: RootedPath) -> Dropped | None:
    status = os.stat(place.name, dir_fd=folder, follow_symlinks=False)
    if stat.S_ISDIR(status.st_mode):
        return _look_at_folder(folder, place)
    suffix = place.name.lower().rpartition(".")[2]
    kind: Kind | None = "film" if is_video(place.name) else None
    if suffix in ("torrent", "magnet"):
        kind = "torrent" if suffix == "torrent" else "magnet"
    if kind is None or not stat.S_ISREG(status.st_mode):
        return None
    return Dropped(place, kind, _stamp([(place.name, status)]))


def _look_at_folder(folder: int, place: RootedPath) -> Dropped | None:
    """A dropped folder with a film in it, None if there is none."""
    seen: list[tuple[str, os.stat_result]] = []
    is_whole = True
    for way, names, inner in _walk(place.name, folder):
        for name in names:
            is_whole = is_whole and not is_half_written(name)
            if not is_left_out(name):
                seen.append((f"{way}/{name}", os.stat(name, dir_fd=inner, follow_symlinks=False)))
        if len(seen) > _MOST:
            return None
    if not any(is_video(path) and stat.S_ISREG(status.st_mode) for path, status in seen):
        return None
    return Dropped(place, "film", _stamp(seen), is_whole=is_whole)


def _walk(name: str, folder: int, *, up: bool = False) -> Iterator[tuple[str, list[str], int]]:
    """The path, the names of the files and a descriptor of a folder and of each one below it."""
    walk = os.fwalk(name, topdown=not up, follow_symlinks=False, dir_fd=folder)
    for way, folders, names, inner in walk:
        folders[:] = [one for one in folders if not is_left_out(one)]
        yield way, names, inner


def _stamp(seen: list[tuple[str, os.stat_result]]) -> str:
    lines = sorted(f"{os.fsencode(path)!r} {s.st_size} {s.st_mtime_ns}" for path, s in seen)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


# --- whether it rests -----------------------------------------------------------------------


def is_written_to(dropped: Dropped) -> bool:
    """Whether some program has a file of it open for writing, if that can be told."""
    if not stat.S_ISDIR(dropped.place.stat().st_mode):
        return _has_writer(dropped.place)
    handle = dropped.place.open_folder()
    try:
        return any(
            _has_writer(dropped.place.child(*Path(way).parts, name))
            for way, names, _ in _walk(".", handle)
            for name in names
            if is_video(name)
        )
    finally:
        os.close(handle)


def _has_writer(place: RootedPath) -> bool:
    """Asks by a read lease (fcntl(2)), which is refused while somebody has it open for writing.

    Whoever opens it in that moment makes the system send us a signal, which would end us if it
    were not another than the usual one.
    """
    handle = place.open_file()
    try:
        fcntl.fcntl(handle, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:  # another user's file, or a file system without leases
        return error.errno == errno.EAGAIN
    finally:
        os.close(handle)
    return False


# --- what becomes of it ---------------------------------------------------------------------


def read(place: RootedPath, most: int) -> bytes:
    """The bytes of a dropped file, one more than `most` at most."""
    with os.fdopen(place.open_file(), "rb") as file:
        return file.read(most + 1)


def delete(dropped: Dropped) -> None:
    """Delete a file, or what of a folder came along with its film; all else stays."""
    parent = dropped.place.open_parent()
    name = dropped.place.name
    try:
        if not stat.S_ISDIR(dropped.place.stat().st_mode):
            os.unlink(name, dir_fd=parent)
            return
        for way, names, inner in _walk(name, parent, up=True):
            for one in names:
                status = os.stat(one, dir_fd=inner, follow_symlinks=False)
                ours = stat.S_ISREG(status.st_mode) and not is_left_out(one)
                if ours and not is_program(f"{way}/{one}"):
                    os.unlink(one, dir_fd=inner)
            with suppress(OSError):  # something else is in it
                os.rmdir(way, dir_fd=parent)
    finally:
        os.close(parent)


def rename(dropped: Dropped, folder: RootedPath, into: str | None) -> str:
    """Give it another place in its watch folder, and its first name there that nothing has.

    Args:
        dropped: what.
        folder: the watch folder.
        into: a folder in it, which is made; None = it stays in the watch folder, under a number.

    Returns:
        Its new name.
    """
    with _opened(folder) as source:
        if into is not None:
            with suppress(FileExistsError):
                os.mkdir(into, dir_fd=source)
        with _opened(folder.child(into) if into else folder) as target:
            for name in numbered(dropped.place.name):
                try:
                    publish(_way(source, dropped.place.name), _way(target, name))
                except FileExistsError:
                    continue
                return name
    raise FileExistsError


@contextmanager
def _opened(folder: RootedPath) -> Iterator[int]:
    handle = folder.open_folder()
    try:
        yield handle
    finally:
        os.close(handle)


def _way(folder: int, name: str) -> Path:
    return Path(f"/proc/self/fd/{folder}", name)
