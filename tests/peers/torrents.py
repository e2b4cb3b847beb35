"""Films of pseudo-random bytes, and torrents of them. The same seed gives the same bytes."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import libtorrent as lt

Version = Literal["v1", "hybrid", "v2"]

_CHUNK = 1 << 20
_FLAGS: dict[Version, int] = {
    "v1": lt.create_torrent.v1_only,
    "hybrid": 0,
    "v2": lt.create_torrent.v2_only,
}


@dataclass(frozen=True, slots=True)
class Torrent:
    """A .torrent file, what is in it, and where its content lies."""

    path: Path
    name: str
    folder: Path
    """The folder to seed from: the content is `folder / name`."""
    size: int
    v1: str
    """The info hash in hex; empty for a v2-only torrent."""
    v2: str
    """The SHA-256 info hash in hex; empty for a v1-only torrent."""
    magnet: str

    @property
    def content(self) -> Path:
        """The file or folder the torrent was made of."""
        return self.folder / self.name


def make_film(path: Path, size: int, *, seed: int = 0) -> str:
    """Writes `size` pseudo-random bytes and returns their SHA-256 in hex."""
    path.parent.mkdir(parents=True, exist_ok=True)
    source = random.Random(seed)
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for start in range(0, size, _CHUNK):
            chunk = source.randbytes(min(_CHUNK, size - start))
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()


def make_films(folder: Path, sizes: dict[str, int], *, seed: int = 0) -> dict[str, str]:
    """Writes several files; returns the SHA-256 of each relative name."""
    return {
        name: make_film(folder / name, size, seed=seed + number)
        for number, (name, size) in enumerate(sorted(sizes.items()))
    }


def sha256_of(path: Path) -> str:
    """Reads a file and returns its SHA-256 in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def make_torrent(
    content: Path,
    path: Path,
    *,
    trackers: Sequence[str] = (),
    web_seeds: Sequence[str] = (),
    version: Version = "v1",
    piece_size: int = 0,
    private: bool = False,
) -> Torrent:
    """Makes a .torrent of a file or a folder.

    Args:
        content: the file or folder.
        path: the .torrent file to write.
        trackers: announce URLs, each a tier of its own.
        web_seeds: URLs of the same content over HTTP (BEP 19).
        version: which info hashes it gets.
        piece_size: bytes, a power of two from 16 KiB; 0 lets libtorrent choose.
        private: forbids peer sources other than the trackers (BEP 27).
    """
    made = lt.create_torrent(lt.list_files(str(content)), piece_size, _FLAGS[version])
    for tier, url in enumerate(trackers):
        made.add_tracker(url, tier)
    for url in web_seeds:
        made.add_url_seed(url)
    made.set_priv(private)
    made.set_creator("chilly-movies tests")
    lt.set_piece_hashes(made, str(content.parent))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(lt.bencode(made.generate()))
    return _describe(path, content)


def copy_pieces(torrent: Path, folder: Path, into: Path, pieces: range) -> Path:
    """Copies these pieces of a torrent's one file to `into`; the others are zeros there.

    Returns `into`, a folder to seed from.
    """
    info = lt.load_torrent_file(str(torrent)).ti
    assert info is not None
    assert info.layout().num_files() == 1, "only for torrents of one file"
    length = info.piece_length()
    into.mkdir(parents=True, exist_ok=True)
    with (folder / info.name()).open("rb") as whole, (into / info.name()).open("wb") as part:
        part.truncate(info.total_size())
        for piece in pieces:
            whole.seek(piece * length)
            part.seek(piece * length)
            part.write(whole.read(length))
    return into


def _describe(path: Path, content: Path) -> Torrent:
    params = lt.load_torrent_file(str(path))
    info = params.ti
    assert info is not None
    hashes = info.info_hashes()
    files = [content] if content.is_file() else [f for f in content.rglob("*") if f.is_file()]
    return Torrent(
        path=path,
        name=info.name(),
        folder=content.parent,
        size=sum(file.stat().st_size for file in files),
        v1=str(hashes.v1) if hashes.has_v1() else "",
        v2=str(hashes.v2) if hashes.has_v2() else "",
        magnet=lt.make_magnet_uri(params),
    )
