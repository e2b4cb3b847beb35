"""Links to files: which are taken, and what the file behind one is called. Pure."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import SplitResult, unquote, unquote_to_bytes, urlsplit

from chilly_movies.errors import InvalidSource
from chilly_movies.names import safe_name

_EXTENDED = re.compile(r"filename\*\s*=\s*\"?(utf-8|iso-8859-1)'[^']*'([^;\s\"]+)", re.IGNORECASE)
_PLAIN = re.compile(r'filename\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;\s"]+))', re.IGNORECASE)
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}$")
_SUFFIXES = {
    "video/x-matroska": ".mkv", "video/matroska": ".mkv", "video/mp4": ".mp4",
    "video/webm": ".webm", "video/x-msvideo": ".avi", "video/quicktime": ".mov",
    "video/mp2t": ".ts", "application/pdf": ".pdf", "application/zip": ".zip",
}  # fmt: skip
_LONGEST_WAIT = 7 * 86_400.0
"""Seconds; a server that wants more is not taken at its word."""


def split_link(link: str) -> SplitResult:
    """The parts of a link that a file can be fetched from.

    Raises:
        InvalidSource: it is no link to a server, or one of another scheme.
    """
    try:
        parts = urlsplit(link)
        well = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        well = False
    if not well or any(sign.isspace() for sign in link):
        raise InvalidSource("The link must begin with http:// or https:// and name a server.")
    return parts


def identity(link: str) -> str:
    """What two links to the same file have in common: all but the fragment and how it is spelled.

    Raises:
        InvalidSource: see `split_link`.
    """
    parts = split_link(link)
    usual = {"http": ":80", "https": ":443"}[parts.scheme]
    server = parts.netloc.rpartition("@")[2].lower().removesuffix(usual)
    return (
        f"file:{parts.scheme}://{server}{parts.path or '/'}{'?' * bool(parts.query)}{parts.query}"
    )


def name_of(link: str, final: str = "", headers: Mapping[str, str] | None = None) -> str:
    """What the file is called: as its server says (RFC 6266), else as a link does.

    Args:
        link: the one that was given.
        final: where it led to, "" if that is not known.
        headers: of the answer, by their names in lower case.
    """
    headers = headers or {}
    given = _disposed(headers.get("content-disposition", ""))
    paths = [_last(link), _last(final)]
    named = [given, *(name for name in paths if _SUFFIX.search(name)), *paths]
    host = urlsplit(link).hostname or "download"
    name = safe_name(next(filter(None, named), host))
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if not _SUFFIX.search(name) and kind.partition("/")[0] in ("video", "audio", "application"):
        name = safe_name(name + (_SUFFIXES.get(kind) or _guessed(kind)))
    return name


def _guessed(kind: str) -> str:
    return mimetypes.guess_extension(kind) or "" if kind.startswith(("video/", "audio/")) else ""


def _last(link: str) -> str:
    try:
        return unquote(urlsplit(link).path.rpartition("/")[2])
    except ValueError:
        return ""


def _disposed(header: str) -> str:
    """The name in a Content-Disposition, without folders; "" if it has none."""
    if (found := _EXTENDED.search(header)) is not None:
        name = unquote_to_bytes(found[2]).decode(found[1], "replace")
    elif (plain := _PLAIN.search(header)) is not None:
        name = plain[2] or re.sub(r'\\(["\\])', r"\1", plain[1] or "")
    else:
        return ""
    return name.replace("\\", "/").rpartition("/")[2].strip()


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server wants to be left alone (RFC 9110, 10.2.3); None if it says none."""
    text = headers.get("retry-after", "").strip()
    if text.isdecimal():
        return min(float(text), _LONGEST_WAIT)
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None  # the standard parser has several ways to say that it is no date
    until = until if until.tzinfo is not None else until.replace(tzinfo=UTC)
    seconds = (until - datetime.now(UTC)).total_seconds()
    return min(max(0.0, seconds), _LONGEST_WAIT)
