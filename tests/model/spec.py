"""What must hold, told once more in a few lines that share nothing with the code under test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from chilly_movies.jobs.events import Change
from chilly_movies.jobs.models import Job, Place
from tests.model.world import ATTEMPTS

ANY = ("queued", "active", "paused", "completed", "failed", "canceled")
WAITING = ("queued", "active", "paused", "failed")
IN_LINE = ("queued", "active", "paused")
STEPS: dict[tuple[str, str | None], str | None] = {
    ("queued", None): "queued", ("started", "queued"): "active",
    ("metadata", "active"): "active", ("progress", "active"): "active",
    ("paused", None): "paused",
    ("progress", "completed"): "completed", ("completed", "active"): "completed",
    ("paused", "queued"): "paused", ("paused", "active"): "paused",
    ("resumed", "paused"): "queued", ("resumed", "failed"): "queued",
    ("retrying", "active"): "queued", ("error", "active"): "failed",
    **{("moved", status): status for status in (*WAITING, "completed")},
    **{("placed", status): status for status in IN_LINE},
    **{("adjusted", status): status for status in (*WAITING, "completed")},
    **{("canceled", status): "canceled" for status in WAITING},
    **{("removed", status): None for status in ANY},
}  # fmt: skip
ADDS = {"retrying", "error"}
NOBODYS_FAULT = {"disk_error", "disk_full", "out_of_descriptors", "store_unavailable"}
CLEARS = {"queued", "resumed", "completed"}
OPTIONS = ("download_limit", "seed_ratio", "forced")
"""Those that the specification follows."""


@dataclass
class Known:
    """What the specification knows of one job."""

    status: str
    key: str
    place: Place
    source: str
    attempts: int = 0
    due: datetime | None = None
    queued_for: int = 0
    seeding: bool = False
    moving: bool = False
    adopted: bool = False
    identities: tuple[str, ...] = ()
    born: int = 0
    forced: bool = False
    asked: tuple[dict[str, str], dict[str, object]] = ({}, {})


class Spec:
    """Follows every durable change and refuses what may not be."""

    def __init__(self, max_active: int, clock: Callable[[], datetime], complete: set[str]) -> None:
        self.max_active, self.clock, self.complete = max_active, clock, complete
        self.jobs: dict[str, Known] = {}
        self.quiet_times = 0
        self.wrong: list[str] = []

    def commit(self, change: Change, job: Job | None) -> None:
        """A change became durable."""
        before = self.jobs.get(change.id)
        step = (change.event, before.status if before else None)
        if step not in STEPS:
            self.wrong.append(f"'{change.id}': {step} is not allowed")
            return
        if change.event == "started":
            self._started(change.id)
        if change.event == "completed" and before and before.key not in self.complete:
            self.wrong.append(f"'{change.id}' is completed before it is complete")
        after = STEPS[step]
        if after is None:
            del self.jobs[change.id]
        elif job is not None:
            self._note(change.event, before, after, job)

    def _note(self, event: str, before: Known | None, after: str, job: Job) -> None:
        code = job.error.code if job.error else ""
        more = event in ADDS and code not in NOBODYS_FAULT
        attempts = 0 if event in CLEARS or before is None else before.attempts + more
        if (job.status, job.attempts) != (after, attempts):
            self.wrong.append(
                f"'{job.id}' is {job.status} ({job.attempts}), not {after} {attempts}"
            )
        if before is None:
            self._behind_all(job)
        last = attempts >= ATTEMPTS and code not in {"source_unavailable", *NOBODYS_FAULT}
        if event == "retrying" and (last or job.next_attempt_at is None):
            self.wrong.append(f"'{job.id}' is tried for ever or never")
        if event == "error" and not last and code != "source_rejected":
            self.wrong.append(f"'{job.id}' is given up too early")
        if before and job.key != before.key:
            self.wrong.append(f"'{job.id}' became another job")
        if before and event != "placed" and job.place != before.place:
            self.wrong.append(f"'{job.id}' was put elsewhere by '{event}'")
        if any(other.place == job.place for i, other in self.jobs.items() if i != job.id):
            self.wrong.append(f"'{job.id}' shares its place")
        asked = asked_of(job)
        if before and (event == "adjusted") != (asked != before.asked):
            self.wrong.append(f"'{event}' of '{job.id}' makes {asked} of {before.asked}")
        source = job.source.urn or (job.source.data or b"").decode()
        self.jobs[job.id] = Known(
            after, job.key, job.place, source, attempts, job.next_attempt_at, self.quiet_times,
            job.seeding, job.moving_to is not None, job.adopted, job.identities,
            before.born if before else self.quiet_times, job.options.forced, asked,
        )  # fmt: skip

    def _behind_all(self, job: Job) -> None:
        for other in self.jobs.values():
            late = other.born == self.quiet_times  # of two at once either may be the first
            if other.place >= job.place and not late:
                self.wrong.append(f"'{job.id}' jumps the queue")

    def _started(self, job_id: str) -> None:
        started = self.jobs[job_id]
        if started.forced:
            return
        if self.taken() >= self.max_active:
            self.wrong.append(f"'{job_id}' is one too many")
        for other, job in self.due().items():
            if job.place < started.place and job.queued_for < self.quiet_times:
                self.wrong.append(f"'{job_id}' starts before '{other}'")

    def taken(self) -> int:
        """How many slots are taken."""
        return sum(job.status == "active" and not job.forced for job in self.jobs.values())

    def order(self) -> list[str]:
        """The ids of all jobs in queue order."""
        return sorted(self.jobs, key=lambda job_id: self.jobs[job_id].place)

    def check_numbers(self, heard: Sequence[Change]) -> None:
        """Stored changes have each its own number, one above the last; the rest repeats it."""
        newest = 0
        for change in heard:
            newest += change.durable
            if change.seq != newest:
                what = f"'{change.event}' of '{change.id}'"
                self.wrong.append(f"{what} has the number {change.seq}, not {newest}")
                return

    def due(self) -> dict[str, Known]:
        """What waits for nothing but a slot."""
        now = self.clock()
        return {
            name: job
            for name, job in self.jobs.items()
            if job.status == "queued" and (job.due is None or job.due <= now)
        }

    def expected(self, verb: str, job_id: str, source: str = "", before: str = "") -> str:
        """What a verb that runs alone leads to: a status, or the name of an error."""
        job = self.jobs.get(job_id)
        if verb in ("start", "held"):
            born = "paused" if verb == "held" else "queued"
            return self._expected_start(job, source, born)
        if job is None:
            return "InvalidRequest" if verb == "again" else "JobNotFound"
        if verb == "place":
            return self._expected_place(job, job_id, before)
        if verb == "move" and job.adopted and job.status != "completed":
            return "IllegalTransition"  # nobody knows yet whether it is what it says
        if verb == "again":
            going = {"paused": "queued", "failed": "queued", "canceled": "IllegalTransition"}
            return going.get(job.status, job.status)
        table = {
            "pause": {"queued": "paused", "active": "paused"},
            "resume": {"paused": "queued", "failed": "queued", "completed": "IllegalTransition"},
            "cancel": dict.fromkeys(WAITING, "canceled"),
            "remove": dict.fromkeys(ANY, "gone"),
            "move": {"canceled": "IllegalTransition"},
            "adjust": {"canceled": "IllegalTransition"},
        }[verb]
        dead = ("canceled", "failed") if verb == "pause" else ("canceled",)
        if verb in ("pause", "resume") and job.status in dead and job.status not in table:
            return "IllegalTransition"
        return table.get(job.status, job.status)

    def _expected_place(self, job: Known, job_id: str, before: str) -> str:
        if job.status not in IN_LINE:
            return "IllegalTransition"
        if not before:
            return job.status
        other = self.jobs.get(before)
        if other is None or before == job_id:
            return "JobNotFound"
        return job.status if other.status in IN_LINE else "IllegalTransition"

    def _expected_start(self, job: Known | None, source: str, born: str) -> str:
        identity = f"mock:{source}"
        if job is not None:
            same = job.source == source or identity in job.identities
            return job.status if same else "IdInUse"
        others = (j for j in self.jobs.values() if j.status != "canceled")
        taken = any(identity in other.identities for other in others)
        return "DuplicateDownload" if taken else born

    def expected_of(
        self, job_id: str, labels: dict[str, str | None], options: dict[str, object]
    ) -> tuple[dict[str, str], dict[str, object]] | None:
        """What is asked of a job once this is changed; None if there is no such job."""
        job = self.jobs.get(job_id)
        if job is None or job.status == "canceled":
            return None if job is None else job.asked
        kept = {key: value for key, value in job.asked[0].items() if key not in labels}
        return kept | {k: v for k, v in labels.items() if v is not None}, job.asked[1] | options


def asked_of(job: Job) -> tuple[dict[str, str], dict[str, object]]:
    """What a job is to be like, as far as it is followed here."""
    return dict(job.labels), {name: getattr(job.options, name) for name in OPTIONS}
