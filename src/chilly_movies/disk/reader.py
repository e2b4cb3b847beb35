"""Reads files that lie complete on the disk, and the verified parts of those that do not yet."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

from chilly_movies.disk.volume import disk_error
from chilly_movies.errors import DiskError, FileNotFound
from chilly_movies.runtime.tasks import begin

_WITHOUT_WAITING: int | None = getattr(os, "RWF_NOWAIT", None)
_EVERY = 128 * 1024
"""The system reads ahead and forgets in pieces about as large."""


class DiskFile:
    """An open file. It stays readable when it is renamed, as at publishing."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._crumb = bytearray(1)
        self._can_ask = _WITHOUT_WAITING is not None

    @classmethod
    async def open(cls, path: Path) -> DiskFile:
        """Open it for reading; the last component may be no symlink.

        Raises:
            FileNotFoundError: it is not there.
            DiskError: the disk refused.
        """

        def close(opened: asyncio.Future[int]) -> None:
            if not opened.cancelled() and opened.exception() is None:
                os.close(opened.result())

        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
        opening = asyncio.ensure_future(asyncio.to_thread(os.open, path, flags))
        try:
            return cls(await asyncio.shield(opening))
        except asyncio.CancelledError:  # its thread goes on, and nobody would close what it opens
            opening.add_done_callback(close)
            raise
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR):
                raise FileNotFoundError(error.errno, error.strerror) from None
            raise disk_error(error.errno, f"The file cannot be read: {error.strerror}.") from None

    @property
    def size(self) -> int:
        """Its size on the disk now."""
        return os.fstat(self._handle).st_size

    @property
    def written_at(self) -> int:
        """When it was written to last, in nanoseconds."""
        return os.fstat(self._handle).st_mtime_ns

    @property
    def is_deleted(self) -> bool:
        """Whether no name leads to it any more: what is written there now goes to another file."""
        return os.fstat(self._handle).st_nlink == 0

    async def read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes, at least one.

        Raises:
            DiskError: the disk refused, or the file is shorter than it was.
        """
        try:
            data = await asyncio.to_thread(os.pread, self._handle, length, offset)
        except OSError as error:
            raise disk_error(error.errno, f"The file cannot be read: {error.strerror}.") from None
        if not data:
            raise DiskError("The file became shorter while it was read.")
        return data

    def read_at_once(self, offset: int, length: int) -> bytes | None:
        """The same if the system has it in memory, else None: nothing waits for the disk.

        A thread for each block would cost a fifth of the speed.
        """
        if not self._can_ask or length <= 0:
            return None
        try:
            for at in (*range(offset, offset + length, _EVERY), offset + length - 1):
                if not os.preadv(self._handle, [self._crumb], at, _WITHOUT_WAITING or 0):
                    return None
            return os.pread(self._handle, length, offset) or None
        except BlockingIOError:
            return None
        except OSError:  # this file system cannot say, or the disk is in trouble
            self._can_ask = False
            return None

    async def close_after(self, reading: asyncio.Future[bytes] | None) -> None:
        """Close it when the read that may still run in a thread has ended.

        It cannot be cancelled, and on a closed file it would read a stranger. Who is cancelled
        while they wait for it need not come again.
        """
        if reading is None or reading.done():
            self.close()
            return
        reading.add_done_callback(lambda _: self.close())
        await asyncio.wait([reading])

    def close(self) -> None:
        """Idempotent. A read that still runs in its thread must have ended."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


class DiskReader:
    """Implements `ports.FileReader` on a file that is complete.

    Args:
        file: open.
        name: the file's name.
    """

    def __init__(self, file: DiskFile, name: str) -> None:
        self._file = file
        self._reading: asyncio.Future[bytes] | None = None
        self.size = file.size
        self.name = name

    @classmethod
    async def open(cls, root: Path, path: str, size: int) -> DiskReader:
        """Open a published file.

        Raises:
            FileNotFound: it is not where it was published, or not the same any more.
            DiskError: the disk refused.
        """
        target = root / path

        def check() -> None:  # a folder that is a link may lead anywhere
            if not target.parent.resolve().is_relative_to(root.resolve()):
                raise FileNotFoundError

        try:
            await asyncio.to_thread(check)
            file = await DiskFile.open(target)
        except FileNotFoundError:
            raise FileNotFound("The file is no longer where it was published.") from None
        if file.size != size:
            file.close()
            raise FileNotFound("The file was changed since it was published.")
        return cls(file, target.name)

    def available(self, offset: int) -> int:
        """See `ports.FileReader`."""
        return max(0, self.size - offset)

    async def read(self, offset: int, length: int) -> bytes:
        """See `ports.FileReader`."""
        length = min(length, self.available(offset))
        if length <= 0:
            return b""
        if (data := self._file.read_at_once(offset, length)) is not None:
            await asyncio.sleep(0)  # one who reads fast leaves room for others
            return data
        self._reading = begin(self._file.read(offset, length))
        return await asyncio.shield(self._reading)

    async def aclose(self) -> None:
        """See `ports.FileReader`."""
        await self._file.close_after(self._reading)
