"""Moves a finished film within the media root, so that a crash in the middle costs nothing.

Where the film is going is stored before anything happens. On one disk it is one rename. On another
disk (a mount below the media root) it is copied under a hidden name, flushed, renamed, and only
then deleted where it was. Whoever goes on after a crash sees from the disk how far it was.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import stat
from collections.abc import AsyncGenerator
from pathlib import Path, PurePosixPath

from chilly_movies.disk import files as disk
from chilly_movies.disk.volume import disk_error
from chilly_movies.errors import DiskError, DiskFull
from chilly_movies.jobs.models import Job
from chilly_movies.runtime import failpoints

_CHUNK = 4 * 1024 * 1024
_REPORT_INTERVAL = 0.5


class _StoppedError(Exception):
    """Nobody waits for the copy any more."""


class Mover:
    """One film on its way.

    Args:
        root: the media root.
        job: its film lies at `path` and goes to `moving_to`.
    """

    def __init__(self, root: Path, job: Job) -> None:
        self._root = root
        self._job = job
        self._source = root / (job.path or "")
        self._target = root / (job.moving_to or "")
        self._copy = self._hidden()
        self._stopped = False
        self._copied = 0

    def _hidden(self) -> Path:
        return self._target.parent / f".{self._job.key}.moving"

    async def go(self) -> AsyncGenerator[str | float, None]:
        """Bring the film to its place.

        Yields:
            The share that is copied, 0-1, now and then; where it goes, if that place is taken;
            and at the end, as the last text, where it is.

        Raises:
            DiskError: it cannot be moved, and is where it was.
        """
        while True:
            work = asyncio.ensure_future(asyncio.to_thread(self._carry))
            try:
                while not work.done():
                    await asyncio.wait([work], timeout=_REPORT_INTERVAL)
                    yield min(0.999, self._copied / max(1, self._size()))
                await work
            except FileExistsError:  # somebody has that name already: the first that nobody has
                wanted = self._target.relative_to(self._root).as_posix()
                place = await asyncio.to_thread(disk.free_name, self._root, wanted)
                self._target = self._root / place
                self._copy = self._hidden()
                yield place
            except OSError as error:
                raise disk_error(error.errno, f"{error.strerror or error}.") from None
            else:
                yield self._target.relative_to(self._root).as_posix()
                return
            finally:
                self._stopped = True
                if not work.done():
                    await asyncio.wait([work])
                if not work.cancelled():
                    work.exception()
                self._stopped = False

    def _size(self) -> int:
        return sum(file.size for file in self._job.files if file.wanted)

    # --- in a thread ------------------------------------------------------------------------

    def _carry(self) -> None:
        disk.delete_tree(self._copy)
        if self._is_there():  # an earlier run brought it here
            disk.flush_folder(self._target.parent)
            self._drop_source()
            return
        if not os.path.lexists(self._source):
            raise DiskError("The film is not where it was published.")
        make_folder(self._root, self._target.parent)
        failpoints.reach("move.told")
        try:
            disk.publish(self._source, self._target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self._carry_over()
        failpoints.reach("move.renamed")
        self._drop_source()

    def _carry_over(self) -> None:
        """To another disk."""
        if os.path.lexists(self._target):
            raise FileExistsError
        free, size = shutil.disk_usage(self._target.parent).free, self._size()
        if free < size:
            raise DiskFull(f"There is too little room: {free} bytes free, {size} needed.")
        try:
            self._copy_entry(self._source, self._copy)
            disk.flush_folder(self._copy.parent)
            failpoints.reach("move.copied")
            disk.publish(self._copy, self._target)
        except BaseException:
            disk.delete_tree(self._copy)
            raise

    def _copy_entry(self, source: Path, target: Path) -> None:
        """Copy a file or folder with its times of change, and flush it. Links stay links."""
        found = source.lstat()
        if stat.S_ISLNK(found.st_mode):
            target.symlink_to(source.readlink())
        elif stat.S_ISDIR(found.st_mode):
            target.mkdir()
            for entry in sorted(source.iterdir()):
                self._copy_entry(entry, target / entry.name)
            disk.flush_folder(target)
        elif stat.S_ISREG(found.st_mode):
            self._copy_file(source, target, found)
        else:
            raise OSError(errno.EINVAL, f"'{source.name}' is no ordinary file")

    def _copy_file(self, source: Path, target: Path, found: os.stat_result) -> None:
        reading = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with open(reading, "rb") as film, target.open("xb") as copy:  # noqa: PTH123 (a handle)
            while data := film.read(_CHUNK):
                if self._stopped:
                    raise _StoppedError
                copy.write(data)
                self._copied += len(data)
            copy.flush()
            os.fchmod(copy.fileno(), stat.S_IMODE(found.st_mode))
            os.utime(copy.fileno(), ns=(found.st_atime_ns, found.st_mtime_ns))
            os.fsync(copy.fileno())

    def _is_there(self) -> bool:
        """Whether all of the film lies at its new place, and nothing else does.

        What is left at the old place tells our copy from a stranger that has the same name.
        """
        for file in self._job.files:
            if not file.wanted:
                continue
            inner = PurePosixPath(file.path).relative_to(self._job.path or "")
            there, here = _size_and_time(self._target / inner), _size_and_time(self._source / inner)
            if there is None or there[0] != file.size:
                return False
            on_one_disk = here is not None and _device(self._source) == _device(self._target)
            if here is not None and (here != there or on_one_disk):
                return False
        return True

    def _drop_source(self) -> None:
        """Delete at the old place what lies at the new one, and folders that are empty then."""
        self._drop(self._source, self._target)
        for folder in self._source.parents:
            if folder == self._root or not _remove_if_empty(folder):
                break

    def _drop(self, source: Path, target: Path) -> None:
        if source.is_symlink() or source.is_file():
            if _size_and_time(source) == _size_and_time(target):
                source.unlink()
        elif source.is_dir():
            for entry in list(source.iterdir()):
                self._drop(entry, target / entry.name)
            _remove_if_empty(source)

    def finish_move(self) -> Path:
        """End a move for good: delete what is half done, in the one place or the other. Blocks.

        Returns:
            Where the film lies, relative to the media root.
        """
        disk.delete_tree(self._copy)
        there = self._is_there()
        if there:
            self._drop_source()
        return (self._target if there else self._source).relative_to(self._root)


def make_folder(root: Path, folder: Path) -> None:
    """Make a folder below the media root, and make it survive a power cut. Follows no link.

    Raises:
        DiskError: something else has one of the names.
    """
    for name in reversed([folder, *folder.parents]):
        if name == root or not name.is_relative_to(root):
            continue
        try:
            name.mkdir()
            disk.flush_folder(name.parent)
        except FileExistsError:
            if name.is_symlink() or not name.is_dir():
                raise DiskError(f"'{name.name}' is there and is no folder.") from None


def _remove_if_empty(folder: Path) -> bool:
    try:
        folder.rmdir()
    except OSError:
        return False
    return True


def _device(path: Path) -> object:
    return path.lstat().st_dev


def _size_and_time(path: Path) -> tuple[int, int] | None:
    try:
        found = path.lstat()
    except OSError:
        return None
    return (0, 0) if stat.S_ISLNK(found.st_mode) else (found.st_size, found.st_mtime_ns)
