"""The promises, each as a function that says what breaks it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from chilly_movies.jobs.events import NEWS
from lab.crash.model import MISSING, Told
from lab.crash.store import Stored, StoredEvent

_LIVE = ("queued", "active", "paused", "failed")
_STOPS = ("paused", "retrying", "completed", "error", "canceled", "resumed", "queued")
_FORBIDDEN = {
    "removed": (*_STOPS, "started", "removed", "metadata", "progress"),
    "canceled": (*_STOPS, "started", "metadata", "progress"),
    "completed": (*_STOPS, "started", "metadata"),
    "started": ("started",),
}


def whole(stored: Stored) -> Iterator[str]:
    """The database is sound, and one film has one job."""
    if stored.integrity != "ok":
        yield f"the database is damaged: {stored.integrity}"
    owners: dict[str, str] = {}
    for job in stored.jobs.values():
        for identity in job.identities if job.status != "canceled" else ():
            other = owners.setdefault(identity, job.id)
            if other != job.id:
                yield f"jobs {other} and {job.id} download the same film"


def nothing_lost(stored: Stored, wanted: Iterable[Told], gone: set[str]) -> Iterator[str]:
    """Every job is in a state it may be in; none that was removed came back."""
    known = set()
    for job in wanted:
        known.add(job.id)
        found = stored.jobs.get(job.id)
        yield job.observe(found.status if found else MISSING)
    for job_id in stored.jobs:
        if job_id in gone:
            yield f"job {job_id} was removed and came back"
        elif job_id not in known:
            yield f"nobody started job {job_id}"


def order(events: Sequence[StoredEvent], state: dict[str, str]) -> Iterator[str]:
    """Each job's events tell a life that is possible.

    Args:
        events: new ones, by number.
        state: each job's last event, kept from call to call.
    """
    for event in events:
        last = state.get(event.job_id, "")
        told = f"job {event.job_id} had '{event.event}' after '{last}' (event {event.seq})"
        if event.event in _FORBIDDEN.get(last, ()):
            yield told
        if event.event in (*_STOPS, "started", "removed"):
            state[event.job_id] = event.event


def told_what_is_stored(
    heard: Sequence[Mapping[str, Any]], stored: Sequence[StoredEvent], before: int
) -> Iterator[str]:
    """A listener heard what is stored, in that order, without a hole.

    What is not stored comes with the number of the newest stored change, again.

    Args:
        heard: the messages of one life.
        stored: all stored changes with numbers above `before`.
        before: the last number heard in earlier lives.
    """
    numbered = [event for event in heard if event["_id"] is not None]
    numbers = [event["_id"] for event in numbered]
    if numbers != sorted(numbers):
        yield "event numbers fell"
    by_seq = {event.seq: event for event in stored}
    newest = before
    for event in numbered:
        row = by_seq.get(event["_id"])
        told_as = (event["event"], event["id"], event["status"])
        if event["_id"] == newest or event["event"] == "snapshot":
            if event["event"] not in ("progress", "snapshot", *NEWS):
                yield f"event {event['_id']} came again after {newest}"
        elif row is None:
            yield f"event {event['_id']} was told and is not stored"
        elif (row.event, row.job_id, row.status) != told_as:
            yield f"event {event['_id']} was told as {event['event']} and stored as {row.event}"
        newest = event["_id"]
    told = set(numbers)
    last = numbers[-1] if numbers else before
    for seq in by_seq:
        if before < seq <= last and seq not in told:
            yield f"event {seq} ({by_seq[seq].event}) is stored and was not told"


def no_orphans(
    media: Path, jobs: Mapping[str, Mapping[str, Any]], keys: Mapping[str, str], kept: set[str]
) -> Iterator[str]:
    """In the media root lies nothing but films, and unfinished data of jobs that want it.

    Args:
        media: the media root.
        jobs: as the server lists them.
        keys: the folder name of each job's unfinished data.
        kept: names of films whose jobs were removed.
    """
    staging = media / ".incomplete"
    live = {keys.get(job_id) for job_id, job in jobs.items() if job["status"] in _LIVE}
    for folder in staging.iterdir() if staging.is_dir() else ():
        if folder.is_dir() and folder.name not in live:
            owner = next((job for job, key in keys.items() if key == folder.name), "nobody")
            status = jobs.get(owner, {}).get("status", MISSING)
            inside = sorted(entry.name for entry in folder.rglob("*"))
            if status == "completed" and not inside:
                continue  # it goes with its job
            yield f"unfinished data of {owner} ({status}) was left behind: {inside}"
    films = {str(job["path"]).split("/")[0] for job in jobs.values() if job.get("path")}
    for entry in media.iterdir():
        if entry.name not in films | kept | {".incomplete", "lost+found"}:
            yield f"{entry.name} lies in the media root and belongs to no job"
