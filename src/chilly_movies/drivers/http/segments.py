"""Which part of a file is fetched next, and over which connection. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from chilly_movies.drivers.http.hosts import Host
from chilly_movies.drivers.http.spans import Spans

SMALLEST = 1 << 20
"""Bytes; a part that is no more than twice as large is not divided."""
_OTHERS_SMALLEST = 64 * 1024
"""Bytes; the same of a part that another place brings, which may be a slow one."""
_SOON = 256 * 1024
"""Bytes; a reader waits for a part that has so few before it, rather than for a new connection."""


@dataclass(eq=False, slots=True)
class Segment:
    """A part of the file that one connection fetches.

    Attributes:
        host: where from.
        at: the next byte.
        end: the one behind the last, None = up to the end of a file of unknown size. It may come
            down while the part is fetched: then another connection has the rest.
        fresh: bytes it brought that were not there before.
        leads: a reader waits for it.
    """

    host: Host
    at: int
    end: int | None
    fresh: int = 0
    leads: bool = False

    @property
    def left(self) -> int:
        """Bytes that are still to come; 0 of an unknown number."""
        return 0 if self.end is None else self.end - self.at


def leading_segment(
    host: Host, spans: Spans, size: int, running: Collection[Segment], places: Iterable[int]
) -> Segment | None:
    """The part that a reader waits for, None if each of them is served soon.

    Args:
        host: where it would come from.
        spans: what is there.
        size: of the file.
        running: the parts that are fetched; one of them is cut if the new one begins in it.
        places: where readers wait, the most urgent first.
    """
    for place in places:
        gap = spans.gap_from(place, size)
        segment = None if gap is None else _cut_out(host, *gap, running)
        if segment is not None:
            segment.leads = True
            return segment
    return None


def next_segment(
    host: Host,
    spans: Spans,
    size: int,
    running: Collection[Segment],
    places: Iterable[int],
    step: int = 1,
) -> Segment | None:
    """The part to begin with, None if all is there or on its way.

    What readers come to is first, then the first that is missing, and then a half of what another
    connection has to do. For the arguments see `leading_segment`; `step` is the length of a piece,
    which comes from one place if that is possible.
    """
    if (leading := leading_segment(host, spans, size, running, places)) is not None:
        return leading
    free = _first_free(spans, size, running)
    if free is not None:
        return Segment(host, *free)
    longest = max(running, key=lambda one: one.left, default=None)
    if longest is None or longest.end is None:
        return None
    if longest.left < 2 * (SMALLEST if longest.host is host else _OTHERS_SMALLEST):
        return None
    middle = longest.at + longest.left // 2
    aligned = middle // step * step
    middle = aligned if aligned > longest.at else middle
    return _cut(host, longest, middle)


def serves(segment: Segment, at: int) -> bool:
    """Whether a part that is fetched has a byte soon."""
    return segment.at <= at < (segment.end or at + 1) and at - segment.at <= _SOON


def _cut_out(host: Host, at: int, end: int, running: Collection[Segment]) -> Segment | None:
    """A part from `at` on, taken from the one it is in; None if that is there soon."""
    if any(serves(segment, at) for segment in running):
        return None
    around = next((s for s in running if s.at <= at < (s.end or at + 1)), None)
    if around is not None:
        return _cut(host, around, at)
    begins = [segment.at for segment in running if at < segment.at]
    return Segment(host, at, min([end, *begins]))


def _cut(host: Host, segment: Segment, at: int) -> Segment:
    rest, segment.end = Segment(host, at, segment.end), at
    return rest


def _first_free(spans: Spans, size: int, running: Iterable[Segment]) -> tuple[int, int] | None:
    """The first part that is neither there nor on its way."""
    taken = Spans(spans)
    for segment in running:
        taken.add(segment.at, size if segment.end is None else segment.end)
    return taken.gap_from(0, size)


class Ramp:
    """How many connections are of use: more as long as more make it faster.

    Args:
        most: never more.

    Attributes:
        allowed: so many.
        has_begun: whether there may be several at all.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._best, self._enough = 0.0, 1
        self._settled_at: float | None = None
        self.allowed = 1
        self.has_begun = False

    def begin(self, size: int) -> None:
        """The server sends parts of a file so large.

        Of a large file all connections are of use at once: many servers send fast at first, so a
        speed that was measured before more were opened would tell nothing of what these bring.
        """
        self.has_begun = True
        useful = max(min(4, 1 + size // (4 * SMALLEST)), size // _FOR_EACH)
        self.allowed = max(self.allowed, min(self._most, useful))

    def measure(self, speed: float, running: int, size: int, now: float) -> None:
        """Takes a speed into account that was reached with so many connections.

        Args:
            speed: bytes per second.
            running: connections.
            size: bytes that are to come still.
            now: seconds that only grow.
        """
        if running < self.allowed or size < 2 * SMALLEST * running:
            return
        if speed > self._best * _GAIN:
            self._best, self._settled_at, self._enough = speed, None, self.allowed
            self.allowed = min(self._most, 2 * self.allowed)
        elif self._settled_at is None:
            self._settled_at, self.allowed = now, self._enough
        elif now - self._settled_at > _AGAIN:
            self._best, self._settled_at = speed / _GAIN, None


_FOR_EACH = 8 << 20
"""Bytes of a file for each connection it is begun with."""
_GAIN = 1.15
"""More connections stay if they make it so much faster."""
_AGAIN = 10.0
"""Seconds after which it is tried again whether more are of use."""
