"""The tree that media servers read: films get there by links or copies, and are taken out again.

The folder is opened folder by folder from its root's descriptor, and no symbolic link below the
root is followed. Nothing that somebody else put there is ever replaced, changed or deleted: a file
is made ready in a hidden folder, gets its mark there, and is renamed to a name that nobody has.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Literal

from chilly_movies.disk.copying import copy
from chilly_movies.disk.files import rename_no_replace
from chilly_movies.disk.linking import Mode, goes, make
from chilly_movies.disk.roots import Root, RootedPath
from chilly_movies.errors import DiskError
from chilly_movies.names import folded

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_INNER = _FOLDER | os.O_NOFOLLOW
_HIDDEN = ".chilly"
"""The folder in the tree for files that are made ready; media servers pass hidden ones over."""
_BIN = ".bin"
_ODD = (errno.ELOOP, errno.ENOTDIR)
_LINK = "link:"


class DiskTree:
    """A folder of the user that films are filed in. All methods block.

    Args:
        root: the folder. It is not made: where a disk is not mounted, nothing is to be written.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def is_free(self, place: PurePosixPath) -> bool:
        """Whether nothing has a name; `film` and `Film` are one, as they are on other systems.

        Raises:
            DiskError: the root is not there, or a symbolic link is in the way.
            OSError: the system refused.
        """
        with self._opened() as root:
            folder = os.dup(root)
            try:
                for name in place.parts[:-1]:
                    if (found := _named(folder, name)) is None:
                        return True
                    if found != name:
                        return False
                    inner = _entered(folder, name)
                    os.close(folder)
                    folder = inner
                return _named(folder, place.name) is None
            finally:
                os.close(folder)

    def way(self, source: RootedPath) -> Mode:
        """How a file would come into the tree. Nothing is left of the try.

        Raises:
            DiskError: as `is_free`.
            OSError: the system refused.
        """
        name = Path(secrets.token_hex(8))
        with self._opened() as root, _hidden(root, ("way",)) as folder:
            mode = _linked(source, name, folder)
            _unlinked(folder, name.name)
            return mode or "copy"

    def stage(
        self,
        key: str,
        number: int,
        source: RootedPath | bytes | PurePosixPath,
        *,
        mark: str = "",
        stopped: Callable[[], bool] = lambda: False,
    ) -> tuple[Mode, str]:
        """Makes a file ready in the hidden folder, in place of an earlier try.

        Args:
            key: of the filing; letters, digits and hyphens.
            number: of the file in it.
            source: the file, the bytes of one that we write, or where ours stands in the tree.
            mark: of the one in the tree.
            stopped: asked again and again while a file is copied.

        Returns:
            How it came there, and its mark; one of the tree keeps it unless it has to be copied.

        Raises:
            CopyStoppedError: `stopped` said so.
            DiskError: as `is_free`.
            OSError: the system refused; FileNotFoundError: the source is not there, or not ours.
        """
        name = Path(str(number))
        with self._opened() as root, _hidden(root, (key,), keep=True) as folder:
            _unlinked(folder, name.name)
            if isinstance(source, bytes):
                how = _written(source, name, folder)
            else:
                place = source if isinstance(source, RootedPath) else self._ours(source, mark)
                how = _linked(place, name, folder) or _copied(place, name, folder, stopped)
            os.fsync(folder)
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
            stays = isinstance(source, PurePosixPath) and _is_marked(found, mark)
            return how, mark if stays else _mark(found, how)

    def _ours(self, place: PurePosixPath, mark: str) -> RootedPath:
        """A file of ours in the tree, as a source."""
        found = RootedPath(Root("library", self._root, self._root), place.parts)
        if not _is_marked(found.stat(), mark):
            raise FileNotFoundError(errno.ENOENT, "it is not what was put there", str(place))
        return found

    def put(self, key: str, number: int, place: PurePosixPath, mark: str) -> None:
        """Renames a file that was made ready; folders are made. Done twice, it is done once.

        Raises:
            FileExistsError: somebody else has the name.
            DiskError: as `is_free`.
            OSError: the system refused; FileNotFoundError: it was not made ready.
        """
        with self._opened() as root, _hidden(root, (key,)) as staged:
            folder = _made(root, place.parts[:-1])
            try:
                if _has_mark(folder, place.name, mark):
                    _unlinked(staged, str(number))
                elif _has_mark(staged, str(number), mark):
                    rename_no_replace(str(number), place.name, staged, folder)
                else:
                    raise FileNotFoundError(errno.ENOENT, "it was not made ready", str(place))
                os.fsync(folder)
            finally:
                os.close(folder)

    def remove(
        self, place: PurePosixPath, mark: str | None, *, to_bin: bool = False
    ) -> Literal["changed", "last"] | None:
        """Takes a file out of the tree if it is the one with the mark.

        Args:
            place: the file, or a folder: it goes if nothing is in it.
            mark: what `stage` said; None = a folder, or, to the bin, whatever is there.
            to_bin: it is kept in the bin, a hidden folder of the tree.

        Returns:
            None: nothing of ours is there any more. `changed`: it is not what we put there, so it
            stays. `last`: it is a link whose other names are gone, so it is the film, and stays.

        Raises:
            DiskError: as `is_free`.
            OSError: the system refused.
        """
        with self._opened() as root:
            try:
                folder = _walked(root, place.parts[:-1])
            except FileNotFoundError:
                return None
            try:
                if (why := _why_kept(folder, place.name, mark, to_bin=to_bin)) is None:
                    _remove(root, folder, place, to_bin=to_bin)
                return why
            finally:
                os.close(folder)

    def clear(self, key: str) -> None:
        """Removes what was made ready for a filing and not put anywhere.

        Raises:
            DiskError: as `is_free`.
            OSError: the system refused.
        """
        with self._opened() as root, suppress(FileNotFoundError), _hidden(root, (key,)) as folder:
            for name in os.listdir(folder):  # noqa: PTH208 (of a descriptor)
                _unlinked(folder, name)

    @contextmanager
    def _opened(self) -> Iterator[int]:
        try:
            handle = os.open(self._root, _FOLDER)
        except (FileNotFoundError, NotADirectoryError):
            raise DiskError(
                "The folder of the library is not there; mount its disk, or make it."
            ) from None
        try:
            yield handle
        finally:
            os.close(handle)


@contextmanager
def _hidden(root: int, names: tuple[str, ...], *, keep: bool = False) -> Iterator[int]:
    """A folder in the hidden one; made if need be, and gone at the end if nothing is in it."""
    handle = _made(root, (_HIDDEN, *names))
    try:
        yield handle
    finally:
        os.close(handle)
        if not keep:
            _prune(root, (_HIDDEN, *names))


def _prune(root: int, names: tuple[str, ...]) -> None:
    """Removes folders of ours that nothing is in, inner ones first."""
    for depth in range(len(names), 0, -1):
        try:
            parent = _walked(root, names[: depth - 1])
        except FileNotFoundError:
            continue
        try:
            os.rmdir(names[depth - 1], dir_fd=parent)
        except OSError:
            return
        finally:
            os.close(parent)


def _entered(folder: int, name: str) -> int:
    """A descriptor of a folder in an open folder; follows no link."""
    try:
        return os.open(name, _INNER, dir_fd=folder)
    except OSError as error:
        if error.errno in _ODD:
            raise _in_the_way(name) from None
        raise


def _walked(root: int, names: tuple[str, ...], *, made: bool = False) -> int:
    """A descriptor of a folder below the root; the caller closes it.

    Raises:
        DiskError: something on the way is no folder.
        FileNotFoundError: it is not there.
    """
    folder = os.dup(root)
    try:
        for name in names:
            if made:
                with suppress(FileExistsError):
                    os.mkdir(name, dir_fd=folder)
                    os.fsync(folder)
            inner = _entered(folder, name)
            os.close(folder)
            folder = inner
    except BaseException:
        os.close(folder)
        raise
    return folder


def _made(root: int, names: tuple[str, ...]) -> int:
    """Like `_walked`; folders that are not there are made."""
    return _walked(root, names, made=True)


def _named(folder: int, name: str) -> str | None:
    """The name in a folder that a case-blind system would take for this one, None = none is."""
    with suppress(FileNotFoundError):
        os.stat(name, dir_fd=folder, follow_symlinks=False)
        return name
    wanted, names = folded(name), os.listdir(folder)
    return next((known for known in names if folded(known) == wanted), None)


def _linked(source: RootedPath, name: Path, folder: int) -> Mode | None:
    """The cheap way that a file came by, None if there is none."""
    modes: tuple[Mode, ...] = ("hardlink", "reflink")
    return next((mode for mode in modes if goes(mode, source, name, folder)), None)


def _copied(source: RootedPath, name: Path, folder: int, stopped: Callable[[], bool]) -> Mode:
    reading = source.open_file()
    try:
        with make(name, folder) as file:
            copy(reading, file.fileno(), stopped=stopped)
            found = os.fstat(reading)
            os.utime(file.fileno(), ns=(found.st_atime_ns, found.st_mtime_ns))
            os.fsync(file.fileno())
    finally:
        os.close(reading)
    return "copy"


def _written(data: bytes, name: Path, folder: int) -> Mode:
    with make(name, folder) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return "copy"


def _mark(found: os.stat_result, how: str) -> str:
    """What tells a file of ours: a link by whose it is; a copy also by whether it was changed."""
    if how == "hardlink":
        return f"{_LINK}{found.st_ino}"
    return f"copy:{found.st_ino}:{found.st_size}:{found.st_mtime_ns}"


def _is_marked(found: os.stat_result, mark: str) -> bool:
    how = "hardlink" if mark.startswith(_LINK) else "copy"
    return stat.S_ISREG(found.st_mode) and _mark(found, how) == mark


def _has_mark(folder: int, name: str, mark: str) -> bool:
    with suppress(FileNotFoundError):
        return _is_marked(os.stat(name, dir_fd=folder, follow_symlinks=False), mark)
    return False


def _why_kept(
    folder: int, name: str, mark: str | None, *, to_bin: bool
) -> Literal["changed", "last"] | None:
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if mark is None:
        return None if to_bin or stat.S_ISDIR(found.st_mode) else "changed"
    if not _is_marked(found, mark):
        return "changed"
    is_last = mark.startswith(_LINK) and found.st_nlink == 1
    return "last" if is_last and not to_bin else None


def _remove(root: int, folder: int, place: PurePosixPath, *, to_bin: bool) -> None:
    if to_bin:
        _bin(root, folder, place)
    elif _is_folder(folder, place.name):
        with suppress(OSError):  # something is in it
            os.rmdir(place.name, dir_fd=folder)
    else:
        _unlinked(folder, place.name)
    os.fsync(folder)


def _is_folder(folder: int, name: str) -> bool:
    with suppress(FileNotFoundError):
        return stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    return False


def _bin(root: int, folder: int, place: PurePosixPath) -> None:
    """Moves a file to the bin, under the place that it had; numbered if that is there already."""
    target = _made(root, (_HIDDEN, _BIN, *place.parts[:-1]))
    try:
        for number in range(1, 10_000):
            name = place.name if number == 1 else f"{number} {place.name}"
            with suppress(FileExistsError):
                rename_no_replace(place.name, name, folder, target)
                os.fsync(target)
                return
    finally:
        os.close(target)


def _unlinked(folder: int, name: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)


def _in_the_way(name: str) -> DiskError:
    return DiskError(
        f"In the folder of the library '{name}' is a symbolic link or no folder, so nothing is "
        "filed there; move it away, or choose another folder."
    )
