"""How long a source sends nothing; pure."""

from __future__ import annotations

from chilly_movies.jobs.models import Phase, Progress

_FETCHING = (None, Phase.METADATA, Phase.DOWNLOADING)
"""The phases in which data is to come."""


class Silence:
    """Measures how long one attempt is without data.

    Args:
        now: seconds that only grow, at its beginning.
    """

    def __init__(self, now: float) -> None:
        self._since = now
        self._known: tuple[Phase | None, int] = (None, 0)

    def lasts(self, progress: Progress, now: float, *, halted: bool) -> float:
        """Seconds without data up to now.

        Args:
            progress: of the newest report.
            now: seconds that only grow.
            halted: we may not send or receive anything, which is not the source's fault.
        """
        known = progress.phase, progress.bytes_downloaded
        if halted or progress.phase not in _FETCHING or known[1] > self._known[1]:
            self._since = now
        self._known = known
        return now - self._since
