"""Reading a film while it arrives, from its beginning on: it comes in one file that grows."""

from __future__ import annotations

import asyncio

from chilly_movies.disk.reader import DiskFile, DiskReader
from chilly_movies.errors import FileNotFound
from chilly_movies.jobs.models import MediaFile


class ArrivingFile(DiskReader):
    """Implements `ports.FileReader` on a file that grows at its end.

    It is the same file when it is renamed and published.

    Args:
        file: open.
        wanted: what it will be.
        more: is notified when more of it may have arrived.
    """

    def __init__(self, file: DiskFile, wanted: MediaFile, more: asyncio.Condition) -> None:
        super().__init__(file, wanted.path.rpartition("/")[2])
        self.size = wanted.size
        self._more = more

    def available(self, offset: int) -> int:
        """See `ports.FileReader`."""
        return max(0, min(self.size, self._file.size) - offset)

    async def read(self, offset: int, length: int) -> bytes:
        """See `ports.FileReader`.

        Raises:
            FileNotFound: the film has other bytes at its source now, and began anew.
        """
        async with self._more:
            await self._more.wait_for(lambda: self._can_say(offset))
        if self._file.is_deleted:
            raise FileNotFound("The film changed at its source; open it again.")
        return await super().read(offset, length)

    def _can_say(self, offset: int) -> bool:
        return bool(offset >= self.size or self.available(offset) or self._file.is_deleted)
