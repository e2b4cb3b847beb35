"""The ways a file comes from one place of the disk to another: linked, shared or copied."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from pathlib import Path
from typing import BinaryIO, Literal

from chilly_movies.disk.roots import RootedPath
from chilly_movies.errors import SourceRejected

Mode = Literal["hardlink", "reflink", "copy"]
"""From the cheapest to the dearest: a second name of the same file; a file of its own that shares
the blocks until one of both is changed; a copy of every byte."""
_FICLONE = 0x40049409
"""ioctl_ficlone(2): btrfs, XFS, bcachefs, overlays of them."""
_CANNOT = frozenset(
    (errno.EXDEV, errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL,
     errno.ENOSYS, errno.EMLINK, errno.ETXTBSY, errno.EBADF)
)  # fmt: skip
"""What systems answer where a way does not go; all else is trouble with the disk."""


def link(place: RootedPath, target: Path, folder: int | None = None) -> None:
    """Give a file a second name; never replaces anything. Blocks.

    Args:
        place: the file.
        target: its second name.
        folder: a descriptor of the folder that the name is relative to, None = the working folder.

    Raises:
        OSError: the system refused, or it is a symbolic link.
    """
    parent = place.open_parent()
    try:
        os.link(place.name, target, src_dir_fd=parent, dst_dir_fd=folder, follow_symlinks=False)
    finally:
        os.close(parent)
    if not stat.S_ISREG(os.stat(target, dir_fd=folder, follow_symlinks=False).st_mode):
        os.unlink(target, dir_fd=folder)
        raise SourceRejected(f"'{place.urn}' is no ordinary file.")


def clone(place: RootedPath, target: Path, folder: int | None = None) -> None:
    """Make a file that shares the blocks of another; like `link`. Blocks.

    Raises:
        OSError: the system refused; nothing is left then.
    """
    source = place.open_file()
    try:
        with make(target, folder) as copy:
            try:
                fcntl.ioctl(copy.fileno(), _FICLONE, source)
            except OSError:
                os.unlink(target, dir_fd=folder)
                raise
            found = os.fstat(source)
            os.utime(copy.fileno(), ns=(found.st_atime_ns, found.st_mtime_ns))
    finally:
        os.close(source)


def make(target: Path, folder: int | None = None) -> BinaryIO:
    """A new file, for writing; like `link`."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(target, flags, 0o666, dir_fd=folder), "wb")


_TRIES = {"hardlink": link, "reflink": clone}


def goes(mode: Mode, place: RootedPath, target: Path, folder: int | None = None) -> bool:
    """Bring a file to the target in one of the ways; False if it does not go. Blocks.

    Args: as those of `link`.

    Raises:
        OSError: the disk refused.
    """
    return why_not(mode, place, target, folder) is None


def why_not(mode: Mode, place: RootedPath, target: Path, folder: int | None = None) -> str | None:
    """Why a way does not go, by trying it; None if it does."""
    try:
        _TRIES[mode](place, target, folder)
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
        return os.strerror(error.errno or 0)
    return None
