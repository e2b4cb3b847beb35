"""Which parts of a file are there: half-open ranges of bytes that do not touch. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator


class Spans:
    """A set of bytes, kept as ranges in ascending order.

    Args:
        pairs: first byte, and the one behind the last.
    """

    def __init__(self, pairs: Iterable[tuple[int, int]] = ()) -> None:
        self._begins: list[int] = []
        self._ends: list[int] = []
        self.total = 0
        for begin, end in pairs:
            self.add(begin, end)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(zip(self._begins, self._ends, strict=True))

    def add(self, begin: int, end: int) -> int:
        """Add a range; how many bytes of it are new."""
        if end <= begin:
            return 0
        first = bisect_left(self._ends, begin)
        last = bisect_right(self._begins, end)
        known = sum(self._ends[i] - self._begins[i] for i in range(first, last))
        if first < last:
            begin, end = min(begin, self._begins[first]), max(end, self._ends[last - 1])
        self._begins[first:last], self._ends[first:last] = [begin], [end]
        new = end - begin - known
        self.total += new
        return new

    def remove(self, begin: int, end: int) -> int:
        """Take a range away; how many bytes of it were there."""
        if end <= begin:
            return 0
        kept = [(b, e) for b, e in self if e <= begin or b >= end]
        kept += [(b, begin) for b, e in self if b < begin < e]
        kept += [(end, e) for b, e in self if b < end < e]
        kept.sort()
        self._begins, self._ends = [b for b, _ in kept], [e for _, e in kept]
        before, self.total = self.total, sum(e - b for b, e in kept)
        return before - self.total

    def run_from(self, at: int) -> int:
        """The first byte from `at` on that is not there: `at` itself if that one is not."""
        place = bisect_right(self._begins, at) - 1
        return max(at, self._ends[place]) if place >= 0 else at

    def gap_from(self, at: int, size: int) -> tuple[int, int] | None:
        """The first range from `at` on that is not there, None if there is none up to `size`."""
        begin = self.run_from(at)
        place = bisect_right(self._begins, begin)
        end = self._begins[place] if place < len(self._begins) else size
        return (begin, min(end, size)) if begin < size else None

    def gaps(self, size: int) -> Iterator[tuple[int, int]]:
        """Yields every range that is not there, up to `size`."""
        at = 0
        while (gap := self.gap_from(at, size)) is not None:
            yield gap
            at = gap[1]
