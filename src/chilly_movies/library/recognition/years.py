"""Which of the numbers in a name is the year of the release."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from chilly_movies.library.recognition.text import plain
from chilly_movies.library.recognition.words import FIRST_YEAR, LAST_YEAR, TITLES_WITH_YEARS

_YEAR: Final = re.compile(
    r"(?<!\d)(?<!')([([{]?)\s?((?:18|19|20)\d\d)(?:\s?-\s?(?:(?:19|20)?\d\d|present|now|\s)?(?=[)\]]))?(?![\dpi]|x\d|\s?x\s?\d{3})(,?)"
)


@dataclass(frozen=True, slots=True)
class Year:
    """A year in a name.

    Attributes:
        bracketed: whether it stands in brackets, which titles seldom do.
        doubt: why it may be none.
    """

    number: int
    start: int
    end: int
    bracketed: bool
    doubt: str | None = None


def candidates(text: str, end: int) -> list[Year]:
    """All numbers that may be years, before a place of the text."""
    found = []
    for match in _YEAR.finditer(text, 0, end):
        number = int(match[2])
        if FIRST_YEAR <= number <= LAST_YEAR:
            found.append(Year(number, match.start(), match.end(), bool(match[1])))
    return found


def choose(text: str, years: list[Year]) -> Year | None:
    """The year of the release: in brackets, else the last; none if it is all the title there is."""
    after = [year for year in years if text[: year.start].strip(" -_.([{")]
    if bracketed := [year for year in after if year.bracketed]:
        return bracketed[0]
    if not after:
        return _in_front(text, years)
    last = after[-1]
    if (
        len(after) > 1
        and text[after[-2].end : last.start] == "-"
        and last.number > after[-2].number
    ):
        return replace(after[-2], doubt="several years")
    if len(after) > 1 and last.start - after[-2].end > 1:
        last = replace(last, doubt="two years")
    if plain(text[: last.end]) in TITLES_WITH_YEARS:
        return None
    return last


def _in_front(text: str, years: list[Year]) -> Year | None:
    """A year before the title, as folders are named that sort by year."""
    if not years or not text[years[0].end :].strip(" -_.)]}"):
        return None
    first = years[0]
    if first.bracketed or re.match(r"\s?-\s", text[first.end :]):
        return Year(first.number, first.start, first.end, True, "year in front")
    return None
