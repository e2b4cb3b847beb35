r"""What stands in braces in ASS, and in SRT that was made of it: `{\i1}`, `{\an8}`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from chilly_movies.media.formats.shown import Piece, looks

_TAG = re.compile(r"(an?|[ibup])[ ]*([0-9]{0,4})(?![0-9A-Za-z(])")
_RESET = re.compile(r"r([^\\}]{0,200})")
_TOP_ALIGNMENTS, _TOP_LEGACY = range(7, 10), range(5, 8)


class Overrides:
    """The looks of a line while it is read.

    Args:
        style: of the line, any of the letters `i`, `b`, `u`.
        styles: the looks of all styles by name.

    Attributes:
        drawing: whether what follows is a drawing and no text.
        top: where the line was put; None if nowhere.
    """

    def __init__(self, style: str = "", styles: Mapping[str, str] | None = None) -> None:
        self._style = style
        self._styles = styles or {}
        self._on = set(style)
        self.drawing = False
        self.top: bool | None = None

    @property
    def looks(self) -> str:
        """Of what follows."""
        return looks(self._on)

    def piece(self, text: str) -> Iterator[Piece]:
        """A text with the looks of now; nothing if it is a drawing."""
        if text and not self.drawing:
            yield text, self.looks

    def apply(self, inside: str) -> None:
        """Take up what stands between two braces."""
        for word in inside.split("\\")[1:]:
            if (tag := _TAG.match(word)) is None:
                if reset := _RESET.match(word):
                    self._on = set(self._styles.get(reset[1].strip(), self._style))
                continue
            name, value = tag[1], tag[2]
            number = int(value or 0)
            if name == "p":
                self.drawing = number > 0
            elif name in ("a", "an"):
                if self.top is None:  # the first one counts
                    self.top = number in (_TOP_ALIGNMENTS if name == "an" else _TOP_LEGACY)
            elif (number > 0) if value else name in self._style:
                self._on.add(name)
            else:
                self._on.discard(name)
