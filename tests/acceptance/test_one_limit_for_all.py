"""One download limit over a torrent, a link and a page at once."""

from __future__ import annotations

import asyncio
import operator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.acceptance.backend import Backend
from tests.integration.engine import magnet_to
from tests.page_set import page_set
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.torrents import make_film, make_torrent

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(150)]
LIMIT = 2_000_000
JOBS = ("torrent", "link", "page")


async def test_a_torrent_a_link_and_a_page_keep_to_one_limit_together_and_each_has_a_part(
    tmp_path: Path,
) -> None:
    make_film(tmp_path / "source" / "film.mkv", 48 << 20)
    film = make_torrent(tmp_path / "source" / "film.mkv", tmp_path / "film.torrent")
    content = film.content.read_bytes()
    async with AsyncExitStack() as stack:
        seeder = await stack.enter_async_context(LibtorrentPeer())
        files, pages = [await stack.enter_async_context(page_set()) for _ in range(2)]
        await seeder.seed(film.path, film.folder)
        files.add_film("film", content)
        page = pages.add_film("film", content)
        settings = {"CHILLY_DOWNLOAD_LIMIT": str(LIMIT)}
        ours = await stack.enter_async_context(Backend(tmp_path / "ours", settings, warm=True))
        await ours.start(page, id="page", sourceType="youtube")
        await ours.until("page", lambda event: event["progress"]["bytesDownloaded"] > 0)
        await ours.start(magnet_to(film, seeder.port), id="torrent")
        await ours.start(f"{files.url}/film.mp4", id="link", sourceType="http")

        async def counted() -> tuple[float, ...]:
            """The time, and the bytes of each job."""
            found = [(await ours.job(job))["progress"]["bytesDownloaded"] for job in JOBS]
            return (asyncio.get_running_loop().time(), *found)

        await asyncio.sleep(4)  # the engine first uses up what it was let have before
        begun = await counted()
        for window in range(4, 21, 2):  # the engine lets bytes by in portions of 2 s
            await asyncio.sleep(4 if window == 4 else 2)
            seconds, *grown = map(operator.sub, await counted(), begun)
            rates = [bytes_ / seconds for bytes_ in grown]
            fits = sum(rates) == pytest.approx(LIMIT, rel=0.1) and min(rates) > 0.2 * LIMIT
            assert fits or window < 20, rates
            if fits:
                break
