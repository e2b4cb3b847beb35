"""Reads what a caller of `start` asks for, in the spelling of the wire or of Python."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

from chilly_movies.errors import InvalidRequest, UnsupportedSource
from chilly_movies.jobs.models import Options, Source, SourceType
from chilly_movies.names import INCOMPLETE, safe_name

_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_MAX_URN = 64 * 1024
MAX_TORRENT_BYTES = 10 * 1024 * 1024
MAX_PATH = 4096
MAX_FOLDER = 1000
_MAX_NUMBER = 2**53 - 1
_MAX_RATIO = 1000
MAX_FILES = 20_000
"""Files a torrent may have; a file index is below that."""

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
_LINE_BREAK = re.compile(r"[ \t]*[\r\n]+[ \t]*")

_SPELLINGS = {
    "sourceType": "source_type", "sourceUrn": "source_urn", "downloadLimit": "download_limit",
    "uploadLimit": "upload_limit", "seedRatio": "seed_ratio", "seedTime": "seed_time",
    "allowExecutables": "allow_executables",
}  # fmt: skip
_WIRE = {python: wire for wire, python in _SPELLINGS.items()}


@dataclass(frozen=True, slots=True)
class StartRequest:
    """A checked wish.

    Attributes:
        source: None when only an id was given.
        path: where the data lies already, None if it is to be downloaded.
    """

    id: str
    source: Source | None
    options: Options = field(default_factory=Options)
    path: str | None = None


def parse(wishes: Mapping[str, Any]) -> StartRequest:
    """Check a wish.

    Args:
        wishes: `id`, `source_type` (default `torrent`), `source_urn`, `torrent`, and options;
            camelCase works, too. Other keys (the seed's `status`) are ignored.

    Raises:
        InvalidRequest: a value has the wrong form.
        UnsupportedSource: there is no such source type.
    """
    given = {_SPELLINGS.get(key, key): value for key, value in wishes.items() if value is not None}
    job_id = check_id(given["id"]) if "id" in given else None
    source = _source(given)
    if source is None and job_id is None:
        raise InvalidRequest("A start needs a sourceUrn or a torrent file.", field="sourceUrn")
    return StartRequest(job_id or uuid.uuid4().hex, source, _options(given))


def parse_adoption(
    path: str, torrent: bytes, job_id: str | None, options: Options | None
) -> StartRequest:
    """Check a wish to seed what lies in the media root already.

    Args:
        path: where, relative to the media root.
        torrent: the bytes of its `.torrent` file.
        job_id: None = make one up.
        options: without a file selection: all of it is there.

    Raises:
        InvalidRequest: a value has the wrong form.
    """
    options = options or Options()
    if options.files is not None:
        raise InvalidRequest("What is there already is seeded as a whole.", field="files")
    source = _source({"torrent": torrent})
    options = replace(options, allow_executables=True)  # it is there already, and the user's own
    return StartRequest(
        uuid.uuid4().hex if job_id is None else check_id(job_id), source, options, check_path(path)
    )


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


def check_folder(folder: object) -> str:
    """The folder of the media root if it is one a film may be put into; "" = the media root.

    Raises:
        InvalidRequest: it is no text, it leads out, or a name in it would not work everywhere.
    """
    if not isinstance(folder, str) or len(folder) > MAX_FOLDER:
        raise InvalidRequest(
            f"The folder must be text of at most {MAX_FOLDER} characters.", field="folder"
        )
    safe = "/".join(safe_name(part) for part in folder.split("/")) if folder else ""
    if safe != folder:
        raise InvalidRequest(
            "The folder must be plain names within the media folder with '/' between them, without "
            "'..', leading dots, and signs that some disks refuse.",
            field="folder",
        )
    return folder


def missing_source(job_id: str) -> InvalidRequest:
    """The error for an id that is not known and came without a source."""
    return InvalidRequest(
        f"There is no job '{job_id}' yet: a new one needs a sourceUrn.", field="sourceUrn"
    )


def check_id(job_id: object) -> str:
    """The id if it has the form the contract allows.

    Raises:
        InvalidRequest: it has not.
    """
    if not isinstance(job_id, str) or not _ID.fullmatch(job_id) or job_id in (".", ".."):
        raise InvalidRequest(
            "The id must have 1 to 128 characters of A-Z a-z 0-9 . _ : - and not be '.' or '..'.",
            field="id",
        )
    return job_id


def _source(given: Mapping[str, Any]) -> Source | None:
    kind = _source_type(given.get("source_type", SourceType.TORRENT))
    data, urn = given.get("torrent"), given.get("source_urn", "")
    if data is not None:
        if not isinstance(data, bytes) or len(data) > MAX_TORRENT_BYTES:
            raise InvalidRequest("A torrent file must be bytes, at most 10.4 MB.", field="torrent")
        if kind is not SourceType.TORRENT:
            raise InvalidRequest("A torrent file needs the sourceType 'torrent'.", field="torrent")
    if not isinstance(urn, str) or len(urn) > _MAX_URN:
        raise InvalidRequest("The sourceUrn must be text of at most 65 kB.", field="sourceUrn")
    urn = clean_link(urn) if kind is SourceType.TORRENT else urn.strip()
    if not urn and data is None:
        if "source_urn" in given:
            raise InvalidRequest("The sourceUrn is empty.", field="sourceUrn")
        return None
    _refuse_odd_signs(urn)
    return Source(kind, urn, data)


def clean_link(text: str) -> str:
    """A link without what is copied with it: blanks, quotes, invisible signs, line breaks."""
    text = text.translate(_INVISIBLE).strip()
    quoted = text.startswith(_QUOTES)
    text = text.strip("".join(_QUOTES) if quoted else '"<>').strip()
    return _LINE_BREAK.sub("", text) if _MAGNET.match(text) else text


def _refuse_odd_signs(urn: str) -> None:
    for place, sign in enumerate(urn, 1):
        if not sign.isprintable():
            raise InvalidRequest(
                f"The sourceUrn holds a sign that no link has: U+{ord(sign):04X} at place {place}.",
                field="sourceUrn",
            )


def _source_type(value: object) -> SourceType:
    try:
        return SourceType(str(value))
    except ValueError:
        known = ", ".join(SourceType)
        raise UnsupportedSource(f"There is no such source type; there is: {known}.") from None


def _options(given: Mapping[str, Any]) -> Options:
    return Options(
        files=_files(given.get("files")),
        download_limit=_whole(given, "download_limit"),
        upload_limit=_whole(given, "upload_limit"),
        seed_ratio=_ratio(given.get("seed_ratio")),
        seed_time=_whole(given, "seed_time"),
        allow_executables=_yes_or_no(given.get("allow_executables", False)),
        folder=check_folder(given.get("folder", "")),
    )


def _yes_or_no(value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidRequest(
            "The allowExecutables must be true or false.", field="allowExecutables"
        )
    return value


def _files(value: object) -> tuple[int, ...] | None:
    if value is None:
        return None
    message = f"The files must be a list of at least one file index (0 to {MAX_FILES - 1})."
    if not isinstance(value, list | tuple) or not 0 < len(value) <= MAX_FILES:
        raise InvalidRequest(message, field="files")
    if not all(type(i) is int and 0 <= i < MAX_FILES for i in value):
        raise InvalidRequest(message, field="files")
    return tuple(sorted(set(value)))


def _whole(given: Mapping[str, Any], name: str) -> int | None:
    value = given.get(name)
    if value is None:
        return None
    if type(value) is not int or not 0 <= value <= _MAX_NUMBER:
        wire = _WIRE[name]
        raise InvalidRequest(f"The {wire} must be a whole number, 0 or more.", field=wire)
    return value


def _ratio(value: object) -> float | None:
    if value is None:
        return None
    if type(value) in (int, float) and 0 <= value <= _MAX_RATIO:  # type: ignore[operator]
        return float(value)  # type: ignore[arg-type]
    raise InvalidRequest(
        f"The seedRatio must be a number from 0 to {_MAX_RATIO}.", field="seedRatio"
    )
