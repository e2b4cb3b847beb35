"""What was changed of jobs while they ran holds after the server was killed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.backend import Backend
from tests.integration.test_adjust_in_a_swarm import SLOW, rate_of
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.torrents import Torrent, make_film, make_torrent

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]
MIB = 1 << 20


def make(folder: Path, name: str, size: int) -> Torrent:
    make_film(folder / "source" / name, size)
    return make_torrent(folder / "source" / name, folder / f"{name}.torrent")


async def patch(ours: Backend, job_id: str, **changes: Any) -> dict[str, Any]:
    answer = await ours.http.patch(f"/downloads/{job_id}", json=changes)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_limits_goals_and_labels_that_were_changed_hold_after_kill_minus_nine(
    tmp_path: Path, seeder: LibtorrentPeer
) -> None:
    big, small = make(tmp_path, "big.mkv", 12 * MIB), make(tmp_path, "small.mkv", MIB)
    await seeder.seed(big.path, big.folder)
    await seeder.seed(small.path, small.folder)
    peer = f"&x.pe=127.0.0.1:{seeder.port}"
    async with Backend(tmp_path / "ours", warm=True) as ours, LibtorrentPeer() as leecher:
        await ours.start(small.magnet + peer, id="small", seedRatio=50)
        await ours.until("small", lambda event: event["progress"]["phase"] == "seeding")
        port = (await ours.http.get("/health")).json()["torrentPorts"][0]["tcp"]
        await leecher.leech(f"{small.magnet}&x.pe=127.0.0.1:{port}", tmp_path / "leech")
        await ours.until("small", lambda event: event["progress"]["ratio"] >= 1)
        await ours.start(big.magnet + peer, id="big", downloadLimit=2_000_000)
        await ours.until("big", lambda event: event["progress"]["bytesDownloaded"] > 0)
        await patch(ours, "big", downloadLimit=SLOW, labels={"k": "1"})
        await patch(ours, "small", seedRatio=0.5)
        await ours.until(
            "small", lambda event: event.get("reason") == "the seeding goal is reached"
        )
        await ours.until("small", lambda event: event["progress"]["phase"] is None)
        await ours.kill()
    async with Backend(tmp_path / "ours", warm=True) as ours:
        job = await ours.job("big")
        assert (job["options"]["downloadLimit"], job["labels"]) == (SLOW, {"k": "1"})
        job = await ours.job("small")
        assert (job["options"]["seedRatio"], job["seeding"]) == (0.5, False)

        async def received() -> tuple[float, int]:
            count = (await ours.job("big"))["progress"]["bytesDownloaded"]
            return asyncio.get_running_loop().time(), count

        _, there = await received()
        await ours.until("big", lambda event: event["progress"]["bytesDownloaded"] > there)
        assert 0 < await rate_of(received, 3.0) < 2 * SLOW
        await patch(ours, "big", downloadLimit=None)
        assert (await ours.wait("big"))["status"] == "completed"
