"""Many small films from one seeder: what a run needs that counts jobs by the hundred."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.acceptance.backend import Backend
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.torrents import Torrent, make_film, make_torrent, sha256_of

SETTINGS = {
    "CHILLY_MAX_ACTIVE": "1000",
    "CHILLY_MIN_FREE_SPACE": "1000000",
    "CHILLY_RATE_LIMIT_START": "99999/second",
    "CHILLY_RATE_LIMIT_CANCEL": "99999/second",
    "CHILLY_LOG_LEVEL": "warning",
}
_PAGE = 500


@dataclass(frozen=True, slots=True)
class Small:
    """A small film, what it hashes to, and how to limit its seeder."""

    torrent: Torrent
    sha256: str
    magnet: str
    key: str
    piece: int

    def is_whole(self, path: Path) -> bool:
        """Whether a file is this film, byte for byte."""
        return path.is_file() and sha256_of(path) == self.sha256

    def good(self, path: Path) -> int:
        """How many bytes of a file lie in pieces that are right."""
        if not path.is_file():
            return 0
        whole, there, found = self.torrent.content.read_bytes(), path.read_bytes(), 0
        for begin in range(0, len(whole), self.piece):
            piece = whole[begin : begin + self.piece]
            found += len(piece) if there[begin : begin + self.piece] == piece else 0
        return found


class Herd:
    """Makes films and offers them from one process, which the caller runs.

    Args:
        folder: for films and torrents.
        seeder: who offers them.
        host: where it listens.
    """

    def __init__(self, folder: Path, seeder: LibtorrentPeer, host: str = "127.0.0.1") -> None:
        self._folder = folder
        self._seeder = seeder
        self._host = host
        self._made = 0

    async def grow(
        self,
        count: int,
        size: int,
        *,
        piece: int = 64 * 1024,
        rate: int = 0,
        trackers: Iterable[str] = (),
        have: range | None = None,
    ) -> list[Small]:
        """So many new films; with trackers, only those know where the seeder is.

        Of a film with `have` the seeder has these pieces and will never have others.
        """
        return [await self._film(size, piece, rate, tuple(trackers), have) for _ in range(count)]

    async def _film(
        self, size: int, piece: int, rate: int, trackers: tuple[str, ...], have: range | None
    ) -> Small:
        self._made += 1
        name = f"film {self._made}"
        content = self._folder / name / f"{name}.mkv"
        digest = make_film(content, size, seed=self._made)
        path = self._folder / f"{name}.torrent"
        torrent = make_torrent(content, path, piece_size=piece)
        key = await self._seeder.seed(torrent.path, torrent.folder, upload_limit=rate, have=have)
        where = "".join(f"&tr={quote(url, safe='')}" for url in trackers)
        where = where or f"&x.pe={self._host}:{self._seeder.port}"
        return Small(torrent, digest, torrent.magnet + where, key, piece)

    async def limit(self, films: Iterable[Small], rate: int) -> None:
        """Let the seeder send so many bytes a second of each; 0 lifts the limit."""
        await asyncio.gather(*(self._seeder.set_upload_limit(rate, film.key) for film in films))


async def listed(server: Backend) -> dict[str, dict[str, Any]]:
    """All jobs as the server lists them."""
    found: dict[str, dict[str, Any]] = {}
    cursor: str | None = ""
    while cursor is not None:
        query = {"limit": str(_PAGE)} | ({"cursor": cursor} if cursor else {})
        answer = await server.http.get("/downloads", params=query)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found |= {job["id"]: job for job in page["items"]}
        cursor = page["nextCursor"]
    return found


async def until_all(
    server: Backend,
    jobs: Iterable[str],
    wanted: Callable[[Mapping[str, Any]], bool],
    within: float,
) -> dict[str, dict[str, Any]]:
    """Wait until each of these jobs was as wanted once; those that were not in time."""
    left = set(jobs)
    seen: dict[str, dict[str, Any]] = {}
    try:
        async with asyncio.timeout(within):
            while True:
                seen = await listed(server)
                left = {job for job in left if job not in seen or not wanted(seen[job])}
                if not left:
                    return {}
                await asyncio.sleep(0.1)
    except TimeoutError:
        return {job: seen.get(job, {"status": "missing"}) for job in left}
