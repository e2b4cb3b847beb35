"""The contenders: each downloads one torrent into an empty folder, in a process of its own."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from benchmarks.meter import Watch
from chilly_movies.drivers.torrent.engine.config import EngineConfig, settings_pack
from tests.peers.aria2 import Aria2Peer
from tests.peers.available import missing
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.process import PeerProcess
from tests.peers.torrents import Torrent
from tests.peers.transmission import TransmissionPeer
from tests.peers.webtorrent import WebTorrentPeer

TIME_LIMIT = 600.0
START_LIMIT = 60.0
ALL_BYTES = "all bytes there"
COMPLETED = "verified, flushed, published"


@dataclass(frozen=True, slots=True)
class Scene:
    """What one download has: the torrent, who seeds it, and an empty folder."""

    torrent: Torrent
    seeder: LibtorrentPeer
    folder: Path

    def watch(self, leecher: int | None = None) -> Watch:
        """A watch on this download; `leecher` is a process id, see `Watch`."""
        return Watch(self.seeder.pid, leecher, prepare=self._level)

    def _level(self) -> None:
        """Gives everybody the same start.

        A virtual machine gets memory from its host when it is first used, and gives it back two
        seconds after it was freed. That costs more than the download: what a copy of the film
        has just used is there. And nobody pays for what others have written.
        """
        copy = self.folder.with_name("copy")
        shutil.copyfile(self.torrent.content, copy)
        os.sync()
        copy.unlink()
        os.sync()


@dataclass(frozen=True, slots=True)
class Leecher:
    """A contender.

    Attributes:
        name: what `--only` and the table call it.
        run: downloads once.
        marks: the points it reaches, each a row of the table.
        missing: says what is not installed; empty if nothing.
    """

    name: str
    run: Callable[[Scene], Awaitable[Watch]]
    marks: tuple[str, ...] = (ALL_BYTES,)
    missing: Callable[[], str] = lambda: ""


# --- ours -------------------------------------------------------------------------------


def _config(scene: Scene) -> EngineConfig:
    """The engine's settings, the same for ours and for bare libtorrent."""
    return EngineConfig(
        scene.folder, port=0, interface="127.0.0.1", dht=False, allow_private_addresses=True
    )


def _environment(config: EngineConfig, scratch: Path) -> dict[str, str]:
    """The same as settings of our server, which must not see the user's own."""
    return {
        "CHILLY_CONFIG": os.devnull,
        "CHILLY_MEDIA_ROOT": str(config.media_root),
        "CHILLY_STATE_DIR": str(scratch / "state"),
        "CHILLY_HOST": "127.0.0.1",
        "CHILLY_PORT": "0",
        "CHILLY_TORRENT_PORT": str(config.port),
        "CHILLY_INTERFACE": config.interface or "",
        "CHILLY_DHT": str(config.dht),
        "CHILLY_ALLOW_PRIVATE_ADDRESSES": str(config.allow_private_addresses),
        "CHILLY_LOG_LEVEL": "warning",
        "API_SECRET": "",
    }


class _Backend(PeerProcess):
    """Our server process, as its users start it, with the Python of one tree of ours."""

    def __init__(self, scene: Scene, python: str) -> None:
        super().__init__(time_limit=TIME_LIMIT)
        self._scene = scene
        self._python = python
        self.url = ""

    async def _launch(self) -> None:
        await self._start(
            [self._python, "-m", "chilly_movies", "serve", "--json"],
            _environment(_config(self._scene), self.scratch),
        )
        assert self._running.stdout is not None
        async with asyncio.timeout(START_LIMIT):
            said = await self._running.stdout.readline()
        if not said.strip():
            raise self._failure("did not come up")
        self.url = json.loads(said)["url"]


@asynccontextmanager
async def _events(client: httpx2.AsyncClient) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    """The API's events, listened to before the body runs."""
    async with client.stream("GET", "/events", timeout=None) as response:
        lines = response.aiter_lines()
        async for line in lines:
            if line.startswith(": listening"):
                break
        yield (json.loads(line[5:]) async for line in lines if line.startswith("data:"))


async def _ours(scene: Scene, python: str = sys.executable) -> Watch:
    data = scene.torrent.path.read_bytes()
    async with (
        _Backend(scene, python) as backend,
        httpx2.AsyncClient(base_url=backend.url, trust_env=False) as client,
        _events(client) as events,
        scene.watch(backend.pid) as watch,
    ):
        form = {"torrent": ("film.torrent", data, "application/x-bittorrent")}
        answer = await client.post("/download/start", data={"id": "1"}, files=form)
        answer.raise_for_status()
        await _follow(events, watch)
    return watch


async def _follow(events: AsyncIterator[dict[str, Any]], watch: Watch) -> None:
    """Marks when the download phase is over, and when the job is completed."""
    seen = ""
    async for event in events:
        phase, status = event["progress"]["phase"], event["status"]
        if status == "failed":
            raise RuntimeError(f"the job failed: {event['error']}")
        over = seen == "downloading" != phase or phase == "post-processing"
        if not watch.marks and (over or status == "completed"):
            watch.mark(ALL_BYTES)
        if status == "completed":
            watch.mark(COMPLETED)
            return
        seen = phase
    raise RuntimeError("the event stream ended before the job")


def of_tree(tree: Path) -> Leecher:
    """Another tree of ours as a contender: a clone with its own environment in `.venv`.

    Raises:
        ValueError: it has none; `make setup` there makes it.
    """
    python = tree.resolve() / ".venv" / "bin" / "python"
    if not python.exists():
        raise ValueError(f"{tree} has no .venv: run 'make setup' there first")
    run = functools.partial(_ours, python=str(python))
    return Leecher(f"tree {tree.resolve().name}", run, (ALL_BYTES, COMPLETED))


# --- the others -------------------------------------------------------------------------


class _Bare(PeerProcess):
    """The process of `benchmarks.bare`."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(time_limit=TIME_LIMIT)
        self._scene = scene

    async def _launch(self) -> None:
        pack = settings_pack(_config(self._scene))
        await self._start(
            [
                *[sys.executable, "-m", "benchmarks.bare", json.dumps(pack)],
                *[str(self._scene.torrent.path), str(self._scene.folder)],
            ]
        )
        await self.expect("ready")

    async def expect(self, word: str) -> None:
        assert self._running.stdout is not None
        async with asyncio.timeout(TIME_LIMIT):
            said = (await self._running.stdout.readline()).decode().strip()
        if said != word:
            raise self._failure(f"said {said!r} where {word!r} was due")

    def go(self) -> None:
        assert self._running.stdin is not None
        self._running.stdin.write(b"go\n")


async def _bare(scene: Scene) -> Watch:
    async with _Bare(scene) as peer, scene.watch(peer.pid) as watch:
        peer.go()
        await peer.expect("done")
        watch.mark(ALL_BYTES)
        await peer.expect("written")
    return watch


async def _aria2(scene: Scene) -> Watch:
    async with (
        Aria2Peer(time_limit=TIME_LIMIT) as peer,
        scene.watch() as watch,
    ):
        await peer.leech(scene.torrent.path, scene.folder)
        watch.follow(peer.pid)
        await peer.wait_done(within=TIME_LIMIT)
        watch.mark(ALL_BYTES)
    return watch


async def _transmission(scene: Scene) -> Watch:
    async with (
        TransmissionPeer(time_limit=TIME_LIMIT) as peer,
        scene.watch(peer.pid) as watch,
    ):
        await peer.leech(scene.torrent.path, scene.folder)
        await scene.seeder.connect(peer.port)  # it never dials a loopback address itself
        await peer.wait_done(within=TIME_LIMIT)
        watch.mark(ALL_BYTES)
    return watch


async def _webtorrent(scene: Scene) -> Watch:
    async with (
        WebTorrentPeer(time_limit=TIME_LIMIT) as peer,
        scene.watch(peer.pid) as watch,
    ):
        await peer.leech(scene.torrent.path, scene.folder)
        await peer.wait_done(within=TIME_LIMIT)
        watch.mark(ALL_BYTES)
    return watch


LEECHERS = (
    Leecher("ours", _ours, (ALL_BYTES, COMPLETED)),
    Leecher("libtorrent", _bare),
    Leecher("aria2", _aria2, missing=lambda: missing("aria2")),
    Leecher("transmission", _transmission, missing=lambda: missing("transmission")),
    Leecher("webtorrent", _webtorrent, missing=lambda: missing("webtorrent")),
)
