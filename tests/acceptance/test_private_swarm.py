"""A swarm of one's own, as the README has it: tracker, seeder and downloader find each other."""

from __future__ import annotations

import shlex
import signal
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import pytest

from chilly_movies.tracker.http import run_tracker
from tests.acceptance.backend import Backend
from tests.acceptance.test_command_line import (
    assert_sentence,
    chilly,
    ended,
    engine,
    environment,
    line,
    running,
)
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.process import REPOSITORY
from tests.peers.torrents import make_film, make_torrent, sha256_of
from tests.peers.two_networks import TwoNetworks, two_networks

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]
MIB = 1 << 20
THEIRS = "10.91.0.1"
DEFAULTS = {"CHILLY_ALLOW_PRIVATE_ADDRESSES": "false"}


@pytest.fixture(scope="module")
def networks() -> Iterator[TwoNetworks]:
    with two_networks() as found:
        yield found


def section() -> list[list[str]]:
    """The words of each line of what the README has about a private swarm."""
    text = (REPOSITORY / "README.md").read_text()
    part = text.partition("A private swarm on this machine")[2].partition("```bash\n")[2]
    lines = part.partition("```")[0].splitlines()
    return [shlex.split(one, comments=True)[1:] for one in lines]


async def told(process: object, beginning: str) -> str:
    """What it says behind these words."""
    while not (said := (await line(process))).startswith(beginning):  # type: ignore[arg-type]
        pass
    return said.removeprefix(beginning).strip()


async def follow_the_readme(
    networks: TwoNetworks, folder: Path, host: str, place: object
) -> tuple[str, Path]:
    """Types the section line by line with no setting at all; gives the film's hash and place."""
    tracker, seed, get = section()
    assert [tracker[0], seed[0], get[0]] == ["tracker", "seed", "get"]
    if host != "localhost":
        tracker = [*tracker, "--host", host]
    seed = [word.replace("localhost", host) for word in seed]
    theirs, ours = folder / "theirs", folder / "ours"
    ours.mkdir()
    digest = make_film(theirs / seed[1], 3 * MIB)
    async with AsyncExitStack() as stack:
        with place():  # type: ignore[operator]
            first = await stack.enter_async_context(running(*tracker, env=environment(theirs)))
            assert f"http://{host}:8000/announce" in await line(first)
            second = await stack.enter_async_context(running(*seed, env=environment(theirs)))
            typed = shlex.split(await told(second, "to get it: "))
        assert typed[0] == "chilly"
        assert [typed[1], *typed[3:]] == [get[0], *(w.replace("localhost", host) for w in get[2:])]
        got = await chilly(*typed[1:], env=environment(ours))
        assert got.code == 0, got
    return digest, ours / "media" / seed[1]


@contextmanager
def here() -> Iterator[None]:
    yield


async def test_the_lines_of_the_readme_bring_a_film_on_one_machine(
    networks: TwoNetworks, tmp_path: Path
) -> None:
    digest, film = await follow_the_readme(networks, tmp_path, "localhost", here)
    assert sha256_of(film) == digest


async def test_the_lines_of_the_readme_bring_a_film_from_another_private_address(
    networks: TwoNetworks, tmp_path: Path
) -> None:
    digest, film = await follow_the_readme(networks, tmp_path, THEIRS, networks.outside)
    assert sha256_of(film) == digest


async def test_a_typed_peer_of_this_network_is_all_it_takes(
    networks: TwoNetworks, tmp_path: Path
) -> None:
    """What `seed --all` says works as it stands, on another machine."""
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    ours.mkdir()
    digest = make_film(theirs / "it's (mine) & good.mkv", MIB)
    command = (
        "seed",
        "it's (mine) & good.mkv",
        "--all",
        "--tracker",
        f"http://{THEIRS}:9/announce",
    )
    async with AsyncExitStack() as stack:
        with networks.outside():
            seeder = await stack.enter_async_context(running(*command, env=environment(theirs)))
            said = await told(seeder, "without a tracker, in this network: ")
        assert "--tracker" not in said
        got = await chilly(*shlex.split(said)[1:], env=environment(ours))
        assert got.code == 0, got
        complaints = b""
        assert seeder.stderr is not None
        while b"/announce failed:" not in complaints:  # the engine may tell it after the film
            complaints += await seeder.stderr.readline()
        assert f"the tracker http://{THEIRS}:9/announce failed:" in complaints.decode()
        seeder.send_signal(signal.SIGINT)
        await ended(seeder)
    assert sha256_of(ours / "media" / "it's (mine) & good.mkv") == digest


async def test_a_link_that_would_not_work_is_not_said(tmp_path: Path) -> None:
    make_film(tmp_path / "film.mkv", MIB)
    env = engine(tmp_path, CHILLY_SEED_RATIO="1")
    for allowed, lines in (("true", 1), ("false", 0)):
        env["CHILLY_ALLOW_PRIVATE_ADDRESSES"] = allowed
        async with running("seed", "film.mkv", "--all", env=env) as process:
            said = [await line(process)]
            while "seeding at" not in said[-1]:
                said.append(await line(process))
        assert sum("--peer" in one for one in said) == lines
        assert sum("chilly get 'magnet:?" in one for one in said) == 1 + lines


async def test_a_typed_tracker_or_peer_that_is_none_is_refused_in_a_sentence(
    tmp_path: Path,
) -> None:
    make_film(tmp_path / "film.mkv", 1000)
    env = engine(tmp_path)
    get = ("get", "c" * 40)
    assert_sentence(await chilly(*get, "--tracker", "localhost:8000", env=env), 2, "tracker")
    assert_sentence(await chilly(*get, "--tracker", "http://localhost:3000/x", env=env), 2, "API")
    assert_sentence(await chilly(*get, "--peer", "192.168.1.5", env=env), 2, "192.168.1.5:6881")


async def test_the_swarm_of_a_typed_private_tracker_asks_nobody_that_the_link_names(
    tmp_path: Path,
) -> None:
    """Neither its trackers, nor its web seeds, nor its peers: they may be in the user's home."""
    digest = make_film(tmp_path / "from" / "film.mkv", MIB)
    env = {**engine(tmp_path, CHILLY_MEDIA_ROOT=str(tmp_path / "to")), **DEFAULTS}
    canaries = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    one, two, three = (f"127.0.0.1:{canary.getsockname()[1]}" for canary in canaries)
    async with run_tracker() as announce, LibtorrentPeer() as peer:
        torrent = make_torrent(
            tmp_path / "from" / "film.mkv", tmp_path / "film.torrent", trackers=[announce]
        )
        await peer.seed(torrent.path, torrent.folder)
        bare = torrent.magnet.partition("&tr=")[0]
        link = f"{bare}&tr=http://{one}/announce&ws=http://{two}/film.mkv&x.pe={three}"
        got = await chilly("get", link, "--tracker", announce, env=env)
    assert got.code == 0, got
    assert sha256_of(tmp_path / "to" / "film.mkv") == digest
    for canary in canaries:
        canary.setblocking(False)
        with pytest.raises(BlockingIOError):
            canary.accept()
        canary.close()


async def test_a_stored_job_heals_once_the_setting_is_switched_on(tmp_path: Path) -> None:
    """And until then `reason` names the tracker and the setting, without the key in its path."""
    digest = make_film(tmp_path / "from" / "film.mkv", MIB)
    async with run_tracker() as announce, LibtorrentPeer() as peer:
        torrent = make_torrent(
            tmp_path / "from" / "film.mkv", tmp_path / "film.torrent", trackers=[announce]
        )
        await peer.seed(torrent.path, torrent.folder)
        place = announce.partition("/announce")[0]
        async with Backend(tmp_path, DEFAULTS, warm=True) as ours:
            await ours.start(torrent.magnet, id="magnet")
            event = await ours.until("magnet", lambda e: "CHILLY_" in e.get("reason", ""))
            assert event["reason"].endswith(
                f"the tracker {place} has a private address and is left out "
                "(CHILLY_ALLOW_PRIVATE_ADDRESSES=true lets it in)"
            )
        async with Backend(tmp_path, warm=True) as ours:
            assert (await ours.wait("magnet", within=30))["status"] == "completed"
            assert sha256_of(ours.media / "film.mkv") == digest


async def test_the_api_refuses_a_private_tracker_aloud(tmp_path: Path) -> None:
    async with Backend(tmp_path, DEFAULTS, warm=True) as ours:
        make_film(ours.media / "film.mkv", 1000)
        for member, url in (
            ("trackers", "http://192.168.1.1:8000/announce?key=s3cret"),
            ("trackers", "ws://tracker.example/"),
            ("webSeeds", "http://localhost:8000/film.mkv"),
        ):
            body = {"path": "film.mkv", member: [url]}
            answer = await ours.http.post("/torrents/create", json=body)
            assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
            assert answer.json()["errors"][0]["field"] == member
            assert "CHILLY_ALLOW_PRIVATE_ADDRESSES=true" in answer.json()["detail"]
            assert "s3cret" not in answer.text
        public = {"path": "film.mkv", "trackers": ["http://tracker.example/a"], "seed": False}
        assert (await ours.http.post("/torrents/create", json=public)).status_code == 200
