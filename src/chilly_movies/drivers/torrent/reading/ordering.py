"""What the engine is told to fetch next, so that readers get what they wait for.

While readers follow the download it is sequential, and without any if the job asks for it. For a
reader elsewhere the order is made by piece priorities: those of its window fall with the distance,
all others are lower still. Deadlines come on top; they make the engine take back what it asked for
before, and ask a second peer for what is late. Deadlines alone do not do: the engine looks at them
once a second only, and asks for what it holds equal in random order. Before the first byte came
they slow it down (2 to 4 s to the first piece instead of 0.4 s).

At a seek the pieces that were under way are not wanted for a moment: the engine completes pieces it
has begun before it begins others, whatever their priority, and a reader would wait for one of them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from chilly_movies.drivers.torrent.engine.pieces import Pieces
from chilly_movies.drivers.torrent.reading.windows import Window, deadlines, levels, missing
from chilly_movies.jobs.options import TOP_PRIORITY

_OTHERS = 1
_ENDS_COLD, _ENDS = TOP_PRIORITY - 1, 2
_COLD_WAITS = 5
"""How many seconds of waiting for the first piece of all are patiently borne."""
_COLD_BYTES = 1024 * 1024
"""A torrent that received less is taken for one that has not begun."""
_BEGUN = 16
"""How many pieces from a reader's place on may be under way."""


class Order:
    """The order of one torrent's pieces.

    Attributes:
        ends: the first and last pieces of films: players look at them early.
        due: pieces that have a deadline.
        is_sequential: whether it is while nobody reads.
    """

    def __init__(self) -> None:
        self.ends: set[int] = set()
        self.due: dict[int, int] = {}
        self.is_sequential = False
        self._pieces: Pieces | None = None
        self._usual: Sequence[int] = ()
        self._given: dict[int, int] = {}
        self._made = False
        self._cold = 0
        self._cursor = 0
        self._begun: set[int] = set()
        self._parked: set[int] = set()

    def attach(self, pieces: Pieces, *, read: bool) -> None:
        """A torrent came into the session.

        Args:
            pieces: of the torrent.
            read: somebody waits to read it.
        """
        self._pieces, self._cold, self._usual = pieces, _COLD_WAITS, ()
        pieces.set_sequential(on=read or self.is_sequential)

    def let_be_sequential(self, on: bool) -> None:
        """Whether the download is to be sequential while nobody reads."""
        self.is_sequential = on
        if self._pieces is not None and not self._made:
            self._pieces.set_sequential(on=on)  # a reader's plan sets it anew

    def detach(self) -> None:
        """It left."""
        self._pieces, self._made = None, False
        for pieces in (self.due, self._given, self._begun, self._parked):
            pieces.clear()

    def arrived(self, piece: int) -> bool:
        """A piece came; whether another plan is due."""
        was_cold, self._cold = self._cold, 0
        if (was_due := self.due.pop(piece, None)) is not None:
            self._parked.clear()
        return was_due is not None or bool(was_cold)

    def give_back(self) -> None:
        """Let all pieces have their usual priorities, and none a deadline."""
        if self._pieces is None:
            return
        if self.due:
            self._pieces.clear_deadlines()
        if self._made and self._usual:
            self._pieces.give_priorities(dict(enumerate(self._usual)))
        elif self.due and self._usual:  # a deadline raised them
            self._pieces.give_priorities({p: self._usual[p] for p in self.due})
        self.due, self._given, self._made = {}, {}, False
        self._parked.clear()

    def raise_ends(self) -> None:
        """Let the ends of films come first, where no reader's plan has them already."""
        if self._pieces is not None and not self._made:
            self._pieces.give_priorities(dict.fromkeys(sorted(self.ends), TOP_PRIORITY))

    def began(self) -> None:
        """The engine knows which files are wanted, and begins to fetch.

        When no file was wanted before, which is so of every magnet, it (2.1.1) shows that it is
        sequential and is not, until that is taken away and given again.
        """
        if self._pieces is not None and not self._made:
            self._pieces.set_sequential(on=False)
            self._pieces.set_sequential(on=self.is_sequential)  # readers ask for it themselves

    def renew(self, usual: Sequence[int]) -> None:
        """The engine's own priorities, while nothing of ours is in them."""
        self._usual = [TOP_PRIORITY if p in self.ends and v else v for p, v in enumerate(usual)]
        self._cursor = 0
        if self._pieces is not None and self._pieces.received >= _COLD_BYTES:
            self._cold = 0

    def plan(self, windows: Collection[Window], there: bytearray, piece_size: int) -> None:
        """Readers came, moved or left."""
        if self._pieces is None or not self._usual:
            return
        waits = [(w.start, pieces) for w in windows if (pieces := missing(w, there))]
        first, is_warm = self._next_in_line(there), not self._cold or not windows
        if is_warm and all(pieces[0] == first for _, pieces in waits):
            self.give_back()
            self._pieces.set_sequential(on=bool(windows) or self.is_sequential)
            return
        self._pieces.set_sequential(on=False)
        sought = not self._cold and any(pieces[0] not in self.due for _, pieces in waits)
        self._hurry([] if self._cold else [pieces for _, pieces in waits], piece_size)
        ends = _ENDS_COLD if self._cold else _ENDS
        wanted = {p: ends for p in self.ends if not there[p]}
        for start, pieces in waits:
            for piece, level in levels(pieces, start, piece_size).items():
                wanted[piece] = max(level, wanted.get(piece, 0))
        if sought:
            # what was under way is wanted again only when something came of what is wanted now;
            # the torrent would be finished, for a moment, if nothing else were missing: not then
            in_line = missing(range(first, min(first + _BEGUN, len(there))), there)
            parked = {p for p in self._begun.union(in_line) if not there[p]}.difference(wanted)
            rest = sum(1 for p, usual in enumerate(self._usual) if usual and not there[p])
            self._parked = parked if rest > len(parked) + len(wanted) else set()
        self._begun = {p for _, pieces in waits for p in pieces[:_BEGUN]}
        wanted = dict.fromkeys(self._parked - wanted.keys(), 0) | wanted
        self._give({p: level for p, level in wanted.items() if self._usual[p]})

    def _hurry(self, waiting: Sequence[Sequence[int]], piece_size: int) -> None:
        """Set deadlines. At a seek all anew: with the first one requests under way are canceled."""
        assert self._pieces is not None  # noqa: S101 (for the type checker)
        due = deadlines(waiting, piece_size)
        if any(pieces[0] not in self.due for pieces in waiting) and self.due:
            self._pieces.clear_deadlines()
            self._forget(self.due)
            self.due = {}
        for piece in self.due.keys() - due.keys():
            self._pieces.reset_deadline(piece)
            self._forget([piece])
        for piece, within in due.items():
            if piece not in self.due:
                self._pieces.set_deadline(piece, within)
                self._forget([piece])
        self.due = due

    def _forget(self, pieces: Collection[int]) -> None:
        """The engine changed their priorities by itself."""
        for piece in pieces:
            self._given[piece] = -1

    def _give(self, wanted: dict[int, int]) -> None:
        """Give these pieces these priorities, and all others less."""
        assert self._pieces is not None  # noqa: S101 (for the type checker)
        if not self._made:
            change = {p: min(usual, _OTHERS) for p, usual in enumerate(self._usual)} | wanted
            self._made = True
        else:
            left = self._given.keys() - wanted.keys()
            change = {p: min(self._usual[p], _OTHERS) for p in left}
            change |= {p: level for p, level in wanted.items() if self._given.get(p) != level}
        if change:
            self._pieces.give_priorities(change)
        self._given = wanted

    def _next_in_line(self, there: bytearray) -> int:
        """The first missing wanted piece: what a sequential download fetches next."""
        while self._cursor < len(there) and (there[self._cursor] or not self._usual[self._cursor]):
            self._cursor += 1
        return self._cursor

    def urge(self, piece: int) -> None:
        """It should have come by now: another peer may be asked for it."""
        self._cold = max(0, self._cold - 1)
        if self._pieces is not None and self._parked:
            back = {p: min(self._usual[p], _OTHERS) for p in self._parked}
            self._pieces.give_priorities(back)
            self._given = {p: v for p, v in self._given.items() if p not in self._parked}
            self._parked.clear()
        if self._pieces is not None and not self._cold and piece not in self.due:
            self.due[piece] = 0
            self._pieces.set_deadline(piece, 0)
