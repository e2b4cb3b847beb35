"""The pieces of a file and their hashes: which are to be compared, and which are right. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

from chilly_movies.drivers.http.metalink import Pieces
from chilly_movies.drivers.http.spans import Spans

Covers = Callable[[int, int], bool]
"""Whether all bytes of a range have arrived."""


class PieceCheck:
    """What is known of the pieces of one file.

    Args:
        pieces: their hashes.
        size: bytes of the file.

    Attributes:
        length: bytes of a piece; the last one may be shorter.
        right: the bytes of the pieces whose hash was compared and is right.
    """

    def __init__(self, pieces: Pieces, size: int) -> None:
        self._pieces = pieces
        self._size = size
        self._taken: set[int] = set()
        self.length = pieces.length
        self.right = Spans()

    def span(self, number: int) -> tuple[int, int]:
        """The first byte of a piece, and the one behind its last."""
        begin = number * self.length
        return begin, min(self._size, begin + self.length)

    def take_due(self, begin: int, end: int, covers: Covers) -> Iterator[int]:
        """Yields the pieces that are to be compared now that a range was written, each once.

        Args:
            begin: the first byte that was written.
            end: the one behind the last.
            covers: tells which pieces are whole.
        """
        last = min(len(self._pieces.digests), -(-end // self.length))
        for number in range(begin // self.length, last):
            span = self.span(number)
            known = self.right.run_from(span[0]) >= span[1]
            if number not in self._taken and not known and covers(*span):
                self._taken.add(number)
                yield number

    def digest(self, data: bytes) -> bytes:
        """The hash of some bytes, of the kind that pieces have."""
        return hashlib.new(self._pieces.kind, data, usedforsecurity=False).digest()

    def judge(self, number: int, digest: bytes) -> bool:
        """Whether a piece that was taken has the right hash; if not it will be due again."""
        self._taken.discard(number)
        if digest != self._pieces.digests[number]:
            return False
        self.right.add(*self.span(number))
        return True
