r"""Markup in SRT and WebVTT: only known tags are markup, all else is text."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from chilly_movies.media.formats.overrides import Overrides
from chilly_movies.media.formats.shown import Piece, looks

_TIME = r"<[0-9]{1,6}:[0-9:.]{1,20}>"
_END = r"</ ?(?P<end>i|b|u|s|font|c|v|lang|ruby|rt) ?>"
_PLAIN = r"<(?P<plain>i|b|u|s|c|ruby|rt)(?:\.[^<>\s]{0,100})?\s{0,10}/?>"
_WITH = (
    r"<(?P<with>i|b|u|s|c|ruby|rt)(?:\.[^<>\s]{0,100})?[\s/][^<>=]{0,100}=[^<>]{0,300}>"
    r"|<(?:font|v|lang)(?:[.\s/][^<>]{0,300})?>"
)
_TAGS = f"{_TIME}|{_END}|{_PLAIN}|{_WITH}"
_VTT = re.compile(_TAGS, re.IGNORECASE)
_SRT = re.compile(rf"{_TAGS}|(?P<line><br ?/?>)|\{{(?P<ass>\\[^{{}}\n]{{0,300}})\}}", re.IGNORECASE)


def of_vtt(text: str) -> Iterator[Piece]:
    """The text of a WebVTT cue; its entities become signs, its braces are text."""
    on: set[str] = set()
    place = 0
    for tag in _VTT.finditer(text):
        if tag.start() > place:
            yield html.unescape(text[place : tag.start()]), looks(on)
        place = tag.end()
        _switch(on, tag)
    if place < len(text):
        yield html.unescape(text[place:]), looks(on)


def of_srt(text: str) -> tuple[tuple[Piece, ...], bool]:
    r"""The text of an SRT cue, and whether `{\an8}` or its like puts it at the top."""
    pieces: list[Piece] = []
    on: set[str] = set()
    state = Overrides()
    place = 0
    for tag in _SRT.finditer(text):
        _add(pieces, text[place : tag.start()], on, state)
        place = tag.end()
        if tag["ass"]:
            state.apply(tag["ass"])
        elif tag["line"]:
            pieces.append(("\n", ""))
        else:
            _switch(on, tag)
    _add(pieces, text[place:], on, state)
    return tuple(pieces), bool(state.top)


def _add(pieces: list[Piece], text: str, on: set[str], state: Overrides) -> None:
    if text and not state.drawing:
        pieces.append((text, looks(on | set(state.looks))))


def _switch(on: set[str], tag: re.Match[str]) -> None:
    """Remember what a tag switches on or off."""
    if tag["end"]:
        on.discard(tag["end"].lower())
    elif begun := tag["plain"] or tag["with"]:
        on.add(begun.lower())
