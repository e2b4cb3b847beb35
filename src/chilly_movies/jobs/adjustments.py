"""What may be changed of a job after its start: the request, and what it makes of a job.

Nothing here stores anything: a request becomes one event or an error, so that all of it happens
or nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from pydantic import ConfigDict, Field, create_model
from pydantic.alias_generators import to_camel

from chilly_movies.errors import FileNotFound, IllegalTransition, InvalidRequest, NotReadable
from chilly_movies.jobs import events as e
from chilly_movies.jobs.labels import LABELS, with_labels
from chilly_movies.jobs.models import (
    Job,
    MediaFile,
    Status,
    folder_of,
    in_folder,
)
from chilly_movies.jobs.options import CHANGEABLE, DEFAULTS, NORMAL_PRIORITY, TOP_PRIORITY, Options
from chilly_movies.jobs.secrets import Secret
from chilly_movies.jobs.source_request import (
    CANDIDATES,
    MIRRORS,
    Candidates,
    Mirrors,
    further,
)
from chilly_movies.jobs.spelling import Spelled
from chilly_movies.jobs.start_request import LabelChanges, checked, option_members


class _AdjustRequest(Spelled):
    """What to change of a job. A member that is absent stays; null = the server's default."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        strict=True,
        json_schema_extra={
            "examples": [{"downloadLimit": 500_000, "labels": {"category": "films", "old": None}}]
        },
    )

    labels: LabelChanges | None = Field(
        None, description=f"{LABELS} A label that is null is removed, others are set or stay."
    )
    mirrors: Mirrors | None = Field(None, description=f"{MIRRORS} All of them; null = none.")
    candidates: Candidates | None = Field(
        None, description=f"{CANDIDATES} All of them; null = none."
    )


if TYPE_CHECKING:
    AdjustRequest = _AdjustRequest
else:
    AdjustRequest = create_model(
        "AdjustRequest",
        __base__=_AdjustRequest,
        __doc__=_AdjustRequest.__doc__,
        **option_members(*CHANGEABLE),
    )

_WIRE = {name: str(member.alias) for name, member in AdjustRequest.model_fields.items()}


def parse_changes(changes: Mapping[str, Any]) -> AdjustRequest:
    """Checks what a Python program wants to change.

    Args:
        changes: `labels`, `mirrors`, `candidates` and the options that can be changed; camelCase
            works, too.
            None = the server's default; other keys are ignored.

    Raises:
        InvalidRequest: a value has the wrong form.
    """
    return checked(AdjustRequest, {_WIRE.get(key, key): value for key, value in changes.items()})


def adjusted(job: Job, wanted: AdjustRequest) -> e.Adjusted | None:
    """The change that is asked of a job; None if the job is so already.

    Raises:
        IllegalTransition: the job is canceled, or another member cannot be changed any more.
        NotReadable, FileNotFound, InvalidRequest: see `chosen_files` and `with_labels`.
    """
    if job.status is Status.CANCELED:
        raise IllegalTransition(f"Job '{job.id}' is canceled: nothing of it can be changed.")
    # what is not an option has a line of its own here, and its field in the event
    given = {name: getattr(wanted, name) for name in wanted.model_fields_set}
    labels = job.labels
    if "labels" in given:
        changes = given["labels"]
        labels = {} if changes is None else with_labels(job.labels, changes)
    mirrors = further(given["mirrors"]) if "mirrors" in given else job.mirrors
    options, files, target = _with_options(job, given)
    others = further(given["candidates"]) if "candidates" in given else job.candidates
    change = e.Adjusted(options, labels, files, target, mirrors, others)
    is_so = all(getattr(job, known.name) == getattr(change, known.name) for known in fields(change))
    return None if is_so and _secrets(change) == _secrets(job) else change


def _secrets(sources: Job | e.Adjusted) -> list[Secret | None]:
    """What is secret of each, which does not count when two are compared."""
    return [one.source.secret for one in (*sources.mirrors, *sources.candidates)]


def _with_options(
    job: Job, given: Mapping[str, Any]
) -> tuple[Options, tuple[MediaFile, ...], str | None]:
    """The options as they are to be, the files, and where the film is to be moved to."""
    defaults = {name: getattr(DEFAULTS, name) for name in CHANGEABLE}
    to_be = {
        name: defaults[name] if given[name] is None else given[name]
        for name in CHANGEABLE
        if name in given
    }
    options, files, target = job.options, job.files, job.moving_to
    if "files" in to_be:
        options, files = _with_files(job, to_be.pop("files"))
    folder = to_be.pop("folder", _place_of(job))
    if folder != _place_of(job) and (target := destination(job, folder)) is None:
        options = replace(options, folder=folder)
    return replace(options, **to_be), files, target


def _place_of(job: Job) -> str:
    """The folder that a job's film lies in, is on its way to, or will lie in."""
    if job.status is Status.COMPLETED:
        return folder_of(job.moving_to or job.path or "")
    return job.options.folder


def _with_files(job: Job, wanted: tuple[int, ...] | None) -> tuple[Options, tuple[MediaFile, ...]]:
    """Options and files with this selection; files that stay wanted keep their priorities."""
    if not job.files and wanted == job.options.files:
        return job.options, job.files
    known = job.priorities() if job.files else {}
    asked = [file.index for file in job.files if not file.blocked] if wanted is None else wanted
    priorities = {**dict.fromkeys(known, 0), **{i: known.get(i) or NORMAL_PRIORITY for i in asked}}
    chosen = chosen_files(job, priorities)
    if chosen == known:
        return job.options, job.files
    if job.status is Status.COMPLETED:
        raise IllegalTransition(f"Job '{job.id}' is completed: start it anew for other files.")
    return job.options.with_priorities(chosen), job.files_wanted(chosen)


def chosen_files(job: Job, priorities: Mapping[int, int]) -> dict[int, int]:
    """The priority of every file of a job once these are given; others stay.

    Raises:
        NotReadable: its files are not known yet.
        FileNotFound: there is no such file.
        InvalidRequest: no file would be left, one looks like a program, or a priority is none.
    """
    if not job.files:
        raise NotReadable("The files of this download are not known yet.")
    known, blocked = job.priorities(), {file.index for file in job.files if file.blocked}
    for index, priority in priorities.items():
        if index not in known:
            raise FileNotFound(f"This download has no file {index}.")
        if type(priority) is not int or not 0 <= priority <= TOP_PRIORITY:
            raise InvalidRequest(
                f"The priority must be a whole number from 0 to {TOP_PRIORITY}.", field="files"
            )
        if priority and index in blocked:
            raise InvalidRequest(
                f"File {index} looks like a program; a start with allowExecutables lets it in.",
                field="files",
            )
    chosen = {**known, **priorities}
    if not any(chosen.values()):
        raise InvalidRequest("At least one file must stay chosen.", field="files")
    return chosen


def destination(job: Job, folder: str) -> str | None:
    """Where a finished film is on its way to if it is to lie in this folder; None if it is there.

    None, too, of a film that is not finished: it will be published there.

    Raises:
        IllegalTransition: the job's film is not whole, or it is being moved elsewhere.
    """
    if job.completed_at is None and not job.adopted:
        return None
    if job.status is not Status.COMPLETED:
        raise IllegalTransition(f"Job '{job.id}' is {job.status}: its film is not whole.")
    target = in_folder(folder, job.path or "")
    if job.moving_to is None:
        return None if target == job.path else target
    if folder_of(job.moving_to) != folder:
        where = f"'{folder_of(job.moving_to) or '/'}'"
        raise IllegalTransition(f"Job '{job.id}' is being moved to {where}: wait for that.")
    return job.moving_to
