"""The ways a file comes from one place of the disk to another: linked, shared or copied."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import Literal, get_args

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
_PROBE = ".probe"
SAID = {
    "hardlink": "hard link: the film is the same file under a second name, and takes no room",
    "reflink": "reflink: the copy shares its blocks with the original, and takes no room",
    "copy": "copy: every byte is written once more",
}
"""What each means, in words for people."""


def link(place: RootedPath, target: Path) -> None:
    """Give a file a second name; never replaces anything. Blocks.

    Raises:
        OSError: the system refused, or it is a symbolic link.
    """
    parent = place.open_parent()
    try:
        os.link(place.name, target, src_dir_fd=parent, follow_symlinks=False)
    finally:
        os.close(parent)
    if target.is_symlink() or not target.is_file():
        target.unlink()
        raise SourceRejected(f"'{place.urn}' is no ordinary file.")


def clone(place: RootedPath, target: Path) -> None:
    """Make a file that shares the blocks of another; never replaces anything. Blocks.

    Raises:
        OSError: the system refused; nothing is left then.
    """
    source = place.open_file()
    try:
        with target.open("xb") as copy:
            try:
                fcntl.ioctl(copy.fileno(), _FICLONE, source)
            except OSError:
                target.unlink()
                raise
            found = os.fstat(source)
            os.utime(copy.fileno(), ns=(found.st_atime_ns, found.st_mtime_ns))
    finally:
        os.close(source)


_TRIES = {"hardlink": link, "reflink": clone}


def choose(wanted: Mode | None, place: RootedPath, staging: Path) -> Mode:
    """The way that a source's files come: the wanted one, or the cheapest that goes. Blocks.

    Args:
        wanted: what the caller asked for, None = whichever goes.
        place: one file of the source.
        staging: a folder of ours on the disk they come to.

    Raises:
        SourceRejected: the wanted way does not go.
        OSError: the disk refused.
    """
    for mode in get_args(Mode) if wanted is None else (wanted,):
        why = None if mode == "copy" else _why_not(mode, place, staging / _PROBE)
        (staging / _PROBE).unlink(missing_ok=True)
        if why is None:
            found: Mode = mode
            return found
    kinds = {"hardlink": "hard links", "reflink": "reflinks"}
    raise SourceRejected(
        f"There can be no {kinds[str(wanted)]} of '{place.urn}' in the media folder ({why}); "
        "leave the mode out, or take 'copy'."
    )


def goes(mode: Mode, place: RootedPath, target: Path) -> bool:
    """Bring a file to the target in one of the ways; False if it does not go. Blocks.

    Raises:
        OSError: the disk refused.
    """
    return _why_not(mode, place, target) is None


def _why_not(mode: Mode, place: RootedPath, target: Path) -> str | None:
    """Why a way does not go, by trying it; None if it does."""
    try:
        _TRIES[mode](place, target)
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
        return os.strerror(error.errno or 0)
    return None
