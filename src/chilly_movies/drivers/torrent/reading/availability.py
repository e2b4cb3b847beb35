"""What of one job's data can be read right now, who reads it where, and what is fetched next.

A piece is `there` once its hash was found right, and `safe` once its bytes are in the file, too:
only safe ones are read. Readers see the job's data through this over pauses, retries and
publishing, while torrents come and go below it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, Protocol

import structlog

from chilly_movies.disk.plain import Held
from chilly_movies.drivers.torrent.engine.pieces import Geometry, Pieces
from chilly_movies.drivers.torrent.reading.ordering import Order
from chilly_movies.errors import DiskError
from chilly_movies.runtime.tasks import answer

log = structlog.get_logger(__name__)

_TAIL = 1024 * 1024
"""Bytes at the end of a film that come first, like its first piece: its index may be there."""
_URGE_AFTER = 1.0
"""Seconds of waiting after which a piece gets a deadline even if it is next in line."""
_FLUSH_WITHIN = 20.0


class ReadPosition(Protocol):
    """Where a reader is in a file.

    Attributes:
        index: the file.
        at: the next byte it wants.
        ahead: how many bytes from there it wants to have.
    """

    index: int
    at: int
    size: int
    ahead: int


class Availability:
    """One job's data.

    Attributes:
        readers: who reads it.
        in_use: the job runs, so there may be a torrent in the session at any time.
        paths: where each file lies right now.
        held: their folder, if it is held open; the paths lead through it.
        turn: changes when the files that lie there may be others than before.
        users: how many readers there are, those included that want nothing fetched.
        is_complete: all wanted files are verified on the disk and stay as they are.
        pieces: of the torrent in the session, None while there is none.
    """

    def __init__(self) -> None:
        self.readers: set[ReadPosition] = set()
        self.in_use = False
        self.paths: dict[int, Path] = {}
        self.held: Held | None = None
        self.turn = 0
        self.users = 0
        self.pieces: Pieces | None = None
        self.is_complete = False
        self._geometry: Geometry | None = None
        self._there = bytearray()
        self._safe = bytearray()
        self._unsafe: set[int] = set()
        self._waiting: dict[int, set[asyncio.Future[None]]] = {}
        self._unknown: set[asyncio.Future[None]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flushing: asyncio.Task[None] | None = None
        self._asking: asyncio.Task[None] | None = None
        self._refreshing = 0
        self.order = Order()

    # --- the torrent below ------------------------------------------------------------------

    def put(self, paths: Mapping[int, Path], held: Held | None) -> None:
        """The files lie there from now on; in another folder nothing counts that was known."""
        before, self.held = self.held, None if held is None else held.share()
        self.paths = dict(paths)
        if before is None:
            return
        if held is not None and not held.is_same(before):
            self.turn += 1
            self._there, self._safe = bytearray(len(self._there)), bytearray(len(self._safe))
            self._unsafe = set()
        before.let_go()

    def attach(self, pieces: Pieces) -> None:
        """The job's torrent is in the session from now on."""
        self.pieces = pieces
        pieces.on_arrival = self._arrived
        pieces.on_check = self._checked
        self.order.attach(pieces, read=bool(self.readers))

    async def learn(self, early: Mapping[int, int]) -> None:
        """The metadata is known, or priorities changed: fetch the ends of some files first.

        Args:
            early: indices and sizes of these files.
        """
        if self.pieces is None or not self._read_geometry():
            return
        assert self._geometry is not None  # noqa: S101 (for the type checker)
        self.order.ends = set()
        for index, size in early.items():
            tail = min(size, _TAIL)
            spans = ((0, 1), (size - tail, tail)) if size else ()
            self.order.ends.update(p for s in spans for p in self._geometry.span(index, *s))
        self.order.began()
        if self.readers:  # what they wait for comes before the ends
            await self.refresh()
        self.order.raise_ends()

    async def choose(self, priorities: Mapping[int, int], early: Mapping[int, int]) -> None:
        """Give files these priorities; `early` as for `learn`."""
        if self.pieces is None:
            return
        self._refreshing += 1
        try:
            self.order.give_back()
            await self.pieces.set_files(priorities)
        finally:
            self._refreshing -= 1
        await self.learn(early)

    def _read_geometry(self) -> bool:
        if self.pieces is not None:
            self._geometry = self.pieces.geometry() or self._geometry
        return self._geometry is not None

    async def refresh(self) -> None:
        """Ask the engine which pieces are there; from then on it tells of each that arrives."""
        pieces = self.pieces
        if pieces is None or not self._read_geometry():
            return
        self._refreshing += 1  # nothing is ordered meanwhile: what is asked for is the usual order
        try:
            self.order.give_back()
            usual = await asyncio.to_thread(pieces.priorities)
            there = await pieces.there()
        except RuntimeError:  # it left the session meanwhile
            return
        finally:
            self._refreshing -= 1
        if self.pieces is pieces:
            self.order.renew(usual)
            self._take(there)

    def _take(self, there: bytearray) -> None:
        """The engine's answer, with what it told of while the answer was on its way."""
        count = self._geometry.count if self._geometry else 0
        if len(there) != count:
            there = bytearray(count)
        for piece in self._unsafe:
            there[piece] = 1
        if len(self._safe) != count:
            self._safe = bytearray(count)
        self._there = there
        self._safe = bytearray(a & b for a, b in zip(self._safe, there, strict=True))
        self._unsafe = {i for i in range(count) if there[i] and not self._safe[i]}
        for waiting in tuple(self._unknown):
            answer(waiting, None)
        self._wake_all()
        self._flush_if_wanted()
        self.replan()

    def _arrived(self, piece: int) -> None:
        if piece >= len(self._there) or self._there[piece]:
            return
        self._there[piece] = 1
        self._unsafe.add(piece)
        if self.order.arrived(piece):
            self.replan()
        if piece in self._waiting:
            self._flush_if_wanted()

    def _checked(self) -> None:
        """The files were compared with their hashes: what was known before counts no more.

        Readers wait until the engine has said what is right. Pieces that arrive before it did are
        noted, so the table keeps its length. Files that were compared need not be those that are
        open.
        """
        count, is_known = len(self._there), bool(self._there) or self.is_complete
        self.is_complete = False
        self.turn += 1
        self._there, self._safe, self._unsafe = bytearray(count), bytearray(count), set()
        if is_known:
            self._asking = self._spawn(self.refresh())

    def lose(self, name: str) -> None:
        """A file was deleted or replaced: nothing of it counts until all was compared again."""
        count = len(self._there)
        self.turn += 1
        self._there, self._safe, self._unsafe = bytearray(count), bytearray(count), set()
        if self.pieces is not None:
            self.pieces.lose(DiskError(f"The unfinished file '{name}' was taken away or replaced."))

    async def wait_written(self) -> None:
        """Wait until everything that arrived is in its file, or the engine does not answer."""
        try:
            async with asyncio.timeout(_FLUSH_WITHIN):
                if self._asking is not None:
                    await asyncio.wait([self._asking])
                while self._unsafe and self.pieces is not None:
                    await asyncio.wait([self._flush_soon()])
        except TimeoutError:
            log.warning("the engine did not write in time what arrived")

    async def detach(self) -> None:
        """The job's torrent is about to leave the session."""
        await self.wait_written()
        if self.pieces is not None:
            self.pieces.on_arrival = self.pieces.on_check = None
            self.pieces.gone()
            self.pieces = None
        self.order.detach()

    def complete(self) -> None:
        """All wanted files are verified on the disk and stay as they are."""
        self.is_complete = True
        self.turn += 1
        for waiting in tuple(self._unknown):
            answer(waiting, None)
        self._wake_all()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # --- from arrived to safe ---------------------------------------------------------------

    def _flush_if_wanted(self) -> None:
        if self._unsafe and any(piece in self._unsafe for piece in self._waiting):
            self._flush_soon()

    def _flush_soon(self) -> asyncio.Task[None]:
        async def flush() -> None:
            try:
                if self.pieces is None:
                    return
                flushed = tuple(self._unsafe)
                await self.pieces.flush()
                for piece in flushed:
                    if piece in self._unsafe:  # not taken back by a check meanwhile
                        self._unsafe.discard(piece)
                        self._safe[piece] = 1
                        self._wake(piece)
            finally:
                self._flushing = None
            if self.pieces is not None:
                self._flush_if_wanted()

        if self._flushing is None:
            self._flushing = self._spawn(flush())
        return self._flushing

    def _wake(self, piece: int) -> None:
        for waiting in tuple(self._waiting.get(piece, ())):
            answer(waiting, None)

    def _wake_all(self) -> None:
        for piece in tuple(self._waiting):
            if self.is_complete or self._safe[piece]:
                self._wake(piece)

    # --- reading ----------------------------------------------------------------------------

    def available(self, index: int, size: int, offset: int) -> int:
        """Bytes of a file from `offset` on that have arrived, without a gap."""
        return self._run(self._there, index, size, offset)

    def _run(self, pieces: bytearray, index: int, size: int, offset: int) -> int:
        if offset >= size or self.is_complete:
            return max(0, size - offset)
        if self._geometry is None or not pieces:
            return 0
        start, piece_size = self._geometry.files[index][0], self._geometry.piece_size
        gap = pieces.find(0, (start + offset) // piece_size)
        end = size if gap < 0 else gap * piece_size - start
        return max(0, min(end, size) - offset)

    async def bring(self, index: int, size: int, offset: int) -> int:
        """Wait until the byte at `offset` is safe; how many from there on are."""
        while not (ready := self._run(self._safe, index, size, offset)):
            if self._geometry is None or not self._there:
                await self._wait_in(self._unknown)
                continue
            piece = self._geometry.span(index, offset, 1)[0]
            try:
                waiting = self._waiting.setdefault(piece, set())
                self._flush_if_wanted()
                async with asyncio.timeout(_URGE_AFTER):
                    await self._wait_in(waiting)
            except TimeoutError:
                if not self._there[piece]:
                    self.order.urge(piece)
            finally:
                if not self._waiting.get(piece):
                    self._waiting.pop(piece, None)
        return ready

    async def _wait_in(self, waiting: set[asyncio.Future[None]]) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting.add(future)
        try:
            await future
        finally:
            waiting.discard(future)

    # --- what is fetched next ---------------------------------------------------------------

    def replan(self) -> None:
        """Readers came, moved or left: tell the engine what is wanted in a hurry now."""
        if self._geometry is None or not self._there or self._refreshing:
            return
        windows = []
        for reader in self.readers:
            length = min(reader.ahead, reader.size - reader.at)
            span = self._geometry.span(reader.index, reader.at, length) if length > 0 else range(0)
            windows.append(span)
        self.order.plan(windows, self._there, self._geometry.piece_size)

    def crossed(self, index: int, before: int, after: int) -> bool:
        """Whether two places in a file lie in different pieces."""
        if self._geometry is None:
            return False
        start, size = self._geometry.files[index][0], self._geometry.piece_size
        return (start + before) // size != (start + after) // size
