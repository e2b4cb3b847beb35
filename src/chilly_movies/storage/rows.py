"""Pure translation between our values and table rows."""

from __future__ import annotations

from typing import Any, Final

from pydantic import TypeAdapter
from sqlalchemy import RowMapping

from chilly_movies.events import Change
from chilly_movies.models import (
    Job,
    JobError,
    MediaFile,
    Options,
    Progress,
    Source,
    SourceType,
    Status,
)

_PROGRESS: Final = TypeAdapter(Progress)
_OPTIONS: Final = TypeAdapter(Options)
_ERROR: Final = TypeAdapter(JobError)
_FILES: Final = TypeAdapter(tuple[MediaFile, ...])
_IDENTITIES: Final = TypeAdapter(tuple[str, ...])

# Fields that are stored as they are, under their own name.
_PLAIN: Final = (
    "id", "key", "position", "name", "reason", "path", "moving_to", "seeding", "adopted",
    "attempts", "created_at", "updated_at", "started_at", "completed_at", "next_attempt_at",
)  # fmt: skip


def job_to_row(job: Job) -> dict[str, Any]:
    """Every column of `jobs`.

    Raises:
        ValueError: a text is not valid Unicode.
    """
    return {name: getattr(job, name) for name in _PLAIN} | {
        "status": job.status.value,
        "source_type": job.source.type.value,
        "source_urn": job.source.urn,
        "source_data": job.source.data,
        "progress": _to_json(_PROGRESS, job.progress),
        "options": _to_json(_OPTIONS, job.options),
        "identities": _to_json(_IDENTITIES, job.identities),
        "files": _to_json(_FILES, job.files),
        "error": _error_to_json(job.error),
    }


def job_from_row(row: RowMapping) -> Job:
    """The job in a row of `jobs`.

    Raises:
        ValueError: the row is damaged.
    """
    return Job(
        **{name: row[name] for name in _PLAIN},
        status=Status(row["status"]),
        source=Source(SourceType(row["source_type"]), row["source_urn"], row["source_data"]),
        progress=_PROGRESS.validate_json(row["progress"]),
        options=_OPTIONS.validate_json(row["options"]),
        identities=_IDENTITIES.validate_json(row["identities"]),
        files=_FILES.validate_json(row["files"]),
        error=_error_from_json(row["error"]),
    )


def progress_to_row(job: Job) -> dict[str, Any]:
    """The columns of `jobs` that move while a job runs, and `which` job it is."""
    return {
        "which": job.id,
        "progress": _to_json(_PROGRESS, job.progress),
        "reason": job.reason,
        "updated_at": job.updated_at,
    }


def change_to_row(change: Change) -> dict[str, Any]:
    """Every column of `events`.

    Raises:
        ValueError: a text is not valid Unicode.
    """
    return {
        "id": change.seq,
        "job_id": change.id,
        "event": change.event,
        "status": change.status.value,
        "progress": _to_json(_PROGRESS, change.progress),
        "error": _error_to_json(change.error),
        "reason": change.reason,
        "at": change.at,
    }


def change_from_row(row: RowMapping) -> Change:
    """The change in a row of `events`; its `job` is None.

    Raises:
        ValueError: the row is damaged.
    """
    return Change(
        seq=row["id"],
        event=row["event"],
        id=row["job_id"],
        status=Status(row["status"]),
        progress=_PROGRESS.validate_json(row["progress"]),
        at=row["at"],
        error=_error_from_json(row["error"]),
        reason=row["reason"],
    )


def _to_json(adapter: TypeAdapter[Any], value: object) -> str:
    return adapter.dump_json(value).decode()


def _error_to_json(error: JobError | None) -> str | None:
    return None if error is None else _to_json(_ERROR, error)


def _error_from_json(text: str | None) -> JobError | None:
    return None if text is None else _ERROR.validate_json(text)
