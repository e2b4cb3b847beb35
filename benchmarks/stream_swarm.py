"""How soon a film that nobody has yet can be watched: ours and WebTorrent's own server.

One swarm for all: a seeder that gives 5 MB/s, 20 ms away, and a tracker that names it. Each
contender gets a server of its own that is up and knows nothing of the film; the clock starts with
the command to fetch it.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.stream_disk import OTHER, ask_status
from benchmarks.stream_player import MIB, Film, Player
from tests.acceptance.backend import Backend
from tests.peers.available import missing
from tests.peers.distant import distant
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.torrents import Torrent, make_torrent
from tests.peers.webtorrent import WebTorrentPeer

ROUND_TRIP = 0.02
UPLOAD = 5_000_000
BITRATE = UPLOAD / 1.2
"""Bytes a second of playing: the film comes at 1.2 times that."""
PIECE = MIB
PLAYED = 8.0
"""Seconds it is watched from the beginning, and then again after the seek."""
SEEK_TO = 0.6
WITHIN = 30.0

ROWS = (
    "first byte", "first MiB", "last MiB, asked for at once", "seek to 60 %: first byte",
    "seek to 60 %: first MiB", "then a seek to the last 10 %: first MiB",
    "standing still in 8 s, begun with 1 s of film", "standing still in 8 s after the seek",
    "magnet: first byte", "magnet: first MiB",
)  # fmt: skip
AIMS = {ROWS[0]: 0.7, ROWS[1]: 0.7, ROWS[2]: 0.8, ROWS[4]: 0.6}


@dataclass(frozen=True, slots=True)
class Swarm:
    """What all contenders have.

    Attributes:
        torrent: the film; its tracker is in the file and in the magnet.
        film: its bytes.
    """

    torrent: Torrent
    film: Film


@asynccontextmanager
async def swarm(folder: Path, content: Path) -> AsyncIterator[Swarm]:
    """A seeder far away and the tracker that names it."""
    async with AsyncExitStack() as stack:
        # what waits in the seeder's socket is late: a real line makes its sender wait, too
        seeder = await stack.enter_async_context(
            LibtorrentPeer(settings={"send_socket_buffer_size": 64 * 1024}, time_limit=900)
        )
        port = await stack.enter_async_context(distant(seeder.port, ROUND_TRIP, UPLOAD))
        announce = await stack.enter_async_context(_tracker(port))
        bare = make_torrent(content, folder / "bare.torrent", piece_size=PIECE)
        torrent = make_torrent(
            content, folder / "film.torrent", piece_size=PIECE, trackers=[announce]
        )
        await seeder.seed(bare.path, bare.folder)
        yield Swarm(torrent, Film(content))


@asynccontextmanager
async def _tracker(port: int) -> AsyncIterator[str]:
    """An HTTP tracker that names one peer on loopback to whoever asks."""
    peer = bytes([127, 0, 0, 1]) + port.to_bytes(2)
    body = b"d8:intervali1800e12:min intervali60e5:peers6:" + peer + b"e"
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(head.encode() + body)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/announce"


# --- contenders -----------------------------------------------------------------------------


class Ours:
    """`chilly serve`, as its users start it."""

    def __init__(self, folder: Path) -> None:
        self.backend = Backend(folder, {"CHILLY_LOG_LEVEL": "warning"})

    async def __aenter__(self) -> Ours:
        await self.backend.__aenter__()
        await self.backend.http.get("/health")
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self.backend.kill()

    async def fetch(self, torrent: Torrent, *, magnet: bool) -> str:
        """Start the film; its address."""
        if magnet:
            await self.backend.start(torrent.magnet, id="film")
        else:
            files = {"torrent": ("film.torrent", torrent.path.read_bytes())}
            answer = await self.backend.http.post(
                "/download/start", files=files, data={"id": "film"}
            )
            answer.raise_for_status()
        return f"{self.backend.url}/stream/film"


class WebTorrent:
    """WebTorrent and its own server, over TCP like the others."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._peer = WebTorrentPeer(time_limit=300)

    async def __aenter__(self) -> WebTorrent:
        await self._peer.__aenter__()
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self._peer.__aexit__(None, None, None)

    async def fetch(self, torrent: Torrent, *, magnet: bool) -> str:
        """Start the film; its address."""
        return await self._peer.serve(torrent.magnet if magnet else torrent.path, self._folder)


CONTENDERS: dict[str, Callable[[Path], Ours | WebTorrent]] = {"ours": Ours}
if not missing("webtorrent"):
    CONTENDERS["WebTorrent"] = WebTorrent

Figures = dict[str, dict[str, list[float]]]
"""Seconds of each round, by contender and row."""


async def measure(common: Swarm, rounds: int, only: str = "") -> Figures:
    """Several rounds, contenders by turns."""
    found: Figures = {}
    for _ in range(rounds):
        for name, make in CONTENDERS.items():
            if only and name != only:
                continue
            rows = found.setdefault(name, {row: [] for row in ROWS})
            for one_round in (partial(_watch, common), partial(_watch_magnet, common)):
                with tempfile.TemporaryDirectory() as folder:
                    async with asyncio.timeout(120), make(Path(folder)) as contender:
                        for row, seconds in (await one_round(contender)).items():
                            rows[row].append(seconds)
    return found


async def _watch(common: Swarm, contender: Ours | WebTorrent) -> dict[str, float]:
    loop, film = asyncio.get_running_loop(), common.film
    began = loop.time()
    url = await contender.fetch(common.torrent, magnet=False)
    lead = loop.time() - began
    found = []
    async with asyncio.timeout(WITHIN):
        async with Player(url, film) as head, Player(url, film, film.size - MIB) as tail:
            found += [lead + await head.until(1), lead + await head.until(MIB)]
            found += [lead + await tail.until(MIB)]
            await asyncio.sleep(PLAYED)
        async with Player(url, film, int(film.size * SEEK_TO)) as later:
            found += [await later.until(1), await later.until(MIB)]
            await asyncio.sleep(PLAYED)
        async with Player(url, film, int(film.size * 0.9)) as end:
            found += [await end.until(MIB)]
    found += [one.watched.stalled(BITRATE, int(BITRATE)) for one in (head, later)]
    return dict(zip(ROWS, found, strict=False))


async def _watch_magnet(common: Swarm, contender: Ours | WebTorrent) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    began = loop.time()
    url = await contender.fetch(common.torrent, magnet=True)
    lead = loop.time() - began
    async with asyncio.timeout(WITHIN), Player(url, common.film) as player:
        found = [lead + await player.until(1), lead + await player.until(MIB)]
    return dict(zip(ROWS[-2:], found, strict=True))


async def status_while_watching(common: Swarm, folder: Path) -> list[float]:
    """Milliseconds of `status` of another job, sorted, while the film arrives and is watched."""
    async with Ours(folder) as contender:
        await contender.backend.start(OTHER, id="other")
        url = await contender.fetch(common.torrent, magnet=False)
        async with Player(url, common.film) as player:
            await player.until(MIB)
            return await ask_status(contender.backend.url)
