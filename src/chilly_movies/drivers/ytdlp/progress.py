"""How far a film is, from what the child says. Pure, but for the clock."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from chilly_movies.drivers.ytdlp import words
from chilly_movies.drivers.ytdlp.staged import film_name
from chilly_movies.jobs import models as m

_SPAN = 5.0
"""Seconds that the speed is the mean of."""
_READING = "the page is being read"
_IN_PARTS = "it can be watched when its parts are there and joined"
_AT_THE_END = "it can be watched when it is complete"
_ANEW = "the film changed at its source, so it is fetched from the beginning"
_JOINING = "the film is being put together"


class Standing:
    """How far one run is.

    Args:
        identities: what the job is known by before the page was read.
        clock: seconds that only grow.

    Attributes:
        title: the film's, None before it is known.
    """

    def __init__(
        self, identities: tuple[str, ...], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.title: str | None = None
        self._identities = identities
        self._clock = clock
        self._found: words.Found | None = None
        self._moved: words.Moved | None = None
        self._joining = self._anew = False
        self._untold: m.SourceFacts | None = None
        self._seen: deque[tuple[float, int]] = deque()

    @property
    def may_be_silent(self) -> bool:
        """Whether what is done now says nothing for long: joining, and waiting for a server."""
        return self._moved is not None or self._joining

    def take(self, word: words.AnyWord | None) -> None:
        """Takes over what the child said."""
        if isinstance(word, words.Found):
            self._found, self.title = word, word.title or None
        elif isinstance(word, words.Moved):
            is_first = self._moved is None or self._size(self._moved) != self._size(word)
            self._moved = word
            if is_first:
                self._untold = self._facts_now()
        elif isinstance(word, words.Anew):
            self._seen.clear()
            self._anew = True
        elif isinstance(word, words.Joining):
            self._joining = True

    @staticmethod
    def _size(moved: words.Moved) -> int:
        """Of the film, as far as it is certain."""
        return moved.total if moved.readable and moved.exact and moved.total else 0

    def _facts_now(self) -> m.SourceFacts | None:
        if self._found is None or self._moved is None:
            return None
        name = film_name(self.title, self._found.suffix)
        return self.facts(name, (m.MediaFile(0, name, self._size(self._moved)),))

    def facts(self, name: str, files: tuple[m.MediaFile, ...]) -> m.SourceFacts:
        """What is known of the film.

        Args:
            name: how it is called if its page does not say.
            files: what it consists of.
        """
        found = self._found
        known = () if found is None or found.identity is None else (f"page:{found.identity}",)
        note = None
        if found is not None and found.entries > 1:
            note = f"The page shows {found.entries} films; this is the first."
        return m.SourceFacts((*self._identities, *known), self.title or name, files, note)

    def report(self) -> m.Report:
        """Where it stands; facts, and that it began anew, are told once."""
        if self._anew:
            self._anew = False
            return m.Report(m.Progress(phase=m.Phase.METADATA), _ANEW, anew=True)
        facts, self._untold = self._untold, None
        if self._moved is None:
            return m.Report(m.Progress(phase=m.Phase.METADATA), _READING)
        done, total = self._moved.done, self._moved.total
        speed = 0 if self._joining else self._speed(done)
        progress = m.Progress(
            percent=min(99.9, 100 * done / total) if total else 0.0,
            bytes_downloaded=done,
            bytes_total=total,
            download_speed=speed,
            time_remaining=(total - done) // speed if total and speed else None,
            phase=m.Phase.POST_PROCESSING if self._joining else m.Phase.DOWNLOADING,
        )
        return m.Report(progress, self._reason(), facts, needs=self._needs())

    def _needs(self) -> int | None:
        """Bytes to be written: what is missing, and once more everything if parts are joined."""
        moved = self._moved
        if moved is None or moved.total is None:
            return None
        joins = self._found is not None and self._found.joins
        return moved.total - moved.done + (moved.total if joins else 0)

    def _reason(self) -> str | None:
        if self._joining:
            return _JOINING
        if self._found is not None and self._found.joins:
            return _IN_PARTS
        return None if self._moved is None or self._size(self._moved) else _AT_THE_END

    def _speed(self, done: int) -> int:
        now = self._clock()
        if self._seen and done < self._seen[-1][1]:
            self._seen.clear()
        self._seen.append((now, done))
        while now - self._seen[0][0] > _SPAN:
            self._seen.popleft()
        began, before = self._seen[0]
        return int((done - before) / (now - began)) if now > began else 0
