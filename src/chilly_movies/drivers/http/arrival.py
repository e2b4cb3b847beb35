"""The file that arrives: what is there of it, who reads it, and where they wait."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable
from pathlib import Path

from chilly_movies.disk.reader import DiskFile, DiskReader
from chilly_movies.disk.volume import disk_error
from chilly_movies.drivers.http.spans import Spans
from chilly_movies.errors import FileNotFound, SourceRejected
from chilly_movies.jobs.models import MediaFile
from chilly_movies.runtime.tasks import to_the_end

LEAD = 1 << 20
"""Bytes behind a place to which a reader jumped that come before all others."""
AHEAD = 4 << 20
"""Bytes a reader should have before it; while it has less, what it comes to is fetched first."""
_STEP = 1 << 20
_PROOF = 64 * 1024
"""Bytes that are compared before a file without a version is gone on with."""


class SourceChangedError(Exception):
    """The file at its server is another one than what is there was taken from."""


class Arrival:
    """One version of a file, from its first byte until it is complete.

    Attributes:
        size: bytes, None if they are not known.
        spans: what is there.
        readers: those that are open.
        wasted: bytes that came though they were there already.
        gone: why nothing comes any more, and what is there may not be read; None if it may.
        path: where it is written, None if it is not.
        proof: a place and bytes that are there: a server that says nothing of the version of its
            file must send the same ones.
        wake: called when a reader begins to wait.
        right: what was compared with hashes of pieces, None if there are none.
        step: bytes of a piece, which can be read only as a whole; 1 without pieces.
        in_use: a run writes it.
    """

    def __init__(self, size: int | None = None, spans: Spans | None = None) -> None:
        self.size = size
        self.spans = spans or Spans()
        self.readers: list[ArrivingReader] = []
        self.wasted = 0
        self.gone: str | None = None
        self.path: Path | None = None
        self.proof: tuple[int, bytes] | None = None
        self.wake: Callable[[], None] | None = None
        self.in_use = False
        self.right: Spans | None = None
        self.step = 1
        self._handle = -1
        self._news = asyncio.Event()

    @property
    def is_complete(self) -> bool:
        """Whether every byte is there, and right as far as that is known."""
        return self.size is not None and self.visible.total >= self.size

    @property
    def visible(self) -> Spans:
        """What may be read."""
        return self.spans if self.right is None else self.right

    def open(self, path: Path) -> None:
        """Makes the file, or opens it, to write to it. Blocks.

        Raises:
            OSError: the disk refused.
            SourceRejected: no file may be so large there.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._handle, self.path = os.open(path, flags, 0o666), path
        if self.size is not None and os.fstat(self._handle).st_size != self.size:
            _set_size(self._handle, self.size)

    def take_proof(self) -> None:
        """Remember some bytes, which then have to come once more. Blocks.

        Raises:
            OSError: the disk refused.
        """
        begin, end = next(iter(self.spans), (0, 0))
        begin = max(begin, end - _PROOF)
        if begin < end:
            self.proof = begin, os.pread(self._handle, end - begin, begin)
            self.spans.remove(begin, end)

    def _refuse_other(self, at: int, block: memoryview | bytes) -> None:
        place, known = self.proof or (0, b"")
        begin, end = max(at, place), min(at + len(block), place + len(known))
        if begin < end and block[begin - at : end - at] != known[begin - place : end - place]:
            raise SourceChangedError

    def fit(self, size: int) -> None:
        """The size is known now; the file gets it at once, and the disk gives no room for that.

        Raises:
            DiskError: the disk refused.
            SourceRejected: no file may be so large there.
        """
        self.size = size
        try:
            _set_size(self._handle, size)
        except OSError as error:
            sentence = f"The film cannot be written: {error.strerror}."
            raise disk_error(error.errno, sentence) from None
        self.tell()

    def close(self) -> None:
        """Nothing is written any more. Idempotent; no `write` may be under way."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    async def write(self, at: int, block: memoryview | bytes) -> int:
        """Writes bytes to their place; whoever is cancelled waits until that is done.

        Returns:
            How many of them are new.

        Raises:
            DiskError: the disk refused.
            SourceChangedError: they are not what they were.
        """
        self._refuse_other(at, block)
        return await to_the_end(self._write(at, block))

    async def _write(self, at: int, block: memoryview | bytes) -> int:
        try:
            await asyncio.to_thread(_write_all, self._handle, at, block)
        except OSError as error:
            sentence = f"The film cannot be written: {error.strerror}."
            raise disk_error(error.errno, sentence) from None
        new = self.spans.add(at, at + len(block))
        self.wasted += len(block) - new
        self.tell()
        return new

    def read(self, begin: int, end: int) -> bytes:
        """Bytes that are there. Blocks.

        Raises:
            OSError: the disk refused.
        """
        return os.pread(self._handle, end - begin, begin)

    def end(self, why: str) -> None:
        """What is there may not be read any more."""
        self.gone = why
        self.tell()

    # --- readers ----------------------------------------------------------------------------

    def tell(self) -> None:
        """Something changed."""
        before, self._news = self._news, asyncio.Event()
        before.set()

    async def news(self) -> None:
        """Waits until something changes."""
        await self._news.wait()

    def jumped(self, now: float, longest: float) -> list[int]:
        """Where readers wait that jumped there, the last one first.

        Args:
            now: seconds that only grow.
            longest: seconds after which a jump is nothing special any more.
        """
        size, found = self.size or 0, []
        for reader in self.readers:
            if reader.jumped_at is None:
                continue
            fed = self.visible.run_from(reader.place) >= min(size, reader.place + LEAD)
            if fed or now - reader.jumped_at > longest:
                reader.jumped_at = None
            else:
                found.append((reader.jumped_at, reader.place // self.step * self.step))
        return [place for _, place in sorted(found, reverse=True)]

    def coming(self) -> list[int]:
        """Where readers come to that have little before them, in steps."""
        size, places = self.size or 0, list[int]()
        for reader in sorted(self.readers, key=lambda one: not one.waits):
            end = self.spans.run_from(reader.place)
            places += range(end, min(size, reader.place + AHEAD), _STEP)
        return places

    def is_near(self, at: int, end: int | None) -> bool:
        """Whether a reader comes to a part soon."""
        size = self.size or 0
        last = size if end is None else end
        return any(at < reader.place + AHEAD and last > reader.place for reader in self.readers)


def _set_size(handle: int, size: int) -> None:
    """Give a file its size. What it says is the server's word: no disk gets room by waiting."""
    try:
        os.ftruncate(handle, size)
    except OSError as error:
        if error.errno not in (errno.EFBIG, errno.EINVAL, errno.EOVERFLOW):
            raise
        raise SourceRejected(
            f"The link's server says that the file has {size} bytes: more than the disk of the "
            "media folder lets a file have."
        ) from None


def _write_all(handle: int, at: int, block: memoryview | bytes) -> None:
    view = memoryview(block)
    while view:
        count = os.pwrite(handle, view, at)
        view, at = view[count:], at + count


class ArrivingReader(DiskReader):
    """Implements `ports.FileReader` on a file that is not complete.

    Args:
        file: open; it stays readable when it is published.
        about: the file's name and size.
        arrival: says what is there.
        left: called when the reader is closed.
        quiet: nothing is fetched sooner for it.

    Attributes:
        place: the next byte it wants.
        jumped_at: when it went to a place that was not there, None once that is served.
        waits: whether it waits now.
    """

    def __init__(
        self,
        file: DiskFile,
        about: MediaFile,
        arrival: Arrival,
        left: Callable[[], None],
        *,
        quiet: bool,
    ) -> None:
        super().__init__(file, about.path.rpartition("/")[2])
        self.size = about.size
        self.place = -AHEAD
        self.jumped_at: float | None = None
        self.waits = False
        self._arrival, self._left = arrival, left
        if not quiet:
            arrival.readers.append(self)

    def available(self, offset: int) -> int:
        """See `ports.FileReader`."""
        end = min(self.size, self._arrival.visible.run_from(offset))
        return max(0, end - offset) if self._arrival.gone is None else 0

    async def read(self, offset: int, length: int) -> bytes:
        """See `ports.FileReader`.

        Raises:
            FileNotFound: the file is another one now.
        """
        is_near = self.place <= offset <= self.place + LEAD
        self.place = offset
        if not is_near and self.available(offset) < min(LEAD, self.size - offset):
            self.jumped_at = asyncio.get_running_loop().time()
            if self._arrival.wake is not None:
                self._arrival.wake()
        try:
            while offset < self.size and not self.available(offset):
                if self._arrival.gone is not None:
                    raise FileNotFound(self._arrival.gone)
                if not self.waits:
                    self.waits = True
                    if self._arrival.wake is not None:
                        self._arrival.wake()
                await self._arrival.news()
        finally:
            self.waits = False
        data = await super().read(offset, length)
        self.place = offset + len(data)
        return data

    async def aclose(self) -> None:
        """See `ports.FileReader`."""
        if self in self._arrival.readers:
            self._arrival.readers.remove(self)
        self._left()
        await super().aclose()
