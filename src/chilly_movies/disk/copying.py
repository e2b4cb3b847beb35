"""Copies of files that are not to be changed, whatever becomes of the copy.

A hard link is no copy: what is written to it is written to the original.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable
from pathlib import Path

from chilly_movies.disk.files import flush_folder

_FICLONE = 0x40049409
"""ioctl_ficlone(2): the copy shares its blocks with the original until one of both is changed."""
_STEP = 8 * 1024 * 1024
_CANNOT_COPY = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF)
"""What copy_file_range(2) answers for two file systems that it cannot copy between."""


class CopyStoppedError(Exception):
    """Nobody waits for the copy any more."""


def open_to_read(path: Path) -> int:
    """A descriptor of an ordinary file, for reading. Follows no link, and waits for no pipe.

    Raises:
        OSError: it is not there, no ordinary file, or cannot be read.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    handle = os.open(path, flags)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "it is no ordinary file")
    return handle


def clone(source: int, target: int) -> bool:
    """Let an empty file share the blocks of another; False where the file system cannot.

    Args:
        source: a descriptor of the original.
        target: the same of the copy, for writing.
    """
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:
        return False
    return True


def copy(
    source: int,
    target: int,
    *,
    stopped: Callable[[], bool] = lambda: False,
    copied: Callable[[int], object] = lambda _: None,
) -> None:
    """Copy a file into an empty one: without its bytes if the file system can. Holes stay holes.

    Blocks.

    Args:
        source: a descriptor of the original.
        target: the same of the copy, for writing.
        stopped: asked again and again.
        copied: told how many more bytes are copied.

    Raises:
        CopyStoppedError: `stopped` said so.
        OSError: the disk refused.
    """
    size = os.fstat(source).st_size
    if clone(source, target):
        copied(size)
        return
    os.ftruncate(target, size)
    begin = _next(source, 0, os.SEEK_DATA)
    while begin < size:
        end = min(size, _next(source, begin, os.SEEK_HOLE))
        while begin < end:
            if stopped():
                raise CopyStoppedError
            if (step := _step(source, target, begin, min(_STEP, end - begin))) == 0:
                return  # it became shorter meanwhile
            begin += step
            copied(step)
        begin = _next(source, end, os.SEEK_DATA)


def _next(source: int, offset: int, what: int) -> int:
    """Where data or a hole begins next, behind every end if nowhere."""
    try:
        return os.lseek(source, offset, what)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return 2**63
        return offset if what == os.SEEK_DATA else 2**63  # the file system knows no holes


def _step(source: int, target: int, offset: int, length: int) -> int:
    try:
        if done := os.copy_file_range(source, target, length, offset, offset):
            return done
    except OSError as error:
        if error.errno not in _CANNOT_COPY:
            raise
    return os.pwrite(target, os.pread(source, length, offset), offset)


def unshare(path: Path) -> None:
    """Make a file that has other names, too, a file of its own: what is written stays here.

    It looks as before. A crash leaves it as it was. Blocks.

    Raises:
        OSError: the disk refused; it is as it was.
    """
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode) or found.st_nlink == 1:
        return
    beside = path.with_name(f".{found.st_ino}.own")
    beside.unlink(missing_ok=True)
    source = open_to_read(path)
    try:
        with beside.open("xb") as own:
            copy(source, own.fileno())
            os.fchmod(own.fileno(), stat.S_IMODE(found.st_mode))
            os.utime(own.fileno(), ns=(found.st_atime_ns, found.st_mtime_ns))
            os.fsync(own.fileno())
        beside.replace(path)
        flush_folder(path.parent)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    finally:
        os.close(source)
