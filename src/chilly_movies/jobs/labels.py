"""Labels: short texts that callers keep with a job. Nothing here reads what they say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from chilly_movies.errors import InvalidRequest

MAX_LABELS: Final = 64
MAX_LABEL_KEY: Final = 64
LABEL_KEY: Final = rf"^[A-Za-z0-9._\-]{{1,{MAX_LABEL_KEY}}}$"
MAX_LABEL_BYTES: Final = 1024
"""Bytes of UTF-8 that the value of a label may have."""
LABELS: Final = (
    "Text by key, which is kept with the job and shown with its events; never read here."
)


def check_labels(labels: Mapping[str, str | None]) -> Mapping[str, str | None]:
    """The labels, if all of them may be kept; a value of None is a label to be removed.

    Raises:
        InvalidRequest: one has the wrong form, or there are too many; it names the label.
    """
    for key, value in labels.items():
        check_label(key, value or "", f"labels.{key[: MAX_LABEL_KEY + 1]}")
    if len(labels) > 2 * MAX_LABELS:  # as many as there may be go, and as many come
        raise _too_many(len(labels))
    return labels


def check_label(key: str, value: str, field: str) -> None:
    """Refuses a label that cannot be kept.

    Args:
        key: of the label.
        value: of the label.
        field: the member of the request that holds it.

    Raises:
        InvalidRequest: key or value have the wrong form.
    """
    shown = key[: MAX_LABEL_KEY + 1]
    if not re.fullmatch(LABEL_KEY, key):
        raise InvalidRequest(
            f"The label '{shown}' must have a key of 1 to {MAX_LABEL_KEY} characters of "
            "A-Z a-z 0-9 . _ -.",
            field=field,
        )
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise InvalidRequest(f"The label '{shown}' is no valid Unicode.", field=field) from None
    if size > MAX_LABEL_BYTES:
        raise InvalidRequest(
            f"The label '{shown}' has {size} bytes of UTF-8; {MAX_LABEL_BYTES} are the most.",
            field=field,
        )


def with_labels(labels: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    """The labels with those of `changes` set; those that are None there are gone.

    Raises:
        InvalidRequest: there would be too many.
    """
    merged = {**labels, **changes}
    kept = {key: value for key, value in merged.items() if value is not None}
    if len(kept) > MAX_LABELS:
        raise _too_many(len(kept))
    return kept


def read_label(text: str) -> tuple[str, str]:
    """The key and the value of `key=value`, as a filter names a label.

    Raises:
        InvalidRequest: it has another form.
    """
    key, equals, value = text.partition("=")
    if not equals:
        raise InvalidRequest("A label is given as key=value.", field="label")
    check_label(key, value, "label")
    return key, value


def has_labels(labels: Mapping[str, str], wanted: Iterable[tuple[str, str]]) -> bool:
    """Whether all wanted labels are among these, with the same values."""
    return all(labels.get(key) == value for key, value in wanted)


def _too_many(number: int) -> InvalidRequest:
    return InvalidRequest(
        f"A job may have {MAX_LABELS} labels; these are {number}.", field="labels"
    )
