"""The installed program `chilly` from outside: what it says, and how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from chilly_movies.tracker.http import run_tracker
from tests.acceptance.backend import CHILLY, Process, start_chilly
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.process import free_port
from tests.peers.torrents import make_film, make_torrent, sha256_of

pytestmark = pytest.mark.anyio

WITHIN = 60.0
MIB = 1 << 20


@dataclass(frozen=True)
class Ended:
    """How a run of the program ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as one document."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Standard output as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]


def environment(home: Path, **settings: str) -> dict[str, str]:
    """An environment in which nothing of the user's is set."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CHILLY_", "XDG_")) and name != "API_SECRET"
    }
    return {**kept, "HOME": str(home), **settings}


def engine(home: Path, **settings: str) -> dict[str, str]:
    """An environment in which the engine keeps to loopback."""
    ours = {
        "CHILLY_ALLOW_PRIVATE_ADDRESSES": "true", "CHILLY_DHT": "false",
        "CHILLY_WEBTORRENT": "false", "CHILLY_INTERFACE": "127.0.0.1", "CHILLY_TORRENT_PORT": "0",
    }  # fmt: skip
    return environment(home, **ours, **settings)


@asynccontextmanager
async def running(
    *arguments: str, env: Mapping[str, str], warm: bool = True
) -> AsyncIterator[Process]:
    """The program while it runs; killed at the end if it still does.

    Args:
        arguments: words of the command line.
        env: its whole environment.
        warm: see `start_chilly`.
    """
    process = await start_chilly(arguments, env, Path(env["HOME"]), warm=warm)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def ended(process: Process) -> Ended:
    """Wait for the end."""
    async with asyncio.timeout(WITHIN):
        out, err = await process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


async def chilly(*arguments: str, env: Mapping[str, str], warm: bool = True) -> Ended:
    """Run the program to its end."""
    async with running(*arguments, env=env, warm=warm) as process:
        return await ended(process)


async def line(process: Process) -> str:
    """The next line the program says."""
    assert process.stdout is not None
    async with asyncio.timeout(WITHIN):
        text = (await process.stdout.readline()).decode()
    assert text, "the program ended"
    return text


@asynccontextmanager
async def mock_server(
    home: Path, *options: str, **settings: str
) -> AsyncIterator[tuple[Process, dict[str, str]]]:
    """`chilly serve --mock` on a free port, and an environment whose commands find it."""
    arguments = ["serve", "--mock", "--port", "0", "--json", "--log-level", "error", *options]
    async with running(*arguments, env=environment(home, **settings)) as process:
        url = json.loads(await line(process))["url"]
        yield process, environment(home, CHILLY_PORT=url.rpartition(":")[2], **settings)


@pytest.fixture(scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[str, str]]:
    """One mock server for all tests whose jobs do not get into each other's way."""
    home = tmp_path_factory.mktemp("served")
    async with mock_server(home, "--max-active", "50") as (_, env):
        yield env


def assert_sentence(result: Ended, code: int, *words: str) -> None:
    """It ended with this code and one sentence that has these words; no trace."""
    assert result.code == code, result
    assert result.err.startswith("chilly: error: "), result.err
    assert result.err.count("\n") == 1, result.err
    assert result.err.rstrip().endswith("."), result.err
    assert result.out == ""
    for word in words:
        assert word in result.err


# --- against a server -----------------------------------------------------------------------


async def test_the_verbs_for_people(served: dict[str, str]) -> None:
    """A job from `add` to `remove`, a short line for each step."""
    source = "mock:?seconds=600&dn=Slow%20Film"
    added = await chilly("add", source, "--id", "p1", env=served)
    assert (added.code, added.out, added.err) == (0, "p1 is queued\n", "")
    assert (await chilly("pause", "p1", env=served)).out == "p1 is paused\n"
    table = (await chilly("list", "--status", "paused", env=served)).out.splitlines()
    assert table[0].split() == ["ID", "STATUS", "NAME", "PROGRESS"]
    assert any(row.split()[:2] == ["p1", "paused"] for row in table[1:])
    shown = (await chilly("status", "p1", env=served)).out
    assert source in shown
    assert (await chilly("cancel", "p1", env=served)).out == "p1 is canceled\n"
    assert_sentence(await chilly("resume", "p1", env=served), 1, "canceled", "queued")
    assert (await chilly("remove", "p1", env=served)).out == "p1 is removed\n"


async def test_the_verbs_for_programs(tmp_path: Path) -> None:
    """With `--json` standard output is one JSON document and nothing else."""
    sources = ("mock:?seconds=600", "mock:?seconds=601")
    async with mock_server(tmp_path) as (_, env):
        assert (await chilly("list", "--json", env=env)).json == []
        added = (await chilly("add", *sources, "--files", "0", "--json", env=env)).json
        assert [job["status"] for job in added] == ["queued", "queued"]
        one, two = (job["id"] for job in added)
        paused = (await chilly("pause", one, two, "--json", env=env)).json
        assert [(job["id"], job["status"]) for job in paused] == [(one, "paused"), (two, "paused")]
        assert (await chilly("resume", two, "--json", env=env)).json[0]["status"] == "queued"
        status = (await chilly("status", one, "--json", env=env)).json
        assert (status["status"], status["options"]["files"]) == ("paused", [0])
        listed = (await chilly("list", "--status", "paused", "--json", env=env)).json
        assert [job["id"] for job in listed] == [one]
        removed = await chilly("remove", one, two, "--delete-files", "--json", env=env)
        assert [job["status"] for job in removed.json] == ["removed", "removed"]


async def test_trackers_are_shown_added_and_removed_and_stats_add_up(tmp_path: Path) -> None:
    """What `trackers` prints, `--remove` takes; a job without a swarm is told as one."""
    async with mock_server(tmp_path) as (_, env):
        await chilly("add", "mock:?seconds=600&metadataSeconds=0", "--id", "a", env=env)
        mine = "https://mine.example/announce"
        shown = (await chilly("trackers", "a", "--add", mine, env=env)).out.splitlines()
        assert shown[0].split()[:3] == ["TIER", "TRACKER", "STATUS"]
        assert mine in " ".join(shown)
        found = (await chilly("trackers", "a", "--remove", mine, "--json", env=env)).json
        assert mine not in [tracker["url"] for tracker in found]
        assert_sentence(await chilly("trackers", "a", "--remove", mine, env=env), 1, mine)
        assert_sentence(await chilly("trackers", "a", "--add", "x", env=env), 1, "no address")
        assert_sentence(await chilly("trackers", "nobody", env=env), 3, "'nobody'")
        assert "this session" in (await chilly("stats", env=env)).out
        assert (await chilly("stats", "--json", env=env)).json["jobs"]["active"] == 1


async def test_webhooks_are_listed_added_and_removed(tmp_path: Path) -> None:
    """A secret is made up and printed once, or read from a file: it is in no list of processes."""
    async with mock_server(tmp_path) as (_, env):
        assert (await chilly("webhooks", env=env)).out == "There are no webhooks.\n"
        address = "https://receiver.example/films"
        typed = ("webhooks", "add", address, "--event", "completed", "--event", "error")
        made = (await chilly(*typed, "--json", env=env)).json
        assert (made["address"], made["events"]) == (address, ["completed", "error"])
        assert made["secret"].startswith("whsec_")
        (tmp_path / "secret").write_text("a-secret-of-the-users-own\n")
        own = await chilly(
            "webhooks", "add", address, "--secret-file", str(tmp_path / "secret"), env=env
        )
        assert own.out.endswith(" is told\n")
        [first, second] = (await chilly("webhooks", "list", "--json", env=env)).json
        assert (first["id"], second["events"]) == (made["id"], [])
        assert "secret" not in first
        table = (await chilly("webhooks", env=env)).out.splitlines()
        assert table[0].split() == ["ID", "EVENTS", "ADDRESS"]
        assert (await chilly("webhooks", "remove", made["id"], env=env)).out == (
            f"{made['id']} is removed\n"
        )
        assert_sentence(await chilly("webhooks", "remove", made["id"], env=env), 1, "no webhook")
        assert_sentence(await chilly("webhooks", "add", "nonsense", env=env), 1, "http")
        missing = await chilly("webhooks", "add", address, "--secret-file", "no-such", env=env)
        assert_sentence(missing, 1, "no-such")


async def test_the_queue_is_shown_and_jobs_are_moved_in_it(tmp_path: Path) -> None:
    """Held jobs wait; `queue` puts them elsewhere and says where they are."""
    async with mock_server(tmp_path, "--max-active", "1") as (_, env):
        assert (await chilly("queue", env=env)).out == "No job waits or runs.\n"
        for name in "abc":
            source = f"mock:?seconds=600&dn=Film%20{name}"
            added = await chilly("add", source, "--id", name, "--held", "--forced", env=env)
            assert added.out == f"{name} is paused\n"
        assert (await chilly("queue", "c", "--top", env=env)).out == "c is at position 1\n"
        moved = await chilly("queue", "a", "--before", "b", "--json", env=env)
        assert (moved.json["id"], moved.json["position"]) == ("a", 2)
        table = (await chilly("queue", env=env)).out.splitlines()
        assert [row.split()[:3] for row in table[1:]] == [
            ["1", "c", "paused"], ["2", "a", "paused"], ["3", "b", "paused"],
        ]  # fmt: skip
        assert_sentence(await chilly("queue", "b", env=env), 2, "--top")
        assert_sentence(await chilly("queue", "b", "--up", "--down", env=env), 2, "--top")
        assert_sentence(await chilly("queue", "--up", env=env), 2, "--top")
        assert_sentence(await chilly("queue", "x", "--up", env=env), 3, "'x'")


async def test_one_refusal_keeps_no_other_job_from_it(served: dict[str, str]) -> None:
    """The known job is paused, and the exit code tells of the unknown one."""
    await chilly("add", "mock:?seconds=602", "--id", "known", env=served)
    result = await chilly("pause", "unknown", "known", env=served)
    assert (result.code, result.out) == (3, "known is paused\n")
    assert "'unknown'" in result.err
    for command in ("status", "watch"):
        assert_sentence(await chilly(command, "unknown", env=served), 3, "'unknown'")
    assert_sentence(await chilly("status", "../health", env=served), 1)
    assert_sentence(await chilly("add", "mock:?nonsense=1", env=served), 1, "nonsense")


async def test_a_torrent_file_is_uploaded(served: dict[str, str], tmp_path: Path) -> None:
    """Its path is enough."""
    make_film(tmp_path / "film.mkv", MIB)
    torrent = make_torrent(tmp_path / "film.mkv", tmp_path / "film.torrent")
    options = ("--seed-ratio", "0", "--files", "0,1", "--id", "upload", "--json")
    assert (await chilly("add", str(torrent.path), *options, env=served)).code == 0
    job = (await chilly("status", "upload", "--json", env=served)).json
    assert job["sourceType"] == "torrent"
    assert (job["options"]["seedRatio"], job["options"]["files"]) == (0.0, [0, 1])


async def test_watching_ends_as_the_job_does(served: dict[str, str]) -> None:
    """Exit code 0 for a film, 1 for a failure, the events as lines or JSON."""
    good, bad = "mock:?seconds=1&seedSeconds=0&dn=Good", "mock:?fail=source_rejected&seconds=1"
    await chilly("add", good, "--id", "good", env=served)
    watched = await chilly("watch", "good", "--json", env=served)
    assert watched.code == 0
    assert watched.lines[0]["event"] == "snapshot"
    last = watched.lines[-1]
    assert (last["status"], last["progress"]["percent"]) == ("completed", 100.0)
    again = await chilly("watch", "good", env=served)
    assert (again.code, again.out) == (0, "Good: complete, 700.0 MB\n")
    await chilly("add", bad, "--id", "bad", env=served)
    failed = await chilly("watch", "bad", env=served)
    assert failed.code == 1
    assert "failed: This mock download was scripted to fail here." in failed.out


async def test_watching_everything_until_interrupted(served: dict[str, str]) -> None:
    """It goes on over jobs that end, and Ctrl-C ends it."""
    async with running("watch", "--json", env=served) as process:
        await chilly("add", "mock:?seconds=603&dn=Film", "--id", "w1", env=served)
        await until(process, "w1", "metadata")  # its name is known then
        await chilly("cancel", "w1", env=served)
        assert (await until(process, "w1", "canceled"))["name"] == "Film"
        process.send_signal(signal.SIGINT)
        result = await ended(process)
    assert (result.code, result.err) == (130, "")


async def until(process: Process, job_id: str, name: str) -> dict[str, Any]:
    """The next such event of the job that `watch --json` shows."""
    event: dict[str, Any] = {}
    while (event.get("id"), event.get("event")) != (job_id, name):
        event = json.loads(await line(process))
    return event


async def test_the_key_of_the_settings_is_sent(tmp_path: Path) -> None:
    """Without it the server's own words come back."""
    secret = "a-secret-for-tests"
    async with mock_server(tmp_path, API_SECRET=secret) as (_, env):
        assert (await chilly("list", "--json", env=env)).json == []
        result = await chilly("list", env={**env, "API_SECRET": ""})
        assert_sentence(result, 1, "API key")
        assert secret not in result.err


async def test_nobody_reads_on(tmp_path: Path) -> None:
    """A pipe whose reader has enough ends it without a word."""
    read, write = os.pipe()
    os.close(read)
    process = await asyncio.create_subprocess_exec(
        CHILLY, "settings", env=environment(tmp_path), stdout=write, stderr=PIPE
    )
    os.close(write)
    _, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")


async def test_settings(tmp_path: Path) -> None:
    """Every setting with its present value; secrets are not shown."""
    env = environment(tmp_path, CHILLY_PORT="4000", API_SECRET="very-secret-indeed")
    people = await chilly("settings", env=env)
    machine = await chilly("settings", "--json", env=env)
    values = {row["variable"]: row["value"] for row in machine.json}
    assert (values["CHILLY_PORT"], values["API_SECRET"]) == (4000, "set")
    assert "CHILLY_PORT" in people.out
    assert "very-secret-indeed" not in people.out + machine.out


# --- what goes wrong ------------------------------------------------------------------------


async def test_no_server(tmp_path: Path) -> None:
    """Exit code 4 and what to do about it."""
    env = environment(tmp_path, CHILLY_PORT=str(free_port()))
    for command in (["list"], ["pause", "1", "2"], ["watch"]):
        result = await chilly(*command, env=env, warm=command != ["list"])
        assert_sentence(result, 4, "No server answers", "chilly serve")


async def test_settings_that_cannot_be(tmp_path: Path) -> None:
    """Malformed or unknown: one line that names it, exit code 2."""
    malformed = environment(tmp_path, CHILLY_PORT="many")
    assert_sentence(await chilly("serve", env=malformed), 2, "CHILLY_PORT")
    unknown = environment(tmp_path, CHILLY_PROT="3000")
    for command in (["list"], ["get", "c" * 40]):
        assert_sentence(await chilly(*command, env=unknown), 2, "CHILLY_PROT")
    (tmp_path / "chilly.toml").write_text("prot = 3000\n")
    in_file = environment(tmp_path, CHILLY_CONFIG=str(tmp_path / "chilly.toml"))
    assert_sentence(await chilly("serve", env=in_file), 2, "prot", "chilly.toml")


async def test_a_server_that_cannot_start(tmp_path: Path) -> None:
    """Port in use, media folder that cannot be written: one line each, exit code 2."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = await chilly("serve", "--mock", "--port", port, env=environment(tmp_path))
        assert_sentence(result, 2, f"Port {port} is in use", "--port or CHILLY_PORT", "0 any free")
    (tmp_path / "file").touch()
    nowhere = str(tmp_path / "file" / "media")
    for command in (["serve", "--port", "0"], ["get", "c" * 40]):
        result = await chilly(*command, "--media-root", nowhere, env=engine(tmp_path))
        assert_sentence(result, 2, "CHILLY_MEDIA_ROOT", "cannot be written")


async def test_two_servers_on_one_state_folder(tmp_path: Path) -> None:
    """The second says so; the first is not disturbed and stops in order."""
    env = engine(tmp_path)
    serve = ("serve", "--port", "0", "--media-root", "media", "--state-dir", "state")
    async with running(*serve, env=env, warm=False) as first:
        greeting = await line(first)
        assert greeting.startswith("Chilly Movies 0.")
        assert "serves http://localhost:" in greeting
        assert f"films go to {tmp_path / 'media'}, Ctrl-C stops" in greeting
        assert_sentence(await chilly(*serve, env=env), 2, "Another instance", "CHILLY_STATE_DIR")
        first.send_signal(signal.SIGINT)
        assert (await ended(first)).code == 0


async def test_a_server_stops_with_whoever_started_it(tmp_path: Path) -> None:
    """On request it ends when its standard input does."""
    async with mock_server(tmp_path, "--stop-with-stdin") as (process, _):
        assert process.stdin is not None
        process.stdin.close()
        assert (await ended(process)).code == 0


# --- get ------------------------------------------------------------------------------------


async def test_get_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    """Ctrl-C in the middle, the same command again, and the film is the same bytes."""
    size = 16 * MIB
    digest = make_film(tmp_path / "from" / "film.mkv", size)
    env = engine(tmp_path, CHILLY_STATE_DIR=str(tmp_path / "state"))
    async with run_tracker() as announce, LibtorrentPeer() as peer:
        torrent = make_torrent(
            tmp_path / "from" / "film.mkv", tmp_path / "film.torrent", trackers=[announce]
        )
        key = await peer.seed(torrent.path, torrent.folder, upload_limit=4 * MIB)
        command = ("get", torrent.magnet, "--media-root", str(tmp_path / "to"), "--json")
        async with running(*command, env=env) as process:
            while json.loads(await line(process))["progress"]["percent"] < 25:
                pass
            process.send_signal(signal.SIGINT)
            stopped = await ended(process)
        assert stopped.code == 130
        assert stopped.err == (
            "chilly: stopped; what is there is kept, 'chilly get' goes on from it\n"
        )
        assert not (tmp_path / "to" / "film.mkv").exists()
        before = (await peer.stats(key)).uploaded
        assert size // 8 < before < size
        await peer.set_upload_limit(0)
        done = await chilly(*command, env=env)
        assert done.code == 0, done
        assert done.lines[-1]["status"] == "completed"
        assert done.lines[-1]["path"] == str(tmp_path / "to" / "film.mkv")
        assert sha256_of(tmp_path / "to" / "film.mkv") == digest
        assert (await peer.stats(key)).uploaded < size + 4 * MIB
    again = await chilly("get", torrent.magnet, "--media-root", str(tmp_path / "to"), env=env)
    place = tmp_path / "to" / "film.mkv"
    assert again.out.splitlines()[-1] == f"film.mkv lies at {place}"


async def test_get_of_several_films_by_torrent_file(tmp_path: Path) -> None:
    """At once, each from the path of its torrent file; for people each place is said."""
    env = engine(tmp_path, CHILLY_MEDIA_ROOT=str(tmp_path / "to"))
    sources, digests = [], {}
    async with run_tracker() as announce, LibtorrentPeer() as peer:
        for number, name in enumerate(("one.mkv", "two.mkv")):
            film = tmp_path / "from" / name
            digests[name] = make_film(film, MIB, seed=number)
            torrent = make_torrent(film, tmp_path / f"{name}.torrent", trackers=[announce])
            await peer.seed(torrent.path, torrent.folder)
            sources.append(str(torrent.path))
        got = await chilly("get", *sources, env=env)
    assert got.code == 0, got
    for name, digest in digests.items():
        assert f"{name} lies at {tmp_path / 'to' / name}" in got.out
        assert sha256_of(tmp_path / "to" / name) == digest


async def test_get_of_what_is_no_film(tmp_path: Path) -> None:
    """A broken link and an unreadable torrent file end at once, with a sentence."""
    (tmp_path / "bad.torrent").write_bytes(b"no torrent")
    for source, words in (("magnet:?dn=x", "magnet"), ("bad.torrent", "torrent file")):
        assert_sentence(await chilly("get", source, env=engine(tmp_path)), 2, words)


# --- demo -----------------------------------------------------------------------------------


async def test_demo(tmp_path: Path) -> None:
    """The main job, with all its steps, and nothing is left."""
    result = await chilly(
        "demo", "--size-mib", "12", env=environment(tmp_path, CHILLY_PORT="1"), warm=False
    )
    assert result.code == 0, result
    assert result.err == ""
    for step in ("tracker", "seeds the film", "/download/start", "paused", "nothing moved",
                 "a film of 12.6 MB", "complete, 12.6 MB", "equal to the original",
                 "MB/s", "plays at http://localhost:"):  # fmt: skip
        assert step in result.out
    assert not (tmp_path / ".demo").exists()


async def test_demo_keeps_the_film_when_asked(tmp_path: Path) -> None:
    """The film and nothing else; a second demo begins anew."""
    stale = tmp_path / "show" / "media" / "stale"
    stale.mkdir(parents=True)
    command = ("demo", "--size-mib", "4", "--folder", "show", "--keep", "--json")
    result = await chilly(*command, env=environment(tmp_path))
    assert result.code == 0, result
    path = Path(result.json["path"])
    assert [entry for entry in (tmp_path / "show").rglob("*") if entry.is_file()] == [path]
    assert (sha256_of(path), path.stat().st_size) == (result.json["sha256"], 4 * MIB)
    assert not stale.exists()


async def test_an_interrupted_demo_leaves_nothing(tmp_path: Path) -> None:
    """Ctrl-C in the middle ends its processes, too."""
    async with running("demo", env=environment(tmp_path)) as process:
        said = ""
        while "serves" not in said:
            said = await line(process)
        port = int(said.rpartition(":")[2])
        process.send_signal(signal.SIGINT)
        assert (await ended(process)).code == 130
    assert not (tmp_path / ".demo").exists()
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
        pass
