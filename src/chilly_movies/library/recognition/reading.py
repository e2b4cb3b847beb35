"""Our own reading of a name: where its title ends, and what follows."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from chilly_movies.catalogue.titles import TitleKind
from chilly_movies.library.recognition import numbering, years
from chilly_movies.library.recognition.numbering import Numbers
from chilly_movies.library.recognition.text import is_glued, spaced, tidy, title_of, unglued
from chilly_movies.library.recognition.values import Reading
from chilly_movies.library.recognition.words import STRONG, WEAK
from chilly_movies.library.recognition.years import Year

_GROUP: Final = re.compile(r"^\s*\[([^\]]{1,60})\][\s_.-]*(?=\S)")
_ROUND_GROUP: Final = re.compile(r"^\s*\(([A-Za-z][\w -]{1,30})\)\s*(?=\S.* - \d)")
_IN_LIST: Final = re.compile(r"^(?:0\d{1,2}(?:\.\s*|\s?-\s|\s)|\d{1,2}\.\s+)(?=[^\W\d])")
_SPECIALS: Final = re.compile(r"[\s._-]+specials?$", re.IGNORECASE)
_COUNTRY: Final = re.compile(r"\s\(?(?:US|UK|AU|NZ|CA)\)?$")
_FIELD: Final = re.compile(r"^\[([^\]]+)\]")
_PART: Final = re.compile(r"(?<![^\W_])(?:cd|dis[ck]|dvd)\ ?(\d)(?![^\W_])", re.IGNORECASE)
_LAST_WEAK: Final = re.compile(rf"(?:^|[\s\[(-])({WEAK.pattern})$", re.IGNORECASE | re.VERBOSE)
_IN_BRACKETS: Final = re.compile(
    r"(?<!\bor)(?<=\S)\s*[(\[](?!(?:us|uk|au|nz|ca|jp|in|fr|de|usa)[)\]])([^()\[\]]*)[)\]]\s*$",
    re.IGNORECASE,
)
_AKA: Final = re.compile(r"\s(?:aka|a[. ]k[. ]a[. ]?)\s", re.IGNORECASE)
_TWO_SCRIPTS: Final = re.compile(r"(?<=[^\x00-\u024f])\s+(?=[A-Za-z][\x00-\x7f]+$)")
"""Between a title in another script and one in Latin letters that a blank alone parts."""
_TWO_TITLES: Final = re.compile(rf"{_AKA.pattern}|\s[/|]\s|\s*／\s*", re.IGNORECASE)
_MAYBE_TITLE: Final = frozenset(
    ["opus", "atmos", "screener", "workprint", "web", "hybrid", "flac", "rip", "remux", "avc"]
)
"""Words of the trade that are words of titles, too, if a year comes after them."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A name, and where its pieces are.

    Attributes:
        text: without the group in front, as it was written.
        plain: the same with blanks in the place of dots; as long.
        title: where the title begins and ends.
        group: what stood in brackets in front, None = nothing.
    """

    text: str
    plain: str
    title: tuple[int, int]
    numbers: Numbers | None
    year: Year | None
    group: str | None
    doubts: frozenset[str]

    @property
    def after(self) -> str:
        """What follows the title, blanks in the place of dots."""
        return self.plain[self.title[1] :]


def read(name: str) -> Reading:
    """Reads a name by the order that customs share: title, numbers and year, the rest."""
    where = layout(name)
    title, doubts = _title(where)
    numbers = where.numbers or Numbers(0, 0)
    return Reading(
        title=title,
        year=where.year.number if where.year else None,
        kind=_kind(where),
        seasons=numbers.seasons,
        episodes=numbers.episodes,
        absolute=numbers.absolute,
        aired=numbers.aired,
        doubts=where.doubts | doubts,
    )


def layout(name: str) -> Layout:
    """Finds the pieces of a name."""
    text, group = _without_group(unglued(tidy(name)))
    plain = spaced(text)
    numbers = numbering.find(plain)
    year = _year(plain, numbers)
    numbers = _completed(plain, numbers, year, by_group=group is not None)
    if numbers and year and _names_a_film(numbers, year, group):
        numbers = None
    tech = _tech(plain, year)
    ends = [len(text), tech]
    ends += [numbers.start] if numbers else []
    begin = 0
    if year and year.start > 0:
        ends.append(year.start)
    elif year:
        begin = year.end
    if part := _PART.search(plain, 1):
        ends.append(part.start())
    doubts = {one.doubt for one in (numbers, year) if one and one.doubt}
    if year and numbers is None and "-" in plain[year.start : year.end]:
        doubts.add("several years")
    if numbers and year and not numbers.episodes and numbers.end <= year.start <= numbers.end + 1:
        doubts.add("a season or a title")
    if " " in text and is_glued(tidy(name)):
        doubts.add("no separators")
    return Layout(
        text, plain, (begin, max(begin, min(ends))), numbers, year, group, frozenset(doubts)
    )


def _names_a_film(numbers: Numbers, year: Year, group: str | None) -> bool:
    """Whether the number belongs to the title of a film whose year comes later."""
    if year.start < numbers.start:
        return False
    in_words = bool(numbers.absolute) or numbers.doubt == "no season"
    return numbers.start == 0 or (in_words and not group)


def _without_group(text: str) -> tuple[str, str | None]:
    """The name without the group in brackets in front, and the group."""
    found = _GROUP.match(text) or _ROUND_GROUP.match(text)
    if found is None or re.fullmatch(r"\s*(?:19|20)\d\d\s*", found[1]):
        return text, None
    rest = text[found.end() :]
    if field := _FIELD.match(rest):
        inner = spaced(field[1])
        if STRONG.search(inner) or re.fullmatch(
            r"\s*(?:\d{1,4}|e\d+|s\d+(?:e\d+)?)\s*", inner, re.I
        ):
            return f"{found[1]} {rest}", None
        return f"{field[1]} {rest[field.end() :]}", found[1]
    return rest, found[1]


def _year(plain: str, numbers: Numbers | None) -> Year | None:
    if numbers is None:
        tech = _tech(plain, None)
        before = years.choose(plain, years.candidates(plain, tech))
        return before or _bare_after(plain, tech)
    if before := years.choose(plain, years.candidates(plain, numbers.start)):
        return before
    for year in years.candidates(plain, len(plain)):
        if year.start < numbers.end:
            continue
        rest = plain[year.end :].lstrip(" )]-")
        if year.bracketed or not rest or STRONG.match(rest):
            return year
    return None


def _bare_after(plain: str, tech: int) -> Year | None:
    """A year that stands among the words of the trade."""
    after = [year for year in years.candidates(plain, len(plain)) if year.start >= tech > 0]
    return after[0] if after else None


def _tech(plain: str, year: Year | None) -> int:
    """Where the words of the trade begin."""
    for found in STRONG.finditer(plain):
        word = found[0].lower()
        later = years.candidates(plain[found.end() :], len(plain))
        if found.start() == 0 or (word in _MAYBE_TITLE and later):
            continue
        return found.start()
    return len(plain)


def _completed(
    plain: str, numbers: Numbers | None, year: Year | None, *, by_group: bool
) -> Numbers | None:
    """The numbers with what only stands where they do not say it all."""
    if numbers is None:
        for found in numbering.find_absolute(plain, by_group=by_group):
            between = year is not None and year.start > found.start
            if not (between and found.doubt):
                return found
        return None if year or by_group else numbering.find_old_style(plain)
    if len(numbers.seasons) == 1 and not numbers.episodes and not numbers.doubt:
        for found in numbering.find_absolute(plain, by_group=by_group):
            if found.start >= numbers.end - 1 and (by_group or not found.doubt):
                return replace(numbers, episodes=found.absolute)
    return numbers


def _kind(where: Layout) -> TitleKind | None:
    if where.numbers:
        return TitleKind.TV
    if where.year or where.title[1] < len(where.text):
        return TitleKind.MOVIE
    return None


def _title(where: Layout) -> tuple[str, frozenset[str]]:
    """The title, and what is doubtful about it."""
    begin, end = where.title
    raw = _without_open_bracket(where.text[begin:end])
    raw, doubts = _one_of_two(_shortened(raw, only_loud=end in _fact_starts(where)))
    if where.year and where.year.start > 0 and (listed := _IN_LIST.match(raw)):
        raw = raw[listed.end() :]
        doubts.add("a number in front")
    if where.numbers and where.numbers.seasons == (0,):
        raw = _SPECIALS.sub("", raw)
    title = title_of(raw)
    if _COUNTRY.search(title):
        doubts.add("a country or a title")
    if not title:
        doubts.add("no title")
    return title, frozenset(doubts)


def _shortened(raw: str, *, only_loud: bool) -> str:
    """The text without brackets and words of the trade at its end."""
    raw = _without_weak(raw, only_loud=only_loud)
    while (inner := _IN_BRACKETS.search(raw)) and raw[: inner.start()].strip(" -_.[("):
        raw = _without_weak(raw[: inner.start()], only_loud=only_loud)
    return raw


def _one_of_two(raw: str) -> tuple[str, set[str]]:
    """Of a title in two languages that in Latin letters, else the first."""
    if _AKA.search(spaced(raw)):
        raw = spaced(raw)
    parts = [part for part in _TWO_TITLES.split(raw) if part.strip()]
    if len(parts) < 2:
        parts = _TWO_SCRIPTS.split(spaced(raw).strip(), maxsplit=1)
    if len(parts) < 2 or not any(c.isalpha() for c in parts[-1]):
        return raw, set()
    return next((part for part in parts if part.isascii()), parts[0]), {"two titles"}


def _fact_starts(where: Layout) -> set[int]:
    return {one.start for one in (where.numbers, where.year) if one}


def _without_open_bracket(raw: str) -> str:
    """The text up to a bracket that is opened and not closed."""
    for opening, closing in ("()", "[]", "{}"):
        at = raw.rfind(opening)
        if at > 0 and closing not in raw[at:]:
            raw = raw[:at]
    return raw


def _without_weak(raw: str, *, only_loud: bool) -> str:
    """The text without words at its end that say language or edition.

    Args:
        raw: the text.
        only_loud: take only words in capitals where the rest is not.
    """
    raw = raw.rstrip(" -_.")
    while found := _LAST_WEAK.search(spaced(raw)):
        rest, word = raw[: found.start(1)].rstrip(" -_.[("), found[1]
        loud = word.isupper() and len(word) > 1 and not rest.isupper()
        if not rest or (only_loud and not loud):
            break
        raw = rest
    return raw
