"""What all jobs together do and did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from chilly_movies.jobs.figures import Moved, Totals
from chilly_movies.jobs.models import Job, Status


@dataclass(frozen=True, slots=True)
class Stats:
    """What all jobs together do and did.

    Attributes:
        session: what they moved since this program began to run.
        all_time: what they moved since the first run that counted; jobs that are gone included.
        download_speed: payload bytes per second.
        upload_speed: payload bytes per second.
        peers: connected peers of all jobs.
        jobs: how many have which status.
        free_bytes: room on the disk of the media folder, None if unknown.
        dht_nodes: nodes of the DHT that are known, None if it is not used.
    """

    session: Moved
    all_time: Moved
    download_speed: int
    upload_speed: int
    peers: int
    jobs: Mapping[Status, int]
    free_bytes: int | None
    dht_nodes: int | None = None

    @classmethod
    def of(cls, jobs: Sequence[Job], totals: Totals, free_bytes: int | None) -> Self:
        """Adds up all jobs as they are now."""
        running = [job.progress for job in jobs if job.is_running]
        return cls(
            session=totals.session,
            all_time=totals.all_time,
            download_speed=sum(progress.download_speed for progress in running),
            upload_speed=sum(progress.upload_speed for progress in running),
            peers=sum(progress.peers for progress in running),
            jobs={status: sum(job.status is status for job in jobs) for status in Status},
            free_bytes=free_bytes,
        )
