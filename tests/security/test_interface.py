"""Bound to an interface, nothing leaves over another one, and all stops when it goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from chilly_movies.tracker.http import run_tracker
from lab.candidates import serving
from tests.acceptance.backend import Backend
from tests.page_set import page_set
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.netns import ip
from tests.peers.torrents import Torrent, make_film, make_torrent, sha256_of
from tests.peers.two_networks import (
    CABLE,
    OURS,
    PEER,
    SPARE,
    TRACKER,
    Capture,
    Packet,
    TwoNetworks,
    served_outside,
    started_outside,
    two_networks,
)

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

OPEN = {"CHILLY_ALLOW_PRIVATE_ADDRESSES": "false", "CHILLY_WEBTORRENT_TRACKERS": ""}
SPEED = 100_000
SIZE = 450_000


@pytest.fixture
def networks() -> Iterator[TwoNetworks]:
    with two_networks() as networks:
        yield networks


@dataclass(frozen=True, slots=True)
class Scene:
    film: Torrent
    ours: Backend
    capture: Capture

    async def after_a_second(self) -> list[Packet]:
        """What is sent in the second and a half after the first second."""
        await asyncio.sleep(1)
        self.capture.take()
        await asyncio.sleep(1.5)
        return self.capture.take()


@asynccontextmanager
async def halfway(folder: Path, networks: TwoNetworks, interface: str) -> AsyncIterator[Scene]:
    """A server that downloads a film, and has a part of it."""
    settings = {**OPEN, "CHILLY_INTERFACE": interface}
    async with (
        served_outside(networks, run_tracker(TRACKER)) as tracker,
        started_outside(networks, LibtorrentPeer(host=PEER)) as seeder,
        Backend(folder, settings, warm=True) as ours,
    ):
        make_film(folder / "film.mkv", SIZE)
        film = make_torrent(
            folder / "film.mkv", folder / "film.torrent", trackers=[tracker], piece_size=16384
        )
        await seeder.seed(film.path, film.folder)
        with Capture() as capture:
            await ours.start(film.magnet, id="a", downloadLimit=SPEED)
            await ours.until("a", lambda event: event["progress"]["bytesDownloaded"] > 0)
            yield Scene(film, ours, capture)


@pytest.mark.parametrize(("interface", "lost"), [(OURS[CABLE], "device"), (CABLE, "address")])
async def test_when_the_interface_goes_all_stops_and_when_it_is_back_all_goes_on(
    tmp_path: Path, networks: TwoNetworks, interface: str, lost: str
) -> None:
    async with halfway(tmp_path, networks, interface) as scene:
        ip("route", "del", "default", "dev", CABLE)  # the other cable's route would take over
        await asyncio.sleep(1)
        before = scene.capture.take()
        networks.take_down() if lost == "device" else networks.lose_address()
        said = scene.ours.until("a", lambda event: "nothing is sent" in event.get("reason", ""))
        event, sent = await asyncio.gather(said, scene.after_a_second())
        health = (await scene.ours.http.get("/health")).json()
        networks.bring_back() if lost == "device" else networks.get_address()
        job = await scene.ours.wait("a")
        healed = (await scene.ours.http.get("/health")).json()
        later = scene.capture.take()
    assert not sent
    assert event["status"] == "active"
    what = f"the interface {CABLE} is down" if lost == "device" else f"{CABLE} has no address"
    assert what in event["reason"]
    assert what in health["network"]
    assert healed["network"] is None
    assert job["status"] == "completed"
    assert sha256_of(tmp_path / "media" / "film.mkv") == sha256_of(scene.film.content)
    assert {packet.device for packet in before + later} == {CABLE}


async def test_without_an_interface_another_way_is_taken(
    tmp_path: Path, networks: TwoNetworks
) -> None:
    async with halfway(tmp_path, networks, "") as scene:
        networks.take_down()
        async with asyncio.timeout(30):
            while not any(p.device == SPARE and p.kind == "tcp" for p in scene.capture.take()):  # noqa: ASYNC110
                await asyncio.sleep(0.1)


async def test_what_begins_while_the_interface_is_away_waits_for_it(
    tmp_path: Path, networks: TwoNetworks
) -> None:
    networks.take_down()
    with Capture() as capture:
        async with Backend(tmp_path, {**OPEN, "CHILLY_INTERFACE": CABLE}, warm=True) as ours:
            health = (await ours.http.get("/health")).json()
            await ours.start(f"http://{PEER}:8000/film.torrent", id="link")
            magnet = f"magnet:?xt=urn:btih:{'c' * 40}&tr=http://{TRACKER}:8000/announce"
            await ours.start(f"{magnet}&x.pe={PEER}:5000", id="magnet")
            for job in ("link", "magnet"):
                await ours.until(job, lambda event: "is down" in event.get("reason", ""))
            sent = capture.take()
            networks.bring_back()
            await ours.until("link", lambda event: event.get("error"))
            called = {packet.to for packet in capture.take()}
    assert "is down" in health["network"]
    assert not sent
    assert PEER in called


@pytest.mark.timeout(150)
async def test_a_torrent_a_link_and_a_page_stop_together_count_no_failure_and_go_on(
    tmp_path: Path, networks: TwoNetworks
) -> None:
    settings = {**OPEN, "CHILLY_ALLOW_PRIVATE_ADDRESSES": "true", "CHILLY_INTERFACE": CABLE}
    digest = make_film(tmp_path / "film.mkv", SIZE)
    film = make_torrent(tmp_path / "film.mkv", tmp_path / "film.torrent", piece_size=16384)
    async with (
        served_outside(networks, serving(PEER)) as origin,
        served_outside(networks, page_set(host=PEER)) as pages,
        started_outside(networks, LibtorrentPeer(host=PEER)) as seeder,
        Backend(tmp_path, settings, warm=True) as ours,
    ):
        await seeder.seed(film.path, film.folder)
        origin.films["0"] = film.content.read_bytes()
        page, pages.rate = pages.add_film("film", film.content.read_bytes()), SPEED // 4
        peer = f"&x.pe={PEER}:{seeder.port}"
        await ours.start(page, id="page", sourceType="youtube")
        await ours.until("page", has_bytes)
        await ours.start(film.magnet + peer, id="torrent", downloadLimit=SPEED)
        await ours.start(origin.link("0", "paced"), id="link", sourceType="http")
        await asyncio.gather(*(ours.until(job, has_bytes) for job in ("torrent", "link")))
        jobs = ("page", "torrent", "link")
        with Capture() as capture:
            networks.take_down()
            said = [await ours.until(job, stands_still) for job in jobs]
            await asyncio.sleep(0.5)
            capture.take()
            await asyncio.sleep(1)
            sent = capture.take()
        networks.bring_back()
        pages.rate = 0
        ended = [await ours.wait(job) for job in jobs]
        names = [event["event"] for job in jobs for event in await told(ours, job)]
    assert not sent
    assert {one["status"] for one in said} == {"active"}
    assert not {"retrying", "failed"} & {*names}
    assert [(job["status"], job.get("error")) for job in ended] == [("completed", None)] * 3
    found = [sha256_of(tmp_path / "media" / job["path"]) for job in ended]
    assert found == [digest] * 3


def has_bytes(event: dict[str, Any]) -> bool:
    """Whether something came."""
    return bool(event["progress"]["bytesDownloaded"] > 0)


def stands_still(event: dict[str, Any]) -> bool:
    """Whether a job says that nothing is sent, and that nothing comes."""
    return "is down" in event.get("reason", "") and event["progress"]["downloadSpeed"] == 0


async def told(ours: Backend, job: str) -> list[dict[str, Any]]:
    """All events of a job that is completed."""
    found = []
    async with ours.listen(f"/events/{job}", last_id=0) as events:
        async for event in events:
            found.append(event)
            if event["event"] == "completed":
                break
    return found
