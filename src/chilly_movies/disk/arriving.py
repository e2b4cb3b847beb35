"""Files that grow at their end, and their readers: for drivers that fetch from first to last."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO

from chilly_movies.disk.reader import DiskFile, DiskReader
from chilly_movies.disk.threads import on_disk, on_disk_to_the_end
from chilly_movies.jobs.models import MediaFile


class Arrivals:
    """Lets readers wait until more of a file has arrived."""

    def __init__(self) -> None:
        self._more = asyncio.Condition()

    @asynccontextmanager
    async def grow(self, path: Path) -> AsyncIterator[GrowingFile]:
        """A file that is written at its end, made if it is not there; closed at the end.

        Raises:
            DiskError: the disk refused.
        """
        file = GrowingFile(path, self._more)
        try:
            await file.open()
            yield file
        finally:
            file.close()

    async def open(self, path: Path, file: MediaFile) -> DiskReader:
        """Open a file that is not complete; its reader goes on when it is renamed.

        Args:
            path: where it lies now; an empty one is made if it is not there.
            file: what it will be.

        Raises:
            DiskError: the disk refused.
        """
        await on_disk(lambda: path.touch(exist_ok=True))
        return _ArrivingFile(await DiskFile.open(path), file, self._more)


class GrowingFile:
    """Writes at the end of a file. Use `Arrivals.grow`.

    Whoever is cancelled waits until what a thread does to the file is done: else the next run
    would begin behind a part of it, or a file would stay open.

    Attributes:
        size: bytes it has.
    """

    def __init__(self, path: Path, more: asyncio.Condition) -> None:
        self._path, self._more = path, more
        self._file: BinaryIO | None = None
        self.size = 0

    async def open(self) -> None:
        """Open it; see `Arrivals.grow`."""

        def work() -> None:
            self._file = self._path.open("ab")
            self.size = self._file.tell()

        await on_disk_to_the_end(work)

    async def append(self, block: bytes) -> None:
        """Write behind its end, and wake its readers.

        Raises:
            DiskError: the disk refused.
        """

        def work() -> None:
            if self._file is not None:
                self._file.write(block)
                self._file.flush()

        await on_disk_to_the_end(work)
        self.size += len(block)
        async with self._more:
            self._more.notify_all()

    def close(self) -> None:
        """Idempotent."""
        if self._file is not None:
            self._file.close()


class _ArrivingFile(DiskReader):
    def __init__(self, file: DiskFile, wanted: MediaFile, more: asyncio.Condition) -> None:
        super().__init__(file, Path(wanted.path).name)
        self.size, self._more = wanted.size, more

    def available(self, offset: int) -> int:
        """See `ports.FileReader`."""
        return max(0, min(self.size, self._file.size) - offset)

    async def read(self, offset: int, length: int) -> bytes:
        """See `ports.FileReader`."""
        async with self._more:
            await self._more.wait_for(lambda: offset >= self.size or self.available(offset))
        return await super().read(offset, length)
