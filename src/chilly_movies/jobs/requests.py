"""Checks what callers give: ids, paths, links and torrent files. Loads nothing heavy."""

from __future__ import annotations

import re
import uuid
from pathlib import PurePosixPath

from chilly_movies.errors import InvalidRequest, InvalidSource, UnsupportedSource
from chilly_movies.jobs.models import SourceType
from chilly_movies.names import INCOMPLETE

MAX_ID = 128
JOB_ID_PATTERN = rf"^[A-Za-z0-9._:\-]{{1,{MAX_ID}}}$"
MAX_URN = 64 * 1024
MAX_TORRENT_BYTES = 10 * 1024 * 1024
MAX_PATH = 4096
UNTOLD = ""
"""The type of a source that came without one: it is found out before there is a job."""

_INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"))
_QUOTES = (
    '"',
    "'",
    "`",
    "<",
    ">",
    "\u201c",
    "\u201d",
    "\u201e",
    "\u2018",
    "\u2019",
    "\u00ab",
    "\u00bb",
)
_MAGNET = re.compile(r"magnet(?::|%3A)", re.IGNORECASE)
_PLAIN_PASSWORD = re.compile(
    r"https?://[^/?#\\@\[:]*:(?!\d*[/?#\\])[^/?#\\@]*[/?#\\].*@", re.IGNORECASE
)
"""A link whose server has no number for a port, and an `@` further on (RFC 3986, 3.2)."""
_LINE_BREAK = re.compile(r"[ \t]*[\r\n]+[ \t]*")


def check_path(path: object) -> str:
    """The path in its shortest spelling, if it stays within the media root.

    Raises:
        InvalidRequest: it is absolute, leads out, or is none.
    """
    if not isinstance(path, str) or not 0 < len(path) <= MAX_PATH or "\0" in path:
        raise InvalidRequest(
            f"The path must be text of 1 to {MAX_PATH} characters without NUL.", field="path"
        )
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or not pure.parts:
        raise InvalidRequest(
            "The path must name a file or folder within the media folder, without '..' and without "
            "a leading '/'.",
            field="path",
        )
    if pure.parts[0] == INCOMPLETE:
        raise InvalidRequest("Unfinished data cannot be shared yet.", field="path")
    return str(pure)


def missing_source(job_id: str) -> InvalidRequest:
    """The error for an id that is not known and came without a source."""
    return InvalidRequest(
        f"There is no job '{job_id}' yet: a new one needs a sourceUrn.", field="sourceUrn"
    )


def new_id() -> str:
    """An id that no job has."""
    return uuid.uuid4().hex


def check_id(job_id: object) -> str:
    """The id if it has the form the contract allows.

    Raises:
        InvalidRequest: it has not.
    """
    well = isinstance(job_id, str) and re.fullmatch(JOB_ID_PATTERN, job_id)
    if not well or job_id in (".", ".."):
        raise InvalidRequest(
            "The id must have 1 to 128 characters of A-Z a-z 0-9 . _ : - and not be '.' or '..'.",
            field="id",
        )
    return str(job_id)


def check_kind(name: str) -> str:
    """The name of a source type, if a driver can have it; whether one has is not known here.

    Raises:
        UnsupportedSource: none can.
    """
    if not name or not name.isprintable():
        raise UnsupportedSource("There is no such source type; 'torrent' is one.")
    return name


def check_link(text: str, kind: str) -> str:
    """The link without what is copied with it; "" if there is none.

    Raises:
        InvalidRequest: it holds a sign that no link has.
        InvalidSource: it holds a password that is not encoded, and would be shown as its path.
    """
    link = clean_link(text) if kind in (SourceType.TORRENT, UNTOLD) else text.strip()
    for place, sign in enumerate(link, 1):
        if not sign.isprintable():
            raise InvalidRequest(
                f"The sourceUrn holds a sign that no link has: U+{ord(sign):04X} at place {place}.",
                field="sourceUrn",
            )
    if _PLAIN_PASSWORD.match(link):
        raise InvalidSource(
            "The link seems to hold a password with a sign that must be encoded: / ? # \\ are "
            "written %2F %3F %23 %5C."
        )
    return link


def check_torrent(data: object, kind: str = SourceType.TORRENT) -> None:
    """Refuses what cannot be the bytes of a `.torrent` file.

    Raises:
        InvalidRequest: they are none, too many, or of another kind of source.
    """
    if not isinstance(data, bytes) or len(data) > MAX_TORRENT_BYTES:
        raise InvalidRequest("A torrent file must be bytes, at most 10.4 MB.", field="torrent")
    if kind != SourceType.TORRENT:
        raise InvalidRequest("A torrent file needs the sourceType 'torrent'.", field="torrent")


def clean_link(text: str) -> str:
    """A link without what is copied with it: blanks, quotes, invisible signs, line breaks."""
    text = text.translate(_INVISIBLE).strip()
    quoted = text.startswith(_QUOTES)
    text = text.strip("".join(_QUOTES) if quoted else '"<>').strip()
    return _LINE_BREAK.sub("", text) if _MAGNET.match(text) else text
