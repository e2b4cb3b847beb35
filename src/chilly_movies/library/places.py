"""Where the library's files lie: in the media folder, or in the folders that the user named.

Everything is opened folder by folder from the outermost one's descriptor, and no symbolic link is
followed: an item may come from an import, and its paths are only text.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Final, TypeVar

from chilly_movies.disk.roots import Root, RootedPath, Roots
from chilly_movies.disk.scan import walk
from chilly_movies.disk.volume import MediaVolume
from chilly_movies.errors import ChillyError, PathNotFound
from chilly_movies.library.models import FileRole, ItemFile
from chilly_movies.library.nfo import LARGEST

T = TypeVar("T")
_SAMPLE: Final = 1024 * 1024
"""Bytes at the beginning, in the middle and at the end that tell films of one size apart."""
BIN: Final = ".bin"
"""The folder, in the media folder or a root, that deleted files are moved to."""


class Places:
    """Finds files of items.

    Args:
        media: the media folder, None = there is none: nothing that a job brought can be looked at.
        roots: the folders of the user.
        volume: of the media folder; while it is away nothing in it is missing.
    """

    def __init__(
        self, media: Path | None, roots: Roots | None = None, volume: MediaVolume | None = None
    ) -> None:
        self._volume = volume
        self._media = None if media is None else Root("media", media, media.resolve())
        self._roots = roots or Roots({})

    def of(self, file: ItemFile) -> RootedPath:
        """The place of a file. No I/O.

        Raises:
            PathNotFound: its path leads nowhere that we may go.
            InvalidSource: it lies in no root.
        """
        if file.job_id is None:
            return self._roots.find(file.path)
        parts = PurePosixPath(file.path).parts
        if self._media is None or not parts or parts[0] == "/" or ".." in parts:
            raise PathNotFound(f"There is no file '{file.path[:200]}'.")
        return RootedPath(self._media, parts)

    def named(self, text: str) -> RootedPath:
        """The place in a root that a text names; see `Roots.find`."""
        return self._roots.find(text)

    async def missing(self, files: Sequence[ItemFile]) -> frozenset[int]:
        """The indexes of those of an item's files that are not where they were."""

        def look() -> frozenset[int]:
            away = self._volume is not None and self._volume.problem() is not None
            return frozenset(
                file.index
                for file in files
                if not (away and file.job_id is not None) and self._is_missing(file)
            )

        return await asyncio.to_thread(look)

    def _is_missing(self, file: ItemFile) -> bool:
        """Whether nothing lies there; what cannot be looked at just now is not missing."""
        try:
            return not stat.S_ISREG(self.of(file).stat().st_mode)
        except (FileNotFoundError, NotADirectoryError, PathNotFound):
            return True
        except (ChillyError, OSError):
            return False

    async def found_in(self, folder: RootedPath) -> list[ItemFile]:
        """Every file below a folder of a root.

        Raises:
            PathNotFound: it is not there.
            ChillyError: it cannot be looked at.
        """

        def look() -> list[ItemFile]:
            return [
                ItemFile(0, folder.child(*file.path).urn, file.size)
                for file in walk(folder.open_folder())
                if _is_text("/".join(file.path))
            ]

        return await _asked(look, folder.urn)

    async def size(self, place: RootedPath) -> int:
        """Bytes of the ordinary file at a place.

        Raises:
            PathNotFound: there is none.
        """

        def measure() -> int:
            handle = place.open_file()
            try:
                return os.fstat(handle).st_size
            finally:
                os.close(handle)

        return await _asked(measure, place.urn)

    async def read(self, place: RootedPath) -> AsyncIterator[bytes]:
        """Yields the bytes of a file, some at a time.

        Raises:
            PathNotFound: there is no ordinary file.
        """
        handle = await _asked(place.open_file, place.urn)
        try:
            while part := await _asked(partial(os.read, handle, _SAMPLE), place.urn):
                yield part
        finally:
            os.close(handle)

    async def digest(self, file: ItemFile) -> str | None:
        """What tells a file's bytes from others, `size:hex`; None if it cannot be read.

        Of a large file only its beginning, middle and end are looked at.
        """

        def read() -> str:
            handle = self.of(file).open_file()
            try:
                size = os.fstat(handle).st_size
                starts = {0, max(0, size // 2 - _SAMPLE // 2), max(0, size - _SAMPLE)}
                whole = hashlib.sha256()
                for start in sorted(starts):
                    whole.update(os.pread(handle, _SAMPLE, start))
                return f"{size}:{whole.hexdigest()}"
            finally:
                os.close(handle)

        try:
            return await _asked(read, file.path)
        except ChillyError:
            return None

    async def nfo_beside(self, files: Sequence[ItemFile]) -> bytes | None:
        """The NFO file beside the first film of an item; None if there is none that is read."""
        main = next((file for file in files if file.role is FileRole.MAIN), None)
        if main is None:
            return None

        def look() -> bytes | None:
            film = self.of(main)
            folder, outer = film.parts[:-1], film.parts[:-2]
            stem = PurePosixPath(film.name).stem
            names = [(folder, f"{stem}.nfo"), *([(folder, "movie.nfo")] if folder else [])]
            if main.episodes:
                names = [(folder, "tvshow.nfo"), (outer, "tvshow.nfo"), (folder, f"{stem}.nfo")]
            read = (_small(RootedPath(film.root, (*parts, name))) for parts, name in names)
            return next((data for data in read if data is not None), None)

        try:
            return await _asked(look, main.path)
        except ChillyError:
            return None

    async def to_bin(self, files: Iterable[ItemFile], name: str) -> None:
        """Moves files to the bin of the folder that they lie in, each on the same disk.

        Args:
            files: what is not there any more is passed over.
            name: of the folder in the bin.

        Raises:
            PathNotFound: one cannot be moved; those before it are.
        """
        for file in files:
            place = self.of(file)
            await _asked(partial(_to_bin, place, name), place.urn)

    async def delete(self, files: Iterable[ItemFile]) -> None:
        """Deletes files; what is not there any more is passed over.

        Raises:
            PathNotFound: one cannot be deleted; those before it are.
        """
        for file in files:
            place = self.of(file)
            await _asked(partial(_delete, place), place.urn)


def _small(place: RootedPath) -> bytes | None:
    """The bytes of a small file, None if there is none; blocks."""
    try:
        handle = place.open_file()
    except (OSError, ChillyError):
        return None
    try:
        return os.read(handle, LARGEST) if os.fstat(handle).st_size <= LARGEST else None
    finally:
        os.close(handle)


def _delete(place: RootedPath) -> None:
    """Deletes one file; blocks."""
    try:
        parent = place.open_parent()
    except FileNotFoundError:
        return
    try:
        os.unlink(place.name, dir_fd=parent)
    except FileNotFoundError:
        return
    finally:
        os.close(parent)


def _to_bin(place: RootedPath, name: str) -> None:
    """Moves one file; blocks."""
    try:
        source = place.open_parent()
    except FileNotFoundError:
        return
    try:
        target = _folders(place.root, (BIN, name, *place.parts[:-1]))
        try:
            free = _free(target, place.name)
            os.rename(place.name, free, src_dir_fd=source, dst_dir_fd=target)
        except FileNotFoundError:
            return
        finally:
            os.close(target)
    finally:
        os.close(source)


def _folders(root: Root, names: Iterable[str]) -> int:
    """A descriptor of a folder below a root, which is made if it is not there."""
    way: tuple[str, ...] = ()
    for name in names:
        parent = RootedPath(root, way).open_folder()
        try:
            os.mkdir(name, dir_fd=parent)
        except FileExistsError:
            pass
        finally:
            os.close(parent)
        way = (*way, name)
    return RootedPath(root, way).open_folder()


def _free(folder: int, name: str) -> str:
    """The name, with a number before it if it is taken."""
    number, free = 1, name
    while True:
        try:
            os.stat(free, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return free
        number += 1
        free = f"{number} {name}"


def _is_text(name: str) -> bool:
    """Whether a name can be stored and shown; on Linux a file's may be any bytes."""
    return not any("\ud800" <= sign <= "\udfff" for sign in name)


async def _asked(work: Callable[[], T], shown: str) -> T:
    """Does something that blocks, in a thread.

    Raises:
        PathNotFound: the system refused; the message says what.
    """
    try:
        return await asyncio.to_thread(work)
    except OSError as error:
        raise PathNotFound(f"'{shown}' cannot be used: {error.strerror}.") from None
