"""Pure translation between our values and table rows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from itertools import zip_longest
from types import NoneType
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter
from sqlalchemy import CursorResult, RowMapping

from chilly_movies.jobs.events import Change
from chilly_movies.jobs.figures import Figures, Moved
from chilly_movies.jobs.models import (
    FurtherSource,
    Job,
    JobError,
    MediaFile,
    Progress,
    Source,
    Status,
    TrackerChoice,
)
from chilly_movies.jobs.options import Options
from chilly_movies.jobs.secrets import Secret
from chilly_movies.notices.models import Delivery, Webhook

_PROGRESS: Final = TypeAdapter(Progress)
_OPTIONS: Final = TypeAdapter(Options)
_ERROR: Final = TypeAdapter(JobError)
_FILES: Final = TypeAdapter(tuple[MediaFile, ...])
_IDENTITIES: Final = TypeAdapter(tuple[str, ...])
_NEWS: Final = TypeAdapter(dict[str, Any])
_LABELS: Final = TypeAdapter(dict[str, str])
_FIGURES: Final = TypeAdapter(Figures)
_TRACKERS: Final = TypeAdapter(TrackerChoice)
_MOVED: Final = TypeAdapter(Moved)
_NO_FIGURES: Final = "{}"
"""What stands for the figures of a job that last ran in a version that kept none."""
_NAMES: Final = TypeAdapter(tuple[str, ...])

T = TypeVar("T")
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Secrets:
    """All that is secret of one job, which no other column holds."""

    source: Secret | None = None
    mirrors: tuple[Secret | None, ...] = ()
    candidates: tuple[Secret | None, ...] = ()
    active: Secret | None = None

    @classmethod
    def of(cls, job: Job) -> _Secrets:
        """What is secret of a job."""
        active = None if job.active_source is None else job.active_source.secret
        others = _secrets_of(job.mirrors), _secrets_of(job.candidates)
        return cls(job.source.secret, *others, active)


def _secrets_of(sources: tuple[FurtherSource, ...]) -> tuple[Secret | None, ...]:
    found = tuple(one.source.secret for one in sources)
    return found if any(found) else ()


@dataclass(frozen=True, slots=True)
class _Active:
    """Which of a job's sources is run, and what is known of those that were given up."""

    source: Source | None = None
    spent: tuple[str, ...] = ()
    again: tuple[str, ...] = ()
    left: Figures | None = None

    def among(self, source: Source, secret: Secret | None) -> _Active:
        """The same with what is not in its column: the secret, or all of the job's own source."""
        if self.source is None:
            return self
        own = self.source.name == source.name
        return replace(self, source=source if own else replace(self.source, secret=secret))


_ACTIVE: Final = TypeAdapter(_Active)
_FURTHER: Final = TypeAdapter(tuple[FurtherSource, ...])
_SHOWN: Final[Any] = {"__all__": {"source": {"type", "urn"}, "checksum": True, "size": True}}
"""What of them stands in their own column."""
_SECRETS: Final = TypeAdapter(_Secrets)
_NO_SECRETS: Final = _Secrets()
_SHORT: Final = 500
"""The characters of a text that many jobs are likely to share: options, labels, trackers."""

# Fields that are stored as they are, under their own name, and what they may be: SQLite keeps a
# value of any type in any column.
_TEXT, _TIME, _BYTES = (str, NoneType), (datetime, NoneType), (bytes, NoneType)
_PLAIN: Final[dict[str, tuple[type, ...]]] = {
    "id": (str,), "key": (str,), "position": (int,), "fraction": (str,), "name": _TEXT,
    "reason": _TEXT, "path": _TEXT,
    "moving_to": _TEXT, "seeding": (bool,), "adopted": (bool,), "attempts": (int,),
    "created_at": (datetime,), "updated_at": (datetime,), "started_at": _TIME,
    "completed_at": _TIME, "next_attempt_at": _TIME, "owner": _TEXT, "epoch": (int,),
    "generation": (int,),
}  # fmt: skip


def job_to_row(job: Job) -> dict[str, Any]:
    """Every column of `jobs`.

    Raises:
        ValueError: a text is not valid Unicode.
    """
    return {name: getattr(job, name) for name in _PLAIN} | {
        "status": job.status.value,
        "source_type": str(job.source.type),
        "source_urn": job.source.urn,
        "source_data": job.source.data,
        "secret": _secrets_to_json(_Secrets.of(job)),
        "mirrors": _FURTHER.dump_json(job.mirrors, include=_SHOWN).decode(),
        "candidates": _FURTHER.dump_json(job.candidates, include=_SHOWN).decode(),
        "active_source": _active_to_json(job),
        "progress": _to_json(_PROGRESS, job.progress),
        "options": _to_json(_OPTIONS, job.options),
        "identities": _to_json(_IDENTITIES, job.identities),
        "files": _to_json(_FILES, job.files),
        "error": _error_to_json(job.error),
        "labels": _to_json(_LABELS, job.labels),
        "figures": _figures_to_json(job.counted),
        "trackers": _to_json(_TRACKERS, job.trackers),
    }


def job_from_row(row: RowMapping) -> Job:
    """The job in a row of `jobs`.

    Raises:
        ValueError: the row is damaged.
    """
    secrets = _SECRETS.validate_json(row["secret"]) if row["secret"] else _NO_SECRETS
    source = Source(
        _value(row, "source_type", str),
        _value(row, "source_urn", str),
        _value(row, "source_data", *_BYTES),
        secrets.source,
    )
    active = _from_json(_ACTIVE, row["active_source"] or "{}").among(source, secrets.active)
    return Job(
        **{name: _value(row, name, *types) for name, types in _PLAIN.items()},
        status=Status(row["status"]),
        source=source,
        progress=_PROGRESS.validate_json(row["progress"]),
        options=_from_json(_OPTIONS, row["options"]),
        identities=_IDENTITIES.validate_json(row["identities"]),
        files=_FILES.validate_json(row["files"]),
        error=_error_from_json(row["error"]),
        labels=_from_json(_LABELS, row["labels"]),
        counted=_figures_from_json(row["figures"]),
        trackers=_from_json(_TRACKERS, row["trackers"]),
        mirrors=_further(row["mirrors"], secrets.mirrors),
        candidates=_further(row["candidates"], secrets.candidates),
        active_source=active.source,
        spent=active.spent,
        again=active.again,
        left=active.left,
    )


def _further(text: str, secrets: tuple[Secret | None, ...]) -> tuple[FurtherSource, ...]:
    """Further sources with what is secret of each; a backup may have left that out."""
    found = zip_longest(_from_json(_FURTHER, text), secrets)
    return tuple(
        replace(one, source=replace(one.source, secret=secret)) for one, secret in found if one
    )


def progress_to_row(job: Job) -> dict[str, Any]:
    """The columns of `jobs` that move while a job runs, `which` job it is, and `held` how."""
    return {
        "which": job.id,
        "held": job.epoch,
        "progress": _to_json(_PROGRESS, job.progress),
        "figures": _figures_to_json(job.counted),
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
        "news": None if change.news is None else _to_json(_NEWS, dict(change.news)),
        "name": change.name,
        "labels": _to_json(_LABELS, change.labels),
    }


def change_from_row(row: RowMapping) -> Change:
    """The change in a row of `events`; its `job` is None.

    Raises:
        ValueError: the row is damaged.
    """
    return Change(
        seq=_value(row, "id", int),
        event=_value(row, "event", str),
        id=_value(row, "job_id", str),
        status=Status(row["status"]),
        progress=_PROGRESS.validate_json(row["progress"]),
        at=_value(row, "at", datetime),
        error=_error_from_json(row["error"]),
        reason=_value(row, "reason", *_TEXT),
        news=_news(_value(row, "news", *_TEXT)),
        name=_value(row, "name", *_TEXT),
        labels=_from_json(_LABELS, row["labels"]),
    )


def webhook_from_row(row: RowMapping) -> Webhook:
    """The webhook in a row of `webhooks`.

    Raises:
        ValueError: the row is damaged.
    """
    return Webhook(
        id=_value(row, "id", str),
        address=_value(row, "address", str),
        events=_NAMES.validate_json(row["events"]),
        secret=_value(row, "secret", str),
        created_at=_value(row, "created_at", datetime),
        seq=_value(row, "seq", int),
    )


_DELIVERY: Final[dict[str, tuple[type, ...]]] = {
    "id": (str,), "seq": (int,), "event": (str,), "job_id": _TEXT, "at": (datetime,),
    "attempts": (int,), "status": (int, NoneType), "error": _TEXT,
}  # fmt: skip


def delivery_to_row(webhook_id: str, delivery: Delivery) -> dict[str, Any]:
    """Every column of `deliveries`."""
    return {"webhook": webhook_id} | {name: getattr(delivery, name) for name in _DELIVERY}


def delivery_from_row(row: RowMapping) -> Delivery:
    """The delivery in a row of `deliveries`.

    Raises:
        ValueError: the row is damaged.
    """
    return Delivery(**{name: _value(row, name, *types) for name, types in _DELIVERY.items()})


def resume_from_row(row: RowMapping) -> tuple[str, bytes]:
    """Job key and blob in a row of `resume`.

    Raises:
        ValueError: the row is damaged.
    """
    _value(row, "saved_at", datetime)
    return _value(row, "key", str), _value(row, "data", bytes)


def follower_from_row(row: RowMapping) -> tuple[str, int]:
    """Name and cursor in a row of `followers`.

    Raises:
        ValueError: the row is damaged.
    """
    _value(row, "reported_at", datetime)
    return _value(row, "name", str), _value(row, "seq", int)


def meta_from_row(row: RowMapping) -> tuple[str, str]:
    """Name and value in a row of `meta`.

    Raises:
        ValueError: the row is damaged.
    """
    return _value(row, "name", str), _value(row, "value", str)


def totals_to_text(totals: Moved) -> str:
    """The value of the row of `meta` that keeps what all jobs moved."""
    return _to_json(_MOVED, totals)


def totals_from_text(text: object) -> Moved | None:
    """What all jobs moved; None if there is no such row, or it is damaged: counting begins anew."""
    try:
        return _MOVED.validate_json(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _value(row: RowMapping, name: str, *types: type) -> Any:
    """What a column holds.

    Raises:
        ValueError: it is of another type, or a text with bytes that are no UTF-8.
    """
    value = row[name]
    if not isinstance(value, types):
        raise ValueError(f"the column '{name}' holds a value of another type")  # noqa: TRY004
    if isinstance(value, str):
        value.encode()
    return value


def _news(text: str | None) -> dict[str, Any] | None:
    return None if text is None else _NEWS.validate_json(text)


def _to_json(adapter: TypeAdapter[Any], value: object) -> str:
    return adapter.dump_json(value).decode()


def _from_json(adapter: TypeAdapter[Any], text: str) -> Any:
    """Reads a JSON text. Equal short texts give one shared value, which nobody may change."""
    if isinstance(text, str) and len(text) <= _SHORT:
        return _value_of(adapter, text)
    return adapter.validate_json(text)


@lru_cache(maxsize=1000)
def _value_of(adapter: TypeAdapter[Any], text: str) -> Any:
    return adapter.validate_json(text)


def _error_to_json(error: JobError | None) -> str | None:
    return None if error is None else _to_json(_ERROR, error)


def _error_from_json(text: str | None) -> JobError | None:
    return None if text is None else _ERROR.validate_json(text)


def _figures_to_json(figures: Figures | None) -> str:
    return _NO_FIGURES if figures is None else _to_json(_FIGURES, figures)


def _figures_from_json(text: str) -> Figures | None:
    """What is stored; what only the run before knew is left out."""
    return None if text == _NO_FIGURES else _FIGURES.validate_json(text).at_rest


def readable(found: CursorResult[Any], read: Callable[[RowMapping], T]) -> Iterator[T]:
    """Read row by row, so that a damaged one stays behind alone."""
    mappings = found.mappings()
    while True:
        try:
            row = mappings.fetchone()
            if row is None:
                return
            value = read(row)
        except (ValueError, TypeError) as error:
            _logger.warning("a damaged row of the database is left out: %s", type(error).__name__)
        else:
            yield value


def _secrets_to_json(secrets: _Secrets) -> str | None:
    """What is secret as text; None if nothing is."""
    if secrets == _NO_SECRETS:
        return None
    return _SECRETS.dump_json(secrets, exclude_defaults=True).decode()


def _active_to_json(job: Job) -> str | None:
    """Which source is run as text; None if no other than the job's own ever was."""
    if job.active_source is None:
        return None
    shown: Any = {"source": {"type", "urn"}, "spent": True, "again": True, "left": True}
    active = _Active(job.active_source, job.spent, job.again, job.left)
    return _ACTIVE.dump_json(active, include=shown).decode()
