"""What the engine knows of one torrent's pieces, and in which order it is to fetch them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate

import libtorrent as lt

from chilly_movies.errors import DiskError
from chilly_movies.runtime.tasks import answer

_AS_TEXT = bytes([48, *[49] * 255])
"""The signs 0 and 1 for bytes that are 0 or not."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where files lie in the pieces.

    Attributes:
        piece_size: bytes of every piece but the last.
        count: how many pieces there are.
        files: file index to the file's first byte in the torrent, and its size.
    """

    piece_size: int
    count: int
    files: Mapping[int, tuple[int, int]]

    def span(self, index: int, offset: int, length: int) -> range:
        """The pieces that hold these bytes of a file; the length is at least 1."""
        start = self.files[index][0] + offset
        return range(start // self.piece_size, (start + length - 1) // self.piece_size + 1)


class Pieces:
    """One torrent's pieces in the engine.

    Attributes:
        on_arrival: called with the number of each piece whose hash was found right.
        on_check: called when the engine compared the files on disk with their hashes.
        on_loss: called when a file is not the one any more that was written to.
        received: payload bytes that had come from peers when `there` was last asked.
    """

    def __init__(self, handle: lt.torrent_handle) -> None:
        self._handle = handle
        self._flushes: list[asyncio.Future[None]] = []
        self._settings: list[asyncio.Future[None]] = []
        self.on_arrival: Callable[[int], None] | None = None
        self.on_check: Callable[[], None] | None = None
        self.on_loss: Callable[[DiskError], None] | None = None
        self.received = 0

    def geometry(self) -> Geometry | None:
        """Where files lie, None before the metadata is known."""
        info = self._handle.torrent_file()
        if info is None:
            return None
        layout = info.layout()
        files = {i: (layout.file_offset(i), layout.file_size(i)) for i in range(layout.num_files())}
        return Geometry(info.piece_length(), info.num_pieces(), files)

    async def there(self) -> bytearray:
        """One byte per piece, 1 for those whose hash was found right; empty if none is known."""
        status = await asyncio.to_thread(self._handle.status, lt.torrent_handle.query_pieces)
        self.received = status.total_payload_download
        return bytearray(status.pieces)

    async def bytes_done(self) -> list[int]:
        """Verified bytes of each file."""
        whole = lt.file_progress_flags_t.piece_granularity
        return list(await asyncio.to_thread(self._handle.file_progress, whole))

    def arrived(self, piece: int) -> None:
        """The hash of a piece was found right."""
        if self.on_arrival is not None:
            self.on_arrival(piece)

    def checked(self) -> None:
        """The engine compared the files on disk with their hashes."""
        if self.on_check is not None:
            self.on_check()

    def lose(self, error: DiskError) -> None:
        """A file is not the one any more that was written to: the torrent cannot go on."""
        if self.on_loss is not None:
            self.on_loss(error)

    async def flush(self) -> None:
        """Wait until all that arrived so far was handed to the file system.

        A piece counts as there while its bytes still wait in the engine's memory: reading the
        file at once gave wrong bytes for 43 of 100 pieces at full speed.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._flushes.append(done)
        self._handle.flush_cache()
        await done

    def flushed(self) -> None:
        """The engine answers the oldest flush."""
        if self._flushes:
            answer(self._flushes.pop(0), None)

    def priorities_set(self) -> None:
        """The engine took over file priorities."""
        waiting, self._settings = self._settings, []
        for future in waiting:
            answer(future, None)

    def gone(self) -> None:
        """The torrent left the session: nothing is answered any more."""
        for future in [*self._flushes, *self._settings]:
            answer(future, None)
        self._flushes, self._settings = [], []

    async def set_files(self, priorities: Mapping[int, int]) -> None:
        """Give files these priorities, 0 = not wanted; returns when the engine has done so.

        Before the metadata is known the engine would never answer.
        """
        if self._handle.torrent_file() is None:
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._settings.append(done)
        current = self._handle.get_file_priorities()
        wanted = [priorities.get(i, current[i]) for i in range(len(current))]
        self._handle.prioritize_files(wanted)
        await done

    def give_priorities(self, priorities: Mapping[int, int]) -> None:
        """Give each of these pieces its own priority."""
        self._handle.prioritize_pieces(list(priorities.items()))

    def set_deadline(self, piece: int, milliseconds: int) -> None:
        """The piece is wanted within so many milliseconds."""
        self._handle.set_piece_deadline(piece, milliseconds)

    def reset_deadline(self, piece: int) -> None:
        """The piece is not wanted in a hurry any more."""
        self._handle.reset_piece_deadline(piece)

    def clear_deadlines(self) -> None:
        """No piece is wanted in a hurry any more."""
        self._handle.clear_piece_deadlines()

    def priorities(self) -> list[int]:
        """The priority of every piece."""
        return list(self._handle.get_piece_priorities())

    def set_sequential(self, *, on: bool) -> None:
        """Ask for pieces in file order."""
        flag = lt.torrent_flags.sequential_download
        (self._handle.set_flags if on else self._handle.unset_flags)(flag)


def done_in(resume: bytes) -> dict[int, int]:
    """Verified bytes of each file as resume data knows them; empty if it is not usable."""
    try:
        params = lt.read_resume_data(resume)
    except RuntimeError:
        return {}
    if params.ti is None:
        return {}
    layout, size = params.ti.layout(), params.ti.piece_length()
    sums = list(accumulate((size if there else 0 for there in params.have_pieces), initial=0))
    done: dict[int, int] = {}
    for i in range(layout.num_files() if len(sums) > 1 else 0):
        start, length = layout.file_offset(i), layout.file_size(i)
        done[i] = _before(sums, size, start + length) - _before(sums, size, start)
    return done


def _before(sums: list[int], size: int, offset: int) -> int:
    """Verified bytes before this one: whole pieces, and a share of the one it lies in."""
    piece, rest = divmod(offset, size)
    whole = sums[min(piece, len(sums) - 1)]
    return whole + (rest if piece + 1 < len(sums) and sums[piece + 1] > sums[piece] else 0)


def bits(there: Iterable[int]) -> bytes:
    """One bit for each, the first one the highest of the first byte (BEP 3)."""
    text = bytes(there).translate(_AS_TEXT)
    size = -(-len(text) // 8)
    return int(text.ljust(8 * size, b"0") or b"0", 2).to_bytes(size, "big")
