"""Reads the files of torrents, complete or not, and says how far they are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from chilly_movies.disk.plain import Held
from chilly_movies.disk.reader import DiskFile, DiskReader
from chilly_movies.drivers.torrent.engine.pieces import Pieces, done_in
from chilly_movies.drivers.torrent.reading.availability import Availability
from chilly_movies.drivers.torrent.reading.windows import bytes_ahead
from chilly_movies.errors import DiskError, FileNotFound, NotReadable
from chilly_movies.jobs.models import FileStanding, Job, MediaFile, Status, is_video
from chilly_movies.jobs.options import FetchOrder
from chilly_movies.jobs.ports import FileReader
from chilly_movies.runtime.tasks import begin

_OPEN_AGAIN = 0.05
_OPEN_TRIES = 40


class Readers:
    """What of each job's data can be read, and its readers. The torrent driver is its only user.

    Args:
        media_root: where published files lie.
        hear_pieces: lets the engine tell of every piece that arrives, or be quiet.
    """

    def __init__(self, media_root: Path, hear_pieces: Callable[[bool], None]) -> None:
        self._root = media_root
        self._hear_pieces = hear_pieces
        self._by_job: dict[str, Availability] = {}

    # --- what the driver tells --------------------------------------------------------------

    def begin(self, key: str) -> None:
        """The job runs: what is known of its data is kept until `end`, between torrents, too."""
        self._by_job.setdefault(key, Availability()).in_use = True

    def attach(self, key: str, pieces: Pieces, order: FetchOrder) -> None:
        """The job's torrent is in the session, and does not run yet."""
        self._by_job[key].order.let_be_sequential(order == "sequential")
        self._by_job[key].attach(pieces)

    async def learn(
        self,
        key: str,
        order: FetchOrder,
        files: tuple[MediaFile, ...],
        folder: Path,
        paths: Mapping[int, str],
        held: Held | None,
    ) -> None:
        """The metadata is known, and where the files lie."""
        self.place(key, folder, paths, held)
        availability = self._by_job.get(key)
        if availability is not None:
            await availability.learn(_early(files, order))

    def place(
        self, key: str, folder: Path, paths: Mapping[int, str], held: Held | None = None
    ) -> None:
        """The files lie there from now on, and the folder is held open or not."""
        availability = self._by_job.get(key)
        if availability is not None:
            availability.put({index: folder / path for index, path in paths.items()}, held)

    async def wait_written(self, key: str) -> None:
        """Everything has arrived and is about to be checked from disk."""
        availability = self._by_job.get(key)
        if availability is not None:
            await availability.wait_written()

    async def detach(self, key: str) -> None:
        """The job's torrent is about to leave the session."""
        availability = self._by_job.get(key)
        if availability is not None:
            await availability.detach()

    def complete(self, key: str) -> None:
        """All wanted files are verified."""
        availability = self._by_job.get(key)
        if availability is not None:
            availability.complete()

    def end(self, key: str) -> None:
        """The job does not run any more; what becomes of it is stored."""
        availability = self._by_job[key]
        availability.in_use = False
        self._forget_unused(key, availability)

    def _forget_unused(self, key: str, availability: Availability) -> None:
        if availability.in_use:
            return
        if not availability.users:
            availability.put({}, None)
        if not availability.readers and self._by_job.get(key) is availability:
            del self._by_job[key]

    # --- what the core asks -----------------------------------------------------------------

    async def open(
        self, job: Job, index: int, bitrate: int | None, *, quiet: bool = False
    ) -> FileReader:
        """See `ports.Driver.open_file`."""
        file = next((file for file in job.files if file.index == index), None)
        if file is None:
            raise FileNotFound(f"This download has no file {index}.")
        if job.status is Status.COMPLETED:  # not while it is mended: bytes of it are wrong
            return await self._open_finished(job, file)
        availability = self._by_job.setdefault(job.key, Availability())

        def left() -> None:
            availability.replan()
            self._forget_unused(job.key, availability)
            if not any(other.readers for other in self._by_job.values()):
                self._hear_pieces(False)

        reader = TorrentReader(availability, file, bitrate, left)
        first = not availability.readers
        if quiet:
            if first:  # else what is there is told as it arrives
                await availability.refresh()
            return reader
        availability.readers.add(reader)
        if sum(bool(other.readers) for other in self._by_job.values()) == 1:
            self._hear_pieces(True)
        try:
            if availability.pieces is not None and first:
                await availability.refresh()
            else:
                availability.replan()
        except BaseException:  # whoever asked is gone, and would never close it
            await reader.aclose()
            raise
        return reader

    async def _open_finished(self, job: Job, file: MediaFile) -> FileReader:
        """Open a file of a finished film, which may be on its way to another folder just now."""
        try:
            return await DiskReader.open(self._root, file.path, file.size)
        except FileNotFound:
            if job.moving_to is None:
                raise
        there = next(f for f in job.files_at(job.moving_to) if f.index == file.index)
        return await DiskReader.open(self._root, there.path, file.size)

    async def files(self, job: Job, resume: bytes | None) -> tuple[FileStanding, ...]:
        """See `ports.Driver.files`."""
        priorities = job.priorities()
        availability, done = self._by_job.get(job.key), None
        if job.status is Status.COMPLETED:
            done = {file.index: file.size for file in job.files if file.wanted}
        elif availability is not None and availability.pieces is not None:
            with suppress(RuntimeError):  # it may have left the session meanwhile
                done = dict(enumerate(await availability.pieces.bytes_done()))
        if done is None:
            done = await asyncio.to_thread(done_in, resume) if resume else {}
        return tuple(
            FileStanding(
                file.index, min(file.size, done.get(file.index, 0)), priorities[file.index]
            )
            for file in job.files
        )

    async def choose(self, job: Job) -> None:
        """Take over which files are wanted, which of them first, and in which order pieces are."""
        availability = self._by_job.get(job.key)
        if availability is None:
            return
        order = job.options.order
        availability.order.let_be_sequential(order == "sequential")
        await availability.choose(job.priorities(), _early(job.files, order))


def _early(files: Iterable[MediaFile], order: FetchOrder) -> dict[int, int]:
    """Indices and sizes of the files whose ends are fetched first."""
    every = order == "ends-first"
    return {f.index: f.size for f in files if f.wanted and (every or is_video(f.path))}


class TorrentReader:
    """Implements `ports.FileReader` on a file that may not be complete.

    Args:
        availability: its job's data.
        file: which file.
        bitrate: bytes per second of playing, None = not known.
        on_close: called when it gave its place back.
    """

    def __init__(
        self,
        availability: Availability,
        file: MediaFile,
        bitrate: int | None,
        on_close: Callable[[], None],
    ) -> None:
        self._availability = availability
        availability.users += 1
        self._on_close = on_close
        self._file: DiskFile | None = None
        self._turn = 0
        self._busy: asyncio.Future[bytes] | None = None
        self._closed = False
        self.index = file.index
        self.size = file.size
        self.name = file.path.rpartition("/")[2]
        self.at = 0
        self.ahead = 0  # nothing is wanted before the first read says from where
        self._ahead = bytes_ahead(file.size, bitrate)

    def available(self, offset: int) -> int:
        """See `ports.FileReader`."""
        if self._file is not None:
            self._is_current(self._file)  # of one that was deleted nothing is there
        return self._availability.available(self.index, self.size, offset)

    async def read(self, offset: int, length: int) -> bytes:
        """See `ports.FileReader`."""
        if offset >= self.size or length <= 0:
            return b""
        self._move(offset)
        ready = await self._availability.bring(self.index, self.size, offset)
        while (file := self._file) is None or not self._is_current(file):
            await self._availability.bring(self.index, self.size, offset)
            await self._renew()
            ready = await self._availability.bring(self.index, self.size, offset)
        if self._closed:  # meanwhile, by whoever did not wait for this
            file.close()
            raise NotReadable("Nobody reads this file any more.")
        data = file.read_at_once(offset, min(length, ready))
        if data is None:
            self._busy = begin(file.read(offset, min(length, ready)))
            data = await asyncio.shield(self._busy)
        else:
            await asyncio.sleep(0)  # one who reads fast leaves room for others
        self._move(offset + len(data))
        return data

    def _is_current(self, file: DiskFile) -> bool:
        """Whether the open file is the one that is written to."""
        if self._closed or self._turn != self._availability.turn:
            return self._closed
        if self._availability.is_complete or not file.is_deleted:
            return True
        self._availability.lose(self.name)
        return False

    def _move(self, offset: int) -> None:
        before, self.at = self.at, offset
        began, self.ahead = not self.ahead, self._ahead
        if began or self._availability.crossed(self.index, before, offset):
            self._availability.replan()

    async def _renew(self) -> None:
        """Open the file that lies there now, which need not be the one that is open."""
        turn, before = self._availability.turn, self._file
        spare = before if self._availability.is_complete else None  # it may have been moved since
        try:
            file = await self._open(1 if spare is not None else _OPEN_TRIES)
        except DiskError:
            if spare is None:
                raise
            file = spare
        if self._closed:
            file.close()
            raise NotReadable("Nobody reads this file any more.")
        self._file, self._turn = file, turn
        if before is not None and before is not file:
            await before.close_after(self._busy)

    async def _open(self, tries: int) -> DiskFile:
        """Open the file where it lies; it may be on its way into the media root just now."""
        for _ in range(tries):
            path = self._availability.paths.get(self.index)
            held = None if self._availability.held is None else self._availability.held.share()
            try:
                if path is not None:
                    return await DiskFile.open(path)
            except FileNotFoundError:
                pass
            finally:
                if held is not None:
                    held.let_go()
            await asyncio.sleep(_OPEN_AGAIN)
        raise DiskError("The file is not where it should be.")

    async def aclose(self) -> None:
        """See `ports.FileReader`."""
        if self._closed:
            return
        self._closed = True
        self._availability.readers.discard(self)
        self._availability.users -= 1
        self._on_close()
        if self._file is not None:
            await self._file.close_after(self._busy)
