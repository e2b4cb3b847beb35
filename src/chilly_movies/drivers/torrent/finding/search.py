"""Looks for a torrent's files among the user's, and reads little of them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from chilly_movies.disk.copying import open_to_read
from chilly_movies.disk.size_index import SizeIndex
from chilly_movies.drivers.torrent.engine.piece_hashes import PieceHashes
from chilly_movies.drivers.torrent.finding.matching import EnoughReadError, Match, find

MOST_READ = 10 * 1024 * 1024
"""Bytes that are read of the user's files for one torrent; one piece, if that is more."""

_LISTING_SECONDS = 30.0
"""So long a download waits for a slow disk to list its folders; the next one goes on from there."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What a search found.

    Attributes:
        matches: where files of the torrent seem to lie, by file index.
        bytes_read: of the user's files.
    """

    matches: Mapping[int, Match]
    bytes_read: int = 0


class _Reader:
    """Reads samples until enough was read.

    Args:
        most: bytes.
        stopped: asked before each read.
    """

    def __init__(self, most: int, stopped: Callable[[], bool]) -> None:
        self._most = most
        self._stopped = stopped
        self.bytes_read = 0

    def read(self, path: Path, offset: int, length: int) -> bytes | None:
        """See `matching.Read`."""
        if self._stopped() or self.bytes_read + length > self._most:
            raise EnoughReadError
        try:
            handle = open_to_read(path)
        except OSError:
            return None
        try:
            data = os.pread(handle, length, offset)
        except OSError:
            return None
        finally:
            os.close(handle)
        self.bytes_read += len(data)
        return data


class DataFinder:
    """Looks for torrents' files in some folders. All methods block.

    Args:
        folders: the user's.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._index = SizeIndex(folders)

    def find(
        self,
        torrent: PieceHashes,
        wanted: frozenset[int],
        stopped: Callable[[], bool] = lambda: False,
    ) -> Findings:
        """Where a torrent's files seem to lie; nothing of the user's is written to.

        Args:
            torrent: its files and hashes.
            wanted: the indices of the files that are looked for.
            stopped: asked again and again; True = what was found by then must do.
        """
        until = time.monotonic() + _LISTING_SECONDS
        self._index.renew(lambda: stopped() or time.monotonic() > until)
        reader = _Reader(max(MOST_READ, torrent.piece_size), stopped)
        return Findings(find(torrent, wanted, self._index.of_size, reader.read), reader.bytes_read)
