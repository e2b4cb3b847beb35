"""What one job moved over all its runs: the engine's counts, and its time by our own clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from chilly_movies.drivers.torrent.engine.figures import TorrentState
from chilly_movies.jobs.figures import Figures
from chilly_movies.runtime.clocks import utc_now

_STANDS_STILL = 10.0
"""Seconds after which the figures of a job that moves nothing are made anew."""


class Tally:
    """The figures of one run of a job.

    The engine tells nothing new of a torrent of which nobody asks anything, so seconds are counted
    here.

    Args:
        known: the job's figures so far, None if there are none.
        clock: monotonic seconds.
        now: the time of day, aware.

    Attributes:
        figures: the newest.
    """

    def __init__(
        self,
        known: Figures | None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.figures = known or Figures()
        self._clock, self._now = clock, now
        self._active = float(self.figures.seconds_active)
        self._seeding = float(self.figures.seconds_seeding)
        self._counted_at = self._made_at = clock()
        self._seen: TorrentState | None = None

    def begin(self) -> None:
        """The engine has the torrent from now on."""
        self._counted_at, self._seen = self._clock(), None

    def count(self, state: TorrentState) -> Figures:
        """The figures at this state; the same object as before while nothing changed for 10 s."""
        at = self._clock()
        passed, self._counted_at = at - self._counted_at, at
        if not state.checking:
            self._active += passed
            self._seeding += passed if state.finished else 0.0
        if state == self._seen and at - self._made_at < _STANDS_STILL:
            return self.figures
        self._active = max(self._active, state.active_time)
        self._seeding = max(self._seeding, state.seeding_time)
        self.figures = self._made_of(state)
        self._seen, self._made_at = state, at
        return self.figures

    def find(self, amount: int) -> None:
        """So many bytes lay here already."""
        self.figures = replace(self.figures, found=self.figures.found + amount)

    def _made_of(self, state: TorrentState) -> Figures:
        before, seen = self.figures, self._seen  # what resume data brings did not move just now
        moved = seen is not None and state.moved != seen.moved
        return Figures(
            uploaded=max(before.uploaded, state.uploaded),
            downloaded=max(before.downloaded, state.downloaded),
            wasted=max(before.wasted, state.wasted),
            found=before.found,
            seconds_active=int(self._active),
            seconds_seeding=int(self._seeding),
            last_activity_at=self._now() if moved else before.last_activity_at,
            distributed_copies=state.copies,
            swarm_seeds=state.swarm_seeds,
            swarm_peers=state.swarm_peers,
        )
