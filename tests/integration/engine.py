"""A real downloader on loopback, for tests: real engine, real SQLite, no public address."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from chilly_movies import Job, WebTorrentDownloader
from chilly_movies.jobs.downloader import Downloader
from tests.peers.torrents import Torrent

QUIET: dict[str, Any] = {
    "port": 0,
    "interface": "127.0.0.1",
    "dht": False,
    "lsd": False,
    "upnp": False,
    "webtorrent": False,
    "stun_server": "",
    "allow_private_addresses": True,
    "seed_ratio": 0.0,
}


@asynccontextmanager
async def running(folder: Path, **engine: Any) -> AsyncIterator[Downloader]:
    """A downloader whose media and state lie below the folder; opened again it goes on."""
    async with WebTorrentDownloader(
        folder / "media", state_dir=folder / "state", **{**QUIET, **engine}
    ) as downloader:
        yield downloader


async def until(downloader: Downloader, job_id: str, wanted: Callable[[Job], bool]) -> Job:
    """Wait for a change after which the job is as wanted; at most 45 s."""
    async with asyncio.timeout(45), downloader.listen(job_id) as changes:
        job = await downloader.status(job_id)
        while not wanted(job):
            await anext(changes)
            job = await downloader.status(job_id)
    return job


def magnet_to(torrent: Torrent, port: int, extra: str = "") -> str:
    """The torrent's magnet with one peer on loopback (BEP 9, `x.pe`)."""
    return f"{torrent.magnet}&x.pe=127.0.0.1:{port}{extra}"
