"""What the log says of jobs: a line for each step that somebody would want to find there later."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import structlog

from chilly_movies.jobs.callbacks import JobFailure
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.jobs.models import Job

log = structlog.get_logger(__name__)

_STEPS = ("queued", "started", "paused", "resumed", "canceled", "removed")


class JobLog:
    """Logs what happens to the jobs of a downloader.

    Args:
        media_root: the folder the films lie in; None = they are nowhere.
    """

    def __init__(self, media_root: Path | None) -> None:
        self._root = media_root

    def follow(self, downloader: Downloader) -> None:
        """Logs from now on."""
        for step in _STEPS:
            downloader.on(step, _told(step))
        downloader.on("completed", self._completed)
        downloader.on("moved", self._moved)
        downloader.on("error", _failed)

    def _completed(self, job: Job) -> None:
        log.info("job completed", job=job.id, name=job.name, path=self._place(job))

    def _moved(self, job: Job) -> None:
        if job.moving_to is None and job.completed_at is not None:
            log.info("job moved", job=job.id, name=job.name, path=self._place(job))

    def _place(self, job: Job) -> str | None:
        if job.path is None or self._root is None:
            return None
        return str(self._root / job.path)


def _told(step: str) -> Any:
    event = f"job {step}"

    def tell(job: Job) -> None:
        log.info(event, job=job.id, name=job.name)

    return tell


def _failed(error: JobFailure, job: Job) -> None:
    log.warning("job failed", job=job.id, name=job.name, code=error.job_code, problem=str(error))
