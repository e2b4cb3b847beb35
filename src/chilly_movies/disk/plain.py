"""Makes sure that unfinished data is plain: folders and files of ours, and no way out of them.

The engine follows any link that lies in its way and writes through it, so before it gets a folder,
and before the folder is published, every entry is looked at without following anything. The engine
opens and makes files at any time later, too, so it gets the very folder that was looked at, and not
its name: where a disk is unmounted or a folder swapped for a link, the name leads elsewhere.
"""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from pathlib import Path
from typing import Self

from chilly_movies.errors import DiskError

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_DESCRIPTORS = Path("/proc/self/fd")


class NotPlainError(OSError):
    """Something lies in the way that nobody of ours put there."""

    def __init__(self, what: str) -> None:
        super().__init__(errno.ELOOP, what)


def refuse_link(folder: Path) -> None:
    """Look whether a folder of ours was replaced by a link.

    Raises:
        NotPlainError: it was.
    """
    if folder.is_symlink():
        raise NotPlainError(f"its folder '{folder.name}' is a link to another place")


class Held:
    """A folder that is held open: whatever becomes of its name, this one is meant.

    Args:
        folder: its name.
        handle: an open descriptor of it; None = nothing is held, and the name must do.

    Attributes:
        path: what leads to it as long as it is held; where systems cannot say that, its name.
    """

    def __init__(self, folder: Path, handle: int | None = None) -> None:
        self._folder = folder
        self._handle = handle
        self._users = 1
        self._identity = None if handle is None else _identity(os.fstat(handle))
        way = _DESCRIPTORS / str(handle)
        self.path = way if handle is not None and way.exists() else folder

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.let_go()

    def share(self) -> Held:
        """The same for one more user, who must let go of it, too."""
        self._users += 1
        return self

    def is_same(self, other: Held) -> bool:
        """Whether both are one folder."""
        return self._identity is not None and self._identity == other._identity

    def refuse_swapped(self) -> None:
        """Look whether its name still leads to it. Blocks.

        Raises:
            DiskError: it leads elsewhere or nowhere.
        """
        try:
            found = _identity(self._folder.stat())
        except OSError:
            raise DiskError("The folder of the unfinished film is not there any more.") from None
        if found != self._identity:
            raise DiskError(
                "The folder of the unfinished film was replaced while it was in use; "
                "the job goes on with what lies there now, and checks it first."
            )

    def let_go(self) -> None:
        """One user less: after the last one the descriptor means something else soon."""
        self._users -= 1
        if self._users <= 0:
            self._close()

    def _close(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def __del__(self) -> None:
        self._close()


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


async def hold_plain(staging: Path) -> Held:
    """Look at a staging folder before the engine writes to it, beside the event loop, and hold it.

    Raises:
        DiskError: it is not plain; nothing is written then.
    """

    def hold() -> Held:
        parent = os.open(staging.parent.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for name in (staging.parent.name, staging.name):
                parent = _enter(parent, name)
            if stat.S_IMODE(os.fstat(parent).st_mode) != 0o700:
                os.fchmod(parent, 0o700)  # keep others out of it
            _walk(parent, strip=False)
        except FileNotFoundError:  # it was not made yet
            os.close(parent)
            return Held(staging)
        except BaseException:
            os.close(parent)
            raise
        return Held(staging, parent)

    try:
        return await asyncio.to_thread(hold)
    except NotPlainError as error:
        sentence = f"In the folder of unfinished data {error.strerror}, so nothing is written."
        raise DiskError(sentence) from None


def harmless(top: Path, *, shared: bool = False) -> None:
    """Look at a file or folder before it is published, and take all rights to execute.

    Args:
        top: the file or folder.
        shared: its files are the user's, too, under other names: nothing of them is changed.

    Raises:
        NotPlainError: it, or anything in it, is a link or no ordinary file.
    """
    ours = top.parent.parent == _DESCRIPTORS  # the way to what is held looks like a link
    folder = os.open(top.parent, _FOLDER & ~os.O_NOFOLLOW if ours else _FOLDER)
    try:
        status = os.stat(top.name, dir_fd=folder, follow_symlinks=False)
        _require_plain_entry(folder, top.name, status, strip=not shared, shared=shared)
    finally:
        os.close(folder)


def _enter(parent: int, name: str) -> int:
    """Open a folder in a folder, and close the outer one. Follows no link."""
    try:
        inner = os.open(name, _FOLDER, dir_fd=parent)
    except NotADirectoryError:  # what Linux says of a link, too
        raise NotPlainError(f"'{name}' is not a folder of ours") from None
    except OSError as error:
        if error.errno == errno.ELOOP:  # the answer of other systems
            raise NotPlainError(f"'{name}' is a link") from None
        raise
    os.close(parent)
    return inner


def _walk(folder: int, *, strip: bool, shared: bool = False) -> None:
    with os.scandir(folder) as entries:
        found = [(entry.name, entry.stat(follow_symlinks=False)) for entry in entries]
    for name, status in found:
        _require_plain_entry(folder, name, status, strip=strip, shared=shared)


def _require_plain_entry(
    folder: int, name: str, status: os.stat_result, *, strip: bool, shared: bool
) -> None:
    if stat.S_ISDIR(status.st_mode):
        inner = os.open(name, _FOLDER, dir_fd=folder)
        try:
            _walk(inner, strip=strip, shared=shared)
        finally:
            os.close(inner)
    elif not stat.S_ISREG(status.st_mode) or (status.st_nlink > 1 and not shared):
        raise NotPlainError(f"'{name}' is a link or no ordinary file")
    elif strip and status.st_mode & 0o111:
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        try:
            os.fchmod(handle, stat.S_IMODE(os.fstat(handle).st_mode) & ~0o111)
        finally:
            os.close(handle)
