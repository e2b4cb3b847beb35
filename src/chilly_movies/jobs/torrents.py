"""Torrents without a job: what is made of files, what is looked into, and the ports for both."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from chilly_movies.jobs.models import (
    MediaFile,
    Source,
)


class TorrentVersion(StrEnum):
    """Which info hashes a torrent gets: SHA-1 (v1, BEP 3), SHA-256 (v2, BEP 52), or both."""

    HYBRID = "hybrid"
    V1 = "v1"
    V2 = "v2"


@dataclass(frozen=True, slots=True)
class TorrentWish:
    """What a torrent is to be made of, and what it is to say.

    Attributes:
        path: a file or folder in the media root.
        trackers: announce URLs, in order.
        web_seeds: URLs of the same data over HTTP (BEP 19).
        private: peers come from the trackers alone (BEP 27).
    """

    path: str
    version: TorrentVersion = TorrentVersion.HYBRID
    trackers: tuple[str, ...] = ()
    web_seeds: tuple[str, ...] = ()
    private: bool = False
    comment: str = ""


@dataclass(frozen=True, slots=True)
class InspectedTorrent:
    """What a torrent holds, before anybody downloads it.

    Attributes:
        v1: the SHA-1 info hash in hex, None if it has none.
        v2: the SHA-256 info hash in hex, None if it has none.
        size: bytes of all files.
        piece_size: bytes.
        private: peers come from its trackers alone (BEP 27).
        files: with their indices; `blocked` ones look like programs.
        trackers: those that may be talked to.
        peers: addresses heard of so far, None if nobody was asked.
    """

    name: str
    v1: str | None
    v2: str | None
    size: int
    piece_size: int
    private: bool
    files: tuple[MediaFile, ...]
    trackers: tuple[str, ...] = ()
    peers: int | None = None


@dataclass(frozen=True, slots=True)
class MadeTorrent:
    """A torrent of data that lies on the disk.

    Attributes:
        data: the bytes of its `.torrent` file.
        v1: the SHA-1 info hash in hex, None if it has none.
        v2: the SHA-256 info hash in hex, None if it has none.
        size: bytes of all files.
        files: their paths begin with the name of what the torrent was made of.
        piece_size: bytes.
    """

    data: bytes
    magnet: str
    name: str
    v1: str | None
    v2: str | None
    size: int
    files: tuple[MediaFile, ...]
    piece_size: int


class TorrentMaker(Protocol):
    """Makes torrents of what lies in the media root."""

    async def make(self, wish: TorrentWish) -> MadeTorrent:
        """Read all of it once. Cancelling stops the reading.

        Raises:
            PathNotFound: nothing lies there.
            InvalidRequest: it cannot be shared, or the wish is malformed.
            DiskError: the disk refused, or the data changed meanwhile.
        """
        ...


class TorrentInspector(Protocol):
    """Says what is in a torrent that nobody downloads yet."""

    async def inspect(self, source: Source) -> InspectedTorrent:
        """Look at a torrent file, or fetch what a link or magnet stands for. Stores nothing.

        Bounded in time. Cancelling ends all traffic for it.

        Raises:
            InvalidSource: the source is broken.
            SourceUnavailable: the link's server does not answer.
            SourceNotFound: it says that there is no such thing.
            SourceRejected: what came is no torrent, or has what no film has.
            NoMetadata: no peer sent the metadata in time.
            EngineError: the downloader closed.
        """
        ...
