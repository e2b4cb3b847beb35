"""What a torrent says of its files' bytes: sizes, places in the pieces, and hashes (BEP 3, BEP 52).

Values for whoever looks for the bytes; nothing is read from a disk here.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import libtorrent as lt

_LEAF = 16 * 1024
"""Bytes of a leaf of a v2 hash tree."""
_SHA1, _SHA256 = 20, 32


@dataclass(frozen=True, slots=True)
class Check:
    """A stretch of a file, and the hash that it has in the torrent.

    Attributes:
        offset: its first byte in the file.
        length: bytes.
        digest: SHA-1 of the piece, or the root of its v2 hash tree.
        zeros: bytes of padding that belong to the piece behind it (v1).
        leaves: leaves of the tree, a power of two; 0 = it is a v1 hash.
    """

    offset: int
    length: int
    digest: bytes
    zeros: int = 0
    leaves: int = 0

    def fits(self, data: bytes) -> bool:
        """Whether this is what the torrent has there."""
        if len(data) != self.length:
            return False
        if self.leaves:
            return _root(data, self.leaves) == self.digest
        return hashlib.sha1(data + bytes(self.zeros), usedforsecurity=False).digest() == self.digest


def _root(data: bytes, leaves: int) -> bytes:
    """The root of the hash tree of these bytes (BEP 52): leaves behind the end are zeros."""
    row = [hashlib.sha256(data[i : i + _LEAF]).digest() for i in range(0, len(data), _LEAF)]
    row += [bytes(_SHA256)] * (leaves - len(row))
    while len(row) > 1:
        pairs = zip(row[::2], row[1::2], strict=True)
        row = [hashlib.sha256(left + right).digest() for left, right in pairs]
    return row[0]


@dataclass(frozen=True, slots=True)
class HashedFile:
    """One file of a torrent.

    Attributes:
        index: the file index.
        path: as the torrent has it.
        size: bytes.
        offset: its first byte in the torrent.
        is_padding: it holds zeros, and nobody keeps it.
        layer: v2 hashes of its pieces; empty if they are not known.
    """

    index: int
    path: str
    size: int
    offset: int
    is_padding: bool = False
    layer: bytes = b""


@dataclass(frozen=True, slots=True)
class PieceHashes:
    """The files of a torrent and the hashes of its pieces.

    Attributes:
        piece_size: bytes of every piece but the last.
        files: all, in their order.
        digests: v1 hashes of the pieces, 20 bytes each; empty if it has none.
    """

    piece_size: int
    files: tuple[HashedFile, ...]
    digests: bytes = b""
    _offsets: tuple[int, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_offsets", tuple(file.offset for file in self.files))

    @property
    def total(self) -> int:
        """Bytes of all files, padding included."""
        return self.files[-1].offset + self.files[-1].size if self.files else 0

    def checks(self, file: HashedFile) -> list[Check]:
        """What can be checked of a file alone: the first such piece, the last one, those between.

        Of the many pieces between, only three. None of a file that shares all its pieces (v1).
        """
        if file.layer:
            count = len(file.layer) // _SHA256
            return [self._own_v2(file, number) for number in _spread(0, count - 1)]
        if not self.digests:
            return []
        first = -(-file.offset // self.piece_size)
        end = file.offset + file.size
        last = (end - 1) // self.piece_size
        if self._next_real(file) < min((last + 1) * self.piece_size, self.total):
            last -= 1
        return [self._own_v1(file, number) for number in _spread(first, last)]

    def _own_v2(self, file: HashedFile, number: int) -> Check:
        offset = number * self.piece_size
        length = min(self.piece_size, file.size - offset)
        whole = file.size > self.piece_size
        blocks = (self.piece_size if whole else length) + _LEAF - 1
        leaves = 1 << (blocks // _LEAF - 1).bit_length()
        digest = file.layer[number * _SHA256 : (number + 1) * _SHA256]
        return Check(offset, length, digest, leaves=leaves)

    def _own_v1(self, file: HashedFile, number: int) -> Check:
        begin = number * self.piece_size
        end = min(begin + self.piece_size, self.total)
        length = min(end, file.offset + file.size) - begin
        return Check(begin - file.offset, length, self.digest(number), zeros=end - begin - length)

    def _next_real(self, file: HashedFile) -> int:
        """Where the next file that is no padding begins, behind every end if there is none."""
        place = bisect_right(self._offsets, file.offset + file.size - 1)
        real = (f.offset for f in self.files[place:] if not f.is_padding and f.size)
        return next(real, 2**63)

    def digest(self, number: int) -> bytes:
        """The v1 hash of a piece."""
        return self.digests[number * _SHA1 : (number + 1) * _SHA1]

    def pieces_of(self, file: HashedFile) -> range:
        """The numbers of the pieces that hold bytes of it."""
        end = file.offset + file.size - 1
        return range(file.offset // self.piece_size, end // self.piece_size + 1)

    def parts(self, number: int) -> Iterator[tuple[HashedFile, int, int]]:
        """Yields what a piece is made of: a file, the first byte of it, and how many."""
        begin = number * self.piece_size
        end = min(begin + self.piece_size, self.total)
        place = max(0, bisect_right(self._offsets, begin) - 1)
        while place > 0 and self.files[place - 1].offset + self.files[place - 1].size > begin:
            place -= 1
        for file in self.files[place:]:
            if file.offset >= end:
                return
            first, last = max(begin, file.offset), min(end, file.offset + file.size)
            if last > first:
                yield file, first - file.offset, last - first


def _spread(first: int, last: int) -> list[int]:
    """The first number, the last, and three between them, each once."""
    if last < first:
        return []
    middle = (first + (last - first) * share // 4 for share in (2, 1, 3))
    return list(dict.fromkeys([first, last, *middle]))


def piece_hashes(info: lt.torrent_info, torrent_file: bytes | None = None) -> PieceHashes:
    """What an info dictionary says.

    Args:
        info: the info dictionary.
        torrent_file: the whole file if there is one; only it has the v2 hashes of the pieces.
    """
    layout, size = info.layout(), info.piece_length()
    section: Any = lt.bdecode(info.info_section())
    digests: bytes = section.get(b"pieces", b"") if info.info_hashes().has_v1() else b""
    whole: Any = lt.bdecode(torrent_file) if torrent_file and layout.v2() else {}
    layers: dict[bytes, bytes] = whole.get(b"piece layers", {})
    pad = lt.file_flags_t.flag_pad_file
    files = (
        HashedFile(
            index,
            layout.file_path(index),
            layout.file_size(index),
            layout.file_offset(index),
            bool(layout.file_flags(index) & pad),
            _layer(layout, index, size, layers) if layout.v2() else b"",
        )
        for index in range(layout.num_files())
    )
    return PieceHashes(size, tuple(files), digests)


def _layer(layout: lt.file_storage, index: int, size: int, layers: dict[bytes, bytes]) -> bytes:
    """The v2 hashes of a file's pieces: of one that is no longer than a piece that is its root."""
    root: bytes = layout.root(index).to_bytes()
    length = layout.file_size(index)
    if not any(root):  # padding, or nothing at all
        return b""
    found = layers.get(root, b"") if length > size else root
    return found if len(found) == _SHA256 * -(-length // size) else b""
