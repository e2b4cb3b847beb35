"""Turns the Internet Archive's JSON into our values. Pure: no I/O, no state.

Answers come from outside, so nothing is taken for granted: what is absent or of another type reads
as unknown. Any value may be a text or a list of texts, and numbers are text.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from chilly_movies.catalogue.titles import Title, TitleDetails, TitleKind, TitlePage, TitleRef

ARCHIVE: Final = "archive"
NOTICE: Final = "Facts and films come from the Internet Archive (archive.org)."
IDENTIFIER: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
LAST_PAGE: Final = 500
"""Of 20 titles: the Archive sorts no more than 10,000 results."""
_PAGE: Final = 20
_SERIES: Final = frozenset({"classic_tv", "television", "tvarchive"})
"""Collections whose items are episodes of series."""
_MOST_TEXT: Final = 4000
_MOST_FILES: Final = 20_000
_TAG: Final = re.compile(r"<[^>]{0,2000}>")
_YEAR: Final = re.compile(r"(1[89]\d\d|20\d\d|21\d\d)(?:-\d\d-\d\d)?(?:T.*)?", re.ASCII)
_IN_NAME: Final = re.compile(r"\s*[(\[](1[89]\d\d|20\d\d)[)\]]\s*$", re.ASCII)
_URN: Final = re.compile(r"urn:(imdb|tvdb|tmdb):(\w{1,20})", re.ASCII)
_CLOCK: Final = re.compile(r"(?:(\d{1,3}):)?(\d{1,3}):(\d{2})(?:\.\d+)?", re.ASCII)
_MINUTES: Final = re.compile(r"(\d{1,4})\s*(?:m|min|mins|minutes)\b\.?", re.ASCII | re.IGNORECASE)
_HASHES: Final = (("sha1", 40), ("md5", 32))


@dataclass(frozen=True, slots=True)
class ArchiveFile:
    """A file of an item.

    Attributes:
        name: its path in the item.
        size: bytes, None if unknown.
        is_original: it was uploaded, and not made of another file.
        made_of: the name of the file that it was made of, "" = of none.
        checksum: `sha1:` or `md5:` and hexadecimal digits, None if unknown.
        seconds: of a film, how long it is.
    """

    name: str
    size: int | None = None
    is_original: bool = False
    made_of: str = ""
    format: str = ""
    checksum: str | None = None
    seconds: float | None = None

    @property
    def suffix(self) -> str:
        """What stands behind the last dot, in lower case."""
        return self.name.rpartition(".")[2].lower()


@dataclass(frozen=True, slots=True)
class ArchiveItem:
    """An item: a film, or the films of a series, with all that lies beside them."""

    identifier: str
    details: TitleDetails
    files: tuple[ArchiveFile, ...] = field(default=())


def parse_page(data: Mapping[str, object], page: int) -> TitlePage:
    """One page of a search, of 20 titles."""
    response = _mapping(data.get("response"))
    found = _whole(response.get("numFound"))
    docs = response.get("docs")
    entries = docs if isinstance(docs, list) else []
    titles = (_title(entry) for entry in entries if isinstance(entry, dict))
    return TitlePage(
        page=page,
        total_pages=min(-(-found // _PAGE), LAST_PAGE),
        total_results=found,
        results=tuple(title for title in titles if title is not None),
    )


def parse_item(data: Mapping[str, object]) -> ArchiveItem | None:
    """An item of films; None if it is none of films, or nobody may have it."""
    facts = _mapping(data.get("metadata"))
    title = _title(facts)
    if title is None or _text(facts, "mediatype") != "movies" or data.get("is_dark") is True:
        return None
    files = tuple(_files(data.get("files")))
    subjects = [part.strip() for text in _texts(facts, "subject") for part in text.split(";")]
    details = TitleDetails(
        title=title,
        runtime=_runtime(facts, files),
        genres=tuple(dict.fromkeys(filter(None, subjects)))[:10],
        released=_date(facts),
        cast=tuple(_texts(facts, "actor") + _texts(facts, "starring"))[:20],
        directors=tuple(_texts(facts, "director"))[:10],
        external_ids=_external_ids(facts),
        notice=NOTICE,
    )
    return ArchiveItem(_text(facts, "identifier"), details, files)


def _title(facts: Mapping[str, object]) -> Title | None:
    identifier = _text(facts, "identifier")
    if not re.fullmatch(IDENTIFIER, identifier):
        return None
    name = _text(facts, "title") or identifier
    told = _YEAR.fullmatch(_text(facts, "year")) or _YEAR.fullmatch(_text(facts, "date"))
    in_name = _IN_NAME.search(name)
    year = told or in_name
    reviews = _whole(facts.get("num_reviews"))
    return Title(
        id=0,
        kind=TitleKind.TV if _SERIES & set(_texts(facts, "collection")) else TitleKind.MOVIE,
        name=_IN_NAME.sub("", name) or name,
        year=int(year[1]) if year else None,
        overview=_plain("\n\n".join(_texts(facts, "description"))),
        language=_language(facts),
        rating=_rating(facts) if reviews else None,
        votes=reviews,
        ref=TitleRef(ARCHIVE, identifier),
    )


def _files(value: object) -> Iterator[ArchiveFile]:
    for entry in (value if isinstance(value, list) else [])[:_MOST_FILES]:
        if not isinstance(entry, dict) or _text(entry, "private") == "true":
            continue
        if not (name := _text(entry, "name")) or name.startswith("._____padding_file"):
            continue
        yield ArchiveFile(
            name=name,
            size=_whole(entry.get("size")) or None,
            is_original=_text(entry, "source") == "original",
            made_of=_text(entry, "original"),
            format=_text(entry, "format"),
            checksum=_checksum(entry),
            seconds=_seconds(_text(entry, "length")),
        )


def _checksum(entry: Mapping[str, object]) -> str | None:
    for kind, digits in _HASHES:
        if re.fullmatch(f"[0-9a-f]{{{digits}}}", found := _text(entry, kind).lower()):
            return f"{kind}:{found}"
    return None


def _runtime(facts: Mapping[str, object], files: Iterable[ArchiveFile]) -> int | None:
    """Minutes, as the item says, else as its longest file is long."""
    told = _text(facts, "runtime")
    minutes = _MINUTES.match(told)
    longest = max((file.seconds or 0.0 for file in files if file.is_original), default=0.0)
    seconds = float(minutes[1]) * 60 if minutes else _seconds(told) or longest
    return round(seconds / 60) or None


def _seconds(text: str) -> float | None:
    """What a length says: `5734.43`, `1:35:34` or `95:34`."""
    if clock := _CLOCK.fullmatch(text):
        return int(clock[1] or 0) * 3600 + int(clock[2]) * 60 + float(clock[3])
    return float(text) if re.fullmatch(r"\d{1,6}(\.\d{1,9})?", text, re.ASCII) else None


def _date(facts: Mapping[str, object]) -> str | None:
    found = re.match(r"\d{4}-\d\d-\d\d", _text(facts, "date"), re.ASCII)
    return found[0] if found else None


def _external_ids(facts: Mapping[str, object]) -> dict[str, str]:
    found = [_URN.fullmatch(text) for text in _texts(facts, "external-identifier")]
    return {one[1]: one[2] for one in reversed(found) if one is not None}


def _language(facts: Mapping[str, object]) -> str | None:
    told = _text(facts, "language").lower()
    return told if re.fullmatch("[a-z]{2,3}", told) else None


def _rating(facts: Mapping[str, object]) -> float | None:
    """0-10; the Archive has 0-5 stars, as a number or as text."""
    value = facts.get("avg_rating")
    try:
        stars = float(value) if isinstance(value, int | float | str) else -1.0
    except ValueError:
        return None
    return stars * 2 if 0 <= stars <= 5 else None


def _plain(text: str) -> str:
    """A description without its HTML."""
    return html.unescape(_TAG.sub(" ", text[: 4 * _MOST_TEXT])).strip()[:_MOST_TEXT]


def _texts(facts: Mapping[str, object], name: str) -> list[str]:
    """All values of a field, which may be one or a list."""
    value = facts.get(name)
    entries = value if isinstance(value, list) else [value]
    # JSON can spell half a surrogate pair, which nothing downstream can encode.
    texts = [e.encode("utf-8", "replace").decode().strip() for e in entries if isinstance(e, str)]
    return [text for text in texts if text]


def _text(facts: Mapping[str, object], name: str) -> str:
    value = facts.get(name)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53:
        return str(value)
    return next(iter(_texts(facts, name)), "")


def _whole(value: object) -> int:
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    return int(text) if re.fullmatch(r"\d{1,15}", text, re.ASCII) else 0


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}
