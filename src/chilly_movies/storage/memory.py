"""The stores that forget: for tests, demos and throw-away servers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

from chilly_movies.errors import JobLost
from chilly_movies.jobs.events import Change
from chilly_movies.jobs.figures import Moved
from chilly_movies.jobs.models import Job
from chilly_movies.jobs.ports import Loaded
from chilly_movies.notices.models import Delivery, Webhook
from chilly_movies.notices.ports import KEPT_DELIVERIES


class MemoryResumeStore:
    """A `ResumeStore` without a disk."""

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}

    async def load_resume(self, key: str) -> bytes | None:
        """The blob last saved under the job key, None if there is none."""
        return self._blobs.get(key)

    async def save_resume(self, key: str, data: bytes) -> None:
        """Replace the blob."""
        self._blobs[key] = data

    async def drop_resume(self, key: str) -> None:
        """Delete the blob if there is one."""
        self._blobs.pop(key, None)


class MemoryJobStore:
    """A `JobStore` without a disk.

    Args:
        resume: where the resume data of deleted jobs is dropped.
    """

    def __init__(self, resume: MemoryResumeStore | None = None) -> None:
        self._resume = resume or MemoryResumeStore()
        self._jobs: dict[str, Job] = {}
        self._changes: dict[int, Change] = {}
        self._last_seq = 0
        self._totals: Moved | None = None
        self._is_open = False

    async def load(self) -> Loaded:
        """All jobs in queue order."""
        unclean, self._is_open = self._is_open, True
        jobs = sorted(self._jobs.values(), key=lambda job: (job.place, job.created_at, job.id))
        return Loaded(tuple(jobs), self._last_seq, unclean, totals=self._totals)

    async def add(self, job: Job, change: Change) -> int:
        """Keep the new job and its change."""
        if job.id in self._jobs:
            raise JobLost.of(job.id)
        self._jobs[job.id] = job
        return self._number(change)

    async def record(self, job: Job, change: Change) -> int:
        """Keep the job and its change."""
        if not self._holds(job):
            raise JobLost.of(job.id)
        self._jobs[job.id] = job
        return self._number(change)

    async def save_progress(self, moved: Sequence[Job]) -> frozenset[str]:
        """Keep `progress`, `counted`, `reason` and `updated_at` of the jobs the caller holds."""
        held = [job for job in moved if self._holds(job)]
        for job in held:
            self._jobs[job.id] = replace(
                self._jobs[job.id],
                progress=job.progress,
                counted=job.counted,
                reason=job.reason,
                updated_at=job.updated_at,
            )
        return frozenset(job.id for job in moved) - {job.id for job in held}

    def _holds(self, job: Job) -> bool:
        known = self._jobs.get(job.id)
        return known is not None and known.epoch == job.epoch

    async def save_totals(self, totals: Moved) -> None:
        """Keep what all jobs together moved."""
        self._totals = totals

    async def changes_since(
        self, seq: int, job_id: str | None = None, *, limit: int = 1000
    ) -> list[Change]:
        """Durable changes with a higher number than `seq`, oldest first, at most `limit`."""
        wanted = (
            self._changes[number]
            for number in sorted(self._changes)
            if number > seq and job_id in (None, self._changes[number].id)
        )
        return list(islice(wanted, limit))

    async def delete(self, job: Job, change: Change) -> int:
        """Forget the job and its resume data, and keep the change."""
        if job.id in self._jobs and not self._holds(job):
            raise JobLost.of(job.id)
        if known := self._jobs.pop(job.id, None):
            await self._resume.drop_resume(known.key)
        return self._number(change)

    async def aclose(self) -> None:
        """Note that the run ended in order."""
        self._is_open = False

    def _number(self, change: Change) -> int:
        self._last_seq = max(self._last_seq, change.seq) + 1
        self._changes[self._last_seq] = replace(change, seq=self._last_seq, job=None)
        return self._last_seq


class MemoryWebhookStore:
    """A `WebhookStore` without a disk."""

    def __init__(self) -> None:
        self._webhooks: dict[str, Webhook] = {}
        self._deliveries: dict[str, dict[str, Delivery]] = {}

    async def load(self) -> Sequence[Webhook]:
        """All webhooks, oldest first."""
        return list(self._webhooks.values())

    async def add(self, webhook: Webhook) -> None:
        """Keep a new one."""
        self._webhooks[webhook.id] = webhook

    async def remove(self, webhook_id: str) -> None:
        """Forget one with its deliveries."""
        self._webhooks.pop(webhook_id, None)
        self._deliveries.pop(webhook_id, None)

    async def note(self, webhook_id: str, seq: int, delivery: Delivery | None = None) -> None:
        """Keep how far a webhook is and how a delivery went."""
        if webhook_id not in self._webhooks:
            return
        self._webhooks[webhook_id] = replace(self._webhooks[webhook_id], seq=seq)
        if delivery is not None:
            kept = self._deliveries.setdefault(webhook_id, {})
            kept[delivery.id] = delivery
            for old in [*kept][:-KEPT_DELIVERIES]:
                del kept[old]

    async def deliveries(self, webhook_id: str) -> Sequence[Delivery]:
        """The last deliveries, newest first."""
        return [*reversed(self._deliveries.get(webhook_id, {}).values())]
