"""Nobody on a block list is talked to in any role, and nobody off an allow list."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from chilly_movies import SourceType, Status
from tests.acceptance.backend import Backend
from tests.integration.engine import running, until
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.torrents import Torrent, make_film, make_torrent

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

PEER, TRACKER, SEED, LINK = (f"127.0.5.{n}" for n in range(1, 5))


class Canary:
    """Somebody who counts calls and answers none."""

    def __init__(self) -> None:
        self.calls = 0
        self.port = 0

    @asynccontextmanager
    async def listening(self, host: str) -> AsyncIterator[Canary]:
        def called(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.calls += 1
            writer.close()

        server = await asyncio.start_server(called, host, 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            await server.wait_closed()


def film(
    folder: Path, name: str, trackers: Sequence[str] = (), web_seeds: Sequence[str] = ()
) -> Torrent:
    make_film(folder / name / f"{name}.mkv", 200_000, seed=len(name))
    return make_torrent(
        folder / name / f"{name}.mkv", folder / f"{name}.torrent",
        trackers=trackers, web_seeds=web_seeds,
    )  # fmt: skip


async def test_a_block_list_holds_for_every_role_and_is_read_again_when_it_changes(
    tmp_path: Path,
) -> None:
    blocked = tmp_path / "list.p2p"
    blocked.write_text(
        f"a peer:{PEER}-{PEER}\n{TRACKER} - {TRACKER} , 000 , a tracker\nnonsense\n"
        f"{SEED}/32 # a web seed\n127.0.0.1\n::1\n{LINK}\n"
    )
    canaries = {host: Canary() for host in (PEER, TRACKER, SEED, LINK, "localhost")}
    async with AsyncExitStack() as stack:
        for host, canary in canaries.items():
            address = "127.0.0.1" if host == "localhost" else host
            await stack.enter_async_context(canary.listening(address))
        at = {host: f"{host}:{canary.port}" for host, canary in canaries.items()}
        downloader = await stack.enter_async_context(
            running(tmp_path, max_active=9, block_list=blocked)
        )

        async def start(name: str) -> None:
            """A torrent with its metadata, a magnet with a peer, and a link."""
            seeds = [f"http://{at[SEED]}/", f"http://{at['localhost']}/announce"]
            one = film(tmp_path, name, trackers=[f"http://{at[TRACKER]}/announce"], web_seeds=seeds)
            await downloader.start(id=name, torrent=one.path.read_bytes())
            other = film(tmp_path, f"{name}-magnet")
            await downloader.start(sourceUrn=f"{other.magnet}&x.pe={at[PEER]}", id=f"{name}-magnet")
            await downloader.start(sourceUrn=f"http://{at[LINK]}/{name}.torrent", id=f"{name}-link")

        await start("shut")
        refused = await until(downloader, "shut-link", lambda job: job.error is not None)
        await until(downloader, "shut", lambda job: "failed" in (job.reason or ""))
        assert {host: canary.calls for host, canary in canaries.items()} == dict.fromkeys(at, 0)
        assert refused.error is not None
        assert "blocked" in refused.error.message

        blocked.write_text("# nobody\n")
        engine = downloader._drivers[SourceType.TORRENT]._session._ses  # type: ignore[attr-defined]
        async with asyncio.timeout(20):
            while engine.get_ip_filter().access(PEER):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            await start("open")
            while not all(canary.calls for canary in canaries.values()):  # noqa: ASYNC110
                await asyncio.sleep(0.1)


async def test_sighup_reads_the_lists_again_and_webrtc_is_said_to_be_off(tmp_path: Path) -> None:
    (tmp_path / "list").write_text(f"{PEER}\n")
    settings = {"CHILLY_BLOCK_LIST": str(tmp_path / "list"), "CHILLY_WEBTORRENT": "true"}
    settings |= {"CHILLY_INTERFACE": "", "CHILLY_WEBTORRENT_TRACKERS": ""}
    async with Backend(tmp_path, settings, warm=True) as ours:
        assert ours.log().count("WebRTC is off") == 1
        assert "CHILLY_BLOCK_LIST or CHILLY_ALLOW_LIST" in ours.log()
        await ours.start(f"magnet:?xt=urn:btih:{'e' * 40}", id="a")
        async with asyncio.timeout(20):
            for times in (1, 2):
                while ours.log().count("a list of addresses was read") < times:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
                os.kill(ours.pid, signal.SIGHUP)
        assert (await ours.http.get("/health")).status_code == 200


async def test_with_an_allow_list_only_who_is_on_it_is_talked_to(tmp_path: Path) -> None:
    allowed = tmp_path / "list"
    allowed.write_text(f"{PEER}/32\n")
    stranger = Canary()
    async with (
        LibtorrentPeer(host=PEER) as seeder,
        stranger.listening(SEED),
        running(tmp_path, allow_list=allowed) as downloader,
    ):
        wanted = film(tmp_path, "wanted", web_seeds=[f"http://{SEED}:{stranger.port}/"])
        await seeder.seed(wanted.path, wanted.folder)
        urn = f"{wanted.magnet}&x.pe={PEER}:{seeder.port}&x.pe={SEED}:{stranger.port}"
        await downloader.start(sourceUrn=urn, id="a")
        job = await downloader.wait("a")
    assert job.status is Status.COMPLETED
    assert stranger.calls == 0
