"""ASS and SSA (SubStation Alpha): a field or line that is none costs that field or line alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from chilly_movies.media.formats.clock import ms_of
from chilly_movies.media.formats.overrides import Overrides
from chilly_movies.media.formats.shown import MAX_CUES, Piece, Shown

_STYLE_FIELDS = (
    "name", "fontname", "fontsize", "primarycolour", "secondarycolour", "outlinecolour",
    "backcolour", "bold", "italic", "underline", "strikeout", "scalex", "scaley", "spacing",
    "angle", "borderstyle", "outline", "shadow", "alignment", "marginl", "marginr", "marginv",
    "encoding",
)  # fmt: skip
_STYLE_FIELDS_SSA = (
    "name", "fontname", "fontsize", "primarycolour", "secondarycolour", "tertiarycolour",
    "backcolour", "bold", "italic", "borderstyle", "outline", "shadow", "alignment", "marginl",
    "marginr", "marginv", "alphalevel", "encoding",
)  # fmt: skip
_EVENT_FIELDS = (
    "layer", "start", "end", "style", "name", "marginl", "marginr", "marginv", "effect", "text",
)  # fmt: skip
_IN_FILMS = ("layer", "style", "name", "marginl", "marginr", "marginv", "effect", "text")
"""Of a block in Matroska, behind its place in the order of the file."""
_LOOKS = (("italic", "i"), ("bold", "b"), ("underline", "u"))
_OPENED = re.compile(r"(?<!\\)\{")
"""A brace that is not escaped."""
_BREAKS = re.compile(r"\\([Nnh{}])")
_BREAK = {"N": "\n", "n": "\n", "h": " "}
_MAX_TEXT = 4000
_MAX_STYLES = 10_000


class Script:
    """The styles of a script, and what makes subtitles of its lines."""

    def __init__(self) -> None:
        self._looks: dict[str, str] = {}
        self._top: dict[str, bool] = {}

    def read(self, text: str) -> Iterator[Shown]:
        """All subtitles of a script, styles on the way."""
        ssa, section = False, ""
        style_fields: tuple[str, ...] | None = None
        fields: tuple[str, ...] = _EVENT_FIELDS
        for line in text.split("\n"):
            word, colon, rest = line.strip("\ufeff \t").partition(":")
            word = word.casefold()
            if word.startswith("[") and not colon:
                section = word
                ssa = ssa or section.startswith("[v4 ")
            elif not colon:
                continue
            elif word == "format" and "style" in section:
                style_fields = _named(rest)
            elif word == "format":
                named = _named(rest)
                fields = named if {"start", "end", "text"} <= set(named) else _EVENT_FIELDS
            elif word == "style":
                default = _STYLE_FIELDS_SSA if ssa else _STYLE_FIELDS
                self._add_style(_fields(style_fields or default, rest), ssa=ssa)
            elif word == "dialogue":
                found = _fields(fields, rest)
                start, end = ms_of(found.get("start", "")), ms_of(found.get("end", ""))
                if start is not None and end is not None:
                    yield self._shown(start, end, found)

    def block(self, start: int, end: int, text: str) -> Shown | None:
        """A block of a film, whose times the film has; None if it is no line of a script."""
        _order, comma, rest = " ".join(text.replace("\r", "\n").split("\n")).partition(",")
        found = _fields(_IN_FILMS, rest)
        return self._shown(start, end, found) if comma and "text" in found else None

    def _add_style(self, found: Mapping[str, str], *, ssa: bool) -> None:
        name = found.get("name", "").strip().lstrip("*")
        if len(self._looks) < _MAX_STYLES:
            self._looks[name] = "".join(
                letter for field, letter in _LOOKS if _number(found.get(field, ""))
            )
            self._top[name] = _number(found.get("alignment", "")) in (
                range(5, 8) if ssa else range(7, 10)
            )

    def _shown(self, start: int, end: int, found: Mapping[str, str]) -> Shown:
        name = found.get("style", "").strip().lstrip("*")
        name = name if name in self._looks else "Default"
        state = Overrides(self._looks.get(name, ""), self._looks)
        text = found.get("text", "")[:_MAX_TEXT]
        pieces: list[Piece] = []
        place = 0
        while place < len(text):
            opened = _OPENED.search(text, place)
            closed = text.find("}", opened.end()) if opened else -1
            if opened is None or closed < 0:
                break
            pieces += state.piece(_broken(text[place : opened.start()]))
            state.apply(text[opened.end() : closed])
            place = closed + 1
        pieces += state.piece(_broken(text[place:]))
        top = self._top.get(name, False) if state.top is None else state.top
        return Shown(start, end, tuple(pieces), top)


def read(text: str) -> list[Shown]:
    """A whole file."""
    return list(islice(Script().read(text), MAX_CUES))


def _named(line: str) -> tuple[str, ...]:
    """What a Format line says; `Text` is the last, it may have commas."""
    named = tuple(word.strip().casefold() for word in line.split(","))
    return named[: named.index("text") + 1] if "text" in named else named


def _fields(names: Sequence[str], line: str) -> dict[str, str]:
    return dict(zip(names, line.split(",", len(names) - 1), strict=False))


def _number(value: str) -> int:
    """A field that should hold a whole number; 0 if it holds none."""
    try:
        return int(value.strip()[:10])
    except ValueError:
        return 0


def _broken(text: str) -> str:
    """Its line breaks and blanks that do not break are real ones."""
    return _BREAKS.sub(lambda match: _BREAK.get(match[1], match[1]), text)
