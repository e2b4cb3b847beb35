"""What one job moved over all its runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from chilly_movies.jobs.figures import Figures
from chilly_movies.runtime.clocks import utc_now


class Tally:
    """The figures of one run of a job.

    Args:
        known: the job's figures so far, None if there are none.
        clock: seconds that only grow.
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
        self.figures = self._known = known or Figures()
        self._clock, self._now = clock, now
        self._began = clock()
        self._wasted = 0

    def waste(self, count: int) -> None:
        """So many bytes that came are given up."""
        self._wasted += count

    def count(self, received: int, repeated: int) -> None:
        """Takes the counts of the run so far.

        Args:
            received: payload bytes that came.
            repeated: those of them that were there already.
        """
        known, before = self._known, self.figures
        moved = known.downloaded + received > before.downloaded
        self.figures = replace(
            before,
            downloaded=max(before.downloaded, known.downloaded + received),
            wasted=max(before.wasted, known.wasted + self._wasted + repeated),
            seconds_active=known.seconds_active + int(self._clock() - self._began),
            last_activity_at=self._now() if moved else before.last_activity_at,
        )
