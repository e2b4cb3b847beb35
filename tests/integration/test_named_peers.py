"""A peer that only the link names is called until it is there: its seeder may be started later."""

from __future__ import annotations

import asyncio
import itertools
import socket
from pathlib import Path
from typing import Any

import libtorrent as lt
import pytest

from chilly_movies.drivers.torrent.engine import alerts
from chilly_movies.drivers.torrent.engine.alert_table import AlertTable
from tests.integration.engine import magnet_to, running
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.torrents import make_film, make_torrent, sha256_of

pytestmark = pytest.mark.anyio
_TRIES = 3
"""So often the engine by itself calls a peer that refuses, and then never again."""
_SOON = {"min_reconnect_time": 0}
"""It does that in a few moments instead of a quarter of a minute."""


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Is set once all the engine's own calls were refused."""
    calls, heard, hear = itertools.count(1), asyncio.Event(), AlertTable.apply

    def apply(table: AlertTable, alert: Any) -> None:
        if isinstance(alert, lt.peer_disconnected_alert) and next(calls) == _TRIES:
            heard.set()
        hear(table, alert)

    monkeypatch.setattr(AlertTable, "apply", apply)
    monkeypatch.setattr(
        alerts, "_ALERTS", alerts._ALERTS | lt.alert.category_t.connect_notification
    )
    return heard


def free_port() -> int:
    """One that nobody listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


async def test_a_magnet_whose_only_peer_comes_up_late_is_downloaded(
    tmp_path: Path, refused: asyncio.Event
) -> None:
    wanted = make_film(tmp_path / "source" / "film.mkv", 1 << 20)
    torrent = make_torrent(tmp_path / "source" / "film.mkv", tmp_path / "film.torrent")
    port = free_port()
    late = LibtorrentPeer(settings={"listen_interfaces": f"127.0.0.1:{port}"})
    async with running(tmp_path, extra=_SOON) as downloader, asyncio.timeout(45):
        await downloader.start(id="a", source_urn=magnet_to(torrent, port))
        await refused.wait()
        async with late as seeder:
            await seeder.seed(torrent.path, torrent.folder)
            assert seeder.port == port
            job = await downloader.wait("a")
    assert job.path == "film.mkv"
    assert sha256_of(tmp_path / "media" / "film.mkv") == wanted
