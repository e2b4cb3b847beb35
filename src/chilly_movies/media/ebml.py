"""Reads EBML (RFC 8794), the shape of MKV and WebM files, element by element. Runs in the child.

Our own, because ebmlite installs a top-level package called `tests`, and enzyme reads headers only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

_MAX_VALUE = 1024 * 1024


class Missing(Exception):
    """The file ends here, or has not arrived here."""


@dataclass(frozen=True, slots=True)
class Element:
    """One element: what it is, and where its content lies.

    Attributes:
        id: with its length marker, as the Matroska specification writes it.
        place: where it begins.
        start: where its content begins.
        size: of the content; up to the end of the file if the writer did not know.
    """

    id: int
    place: int
    start: int
    size: int

    @property
    def end(self) -> int:
        """Where the next element begins."""
        return self.start + self.size


class Ebml:
    """A file of elements.

    Args:
        file: must be seekable; may have holes that read as the end of the file.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = file.seek(0, 2)

    def element(self, place: int) -> Element:
        """The element that begins there.

        Raises:
            Missing: it has not arrived, or there is none.
        """
        if not 0 <= place < self.size:
            raise Missing
        self._file.seek(place)
        number, length = self._number(keep_marker=True, longest=4)
        size, more = self._number(keep_marker=False, longest=8)
        start = place + length + more
        unknown = size == (1 << 7 * more) - 1
        return Element(number, place, start, self.size - start if unknown else size)

    def children(self, parent: Element) -> Iterator[Element]:
        """The elements in it.

        Raises:
            Missing: from there on it has not arrived.
        """
        place = parent.start
        while place < min(parent.end, self.size):
            child = self.element(place)
            yield child
            place = child.end

    def value(self, element: Element) -> bytes:
        """Its content.

        Raises:
            Missing: it has not arrived, or is too large to be of use.
        """
        if element.size > _MAX_VALUE:
            raise Missing
        self._file.seek(element.start)
        data = self._file.read(element.size)
        if len(data) < element.size:
            raise Missing
        return data

    def beginning(self, element: Element, length: int) -> bytes:
        """Its first bytes.

        Raises:
            Missing: they have not arrived.
        """
        self._file.seek(element.start)
        data = self._file.read(min(length, element.size))
        if len(data) < min(length, element.size):
            raise Missing
        return data

    def values(self, parent: Element) -> dict[int, bytes]:
        """The content of its small children, by id; of several with one id the last."""
        return {
            child.id: self.value(child)
            for child in self.children(parent)
            if child.size <= _MAX_VALUE
        }

    def _number(self, *, keep_marker: bool, longest: int) -> tuple[int, int]:
        """A number of variable length, and its length."""
        first = self._file.read(1)
        if not first or not first[0]:
            raise Missing
        length = 9 - first[0].bit_length()
        rest = self._file.read(length - 1)
        if length > longest or len(rest) < length - 1:
            raise Missing
        value = int.from_bytes(first + rest, "big")
        return (value if keep_marker else value & ((1 << 7 * length) - 1)), length
