"""What an answer says of the file: which part it is, of which version, or why there is none.

Pure. The rules are those of RFC 9110.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from chilly_movies.drivers.http.hosts import Version
from chilly_movies.drivers.http.links import retry_after
from chilly_movies.errors import (
    DownloadError,
    SourceNotFound,
    SourceRejected,
    SourceUnavailable,
)

_LARGEST = 10**18
"""Bytes; systems and the database can hold no size that is much larger."""
_CONTENT_RANGE = re.compile(r"bytes\s+(?:(\d{1,40})-(\d{1,40})|\*)/(\d{1,40}|\*)", re.IGNORECASE)
_PAGES = ("text/html", "application/xhtml+xml")
_PAGE_NAMES = (".html", ".htm", ".xhtml", ".mhtml")
_PACKED_NAMES = (".gz", ".tgz", ".svgz")


@dataclass(frozen=True, slots=True)
class Part:
    """Which bytes an answer holds.

    Attributes:
        begin: the first.
        end: the one behind the last, None if that shows at the end only.
        total: of the whole file, None if it was not said.
        version: of the file.
        ranges: whether the server sends parts.
        unpacks: its bytes are packed with gzip on the way.
    """

    begin: int
    end: int | None
    total: int | None
    version: Version
    ranges: bool
    unpacks: bool = False


def joined(raw: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    """Header fields by their names in lower case; those that are there twice are put together."""
    headers: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1").lower(), _text(value).strip()
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def part_of(status: int, headers: Mapping[str, str], link: str, asked: int) -> Part:
    """What an answer to a request for the bytes from `asked` on holds.

    Args:
        status: 200, 206 or 416.
        headers: by their names in lower case.
        link: where it came from.
        asked: the first byte that was asked for.

    Raises:
        SourceUnavailable: it makes no sense.
        SourceRejected: it is a page, or packed in a way that is not read.
    """
    found = _CONTENT_RANGE.fullmatch(headers.get("content-range", "").strip())
    if status == 416:
        if found is None or found[3] == "*":
            raise SourceUnavailable("The link's server has no such part of the file.")
        total = _possible(int(found[3]))
        return Part(asked, asked, total, _version(headers, total), ranges=True)
    refuse_page(headers, link)
    unpacks = _is_packed(headers, link)
    if status == 206:
        if found is None or found[1] is None or int(found[2]) < int(found[1]):
            raise SourceUnavailable("The link's server sends a part and does not say which.")
        whole = None if found[3] == "*" else _possible(int(found[3]))
        begin, end = int(found[1]), int(found[2]) + 1
        if begin > asked or (whole is not None and end > whole):
            raise SourceUnavailable("The link's server sends another part than was asked for.")
        if not unpacks:
            return Part(begin, end, whole, _version(headers, whole), ranges=whole is not None)
        if (begin, end) != (0, whole):
            raise SourceUnavailable("The link's server sends a part of a packed file.")
    length = headers.get("content-length", "")
    is_size = length.isascii() and length.isdecimal() and len(length) <= 40
    known = is_size and not unpacks and "transfer-encoding" not in headers
    size = _possible(int(length)) if known else None
    return Part(0, size, size, _version(headers, size), ranges=False, unpacks=unpacks)


def _possible(size: int) -> int:
    if size < _LARGEST:
        return size
    raise SourceRejected(
        f"The link's server says that the file has {size} bytes, more than any disk has."
    )


def _version(headers: Mapping[str, str], size: int | None) -> Version:
    return Version(headers.get("etag") or None, headers.get("last-modified") or None, size)


def _is_packed(headers: Mapping[str, str], link: str) -> bool:
    """Whether the body is packed on the way, though it was asked for as it is."""
    coding = headers.get("content-encoding", "identity").lower()
    if coding in ("", "identity") or urlsplit(link).path.lower().endswith(_PACKED_NAMES):
        return False
    if coding not in ("gzip", "x-gzip"):
        raise SourceRejected(f"The link's server packs the file with {coding[:40]}: not readable.")
    return True


def refuse_page(headers: Mapping[str, str], link: str) -> None:
    """Refuse a page where a file is expected; a link that names a page is meant as one.

    Raises:
        SourceRejected: it is a page.
    """
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    saved = headers.get("content-disposition", "").lower().startswith("attachment")
    if kind in _PAGES and not saved and not urlsplit(link).path.lower().endswith(_PAGE_NAMES):
        raise SourceRejected(
            "The link leads to a page, not to a file: open it in a browser, and take the link of "
            "the download from there."
        )


def refusal(status: int, headers: Mapping[str, str], *, told: bool) -> DownloadError:
    """The error for an answer without a file.

    Args:
        status: of the answer.
        headers: by their names in lower case.
        told: whether the server was told a user name, cookies or the like.
    """
    answered = f"(it answered {status})"
    if status in (401, 403):
        if told:
            return SourceRejected(
                f"The link's server does not accept the credentials it was given {answered}."
            )
        return SourceRejected(
            f"The link's server wants credentials {answered}: start again with username and "
            "password, or with cookies or headers."
        )
    if status == 407:
        return SourceUnavailable(f"The proxy lets nothing through to the server {answered}.")
    if status == 404:
        return SourceNotFound(f"The link's server has no such file {answered}.")
    if status == 410:
        return SourceRejected(f"The link's server has the file no more {answered}.")
    if status >= 500 or status in (408, 425, 429):
        wait = retry_after(headers)
        return SourceUnavailable(f"The link's server answered {status}.", retry_after=wait)
    return SourceRejected(f"The link's server does not send the file {answered}.")
