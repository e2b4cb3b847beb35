"""People share what they have: `chilly seed` and POST /torrents/create, and who downloads it."""

from __future__ import annotations

import asyncio
import base64
import json
import shlex
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.backend import Backend
from tests.acceptance.test_command_line import (
    assert_sentence,
    chilly,
    ended,
    engine,
    line,
    running,
)
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.torrents import make_film, make_films, sha256_of

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]
MIB = 1 << 20
SEEDING = {"CHILLY_SEED_RATIO": "1.0"}


def tree(folder: Path) -> dict[str, int]:
    """Everything below a folder, and when it was last written to."""
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*")}


# --- chilly seed ----------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["hybrid", "v1", "v2"])
async def test_what_chilly_seeds_arrives_and_nothing_is_left_behind(
    tmp_path: Path, version: str
) -> None:
    wanted = make_films(tmp_path / "home" / "show", {"1.mkv": 2 * MIB + 1, "extras/2.srt": 70_000})
    env = engine(tmp_path / "home", TMPDIR=str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    before = tree(tmp_path / "home")
    command = ("seed", "show", "--version", version, "--json")
    async with running(*command, env=env) as process, LibtorrentPeer() as leecher:
        made = await event(process, "made")
        assert (made["infoHash"] is None, made["infoHashV2"] is None) == (
            version == "v2", version == "v1",
        )  # fmt: skip
        await leecher.leech(made["link"], tmp_path / "leech")
        await leecher.wait_done()
        shown = await event(process, "progress", lambda e: e["progress"]["ratio"] >= 1)
        assert (shown["name"], shown["status"]) == ("show", "completed")
        process.send_signal(signal.SIGINT)
        assert (await ended(process)).code == 130
    for name, digest in wanted.items():
        assert sha256_of(tmp_path / "leech" / "show" / name) == digest
    assert tree(tmp_path / "home") == before
    assert list((tmp_path / "tmp").iterdir()) == []


async def event(process: Any, name: str, wanted: Any = lambda _event: True) -> dict[str, Any]:
    """The next such JSON line."""
    while True:
        said: dict[str, Any] = json.loads(await line(process))
        if said["event"] == name and wanted(said):
            return said


async def test_for_people_it_says_name_and_two_commands_that_work(tmp_path: Path) -> None:
    digest = make_film(tmp_path / "film.mkv", MIB)
    make_film(tmp_path / "other.mkv", MIB, seed=1)
    seed = ("seed", "film.mkv", "other.mkv", "film.mkv", "--all")
    command = (*seed, "--tracker", "http://127.0.0.1:9/a")
    async with running(*command, env=engine(tmp_path)) as process, LibtorrentPeer() as leecher:
        said: list[str] = []
        while not (said and "seeding at" in said[-1]):
            said.append((await line(process)).rstrip())
        assert "film.mkv: 1.0 MB, 1 file" in said
        assert "other.mkv: 1.0 MB, 1 file" in said
        assert said.count("film.mkv: 1.0 MB, 1 file") == 1
        begins = "to get it: chilly get 'magnet:?xt=urn:btih:"
        commands = [shlex.split(text)[3:] for text in said if text.startswith(begins)]
        assert len(commands) == 2
        assert [words[0] for words in commands] == ["chilly", "chilly"]
        assert "tr=http%3a%2f%2f127.0.0.1%3a9%2fa" in commands[0][2]
        near = "without a tracker, in this network: "
        [words, _] = [shlex.split(one.removeprefix(near)) for one in said if one.startswith(near)]
        assert [words[:2], words[3]] == [["chilly", "get"], "--peer"]
        await leecher.leech(f"{words[2]}&x.pe={words[4]}", tmp_path / "leech")
        await leecher.wait_done()
        process.send_signal(signal.SIGINT)
        result = await ended(process)
    assert result.code == 130
    assert result.err == "chilly: the tracker http://127.0.0.1:9/a failed: Connection refused\n"
    assert sha256_of(tmp_path / "leech" / "film.mkv") == digest


async def test_a_torrent_file_is_written_on_request_and_never_replaced(tmp_path: Path) -> None:
    digest = make_film(tmp_path / "film.mkv", MIB)
    env, out = engine(tmp_path), tmp_path / "film.torrent"
    command = ("seed", "film.mkv", "--torrent-file", "film.torrent", "--private", "--json")
    async with running(*command, env=env) as process, LibtorrentPeer() as leecher:
        made = await event(process, "made")
        assert b"7:privatei1e" in out.read_bytes()
        key = await leecher.leech(out, tmp_path / "leech")
        await leecher.connect(int(made["link"].rpartition(":")[2]), key)
        await leecher.wait_done()
    assert sha256_of(tmp_path / "leech" / "film.mkv") == digest
    assert_sentence(await chilly(*command[:-1], env=env), 2, "film.torrent", "is there already")


@pytest.mark.parametrize("change", ["overwritten", "gone"])
async def test_chilly_seed_ends_when_what_it_seeds_changes_though_nobody_asks_for_it(
    tmp_path: Path, change: str
) -> None:
    film = tmp_path / "film.mkv"
    make_film(film, MIB)
    async with running("seed", "film.mkv", "--json", env=engine(tmp_path)) as process:
        await event(process, "progress", lambda e: e["status"] == "completed")
        if change == "gone":
            film.unlink()
        else:
            with film.open("r+b") as file:
                file.write(b"damage")
        result = await ended(process)
    assert result.code == 1
    assert result.err == "chilly: error: film.mkv was changed on disk, so it is not seeded.\n"


async def test_what_cannot_be_seeded_is_said_in_one_sentence(tmp_path: Path) -> None:
    env = engine(tmp_path)
    make_film(tmp_path / "film.mkv", 1000)
    (tmp_path / "empty").mkdir()
    assert_sentence(await chilly("seed", env=env), 2, "PATH")
    assert_sentence(await chilly("seed", "missing", env=env), 2, "missing")
    assert_sentence(await chilly("seed", "empty", env=env), 2, "nothing to share")
    assert_sentence(await chilly("seed", "film.mkv", "--tracker", "x", env=env), 2, "tracker x")
    two = ("seed", "film.mkv", "empty", "--torrent-file", "x")
    assert_sentence(await chilly(*two, env=env), 2, "--torrent-file")


# --- POST /torrents/create ------------------------------------------------------------------


async def test_the_api_makes_a_torrent_and_seeds_it_from_where_it_lies(tmp_path: Path) -> None:
    async with Backend(tmp_path / "ours", SEEDING, warm=True) as ours, LibtorrentPeer() as leecher:
        wanted = make_films(ours.media / "films" / "show", {"1.mkv": 3 * MIB, "2: b.srt": 999})
        before = tree(ours.media / "films")
        body = {"path": "films/show", "id": "mine", "trackers": ["http://127.0.0.1:9/announce"]}
        answer = await ours.http.post("/torrents/create", json=body)
        assert answer.status_code == 200, answer.text
        made = answer.json()
        assert (made["id"], made["name"]) == ("mine", "show")
        assert made["status"] in ("queued", "active", "completed")
        job = await ours.wait("mine")
        assert (job["status"], job["path"], job["seeding"]) == ("completed", "films/show", True)
        assert job["infoHash"] == made["infoHash"]
        torrent = tmp_path / "made.torrent"
        torrent.write_bytes(base64.b64decode(made["torrent"]))
        key = await leecher.leech(torrent, tmp_path / "leech")
        await leecher.connect(engine_port(ours), key)
        await leecher.wait_done()
        again = await ours.http.post("/torrents/create", json=body)
        assert (again.status_code, again.json()["infoHash"]) == (200, made["infoHash"])
        taken = await ours.http.post("/torrents/create", json={**body, "id": "other"})
        assert (taken.status_code, taken.json()["existingId"]) == (409, "mine")
        assert (await ours.http.delete("/downloads/mine")).status_code == 204
        assert tree(ours.media / "films") == before
    for name, digest in wanted.items():
        assert sha256_of(tmp_path / "leech" / "show" / name) == digest


def engine_port(backend: Backend) -> int:
    """Where the backend's engine listens for peers, as the kernel knows it."""
    assert backend._process is not None
    inodes = set()
    for descriptor in Path(f"/proc/{backend._process.pid}/fd").iterdir():
        with suppress(OSError):  # closed meanwhile
            inodes.add(str(descriptor.readlink()).removeprefix("socket:[").removesuffix("]"))
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    api = int(backend.url.rpartition(":")[2])
    ports = {int(row[1][9:], 16) for row in rows if row[3] == "0A" and row[9] in inodes}
    [port] = ports - {api}
    return port


async def test_seed_false_makes_a_torrent_and_no_job(tmp_path: Path) -> None:
    async with Backend(tmp_path, warm=True) as ours:
        make_film(ours.media / "film.mkv", 1000)
        body = {"path": "film.mkv", "seed": False, "version": "v1"}
        made = (await ours.http.post("/torrents/create", json=body)).json()
        assert "id" not in made
        assert "status" not in made
        assert (len(made["infoHash"]), made["infoHashV2"]) == (40, None)
        assert (await ours.http.get("/downloads")).json()["total"] == 0


async def test_paths_that_lead_nowhere_or_out_are_refused(tmp_path: Path) -> None:
    async with Backend(tmp_path, warm=True) as ours:
        (ours.media / "empty").mkdir()
        (ours.media / "out").symlink_to("/etc")
        expected = {
            "missing.mkv": (404, "path_not_found"), "empty": (422, "invalid_request"),
            "../state": (422, "invalid_request"), "/etc/passwd": (422, "invalid_request"),
            "out/passwd": (422, "invalid_request"), "": (422, "invalid_request"),
            ".incomplete": (422, "invalid_request"), "a\0b": (422, "invalid_request"),
        }  # fmt: skip
        for path, (status, code) in expected.items():
            answer = await ours.http.post("/torrents/create", json={"path": path})
            assert (answer.status_code, answer.json()["code"]) == (status, code), path
            assert str(tmp_path) not in answer.text
        make_film(ours.media / "film.mkv", 1000)
        for wish in ({"trackers": ["x"]}, {"version": "v3"}, {"id": ".."}, {"webSeeds": ["y"]}):
            bad = await ours.http.post("/torrents/create", json={"path": "film.mkv", **wish})
            assert bad.status_code == 422
            assert bad.json()["errors"][0]["field"].startswith(next(iter(wish)))


async def test_the_server_answers_others_while_it_reads(tmp_path: Path) -> None:
    async with Backend(tmp_path, warm=True) as ours:
        make_film(ours.media / "big.mkv", 192 * MIB)
        body = {"path": "big.mkv", "seed": False}
        making = asyncio.create_task(ours.http.post("/torrents/create", json=body))
        answered = 0
        while not making.done():
            assert (await ours.http.get("/health")).status_code == 200
            answered += 1
        assert (await making).status_code == 200
    assert answered > 5
