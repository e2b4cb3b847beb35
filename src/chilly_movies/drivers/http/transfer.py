"""Brings a file over several connections: begins and ends segments, and says what goes on."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress

from chilly_movies.drivers.http.answers import Part
from chilly_movies.drivers.http.arrival import Arrival, SourceChangedError
from chilly_movies.drivers.http.documents import MetalinkFoundError, is_document, read_document
from chilly_movies.drivers.http.hosts import Host, Version, why_dropped, why_nothing, worst
from chilly_movies.drivers.http.requests import Answer, Requests
from chilly_movies.drivers.http.segments import (
    Ramp,
    Segment,
    leading_segment,
    next_segment,
    serves,
)
from chilly_movies.drivers.http.trust import Trust, dropped
from chilly_movies.errors import DiskError, DownloadError, SourceUnavailable
from chilly_movies.net.limiter import Share

_BLOCK = 256 * 1024
_PATIENT = 0.05
"""Seconds a block may take to become so large, if no reader waits for it."""
_LEADING = 3.0
"""Seconds for which all other connections leave the way to a reader that waits."""
_MEASURE = 0.3
"""Seconds between two looks at the speed."""
_ALONE, _ALONE_BYTES = 0.1, 256 * 1024
"""Seconds, or bytes, for which the first connection is alone: whoever started a film to watch it
asks for its beginning at once, and other connections would take the line from that."""
_MOST = 16
"""Connections to all places together."""
_WINDOW = 3.0
"""Seconds over which the speed is shown."""


class Transfer:
    """The connections of one run of a job.

    Args:
        arrival: the file.
        hosts: where it comes from; more may be added while it runs.
        source: the one of them that says what the file is, None if a metalink did.
        trust: judges them.
        requests: asks them.
        share: says how many bytes may pass.
        begin: called with the first answer, before any byte is written, and whether it is the
            source's.

    Attributes:
        hosts: the same.
        received: payload bytes that came.
        dropped: those of them that another connection brings, or brought.
    """

    def __init__(
        self,
        arrival: Arrival,
        hosts: list[Host],
        source: Host | None,
        trust: Trust,
        requests: Requests,
        share: Share,
        begin: Callable[[Answer, bool], Awaitable[None]],
    ) -> None:
        self.arrival, self.hosts = arrival, hosts
        self.received = self.dropped = 0
        self._source, self._trust = source, trust
        self._requests, self._share, self._begin = requests, share, begin
        self._has_begun = False
        self._alone_since: float | None = None
        self._clock = asyncio.get_running_loop().time
        self._ramp = Ramp(min(_MOST, sum(host.most for host in hosts)))
        self._tasks: dict[asyncio.Task[None], Segment] = {}
        self._news = asyncio.Event()
        self._problem: BaseException | None = None
        self._gave_at = 0.0
        self._moved: deque[tuple[float, int]] = deque([(self._clock(), 0)])
        self._measured: tuple[float, int] = self._moved[0]

    @property
    def segments(self) -> list[Segment]:
        """The parts that are fetched now, without those that give way."""
        return [segment for task, segment in self._tasks.items() if not task.cancelling()]

    @property
    def speed(self) -> int:
        """Bytes per second of late."""
        (then, before), (now, after) = self._moved[0], (self._clock(), self.received)
        return int((after - before) / max(0.5, now - then))

    @property
    def reason(self) -> str | None:
        """One clause for why nothing comes, None if something does."""
        fault = why_dropped(self.hosts)
        if self.speed and self._tasks:
            return fault
        waits = why_nothing(self.hosts, self._clock())
        return waits or fault or "waiting for the link's server to answer"

    def wake(self) -> None:
        """A reader waits, or a place was added."""
        self._news.set()

    async def step(self, tick: float) -> None:
        """Begins what may begin, and waits for news, at most for so many seconds.

        Raises:
            SourceChangedError: the file is another one now.
            DownloadError: no place sends anything more, or the disk refused.
        """
        self._fill()
        with suppress(TimeoutError):
            async with asyncio.timeout(tick):
                await self._news.wait()
        self._news.clear()
        if self._problem is not None:
            raise self._problem
        is_idle = not (self._tasks or self.arrival.is_complete or self._trust.is_behind)
        if is_idle and all(host.given_up is not None for host in self.hosts):
            raise worst(self.hosts)
        self._measure()

    async def aclose(self) -> None:
        """Ends all connections. Idempotent."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    # --- which connections there are --------------------------------------------------------

    def _fill(self) -> None:
        """Begin as many segments as are of use now; where a reader jumped to comes first."""
        for task, running in self._tasks.items():
            if running.host.given_up is not None:
                task.cancel()
        self._begin_ramp()
        places = self.arrival.jumped(self._clock(), _LEADING)
        if places and any(host.ranges for host in self.hosts):
            self._give_way(places[0])
        elif any(reader.waits for reader in self.arrival.readers):
            self._give_one()
        while not self.arrival.is_complete:
            if not places and len(self._tasks) >= self._allowed:
                return
            if (segment := self._next(places)) is None:
                return
            task = asyncio.create_task(self._run(segment), name=f"segment at {segment.at}")
            self._tasks[task] = segment
            task.add_done_callback(self._ended)

    def _begin_ramp(self) -> None:
        """Let there be several connections once the first one had its time alone."""
        if self._alone_since is None or self._ramp.has_begun or self.arrival.size is None:
            return
        alone = self._clock() - self._alone_since
        if alone >= _ALONE or self.received >= _ALONE_BYTES:
            self._ramp.begin(self.arrival.size)

    def _give_way(self, place: int) -> None:
        """End all segments but the one that brings what a reader waits for."""
        gap = self.arrival.spans.gap_from(place, self.arrival.size or 0)
        for task, segment in self._tasks.items():
            if gap is not None and not task.cancelling() and not serves(segment, gap[0]):
                task.cancel()

    def _give_one(self) -> None:
        """End the segment that is the least use to readers, now and then, if there is no room."""
        now = self._clock()
        if len(self._tasks) < self._allowed or now - self._gave_at < _MEASURE:
            return
        for task, segment in self._tasks.items():
            if not task.cancelling() and not self.arrival.is_near(segment.at, segment.end):
                self._gave_at = now
                task.cancel()
                return

    @property
    def _allowed(self) -> int:
        """How many connections there may be: one more for each place that has none."""
        if self.arrival.size is None:
            return self._ramp.allowed
        idle = (host for host in self.hosts if host.given_up is None and host.ranges is not False)
        return self._ramp.allowed + sum(not self._running_of(host) for host in idle)

    def _next(self, places: list[int]) -> Segment | None:
        """The next segment; only one that leads if a reader jumped to one of the places."""
        now, running = self._clock(), self.segments
        for host in sorted(self.hosts, key=self._running_of):
            size, spans = self.arrival.size, self.arrival.spans
            if not host.has_room(self._running_of(host), now):
                continue
            if not places and self._running_of(host) and len(running) >= self._ramp.allowed:
                continue  # the rest is for the places that have none
            others = any(segment.host is not host for segment in running)
            if host is not self._source and not self._trust.may_begin(host, others=others):
                continue
            is_probe = size is not None and host.ranges is None and bool(running)
            if size is None or not (host.ranges or is_probe):
                if running:
                    continue
                gap = (0, None) if size is None else spans.gap_from(0, size)
                return None if gap is None else Segment(host, *gap)
            if places:
                return leading_segment(host, spans, size, running, places)
            coming, step = self.arrival.coming(), self.arrival.step
            segment = next_segment(host, spans, size, running, coming, step)
            if segment is not None:
                return segment
        return None

    def _running_of(self, host: Host) -> int:
        return sum(segment.host is host for segment in self._tasks.values())

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Learn from how a segment ended."""
        segment = self._tasks.pop(task)
        self._news.set()
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, DownloadError) and not isinstance(error, DiskError):
            host = segment.host
            others = self._running_of(host)
            host.failed(error, self._clock(), moved=segment.fresh, others=others)
        else:
            self._problem = self._problem or error

    def _measure(self) -> None:
        now = self._clock()
        if now - self._moved[-1][0] >= _MEASURE:
            self._moved.append((now, self.received))
        while len(self._moved) > 2 and now - self._moved[0][0] > _WINDOW:
            self._moved.popleft()
        then, before = self._measured
        if now - then >= _MEASURE and self.arrival.size is not None:
            left = self.arrival.size - self.arrival.spans.total
            speed = (self.received - before) / (now - then)
            self._ramp.measure(speed, len(self._tasks), left, now)
            self._measured = now, self.received

    # --- one connection ---------------------------------------------------------------------

    async def _run(self, segment: Segment) -> None:
        host, condition = segment.host, segment.host.version.condition
        if host is not self._source:
            await self._trust.admit(host, self._requests)
        opened = self._requests.open(host, segment.at, segment.end, condition)
        async with opened as answer:
            if host is self._source and not self.arrival.spans.total and is_document(answer):
                silence = self._requests.patience.silence
                raise MetalinkFoundError(await read_document(answer, silence))
            self._compare(host, answer.part)
            if not self._has_begun:
                self._has_begun = True
                await self._begin(answer, host is self._source)
            self._accept(segment, answer.part)
            await self._receive(segment, answer)

    def _compare(self, host: Host, part: Part) -> None:
        """Compare an answer with what is known of the file.

        Raises:
            SourceChangedError: it is of another version.
            SourceUnavailable: it is of another file.
        """
        known = Version(size=self.arrival.size)
        if not (host.version.differs(part.version) or known.differs(part.version)):
            return
        if host is self._source:
            raise SourceChangedError
        what = "a file of another size" if known.differs(part.version) else "another file now"
        host.given_up = dropped(host, f"has {what}")
        raise host.given_up

    def _accept(self, segment: Segment, part: Part) -> None:
        """Learn from an answer.

        Raises:
            SourceUnavailable: another connection has the file from its beginning already.
        """
        host, arrival = segment.host, self.arrival
        host.version = part.version if host.version == Version() else host.version
        host.ranges = part.ranges and part.total is not None
        if arrival.size is None and part.total is not None:
            arrival.fit(part.total)
        segment.end = arrival.size if segment.end is None else segment.end
        if host.ranges and arrival.size is not None:
            self._alone_since = self._alone_since or self._clock()
        elif len(self._tasks) > 1:
            raise SourceUnavailable(f"{host.name} sends no parts of the file.")
        self._news.set()

    async def _receive(self, segment: Segment, answer: Answer) -> None:
        """Write what comes until the segment ends; where it does may change meanwhile."""
        at, silence, began = answer.part.begin, self._requests.patience.silence, segment.at
        while segment.end is None or segment.at < segment.end:
            hurry = segment.leads or any(reader.waits for reader in self.arrival.readers)
            room = self._share.portion
            block = await answer.block(min(_BLOCK, room), 0.0 if hurry else _PATIENT, silence, room)
            if not block:
                break
            self.received += len(block)
            if not self._ramp.has_begun:
                self._news.set()
            await self._share.take(len(block))
            known, whole = max(0, segment.at - at), len(block)
            at += whole
            block = block[known:]
            if segment.end is not None:
                block = block[: max(0, segment.end - segment.at)]
            self.dropped += whole - len(block)
            if block:
                try:
                    new = await self.arrival.write(segment.at, block)
                finally:  # who is cancelled has written it all the same
                    self._trust.wrote(segment.host, segment.at, segment.at + len(block))
                if self._trust.is_behind or any(one.ranges is None for one in self.hosts):
                    self._news.set()
                segment.at, segment.fresh = segment.at + len(block), segment.fresh + new
                segment.host.sent(len(block), new)
        if segment.end is None and not answer.part.ranges:
            self.arrival.fit(segment.at)
        elif segment.end is not None and segment.at == began < segment.end:
            raise SourceUnavailable(f"{segment.host.name} sends no more of the file.")
