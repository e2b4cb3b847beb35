"""Bound to an interface, nothing leaves over another one, and all stops when it goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from chilly_movies.tracker.http import run_tracker
from lab.candidates import serving
from tests.acceptance.backend import Backend
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


async def test_a_link_stops_when_the_interface_goes_counts_no_failure_and_goes_on(
    tmp_path: Path, networks: TwoNetworks
) -> None:
    settings = {**OPEN, "CHILLY_ALLOW_PRIVATE_ADDRESSES": "true", "CHILLY_INTERFACE": CABLE}
    digest = make_film(tmp_path / "film.mkv", SIZE)
    async with (
        served_outside(networks, serving(PEER)) as origin,
        Backend(tmp_path, settings, warm=True) as ours,
    ):
        origin.films["0"] = (tmp_path / "film.mkv").read_bytes()
        await ours.start(origin.link("0", "paced"), id="a", sourceType="http")
        await ours.until("a", lambda event: event["progress"]["bytesDownloaded"] > 0)
        with Capture() as capture:
            networks.take_down()
            said = await ours.until("a", lambda event: "is down" in event.get("reason", ""))
            await asyncio.sleep(0.5)
            capture.take()
            await asyncio.sleep(1)
            sent = capture.take()
        networks.bring_back()
        job = await ours.wait("a")
        async with ours.listen("/events/a", last_id=0) as events:
            names = []
            async for event in events:
                names.append(event["event"])
                if event["event"] == "completed":
                    break
    assert not sent
    assert (said["status"], said["progress"]["downloadSpeed"]) == ("active", 0)
    assert "retrying" not in names
    assert (job["status"], sha256_of(tmp_path / "media" / job["path"])) == ("completed", digest)
