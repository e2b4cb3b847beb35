"""What trackers hear of a film from its first byte to the end of the program."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

import libtorrent as lt
import pytest
from starlette.requests import Request
from starlette.responses import Response

from chilly_movies import Phase
from chilly_movies.drivers.torrent.engine.announces import Announces, PeerIds
from chilly_movies.drivers.torrent.engine.standings import TrackerStanding
from chilly_movies.tracker.http import Tracker, parse_announce, serve_tracker
from tests.integration.engine import magnet_to, running, until
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.torrents import Torrent, make_film, make_torrent

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(90)]
WHOLE = ["started", "completed", "stopped", "started"]
URL = "http://tracker.example/announce"


class Logging(Tracker):
    """Our own tracker; it thinks for a while, and keeps what it heard in the order it came."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds
        self.answered = 0
        self._news = asyncio.Event()
        self.heard: defaultdict[bytes, list[tuple[int, bytes, str]]] = defaultdict(list)

    async def _answer(self, request: Request) -> Response:
        asked = parse_announce(request.scope["query_string"], "127.0.0.1")
        entry = (asked.peer.port, asked.peer.peer_id, asked.event.decode())
        self.heard[asked.info_hash].append(entry)
        await asyncio.sleep(self._seconds)
        answer = await super()._answer(request)
        self.answered += 1
        self._news.set()
        return answer

    async def until_answered(self, count: int) -> None:
        """Wait until so many announces were answered."""
        async with asyncio.timeout(20):
            while self.answered < count:
                self._news.clear()
                await self._news.wait()

    def events(self, other: int) -> list[list[str]]:
        """The events of each torrent, without those from this port."""
        return [[e for port, _, e in said if port != other and e] for said in self.heard.values()]

    def peer_ids(self, other: int) -> list[set[bytes]]:
        """The peer ids of each torrent, without those from this port."""
        return [{name for port, name, _ in said if port != other} for said in self.heard.values()]


def films(folder: Path, url: str, count: int) -> list[Torrent]:
    paths = [folder / f"film {n}" / f"film {n}.mkv" for n in range(count)]
    for n, path in enumerate(paths):
        make_film(path, 1 << 20, seed=n)
    return [make_torrent(p, folder / f"{p.stem}.torrent", trackers=[url]) for p in paths]


@pytest.mark.parametrize("seconds", [0.0, 0.3], ids=["quick tracker", "slow tracker"])
async def test_a_film_that_rejoins_its_swarm_left_it_before_and_is_the_same_peer(
    tmp_path: Path, seconds: float
) -> None:
    tracker = Logging(seconds)
    async with serve_tracker(tracker) as url, LibtorrentPeer() as seeder:
        made = films(tmp_path, str(url), 3)
        for film in made:  # not done before the first announce, or `completed` is not told
            await seeder.seed(film.path, film.folder, upload_limit=600_000)
        async with running(tmp_path / "ours", seed_ratio=9.0, seed_time=900) as downloader:
            for n, film in enumerate(made):
                urn = magnet_to(film, seeder.port)
                await downloader.start(id=str(n), source_type="torrent", source_urn=urn)
            for n in range(len(made)):
                await until(downloader, str(n), lambda job: job.progress.phase is Phase.SEEDING)
            with suppress(TimeoutError):  # what it heard says more
                await tracker.until_answered(len(made) * (1 + len(WHOLE)))
            assert tracker.events(seeder.port) == [WHOLE] * 3
            await asyncio.sleep(0.3)  # the answers are on their way
        assert tracker.events(seeder.port) == [[*WHOLE, "stopped"]] * 3
        names = tracker.peer_ids(seeder.port)
    assert [len(of_one) for of_one in names] == [1, 1, 1]
    assert len(set.union(*names)) == 3, "two torrents of one engine tell that they are"


async def test_a_check_of_a_finished_film_tells_no_tracker_of_it(tmp_path: Path) -> None:
    tracker = Logging(0.1)
    async with serve_tracker(tracker) as url, LibtorrentPeer() as seeder:
        (film,) = films(tmp_path, str(url), 1)
        await seeder.seed(film.path, film.folder)
        async with running(tmp_path / "ours", seed_ratio=0.0) as downloader:
            await downloader.start(
                id="a", source_type="torrent", source_urn=magnet_to(film, seeder.port)
            )
            await downloader.wait("a")
            before = tracker.events(seeder.port)
            await downloader.recheck("a")
            await until(downloader, "a", lambda job: "every byte" in (job.reason or ""))
        assert tracker.events(seeder.port) == before


async def test_only_trackers_that_may_answer_are_waited_for() -> None:
    loop, announces = asyncio.get_running_loop(), Announces(lt.torrent_handle())
    announces.asked(URL, "started")
    announces.asked("wss://tracker.example", "started")
    began = loop.time()
    await announces.wait_answered({URL: TrackerStanding(problem="refused")})
    assert loop.time() - began < 0.5
    loop.call_later(0.05, announces.answered, URL)
    await announces.wait_answered({URL: TrackerStanding(peers=1)})
    assert loop.time() - began < 2.5
    announces.asked(URL, "")
    await announces.wait_answered({})
    assert loop.time() - began > 0.9


def test_a_peer_id_has_twenty_characters_and_is_of_one_torrent() -> None:
    names: list[str] = []

    class Session:
        def get_settings(self) -> dict[str, str]:
            return {"peer_fingerprint": "-LT2110-"}

        def apply_settings(self, settings: dict[str, str]) -> None:
            names.append(settings["peer_fingerprint"])

        def add_torrent(self, params: str) -> str:
            return params

    ids = PeerIds()
    for hashes in ({"a", "b"}, {"b", "a"}, {"c"}):
        assert ids.add(Session(), "params", hashes) == "params"
    assert names[0] == names[1] != names[2]
    assert all(len(name) == 20 and name.startswith("-LT2110-") for name in names)
