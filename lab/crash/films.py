"""Films to download in the fire, and what of them truly lies on a disk."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.peers.torrents import Torrent, make_film, make_torrent

MIB = 1 << 20
PIECE = 256 * 1024


@dataclass(frozen=True)
class Film:
    """A film of one file, its torrent, and where it is seeded from."""

    number: int
    torrent: Torrent
    sha256: str
    host: str
    port: int = 0
    link: str = ""

    @property
    def name(self) -> str:
        """Its seeder's name."""
        return f"film{self.number}"

    @property
    def size(self) -> int:
        """Bytes."""
        return self.torrent.size

    @property
    def magnet(self) -> str:
        """Its magnet, which names its seeder (BEP 9, `x.pe`)."""
        return self.link or f"{self.torrent.magnet}&x.pe={self.host}:{self.port}"

    @cached_property
    def pieces(self) -> tuple[bytes, ...]:
        """A digest of each piece."""
        return tuple(_digests(self.torrent.content))

    def good(self, path: Path) -> frozenset[int]:
        """The pieces that truly lie in a file, by comparing all bytes."""
        if not path.is_file():
            return frozenset()
        return frozenset(
            number
            for number, (ours, theirs) in enumerate(zip(self.pieces, _digests(path), strict=False))
            if ours == theirs
        )

    def bytes_of(self, pieces: frozenset[int]) -> int:
        """How many bytes these pieces have; the last one may be short."""
        return sum(min(PIECE, self.size - number * PIECE) for number in pieces)


def make(folder: Path, number: int, size: int, *, host: str, piece: int = PIECE) -> Film:
    """A film that is the same for the same number, with its torrent."""
    content = folder / f"film{number}" / f"Film {number}.mkv"
    digest = make_film(content, size, seed=number)
    torrent = make_torrent(content, folder / f"film{number}.torrent", piece_size=piece)
    return Film(number, torrent, digest, host)


def _digests(path: Path) -> list[bytes]:
    found = []
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            found.append(hashlib.sha1(piece, usedforsecurity=False).digest())
    return found
