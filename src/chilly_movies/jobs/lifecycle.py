"""The state machine: one table and one pure function. Status changes nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any, Final

from chilly_movies.errors import IllegalTransition
from chilly_movies.jobs import events as e
from chilly_movies.jobs.models import (
    Job,
    Progress,
    Status,
    TrackerChoice,
    Transports,
    folder_of,
)

QUEUED, ACTIVE, PAUSED = Status.QUEUED, Status.ACTIVE, Status.PAUSED
COMPLETED, FAILED, CANCELED = Status.COMPLETED, Status.FAILED, Status.CANCELED


@dataclass(frozen=True, slots=True)
class Rule:
    """From which states an event is allowed, and where it leads (None = the state stays)."""

    sources: frozenset[Status]
    target: Status | None


def _rule(*sources: Status, to: Status | None = None) -> Rule:
    return Rule(frozenset(sources), to)


TRANSITIONS: Final[Mapping[type[e.Event], Rule]] = {
    e.Queued: _rule(to=QUEUED),  # only a job's birth: no existing job may be queued anew
    e.Held: _rule(to=PAUSED),  # the same
    e.Started: _rule(QUEUED, to=ACTIVE),
    e.MetadataReceived: _rule(ACTIVE),
    e.Progressed: _rule(QUEUED, ACTIVE, PAUSED, COMPLETED, FAILED),
    e.Publishing: _rule(ACTIVE),
    e.FilesChosen: _rule(QUEUED, ACTIVE, PAUSED, FAILED),
    e.FolderChosen: _rule(QUEUED, ACTIVE, PAUSED, FAILED),
    e.Placed: _rule(QUEUED, ACTIVE, PAUSED),
    e.Adjusted: _rule(QUEUED, ACTIVE, PAUSED, COMPLETED, FAILED),
    e.TrackersChosen: _rule(QUEUED, ACTIVE, PAUSED, COMPLETED, FAILED),
    e.SecretReplaced: _rule(QUEUED, ACTIVE, PAUSED, COMPLETED, FAILED),
    e.Moving: _rule(COMPLETED),
    e.Moved: _rule(COMPLETED),
    e.NotMoved: _rule(COMPLETED),
    e.Paused: _rule(QUEUED, ACTIVE, to=PAUSED),
    e.Resumed: _rule(PAUSED, FAILED, to=QUEUED),
    e.Retrying: _rule(ACTIVE, to=QUEUED),
    e.Waiting: _rule(ACTIVE, to=QUEUED),
    e.SourceChanged: _rule(ACTIVE, to=QUEUED),
    e.BegunAnew: _rule(ACTIVE),
    e.Completed: _rule(ACTIVE, to=COMPLETED),
    e.SeedingStopped: _rule(COMPLETED),
    e.Checked: _rule(PAUSED, COMPLETED, FAILED),
    e.Damaged: _rule(COMPLETED, to=FAILED),
    e.Failed: _rule(ACTIVE, to=FAILED),
    e.Canceled: _rule(QUEUED, ACTIVE, PAUSED, FAILED, to=CANCELED),
    e.Removed: _rule(*Status),
}


def born(job: Job, event: e.Queued | e.Held) -> Job:
    """The job after its birth, the first event of its life."""
    return replace(job, status=TRANSITIONS[type(event)].target or job.status)


def apply(job: Job, event: e.Event, at: datetime) -> Job:
    """The job after the event.

    Args:
        job: the job as it is.
        event: what happened.
        at: when; becomes `updated_at`.

    Raises:
        IllegalTransition: the table has no such step.
    """
    rule = TRANSITIONS[type(event)]
    if job.status not in rule.sources:
        refusal = f" and cannot become {rule.target}" if rule.target else ": this is not possible"
        raise IllegalTransition(f"Job '{job.id}' is {job.status}{refusal}.")
    target = rule.target or job.status
    changes = {"status": target, "updated_at": at, **_effects(job, event, at)}
    return replace(job, **changes)


def _effects(job: Job, event: e.Event, at: datetime) -> dict[str, Any]:
    """What an event changes besides the status."""
    match event:
        case e.Progressed() | e.Checked() | e.Completed():
            return _effects_on_figures(job, event, at)
        case e.Started():
            return {"started_at": job.started_at or at, "next_attempt_at": None, "reason": None}
        case e.MetadataReceived() | e.FilesChosen() | e.Publishing() | e.Adjusted():
            return _effects_on_files(job, event)
        case e.Placed() | e.FolderChosen() | e.Moving() | e.Moved() | e.NotMoved():
            return _effects_on_place(job, event)
        case e.TrackersChosen(trackers=trackers):
            return {"trackers": trackers}
        case e.SecretReplaced() | e.SourceChanged() | e.BegunAnew():
            return _effects_on_source(job, event)
        case e.Retrying() | e.Waiting() | e.Failed() | e.Damaged():
            return _effects_of_trouble(job, event)
        case e.Resumed():
            changes = {"error": None, "attempts": 0, "next_attempt_at": None, "reason": None}
            return {**changes, "spent": (), "again": ()} if job.status is FAILED else changes
        case e.SeedingStopped(reason=reason):
            return {"seeding": False, "progress": _still(job.progress), "reason": reason}
        case e.Paused() | e.Canceled():
            return {"progress": _still(job.progress), "next_attempt_at": None, "reason": None}
        case _:
            return {}


def _effects_on_figures(
    job: Job, event: e.Progressed | e.Checked | e.Completed, at: datetime
) -> dict[str, Any]:
    match event:
        case e.Progressed(progress=progress, reason=reason, figures=figures):
            return {"progress": progress, "reason": reason, "counted": figures or job.counted}
        case e.Checked(progress=progress, reason=reason):
            return {"progress": _still(progress), "reason": reason}
        case e.Completed(progress=progress, seeding=seeding, figures=figures):
            done = replace(progress, needs=None)
            changes = {"progress": done, "seeding": seeding, "counted": figures or job.counted}
            return {**changes, "completed_at": at, "error": None, "attempts": 0, "reason": None}


def _effects_on_source(
    job: Job, event: e.SecretReplaced | e.SourceChanged | e.BegunAnew
) -> dict[str, Any]:
    if isinstance(event, e.SecretReplaced):
        return {"source": replace(job.source, secret=event.secret)}
    anew = {"generation": job.generation + 1}
    if isinstance(event, e.BegunAnew):
        return {**anew, "reason": event.reason, "progress": Progress(phase=job.progress.phase)}
    in_vain = None if job.counted is None else job.counted.in_vain
    return {
        **anew,
        "reason": event.error.message,
        "active_source": event.source,
        "spent": tuple(dict.fromkeys((*job.spent, event.before.name))),
        "again": _again(job, event),
        "left": in_vain,
        "counted": in_vain,
        "key": event.key,
        "identities": tuple(dict.fromkeys((*event.facts.identities, *job.identities))),
        "name": event.facts.name or job.name,
        "files": (),
        "path": None,
        # which files and trackers are wanted was said of another source
        "options": replace(job.options, files=None, priorities=()),
        "trackers": TrackerChoice(),
        "progress": Progress(needs=event.facts.needs),
        "error": None,
        "attempts": 0,
        "next_attempt_at": None,
    }


def _again(job: Job, event: e.SourceChanged) -> tuple[str, ...]:
    """What may be tried once more, once: last what sent something, as it is the best there is."""
    before = event.before.name
    others = tuple(name for name in job.again if name not in (before, event.source.name))
    if not event.may_return or before in job.spent:
        return others
    return (*others, before) if job.progress.bytes_downloaded else (before, *others)


def _effects_of_trouble(
    job: Job, event: e.Retrying | e.Waiting | e.Failed | e.Damaged
) -> dict[str, Any]:
    changes = {"error": event.error, "progress": _still(job.progress), "reason": None}
    match event:
        case e.Waiting(error=error, at=due):
            return {**changes, "next_attempt_at": due, "reason": error.message}
        case e.Retrying(at=due):
            return {**changes, "attempts": job.attempts + 1, "next_attempt_at": due}
        case _:
            return {**changes, "attempts": job.attempts + 1, "seeding": False}


def _effects_on_files(
    job: Job, event: e.MetadataReceived | e.FilesChosen | e.Publishing | e.Adjusted
) -> dict[str, Any]:
    match event:
        case e.MetadataReceived(facts=facts):
            known, new = job.identities, facts.identities
            # those of the source that is run come first; of the only source those of its text
            both = (*known, *new) if job.active_source is None else (*new, *known)
            identities = tuple(dict.fromkeys(both))
            learned = {"name": facts.name, "files": facts.files, "identities": identities}
            return {**learned, "reason": facts.note or job.reason}
        case e.FilesChosen(priorities=priorities):
            chosen = dict(priorities)
            options = job.options.with_priorities(chosen)
            return {"files": job.files_wanted(chosen), "options": options}
        case e.Publishing(path=path, progress=progress):
            return {"path": path, "files": job.files_at(path), "progress": progress, "reason": None}
        case e.Adjusted():
            names = (known.name for known in fields(event))
            return {name: getattr(event, name) for name in names}


def _effects_on_place(
    job: Job, event: e.Placed | e.FolderChosen | e.Moving | e.Moved | e.NotMoved
) -> dict[str, Any]:
    match event:
        case e.Placed(place=(position, fraction)):
            return {"position": position, "fraction": fraction}
        case e.FolderChosen(folder=folder):
            return {"options": replace(job.options, folder=folder)}
        case e.Moving(path=path):
            return {"moving_to": path}
        case e.Moved(path=path):
            options = replace(job.options, folder=folder_of(path))
            moved = {"path": path, "files": job.files_at(path), "options": options}
            return {**moved, "moving_to": None, "reason": None}
        case e.NotMoved(reason=reason):
            stays = replace(job.options, folder=folder_of(job.path or ""))
            return {"moving_to": None, "reason": reason, "options": stays}


def _still(progress: Progress) -> Progress:
    """The same progress with nothing moving any more."""
    return replace(
        progress,
        download_speed=0,
        upload_speed=0,
        time_remaining=None,
        peers=0,
        seeds=0,
        phase=None,
        transports=Transports(),
    )
