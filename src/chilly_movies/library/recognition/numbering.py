"""Where a name numbers its seasons and episodes, and how."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final

_MOST: Final = 200
"""Episodes that one file or pack may span."""
_NO_WORD: Final = r"(?<![^\W_])"
_SEASON: Final = (
    r"(?:seasons?|saisons?|staffeln?|temporadas?|stagion[ei]|sezon|sæson|säsong|sesong|seizoen|kausi"
    r"|évad|evad|сезоны?|시즌|série|series?)"
)
_EPISODE: Final = (
    r"(?:episodes?|épisodes?|episodios?|episódios?|capitulos?|capítulos?|cap|folgen?|avsnitt"
    r"|aflevering|bölüm|bolum|сери[ияй]|эпизод|odcinek|odc|jakso|rész|afsnit|eps?|e(?=\d)|chapter)"
)
_ORDINALS: Final = (
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth",
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
    r"(?<![^\W_])(\d{1,2})x(\d{2,3})((?:(?:-|\ -\ |\+|&)?(?:\d{1,2})?x\d{2,3}|-\d{2,3})*)"
    r"(?![^\W_])",
    re.IGNORECASE | re.VERBOSE,
)
_WORDS = re.compile(
    rf"""{_NO_WORD}(?:(?:the\ )?(?:complete|full)\ )?(?:{_SEASON}[\ :#-]{{0,3}}
        (\d{{1,3}}(?:(?:-|\ ?(?:to|&|and|,|\+)\ ?|(?<=seasons\ \d)\ -\ )\d{{1,2}}(?!\d))?)(?![\dpi])
        |(\d{{1,2}}(?:-\d{{1,2}})?)(?:\.|\ |-|st|nd|rd|th|e|er|ª|ta|da|й)*\ ?{_SEASON}(?![^\W\d_])
        |(?:(?:the\ )?complete\ )?({"|".join(_ORDINALS)})\ season
        |第([\d{_HAN}]+)[季期部]|第([\d{_HAN}]+)シーズン)
        (?:[\ ,:/()\[\]-]{{0,4}}(?:{_EPISODE}[\ :.#-]{{0,3}}|第|-\ )(\d{{1,4}}{_TAIL})(?![\dpi])
        |[\ ,:-]{{0,3}}(\d{{1,3}})(?:\.|\ )*{_EPISODE}(?![^\W\d_]))?""",
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
_HAN_EPISODE = re.compile(rf"第?([\d{_HAN}]+(?:-\d+)?)[話话集回]|第([\d{_HAN}]+)巻")
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
        return Numbers(whole.start(), whole.end(), doubt="which seasons")
    if glued := _S_E_GLUED.search(text):
        return _numbers(glued, glued[1], glued[2] + glued[3], doubt="no separators")
    return None


def _numbers(
    found: re.Match[str], seasons: str = "", episodes: str = "", doubt: str | None = None
) -> Numbers:
    return Numbers(found.start(), found.end(), spread(seasons), spread(episodes), doubt=doubt)


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
                return Numbers(found.start(), found.end(), aired=day.isoformat())
    return None


def _in_words(text: str) -> Numbers | None:
    for found in _WORDS.finditer(text):
        season = found[1] or found[2] or ""
        if found[3]:
            season = str(_ORDINALS.index(found[3].lower()) + 1)
        elif han := found[4] or found[5]:
            season = str(han_number(han))
        if found.start() == 0 and not season:
            continue
        return _numbers(found, season, found[6] or found[8] or "")
    return None


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
        if numbers[0] >= 100:
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
    r"""(?:\ -\ +|\ \#|\[|\(|(?<=[\]\w])\ )(\d{1,4}(?:[-~]\d{1,4})?)(?![\dpi])(?:v\d)?
        (?:\ ?(?:end|final|fin))?
        (?=\ *(?:[\[\](){}]|$|\ -\ |(?:\d{3,4}p|web|bd|hdtv|dvd|x26[45]|h\ ?26[45])))""",
    re.IGNORECASE | re.VERBOSE,
)
_DASHED = re.compile(
    r"\ -\ +\#?(\d{1,4}(?:[-~]\d{1,4})?)(?:v\d)?(?:\ ?(?:END|FINAL|FIN))?"
    r"(?=\ *(?:[\[\](){}]|$|-\ ))",
    re.VERBOSE,
)
_BARE = re.compile(r"(?<=[^\W\d_])\ (\d{3})\ +\[", re.VERBOSE)
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
    for pattern in (_DASHED, _ABSOLUTE) if by_group else (_DASHED,):
        for found in pattern.finditer(text):
            numbers = spread(found[1])
            if found.start() > 0 and numbers and not 1900 <= numbers[-1] <= 2040:
                doubt = None if found[0][0:2] == " -" or "[" in found[0] else "a bare number"
                yield Numbers(found.start(), found.end(), absolute=numbers, doubt=doubt)
    if not by_group and (found_bare := _BARE.search(text)):
        numbers = spread(found_bare[1])
        yield Numbers(found_bare.start(), found_bare.end(), absolute=numbers, doubt="a bare number")


def find_old_style(text: str) -> Numbers | None:
    """`show.102.hdtv`: season and episode in three or four digits, before 2012 or so."""
    if (found := _OLD_STYLE.search(text)) is None or int(found[2]) == 0:
        return None
    return Numbers(
        found.start(), found.end(), (int(found[1]),), (int(found[2]),), doubt="three digits"
    )
