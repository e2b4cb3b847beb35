"""Ranges and conditions of RFC 9110, sections 13 and 14: what a request for a file is to get.

Pure: a request's header fields and what is known of the file go in, an `Answer` comes out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

MAX_PARTS = 16
"""Ranges of one request that are answered one by one; more get the whole file (section 14.2)."""
_MAX_SPECS = 200
_SPEC = re.compile(r"(\d*)-(\d*)")
_ETAG = re.compile(r'(W/)?"[\x21\x23-\x7e\x80-\xff]*"')
_DIGITS = 18
"""More digits than any file size has."""


@dataclass(frozen=True, slots=True)
class Entity:
    """The facts of a file that decide an answer.

    Attributes:
        size: bytes.
        etag: strong, with quotes.
        modified: aware; when its bytes were settled.
    """

    size: int
    etag: str
    modified: datetime

    @property
    def last_modified(self) -> str:
        """The HTTP date of the last change, in whole seconds."""
        return format_datetime(self.modified.astimezone(UTC).replace(microsecond=0), usegmt=True)


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer a request is to get.

    Attributes:
        status: 200, 206, 304, 412 or 416.
        parts: first and last byte of each range to send; empty for none and for an empty file.
    """

    status: int
    parts: tuple[tuple[int, int], ...] = ()


def decide(method: str, fields: Mapping[str, Sequence[str]], entity: Entity) -> Answer:
    """Decides which answer a request gets, in the order of RFC 9110, section 13.2.2.

    Args:
        method: GET or HEAD.
        fields: header fields by lower-case name, every value they were sent with.
        entity: the file.
    """
    if "if-match" in fields:
        tags = _tags(fields["if-match"])
        is_another = tags != ["*"] and entity.etag not in tags
    else:
        is_another = _unchanged_since(fields.get("if-unmodified-since", ()), entity) is False
    if is_another:
        return Answer(412)
    if "if-none-match" in fields:
        tags = _tags(fields["if-none-match"])
        has_it = tags == ["*"] or entity.etag in [tag.removeprefix("W/") for tag in tags]
    else:
        has_it = _unchanged_since(fields.get("if-modified-since", ()), entity) is True
    if has_it:
        return Answer(304)
    whole = Answer(200, ((0, entity.size - 1),) if entity.size else ())
    asked = fields.get("range", ())
    # only GET knows ranges (section 14.2), and a field sent twice is no valid one
    if method != "GET" or len(asked) != 1 or not _if_range(fields, entity):
        return whole
    parts = parse_ranges(asked[0], entity.size)
    if parts is None:
        return whole
    if not parts:
        return Answer(416)
    return Answer(206, parts)


def parse_ranges(text: str, size: int) -> tuple[tuple[int, int], ...] | None:
    """Returns the ranges to send, in the order asked; ones that overlap or touch become one.

    Args:
        text: the value of a Range field.
        size: bytes of the file.

    Returns:
        None if the field is to be ignored, () if none of its ranges can be satisfied.
    """
    unit, equals, rest = text.partition("=")
    if unit.strip().lower() != "bytes" or not equals:
        return None
    # the list rule of section 5.6.1: empty members and spaces around commas are allowed
    specs = [spec.strip(" \t") for spec in rest.split(",")]
    specs = [spec for spec in specs if spec]
    if not specs or len(specs) > _MAX_SPECS:
        return None
    found: list[tuple[int, int]] = []
    for spec in specs:
        part = _part(spec, size)
        if part is None:
            return None
        if part[0] <= part[1]:
            found.append(part)
    if not size and not found and any(spec[0] == "-" and spec[1:].strip("0") for spec in specs):
        return None  # the whole of nothing can be had, but no Content-Range can say so
    merged = _merged(found)
    return merged if len(merged) <= MAX_PARTS else None


_NOTHING = (0, -1)


def _part(spec: str, size: int) -> tuple[int, int] | None:
    """Reads first and last byte; `_NOTHING` if they cannot be satisfied, None if malformed."""
    match = _SPEC.fullmatch(spec)
    if match is None or not spec.isascii() or spec == "-":
        return None
    first, last = (_number(text) for text in match.groups())
    if first is None:
        return (max(0, size - last), size - 1) if last and size else _NOTHING
    if last is not None and last < first:
        return None
    if first >= size:
        return _NOTHING
    return first, size - 1 if last is None else min(last, size - 1)


def _number(text: str) -> int | None:
    if not text:
        return None
    digits = text.lstrip("0") or "0"
    return int(digits) if len(digits) <= _DIGITS else 10**_DIGITS


def _merged(parts: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Joins ranges that overlap, so that no byte is sent twice; the first members' order stays."""
    if len(parts) < 2:
        return tuple(parts)
    order = {part: number for number, part in reversed(list(enumerate(parts)))}
    joined: list[tuple[int, int, int]] = []
    for first, last in sorted(order):
        number = order[first, last]
        if joined and first <= joined[-1][1] + 1:
            begin, end, earlier = joined[-1]
            joined[-1] = (begin, max(end, last), min(earlier, number))
        else:
            joined.append((first, last, number))
    return tuple((first, last) for first, last, _ in sorted(joined, key=lambda j: j[2]))


# --- conditions -----------------------------------------------------------------------------


def _if_range(fields: Mapping[str, Sequence[str]], entity: Entity) -> bool:
    """Tells whether the part the client has is of this file, so that more of it fits (13.1.5)."""
    values = fields.get("if-range")
    if values is None:
        return True
    value = values[0].strip() if len(values) == 1 else ""
    if _ETAG.fullmatch(value):
        return value == entity.etag  # strong comparison: a weak one never matches
    return value == entity.last_modified


def _unchanged_since(values: Sequence[str], entity: Entity) -> bool | None:
    """Tells whether the file is as it was at an HTTP date; None if the field is to be ignored."""
    if len(values) != 1:
        return None
    try:
        since = parsedate_to_datetime(values[0])
    except (ValueError, IndexError, TypeError, OverflowError):
        return None
    since = since if since.tzinfo is not None else since.replace(tzinfo=UTC)
    return entity.modified.replace(microsecond=0) <= since


def _tags(values: Sequence[str]) -> list[str]:
    text = ",".join(values).strip()
    return ["*"] if text == "*" else [match[0] for match in _ETAG.finditer(text)]
