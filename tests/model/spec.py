"""What must hold, told once more in a few lines that share nothing with the code under test."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from chilly_movies.jobs.events import Change
from chilly_movies.jobs.models import Job, Place
from tests.model.world import ATTEMPTS, OWN_TRACKER, TRIES

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
    ("source", "active"): "queued", ("anew", "active"): "active",
    **{("moved", status): status for status in (*WAITING, "completed")},
    **{("placed", status): status for status in IN_LINE},
    **{("adjusted", status): status for status in (*WAITING, "completed")},
    **{("canceled", status): "canceled" for status in WAITING},
    **{("removed", status): None for status in ANY},
}  # fmt: skip
ADDS = {"retrying", "error"}
NOBODYS_FAULT = {"disk_error", "disk_full", "out_of_descriptors", "store_unavailable"}
CLEARS = {"queued", "resumed", "completed", "source"}
AWAY = "Nobody has it."
"""Why a source may be tried once more when no other is left."""
PASSING = {AWAY, "The driver stopped unexpectedly (RuntimeError)."}
"""Trouble that may be over at the next try."""
OPTIONS = ("download_limit", "upload_limit", "seed_ratio", "seed_time", "order", "forced")
"""Those that the specification follows."""


@dataclass(frozen=True)
class Asked:
    """What the user asks of a job, and keeps with it.

    Attributes:
        labels: as they are.
        options: those that are followed.
        mirrors: their addresses.
        candidates: the same.
        trackers: those that were added, and those that were taken away.
        users: the names for the servers of the source and of its candidates.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, object] = field(default_factory=dict)
    mirrors: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ()
    trackers: tuple[object, ...] = ((), ())
    users: tuple[str | None, ...] = (None,)


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
    asked: Asked = field(default_factory=Asked)
    trackers: Mapping[str, int] = field(default_factory=dict)
    running: str = ""
    spent: frozenset[str] = frozenset()
    again: frozenset[str] = frozenset()
    was_whole: bool = False
    generation: int = 0

    @property
    def users(self) -> dict[str, str | None]:
        """The name for the server of each of its sources, its own before another one's."""
        sources = (self.source, *self.asked.candidates)
        return dict(reversed([*zip(sources, self.asked.users, strict=True)]))


class Spec:
    """Follows every durable change and refuses what may not be."""

    def __init__(
        self,
        max_active: int,
        clock: Callable[[], datetime],
        complete: set[str],
        emptied: set[str],
    ) -> None:
        self.max_active, self.clock = max_active, clock
        self.complete, self.emptied = complete, emptied
        self.jobs: dict[str, Known] = {}
        self.lost: set[str] = set()
        self.keys: set[str] = set()
        self.is_calm: Callable[[], bool] = lambda: True
        self.quiet_times = 0
        self.wrong: list[str] = []

    def commit(self, change: Change, job: Job | None) -> None:
        """A change became durable."""
        before = self.jobs.get(change.id)
        event = name_of(change)
        step = (event, before.status if before else None)
        if step not in STEPS:
            self.wrong.append(f"'{change.id}': {step} is not allowed")
            return
        if change.id in self.lost:
            self.wrong.append(f"'{change.id}' is another server's, and '{change.event}' is stored")
        if change.event == "started":
            self._started(change.id)
        if change.event == "completed" and before and before.key not in self.complete:
            self.wrong.append(f"'{change.id}' is completed before it is complete")
        after = STEPS[step]
        if after is None:
            del self.jobs[change.id]
        elif job is not None:
            if before:
                self._check_source(event, change, before, job)
            self._note(event, before, after, job)

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
        has_another = before is not None and bool(self.next_of(job.id, before))
        patience = code not in {"source_unavailable", *NOBODYS_FAULT}
        last = attempts >= ATTEMPTS and patience
        if has_another and event == "error" and self.is_calm():
            self.wrong.append(f"'{job.id}' is given up, and there is another source")
        last |= has_another and attempts >= TRIES and code not in NOBODYS_FAULT and self.is_calm()
        if event == "retrying" and (last or job.next_attempt_at is None):
            self.wrong.append(f"'{job.id}' is tried for ever or never")
        if event == "error" and not last and code != "source_rejected":
            self.wrong.append(f"'{job.id}' is given up too early")
        if before and (job.key != before.key) != (event == "source"):
            self.wrong.append(f"'{job.id}' became another job by '{event}'")
        if before and event != "placed" and job.place != before.place:
            self.wrong.append(f"'{job.id}' was put elsewhere by '{event}'")
        if any(other.place == job.place for i, other in self.jobs.items() if i != job.id):
            self.wrong.append(f"'{job.id}' shares its place")
        new = set(job.identities) - set(before.identities if before else ())
        if new & self._had_beside(job.id):
            self.wrong.append(f"'{job.id}' gets a film of another job by '{event}'")
        asked = asked_of(job)
        stays = before.asked if before and event != "source" else asked
        if before and (event == "adjusted") != (asked != stays):
            self.wrong.append(f"'{event}' of '{job.id}' makes {asked} of {before.asked}")
        self.keys.add(job.key)
        self.jobs[job.id] = Known(
            after, job.key, job.place, urn_of(job), attempts, job.next_attempt_at, self.quiet_times,
            job.seeding, job.moving_to is not None, job.adopted, job.identities,
            before.born if before else self.quiet_times, job.options.forced, asked,
            trackers_of(job), urn_of(job, running=True), *self._spent(event, before, job),
            event == "completed" or bool(before and before.was_whole), job.generation,
        )  # fmt: skip

    # --- sources --------------------------------------------------------------------------------

    def next_of(self, job_id: str, job: Known) -> set[str]:
        """The sources of which one is to be taken when the one that is run is given up."""
        if job.was_whole or job.adopted:
            return set()
        had = self._had_beside(job_id)
        free = [s for s in (job.source, *job.asked.candidates) if f"mock:{s}" not in had]
        others = [source for source in free if source != job.running]
        fresh = [source for source in others if source not in job.spent]
        return set(fresh[:1]) or {source for source in others if source in job.again}

    def _had_beside(self, job_id: str) -> set[str]:
        """The identities of all other jobs, but for those that are canceled."""
        others = (j for i, j in self.jobs.items() if i != job_id and j.status != "canceled")
        return {identity for other in others for identity in other.identities}

    @staticmethod
    def _spent(event: str, before: Known | None, job: Job) -> tuple[frozenset[str], frozenset[str]]:
        """The sources given up since the last resume of a failed job; and those to try again."""
        if before is None or (event == "resumed" and before.status == "failed"):
            return frozenset(), frozenset()
        if event != "source":
            return before.spent, before.again
        left = {before.running}
        again = before.again - left - {urn_of(job, running=True)}
        if job.reason == AWAY:
            again |= left - before.spent
        return before.spent | left, again

    def _check_source(self, event: str, change: Change, before: Known, job: Job) -> None:
        """A job keeps its identity, and another of its sources is taken by `source` alone."""
        if urn_of(job) != before.source:
            self.wrong.append(f"'{job.id}' has another source by '{event}'")
        if job.generation != before.generation + (event in ("source", "anew")):
            self.wrong.append(f"'{job.id}' is of generation {job.generation} by '{event}'")
        running = urn_of(job, running=True)
        if event != "source":
            if running != before.running:
                self.wrong.append(f"'{event}' of '{job.id}' takes '{running}'")
            return
        if self.is_calm() and running not in self.next_of(job.id, before):
            self.wrong.append(f"'{job.id}' takes '{running}' after '{before.running}'")
        told = change.news or {}
        ends = tuple(told[end]["sourceUrn"] for end in ("from", "to"))
        if ends != (before.running, running):
            self.wrong.append(f"'{job.id}' goes to '{running}', and {ends} is told")
        if told["reason"] in PASSING and before.attempts + 1 < TRIES:
            self.wrong.append(f"'{job.id}' leaves '{before.running}' too early")
        if before.key not in self.emptied:
            self.wrong.append(f"'{job.id}' leaves data of '{before.running}' behind")
        if job.key in self.keys:
            self.wrong.append(f"'{job.id}' mixes the data of two sources")
        if (
            job.path
            or job.files
            or not {f"mock:{s}" for s in (running, before.source)} <= set(job.identities)
        ):
            self.wrong.append(f"'{job.id}' is not what '{running}' is, or not what it was")
        gone = replace(before.asked, trackers=((), ()))
        if asked_of(job) != gone:
            self.wrong.append(f"'source' of '{job.id}' makes {asked_of(job)} of {gone}")

    # --- the queue ------------------------------------------------------------------------------

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
        ours = (job for name, job in self.jobs.items() if name not in self.lost)
        return sum(job.status == "active" and not job.forced for job in ours)

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
            if name not in self.lost
        }

    # --- verbs ----------------------------------------------------------------------------------

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
        self, job_id: str, labels: Mapping[str, str | None], given: Mapping[str, object]
    ) -> Asked | None:
        """What is asked of a job once this is changed; None if there is no such job."""
        job = self.jobs.get(job_id)
        if job is None or job.status == "canceled":
            return None if job is None else job.asked
        kept = {key: value for key, value in job.asked.labels.items() if key not in labels}
        kept |= {k: v for k, v in labels.items() if v is not None}
        options = {name: value for name, value in given.items() if name in OPTIONS}
        asked = replace(job.asked, labels=kept, options={**job.asked.options, **options})
        if "mirrors" in given:
            asked = replace(asked, mirrors=tuple(urns_in(given["mirrors"])))
        if "candidates" in given:
            users = (asked.users[0], *urns_in(given["candidates"], "username"))
            asked = replace(asked, candidates=tuple(urns_in(given["candidates"])), users=users)
        return asked

    def expected_trackers(
        self, verb: str, job_id: str, old: str, url: str | None, tier: int | None
    ) -> str:
        """What a verb about trackers gives: their list, or the name of an error; "" = either.

        Args:
            verb: `add`, `edit`, `drop` or `announce`.
            job_id: which job.
            old: the tracker that is edited or dropped.
            url: the one that is added, or the other address.
            tier: the tier that is asked for.
        """
        job = self.jobs.get(job_id)
        if job is None:
            return "JobNotFound"
        if job.adopted:
            return "NoSwarm"
        if verb != "drop" and url is not None and not url.startswith("http"):
            return "InvalidRequest"
        known = dict(job.trackers)
        if verb == "add" and url is not None:
            if url in known:
                return shown(known)
            behind = max((other for other in known.values() if other < 99), default=-1) + 1
            known[url] = behind if tier is None else tier
        elif verb == "announce":
            return shown(known)
        elif old not in known:
            return "TrackerNotFound"
        else:
            had = known.pop(old)
            if verb == "edit":
                known[url or old] = had if tier is None else tier
        return "" if job.status == "canceled" else shown(known)  # it may be so already


def name_of(change: Change) -> str:
    """The event's name; `anew` of a source that is left for itself, with other data."""
    told = change.news or {}
    return "anew" if change.event == "source" and told["from"] == told["to"] else change.event


def urn_of(job: Job, *, running: bool = False) -> str:
    """Where a film comes from, or what is run of it; of an uploaded torrent its bytes."""
    source = (job.active_source if running else None) or job.source
    return source.urn or (source.data or b"").decode()


def urns_in(given: object, member: str = "sourceUrn") -> list[Any]:
    """A member of each of the sources of a request; None = there are none."""
    return [source.get(member) for source in given] if isinstance(given, list) else []


def asked_of(job: Job) -> Asked:
    """What is asked of a job, as far as it is followed here."""
    secrets = (one.secret for one in (job.source, *(other.source for other in job.candidates)))
    return Asked(
        dict(job.labels),
        {name: getattr(job.options, name) for name in OPTIONS},
        tuple(one.source.urn for one in job.mirrors),
        tuple(one.source.urn for one in job.candidates),
        (job.trackers.added, job.trackers.removed),
        tuple(secret.username if secret else None for secret in secrets),
    )


def trackers_of(job: Job) -> dict[str, int]:
    """The tier of each tracker of a job."""
    known = {OWN_TRACKER: 0, **dict(job.trackers.added)}
    gone = set(job.trackers.removed) - dict(job.trackers.added).keys()
    return {url: tier for url, tier in known.items() if url not in gone}


def shown(trackers: Mapping[str, int]) -> str:
    """A list of trackers as text."""
    return " ".join(f"{url}={tier}" for url, tier in sorted(trackers.items()))
