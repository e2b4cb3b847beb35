"""NFO files: what media servers read of a film, a series or an episode beside its file.

Source: kodi.wiki (NFO files: Movies, TV shows, Episodes, Parsing NFO); Jellyfin reads the same.
Those that others wrote are hostile text: at most 1 MiB is looked at, without document types,
entities and anything from elsewhere.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Final
from xml.etree import ElementTree as ET
from xml.etree.ElementTree import Element

from chilly_movies.catalogue.titles import TitleKind
from chilly_movies.library.models import FileRole, Item, ItemEpisode, ItemFacts, ItemFile
from chilly_movies.library.naming import ids_of, stem_of

LARGEST: Final = 1024 * 1024
"""Bytes of an NFO file; real ones have some thousand."""
_DEEPEST, _MOST_ELEMENTS = 32, 20_000
_LONGEST_TEXT, _LONGEST_LINE, _LONGEST_LIST = 20_000, 500, 500
_KINDS: Final = {
    "movie": TitleKind.MOVIE,
    "tvshow": TitleKind.TV,
    "episodedetails": TitleKind.TV,
}
_IS_XML: Final = re.compile(rf"<(?:{'|'.join(_KINDS)})[\s/>]")
_DECLARATION: Final = re.compile(r"\s*<\?xml[^>]{0,200}\?>")
_ENCODING: Final = re.compile(rb"""<\?xml[^>]{0,100}encoding=["']([A-Za-z0-9._-]{1,40})["']""")
_LINKS: Final = (
    ("tmdb", TitleKind.MOVIE, re.compile(r"themoviedb\.org/movie/(\d{1,10})")),
    ("tmdb", TitleKind.TV, re.compile(r"themoviedb\.org/tv/(\d{1,10})")),
    ("imdb", None, re.compile(r"imdb\.com/(?:[a-z]{2}/)?title/(tt\d{5,10})")),
    ("tvdb", TitleKind.TV, re.compile(r"thetvdb\.com/\S{0,80}?[?&]id=(\d{1,10})")),
)
"""Links of a "parsing NFO", and what each says."""
_BYTE_ORDER_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_OLD_IDS: Final = (
    ("tmdb", "tmdbid"),
    ("imdb", "imdbid"),
    ("imdb", "imdb_id"),
    ("tvdb", "tvdbid"),
    ("imdb", "id"),
)
"""Elements that held the id of a catalogue before `uniqueid` did."""
_BAD_IN_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_DATE: Final = re.compile(r"(\d{4})-\d{2}-\d{2}")


class NfoUnreadable(ValueError):
    """An NFO file is too large, malformed, or tries what no NFO file needs; its text says which."""


@dataclass(frozen=True, slots=True)
class NfoFacts:
    """What an NFO file says; what it does not say is None or empty.

    Attributes:
        kind: whether it is of a film or of a series.
        show: of an episode, the title of its series.
        episodes: those that an episode's file holds.
        facts: `external_ids` may also come from a link in the file.
    """

    kind: TitleKind | None = None
    title: str = ""
    show: str = ""
    year: int | None = None
    episodes: tuple[ItemEpisode, ...] = ()
    facts: ItemFacts = field(default_factory=ItemFacts)


# --- writing --------------------------------------------------------------------------------


def write(
    item: Item, places: Mapping[int, PurePosixPath], folder: PurePosixPath
) -> dict[PurePosixPath, bytes]:
    """The NFO files of an item, by where they stand in the tree.

    A film has one beside each of its versions, beside the first part where it lies in several; a
    series has one in its folder, and each of its files one with all episodes that it holds.

    Args:
        item: with its facts.
        places: where its files stand, by index (`Naming.places`).
        folder: where the item stands (`Naming.folder`).
    """
    found: dict[PurePosixPath, bytes] = {}
    if item.kind is TitleKind.TV:
        found[folder / "tvshow.nfo"] = _document([_title("tvshow", item)])
    for file in item.files:
        if file.role is not FileRole.MAIN or (place := places.get(file.index)) is None:
            continue
        if item.kind is TitleKind.TV:
            blocks = [_episode(item, file, number) for number in file.episodes]
        else:
            blocks = [] if (file.part or 1) > 1 else [_title("movie", item, file)]
        if blocks:
            found[place.parent / (stem_of(place, file) + ".nfo")] = _document(blocks)
    return found


def _document(blocks: Sequence[Element]) -> bytes:
    for block in blocks:
        ET.indent(block)
    texts = [ET.tostring(block, encoding="unicode") for block in blocks]
    head = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
    return "\n".join((head, *texts, "")).encode()


def _title(root: str, item: Item, file: ItemFile | None = None) -> Element:
    facts, ids = item.facts, ids_of(item)
    if item.ref is not None and item.ref.provider not in ids and _ID.fullmatch(item.ref.id):
        ids = {item.ref.provider: item.ref.id, **ids}
    element = Element(root)
    _add(element, "title", item.title)
    _add(element, "originaltitle", facts.original_title)
    _add(element, "year", item.year)
    _add(element, "premiered", facts.released)
    _add(element, "plot", facts.overview)
    _add(element, "tagline", facts.tagline)
    _add(element, "runtime", facts.runtime)
    _add_rating(element, facts)
    for number, (name, value) in enumerate(sorted(ids.items(), key=_by_use)):
        default = {"default": "true"} if number == 0 else {}
        _add(element, "uniqueid", value, type=name, **default)
    for name, values in (("genre", facts.genres), ("director", facts.directors)):
        for value in values:
            _add(element, name, value)
    _add_cast(element, facts)
    if file is not None:
        _add_duration(element, file)
    return element


def _episode(item: Item, file: ItemFile, number: int) -> Element:
    season = 1 if file.season is None else file.season
    known = (one for one in item.episodes if (one.season, one.number) == (season, number))
    episode = next(known, ItemEpisode(season, number))
    element = Element("episodedetails")
    _add(element, "title", episode.title or f"Episode {number}")
    _add(element, "showtitle", item.title)
    for name, value in (("season", season), ("episode", number)):
        _add(element, name, str(value))
    _add(element, "aired", episode.air_date)
    _add(element, "plot", episode.overview)
    _add(element, "runtime", episode.runtime)
    _add_duration(element, file)
    return element


def _add(parent: Element, name: str, text: object, **attributes: str) -> Element | None:
    """Adds an element with a text; nothing if there is none to say."""
    if text in (None, ""):
        return None
    child = parent.makeelement(name, attributes)
    child.text = _BAD_IN_XML.sub("", str(text))
    parent.append(child)
    return child


def _add_group(parent: Element, tag: str, values: Mapping[str, object], **attributes: str) -> None:
    group = parent.makeelement(tag, attributes)
    for child, text in values.items():
        _add(group, child, text)
    parent.append(group)


def _add_rating(parent: Element, facts: ItemFacts) -> None:
    if facts.rating is None:
        return
    ratings = parent.makeelement("ratings", {})
    values = {"value": f"{facts.rating:.1f}", "votes": str(facts.votes)}
    _add_group(ratings, "rating", values, name="default", max="10", default="true")
    parent.append(ratings)


def _add_cast(parent: Element, facts: ItemFacts) -> None:
    for order, name in enumerate(facts.cast):
        role = facts.roles[order] if order < len(facts.roles) else ""
        _add_group(parent, "actor", {"name": name, "role": role, "order": str(order)})


def _add_duration(parent: Element, file: ItemFile) -> None:
    if file.duration is not None:
        info, details = parent.makeelement("fileinfo", {}), parent.makeelement("streamdetails", {})
        _add_group(details, "video", {"durationinseconds": str(round(file.duration))})
        info.append(details)
        parent.append(info)


def _by_use(pair: tuple[str, str]) -> tuple[bool, bool, str]:
    """The catalogue that media servers ask first comes first."""
    return pair[0] != "tmdb", pair[0] != "imdb", pair[0]


# --- reading --------------------------------------------------------------------------------


def read(data: bytes) -> NfoFacts:
    """What an NFO file says. Pure; bounded in time and memory by the size it may have.

    Raises:
        NfoUnreadable: nothing of it is believed.
    """
    if len(data) > LARGEST:
        raise NfoUnreadable(f"An NFO file of more than {LARGEST // 1024} KiB is not read.")
    text = _decoded(data)
    if not _IS_XML.search(text):
        return _of_links(NfoFacts(), text)
    top = _parsed(_DECLARATION.sub("", text, count=1))
    blocks = [child for child in top if child.tag in _KINDS]
    if not blocks:
        raise NfoUnreadable("The NFO file holds no film, series or episode.")
    loose = " ".join(filter(None, (top.text, *(child.tail for child in top))))
    return _of_links(_of_blocks(blocks), loose)


def _decoded(data: bytes) -> str:
    """The text of a file; one whose encoding is not known is read as Windows would."""
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    named = _ENCODING.match(data.lstrip())
    for encoding in ((named[1].decode(),) if named else ()) + ("utf-8",):
        try:
            if codecs.lookup(encoding)._is_text_encoding:  # noqa: SLF001
                return data.decode(encoding)
        except (LookupError, UnicodeError):
            continue
    return data.decode("cp1252", "replace")


def _parsed(text: str) -> Element:
    """Everything below one element, so that several blocks and a link after them are sound."""
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import DefusedXMLParser, ParseError  # not that of xml.etree

    parser = DefusedXMLParser(target=_Bounded(), forbid_dtd=True)
    try:
        parser.feed(f"<nfo>{text}</nfo>".encode("utf-8", "replace"))
        top: Element = parser.close()
    except (ParseError, DefusedXmlException) as error:
        raise NfoUnreadable(f"The NFO file is malformed: {error}.") from None
    return top


class _Bounded(ET.TreeBuilder):
    """Builds elements, not too many, and not too deep in one another."""

    depth = count = 0

    def start(self, tag: str, attrs: dict[str, str]) -> Element:
        """See `TreeBuilder`."""
        self.depth += 1
        self.count += 1
        if self.depth > _DEEPEST or self.count > _MOST_ELEMENTS:
            raise NfoUnreadable("The NFO file has too many elements.")
        return super().start(tag, attrs)

    def end(self, tag: str) -> Element:
        """See `TreeBuilder`."""
        self.depth -= 1
        return super().end(tag)


def _of_blocks(blocks: Sequence[Element]) -> NfoFacts:
    first = blocks[0]
    kind, released = _KINDS[first.tag], _date(first)
    facts = ItemFacts(
        original_title=_line(first, "originaltitle"),
        tagline=_line(first, "tagline"),
        overview=_line(first, "plot", _LONGEST_TEXT),
        released=released,
        runtime=_number(_line(first, "runtime")),
        rating=_rating(first),
        votes=_number(_line(first, "ratings/rating/votes") or _line(first, "votes")) or 0,
        genres=_lines(first, "genre"),
        directors=_lines(first, "director"),
        cast=_lines(first, "actor/name"),
        roles=tuple(_line(actor, "role") for actor in _actors(first)),
        external_ids=_ids(first),
    )
    year = _number(_line(first, "year")) or (int(released[:4]) if released else None)
    episodes = tuple(_episodes(blocks)) if first.tag == "episodedetails" else ()
    return NfoFacts(kind, _line(first, "title"), _line(first, "showtitle"), year, episodes, facts)


def _episodes(blocks: Iterable[Element]) -> Iterator[ItemEpisode]:
    for block in blocks:
        season, number = _number(_line(block, "season")), _number(_line(block, "episode"))
        if season is not None and number is not None:
            aired = _DATE.fullmatch(_line(block, "aired"))
            yield ItemEpisode(
                season,
                number,
                title=_line(block, "title"),
                overview=_line(block, "plot", _LONGEST_TEXT),
                air_date=aired and aired[0],
                runtime=_number(_line(block, "runtime")),
            )


def _actors(block: Element) -> list[Element]:
    return [actor for actor in block.findall("actor") if _line(actor, "name")][:_LONGEST_LIST]


def _line(block: Element, path: str, most: int = _LONGEST_LINE) -> str:
    return (block.findtext(path) or "").strip()[:most]


def _lines(block: Element, path: str) -> tuple[str, ...]:
    texts = ((one.text or "").strip()[:_LONGEST_LINE] for one in block.findall(path))
    return tuple(filter(None, texts))[:_LONGEST_LIST]


def _number(text: str) -> int | None:
    found = re.match(r"[0-9]{1,6}(?![0-9])", text)
    return int(found[0]) if found else None


def _date(block: Element) -> str | None:
    for name in ("premiered", "releasedate", "aired"):
        if found := _DATE.fullmatch(_line(block, name)):
            return found[0]
    return None


def _rating(block: Element) -> float | None:
    rating = next(iter(block.findall("ratings/rating")), None)
    text = _line(block, "rating") if rating is None else _line(rating, "value")
    scale = "10" if rating is None else rating.get("max", "10")
    if not all(re.fullmatch(r"[0-9]{1,3}([.,][0-9]{1,6})?", one) for one in (text, scale)):
        return None
    value, most = (float(one.replace(",", ".")) for one in (text, scale))
    return round(value / most * 10, 2) if 0 <= value <= most and most else None


def _ids(block: Element) -> dict[str, str]:
    """Ids by catalogue: as Kodi writes them now, or as older programs did."""
    found = {}
    for one in block.findall("uniqueid"):
        found[(one.get("type") or "").lower()] = (one.text or "").strip()
    for name, path in _OLD_IDS:
        value = _line(block, path)
        if value and (path != "id" or value.startswith("tt")):
            found.setdefault(name, value)
    sound = ((name, value) for name, value in found.items() if name and _ID.fullmatch(value))
    return {name: value for name, value in sound if _ID.fullmatch(name)}


def _of_links(facts: NfoFacts, text: str) -> NfoFacts:
    """What was read, and what links in the text say beyond that."""
    ids, kind = dict(facts.facts.external_ids), facts.kind
    for name, of, link in _LINKS:
        if (found := link.search(text)) and name not in ids and kind in (None, of or kind):
            ids[name] = found[1]
            kind = kind or of
    return replace(facts, kind=kind, facts=replace(facts.facts, external_ids=ids))
