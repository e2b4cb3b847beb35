"""Where a name numbers its seasons and episodes, and how."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final

from chilly_movies.library.recognition.words import FIRST_YEAR

_MOST: Final = 200
"""Episodes that one file or pack may span."""
_NO_WORD: Final = r"(?<![^\W_])"
_SEASON: Final = (
    r"(?:seasons?|saisons?|staffeln?|temporadas?|stagion[ei]|sezon(?:ul)?|sæson|säsong|sesong"
    r"|seizoen|kausi|évad|evad|сезоны?|시즌|séri[ea]|series?|الموسم|עונה|phần)"
)
_EPISODE: Final = (
    r"(?:episodes?|épisodes?|episod(?:ios?|ul)|episódios?|capitulos?|capítulos?|cap|folgen?"
    r"|avsnitt|aflevering|bölüm|bolum|сері[яї]|сери[ияй]|эпизод|odcinek|odc|jakso|rész|afsnit|díl"
    r"|eps?|e(?=\d)|الحلقة|פרק|tập|ตอนที่)"
)
_BEFORE: Final = (
    r"(?:season|saison|staffel|stagione|sezon|sæson|säsong|sesong|seizoen|kausi|évad|evad|сезоны?"
    r"|temporada|série|시즌)"
)
"""Words for a season that its number may stand before."""
_ORDINALS: Final = (
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth",
)  # fmt: skip
_CARDINALS: Final = (
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
)  # fmt: skip
_HAN: Final = "一二三四五六七八九十"


@dataclass(frozen=True, slots=True)
class Numbers:
    """What a piece of a name says of seasons and episodes.

    Attributes:
        start: where the piece begins.
        end: where it ends.
    """

    start: int
    end: int
    seasons: tuple[int, ...] = ()
    episodes: tuple[int, ...] = ()
    absolute: tuple[int, ...] = ()
    aired: str | None = None
    doubt: str | None = None


def spread(text: str) -> tuple[int, ...]:
    """The numbers that a list such as `01E02-05` names, ranges filled, ascending."""
    numbers: list[int] = []
    for joint, digits in re.findall(r"([^\d]*)(\d+)", text):
        number = int(digits)
        if numbers and re.search(r"[-~–]|to|bis|à", joint, re.IGNORECASE):
            if not numbers[-1] < number <= numbers[-1] + _MOST:
                continue
            numbers.extend(range(numbers[-1] + 1, number))
        numbers.append(number)
    return tuple(sorted(set(numbers)))


_TAIL = (
    r"((?:(?:\ ?[-&+~,]\ ?|\ )?(?:s\d{1,2}\ ?)?ep?\ ?\d{1,4}"
    r"|[-~]\d{1,3}(?![\dpi]|\ ?bit|\w)|(?:\ ?[&+]\ ?)\d{1,3}(?!\d|[pi]))*)"
)
_S_E = re.compile(
    rf"{_NO_WORD}s(\d{{1,4}})[\ -]{{0,3}}(?:x|(?:episode|ep|e)[\ -]?)(\d{{1,4}}){_TAIL}(?!\d)",
    re.IGNORECASE | re.VERBOSE,
)
_S_E_GLUED = re.compile(
    rf"s(\d{{1,2}})(?:x|ep?)(\d{{1,3}}){_TAIL}(?!\d)", re.IGNORECASE | re.VERBOSE
)
_N_X_N = re.compile(
    r"(?<![^\W_])(\d{1,2})x(\d{2,3}|(?<=[^\W_]\ \dx)\d)"
    r"((?:(?:[-+&](?:\d{1,2}x)?|\ -\ \d{1,2}x|x)\d{2,3}(?!\d))*+)"
    r"(?![^\W_])",
    re.IGNORECASE | re.VERBOSE,
)
_JOINED = r"(?:-|\ ?(?:to|&|and|,|\+)\ ?|(?<=seasons\ \d)\ -\ )"
_SEASON_FIRST = (
    rf"{_SEASON}[\ :#-]{{0,3}}"
    rf"(?P<after>\d{{1,3}}(?:{_JOINED}\d{{1,2}}(?!\d))?)(?![\dpi])"
)
_NUMBER_FIRST = (
    r"(?P<before>\d{1,2}(?:-\d{1,2})?)"
    rf"(?:(?:st|nd|rd|th|e|er|ª|ta|da|й)[\ -]{_BEFORE}(?![^\W\d_])"
    rf"|(?:\ |\.\ ?|-|)\ ?{_BEFORE}(?![^\W\d_])"
    rf"(?!\W{{0,3}}\d{{1,3}}(?![\dpi])(?!\W{{0,3}}{_EPISODE}(?![^\W\d_])(?!\W{{0,3}}\d))))"
)
_WORDS = re.compile(
    rf"""{_NO_WORD}(?:the\ )?(?:(?:complete|full)\ )?(?:{_SEASON_FIRST}|{_NUMBER_FIRST}
        |(?P<ordinal>{"|".join(_ORDINALS)})\ season|season\ (?P<cardinal>{"|".join(_CARDINALS)})
        |第(?P<han>[\d{_HAN}]+)(?:[季期部]|シーズン))(?![^\W\d_])
        (?:[\ ,:/()\[\]-]{{0,4}}(?:{_EPISODE}[\ :.#-]{{0,3}}|第|-\ )
            (?P<episodes>\d{{1,4}}{_TAIL})(?![\dpi])
        |[\ ,:-]{{0,3}}(?P<first>\d{{1,3}})(?:\.|\ )*(?:{_EPISODE}(?![^\W\d_])|[화회]))?""",
    re.IGNORECASE | re.VERBOSE,
)
_SEASONS = re.compile(
    rf"{_NO_WORD}s(\d{{1,2}}|(?:19|20)\d\d)"
    r"((?:(?:[-~]|\ ?[-~&+,]\ ?s)\d{1,2}(?!\d)|[-,\ ]?s\d{1,2})*)(?![^\W_])"
    r"(?:\ ?-\ (\d{1,4})(?:v\d)?(?![^\W_]))?",
    re.IGNORECASE | re.VERBOSE,
)
_EPISODES = re.compile(
    rf"""{_NO_WORD}(?:{_EPISODE}[\ :.#-]{{0,2}}
        (\d{{1,4}}(?:\ ?(?:-|~|to|&|\+)\ ?(?:e|ep)?\ ?\d{{1,4}})?)
        |(\d{{1,4}}(?:-\d{{1,4}})?)(?:\.|\ |-)?(?:серия|серии|эпизод|bölüm|bolum|화|회))
        (?:v\d)?(?![^\W_])(?:\ из\ \d+)?""",
    re.IGNORECASE | re.VERBOSE,
)
_CAP = re.compile(rf"{_NO_WORD}cap\ ?(\d{{1,2}})(\d\d)(?!\d)", re.IGNORECASE | re.VERBOSE)
"""Season and episode of Spanish releases: `Cap.203`."""
_HAN_EPISODE = re.compile(rf"(\d+(?:-\d+)?)[話话集回]|第([\d{_HAN}]+)[話话集回巻]")
_SPECIAL = re.compile(
    rf"{_NO_WORD}(?:sp|special|ova|oad|ona)[\ #-]{{0,3}}(\d{{1,2}})(?:v\d)?(?![^\W_])",
    re.IGNORECASE | re.VERBOSE,
)
_COMPLETE = re.compile(
    rf"{_NO_WORD}(?:the\ )?(?:complete|full|entire)\ (?:tv\ |mini-?\ ?)?(?:series|seasons?)"
    r"|(?:int[eé]grale?|complete\ box\ ?set)(?![^\W_])",
    re.IGNORECASE | re.VERBOSE,
)
_YMD = re.compile(r"(?<!\d)((?:19|20)\d\d)[\ -](\d\d)[\ -](\d\d)(?!\d)")
_DMY = re.compile(r"(?<!\d)(\d\d)[\ -](\d\d)[\ -]((?:19|20)\d\d)(?!\d)")
_Y_M_D_GLUED = re.compile(r"(?<!\d)(20[0-3]\d)([01]\d)([0-3]\d)(?!\d)")


def find(text: str) -> Numbers | None:
    """What the name says of seasons and episodes, by the surest way of saying it; None = nothing.

    Args:
        text: the name with blanks in the place of dots and underscores.
    """
    for look in (_season_episode, _day, _in_words, _season_alone, _special, _episode_alone):
        if found := look(text):
            return found
    if whole := _COMPLETE.search(text):
        return Numbers(whole.start(), whole.end(), doubt="several seasons")
    if glued := _S_E_GLUED.search(text):
        return _numbers(glued, glued[1], glued[2] + glued[3], doubt="no separators")
    return None


def _numbers(
    found: re.Match[str], seasons: str = "", episodes: str = "", doubt: str | None = None
) -> Numbers:
    several = spread(seasons)
    if len(several) > 1:
        doubt = "several seasons"
    return Numbers(found.start(), found.end(), several, spread(episodes), doubt=doubt)


def _season_episode(text: str) -> Numbers | None:
    if found := _CAP.search(text):
        return _numbers(found, found[1], found[2])
    if found := _S_E.search(text):
        tail = re.sub(r"s\d{1,2}(?=\ ?e)", "", found[3], flags=re.IGNORECASE)
        return _numbers(found, found[1], found[2] + tail)
    if found := _N_X_N.search(text):
        tail = re.sub(r"\d{1,2}(?=x)", "", found[3], flags=re.IGNORECASE)
        return _numbers(found, found[1], found[2] + tail)
    return None


def _day(text: str) -> Numbers | None:
    orders: tuple[tuple[re.Pattern[str], Callable[..., tuple[str, str, str]]], ...] = (
        (_YMD, lambda y, m, d: (y, m, d)),
        (_DMY, lambda d, m, y: (y, m, d)),
        (_Y_M_D_GLUED, lambda y, m, d: (y, m, d)),
    )
    for pattern, order in orders:
        for found in pattern.finditer(text):
            try:
                day = date(*(int(part) for part in order(*found.groups())))
            except ValueError:
                continue
            if found.start() > 0:
                return Numbers(
                    found.start(), found.end(), aired=day.isoformat(), doubt="a day, no number"
                )
    return None


def _in_words(text: str) -> Numbers | None:
    if (found := _WORDS.search(text)) is None:
        return None
    season = found["after"] or found["before"] or ""
    for group, words in (("ordinal", _ORDINALS), ("cardinal", _CARDINALS)):
        if found[group]:
            season = str(words.index(found[group].lower()) + 1)
    if found["han"]:
        season = str(han_number(found["han"]))
    return _numbers(found, season, found["episodes"] or found["first"] or "")


def _season_alone(text: str) -> Numbers | None:
    if (found := _SEASONS.search(text)) is None:
        return None
    if found[3]:
        return _numbers(found, found[1], found[3])
    return _numbers(found, found[1] + found[2])


def _special(text: str) -> Numbers | None:
    found = _SPECIAL.search(text)
    return found and Numbers(
        found.start(), found.end(), (0,), (int(found[1]),), doubt="a special's number"
    )


def _episode_alone(text: str) -> Numbers | None:
    for found in _EPISODES.finditer(text):
        numbers = spread(found[1] or found[2])
        if numbers and numbers[0] >= 100:
            return Numbers(found.start(), found.end(), absolute=numbers)
        return Numbers(found.start(), found.end(), episodes=numbers, doubt="no season")
    if found_han := _HAN_EPISODE.search(text):
        digits = found_han[1] or found_han[2]
        numbers = spread(digits) or (han_number(digits),)
        return Numbers(found_han.start(), found_han.end(), absolute=numbers)
    return None


def han_number(text: str) -> int:
    """The number that Chinese numerals up to 99 say; digits are read as they are."""
    if text.isdecimal():
        return int(text)
    tens, ten, ones = text.rpartition("十")
    if not ten:
        return _HAN.find(ones[-1:]) + 1
    return (_HAN.find(tens[-1:]) + 1 if tens else 1) * 10 + _HAN.find(ones[-1:]) + bool(ones)


_ABSOLUTE = re.compile(
    r"""(?:\ -\ +|\ \#|\[|\(|(?<=[\]\w!?'.])\ )(\d{1,4}(?:[-~]\d{1,4})?)(?![\dpi]|[ ]\d(?!\d))
        (?:v\d)?(?:\ ?(?:end|final|fin))?
        (?=\ *(?:[\[\](){}]|$|\ -\ |(?:\d{3,4}p|web|bd|hdtv|dvd|x26[45]|h\ ?26[45])))""",
    re.IGNORECASE | re.VERBOSE,
)
_DASHED = re.compile(
    r"\ -\ +\#?(\d{1,4}(?:[-~]\d{1,4})?)(?:v\d)?(?:\ ?(?:END|FINAL|FIN))?"
    r"(?=\ *(?:[\[\](){}]|$|-\ ))",
    re.VERBOSE,
)
_HALF = re.compile(r" - \d{1,4} 5(?= *[\[(]|$)")
_BARE = re.compile(
    r"(?<=[^\W\d_])\ (0\d\d|(?<!\ 0)\d{3,4})(?=\ +\[|$|\ (?:480|720|1080|2160)p|\ dvdrip|\ web)",
    re.VERBOSE | re.IGNORECASE,
)
_OLD_STYLE = re.compile(
    r"(?<=[^\W_]\ )(\d{1,2})(\d\d)(?=\ (?:.*\ )?"
    r"(?:hdtv|pdtv|dsr|dvdrip|tvrip|satrip|webrip|xvid-lol))",
    re.IGNORECASE,
)


def find_absolute(text: str, *, by_group: bool) -> Iterator[Numbers]:
    """Yields where a bare number may be that of an episode, counted through all seasons.

    Args:
        text: the name, spaced, without the group in front.
        by_group: whether a group in brackets stands in front, as is the custom for anime.
    """
    if half := _half(text):
        yield half
    for pattern in (_DASHED, _ABSOLUTE) if by_group else (_DASHED,):
        for found in pattern.finditer(text):
            numbers = spread(found[1])
            if found.start() > 0 and numbers and not 1900 <= numbers[-1] <= 2040:
                said = found[0].startswith((" -", "["))
                padded = by_group or numbers[-1] >= 100 or found[1].startswith("0")
                doubt = None if said and padded else "a bare number"
                yield Numbers(found.start(), found.end(), absolute=numbers, doubt=doubt)
    found_bare = None if by_group else _BARE.search(text)
    if found_bare and not FIRST_YEAR <= int(found_bare[1]) <= 2100:
        numbers = spread(found_bare[1])
        yield Numbers(found_bare.start(), found_bare.end(), absolute=numbers, doubt="a bare number")


def _half(text: str) -> Numbers | None:
    """An episode between two, such as `- 13.5`, which has no number of its own."""
    found = _HALF.search(text)
    return found and Numbers(found.start(), found.end(), doubt="half a number")


def find_old_style(text: str) -> Numbers | None:
    """`show.102.hdtv`: season and episode in three or four digits, before 2012 or so."""
    if (found := _OLD_STYLE.search(text)) is None or int(found[1]) * int(found[2]) == 0:
        return None
    return Numbers(
        found.start(), found.end(), (int(found[1]),), (int(found[2]),), doubt="three digits"
    )
