"""Jobs with all that is known of them, as JSON: front ends ask for whole lists again and again."""

from __future__ import annotations

from collections import OrderedDict

from chilly_movies.api.wire.schemas import JobDetail
from chilly_movies.jobs.models import Job


class Details:
    """Makes the JSON of `JobDetail`, and keeps that of jobs until they change.

    Making it takes about 70 µs, so that a list of 50 jobs at rest would cost as much as the rest
    of its request several times over.

    Args:
        kept: jobs of which it is kept, those asked for last; about 1 kB each.
    """

    def __init__(self, kept: int = 2000) -> None:
        self._size = kept
        self._kept: OrderedDict[str, tuple[Job, tuple[bool, int | None], bytes]] = OrderedDict()

    def of(self, job: Job, *, missing: bool, position: int | None) -> bytes:
        """Returns the job as JSON.

        Args:
            job: as it is now; a job is never changed, another value takes its place.
            missing: its film is not in the media folder any more.
            position: in the queue, None if it has none.
        """
        beside = (missing, position)
        known = self._kept.pop(job.id, None)
        if known is None or known[0] is not job or known[1] != beside:
            detail = JobDetail.model_validate(job)
            shown = detail.model_copy(update={"missing": missing, "position": position})
            known = (job, beside, shown.model_dump_json(by_alias=True).encode())
        self._kept[job.id] = known
        if len(self._kept) > self._size:
            self._kept.popitem(last=False)
        return known[2]
