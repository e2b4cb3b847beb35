"""What a run moves, of drivers that count it and of those that do not."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from chilly_movies.jobs.figures import Figures
from chilly_movies.jobs.models import Job, Phase, Report


class Meter:
    """The figures of one run of a job.

    Args:
        job: as it was when the run began.
        counts: whether what arrives is counted where its driver gives no figures: an import from
            the disk downloads nothing.
    """

    def __init__(self, job: Job, *, counts: bool) -> None:
        self._most = job.progress.bytes_downloaded
        self._counts = counts

    def figures(self, job: Job, report: Report, at: datetime) -> Figures | None:
        """The job's figures after a report, None = as before.

        Args:
            job: as it is.
            report: what its driver says of the source that is run, and of no other.
            at: the time of day.
        """
        if report.figures is not None:
            self._counts = False  # or the same bytes would count twice
            return report.figures.plus(job.left)
        known = job.counted
        if not self._counts or known is None:
            return None
        if report.anew:
            self._most = 0
            return known.in_vain
        done = report.progress.bytes_downloaded
        came = done - self._most
        if came <= 0 or report.progress.phase is not Phase.DOWNLOADING:
            return None
        self._most = done
        return replace(known, downloaded=known.downloaded + came, last_activity_at=at)
