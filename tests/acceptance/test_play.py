"""`chilly play` with a real player: ffmpeg decodes the film from the address it is given."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

import pytest

from tests.acceptance.backend import Backend
from tests.acceptance.test_command_line import Ended, assert_sentence, chilly, engine, line, running
from tests.doubles import until
from tests.films import SRT, Films
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.process import free_port
from tests.peers.torrents import Torrent, make_torrent

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

PICTURES = 4 * 25


@pytest.fixture
def film(films: Films, tmp_path: Path) -> Torrent:
    """A film with a sidecar; about 600 KB in pieces of 16 KiB."""
    folder = tmp_path / "source" / "Film"
    folder.mkdir(parents=True)
    (folder / "Film.mp4").write_bytes(films.mp4(seconds=4, kbits=1200, moov="last").read_bytes())
    (folder / "Film.en.srt").write_text(SRT)
    return make_torrent(folder, tmp_path / "film.torrent", piece_size=16 * 1024)


@pytest.fixture
def player(tmp_path: Path) -> Path:
    """Decodes every picture and writes one line for each, after the address it was given."""
    script, out = tmp_path / "player.sh", tmp_path / "pictures"
    script.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" >{tmp_path}/words\n'
        f'exec ffmpeg -nostdin -v error -xerror -y -i "$1" -map 0:v -f framemd5 {out}\n'
    )
    script.chmod(0o755)
    return script


def pictures(tmp_path: Path) -> int:
    lines = (tmp_path / "pictures").read_text().splitlines()
    return sum(1 for one in lines if not one.startswith("#"))


def magnet(film: Torrent, seeder: LibtorrentPeer) -> str:
    return f"{film.magnet}&x.pe=127.0.0.1:{seeder.port}"


def alone(tmp_path: Path) -> dict[str, str]:
    """An environment in which no server runs."""
    folders = {"CHILLY_MEDIA_ROOT": str(tmp_path / "media"), "CHILLY_SEED_RATIO": "0",
               "CHILLY_STATE_DIR": str(tmp_path / "state")}  # fmt: skip
    return engine(tmp_path, CHILLY_PORT=str(free_port()), **folders)


async def test_without_a_server_a_magnet_is_played_while_it_arrives_and_kept(
    tmp_path: Path, film: Torrent, seeder: LibtorrentPeer, player: Path
) -> None:
    await seeder.seed(film.path, film.folder, upload_limit=300_000)
    env = alone(tmp_path)
    words = ("play", magnet(film, seeder), "--player", str(player), "--stay", "--json")
    result = await chilly(*words, env=env)
    assert result.code == 0, result
    assert pictures(tmp_path) == PICTURES
    [playing] = [one for one in result.lines if one["event"] == "playing"]
    before = result.lines[: result.lines.index(playing)]
    assert all(one["status"] != "completed" for one in before)
    assert result.lines[-1]["status"] == "completed"
    assert (tmp_path / "media" / "Film" / "Film.mp4").stat().st_size > 0
    assert (await chilly("list", env=env)).code == 4  # its server is gone


async def test_with_a_server_an_id_is_played_over_a_signed_link_and_goes_on_afterwards(
    tmp_path: Path, film: Torrent, seeder: LibtorrentPeer, player: Path
) -> None:
    await seeder.seed(film.path, film.folder, upload_limit=2_000_000)
    secret = {"API_SECRET": "correct-horse-battery-staple"}
    async with Backend(tmp_path / "ours", secret, warm=True) as ours:
        env = engine(tmp_path, CHILLY_PORT=ours.url.rpartition(":")[2], **secret)
        added = await chilly("add", magnet(film, seeder), "--id", "a", env=env)
        assert added.code == 0, added
        for source in ("a", str(film.path)):  # the same film by another name is found, too
            result: Ended = await chilly("play", source, "--player", str(player), env=env)
            assert (result.code, pictures(tmp_path)) == (0, PICTURES), result
            [url] = (tmp_path / "words").read_text().splitlines()
            assert url.startswith(f"{ours.url}/stream/a/")
            assert secret["API_SECRET"] not in url
        shown = await chilly("play", "a", "--print", env=env)
        assert shown.out.splitlines()[-1].startswith(f"{ours.url}/stream/a/")
        assert_sentence(await chilly("play", "nothing", "--print", env=env), 3, "'nothing'")
        assert (await chilly("play", "a", "--file", "99", "--print", env=env)).code == 2


async def test_a_player_that_fails_is_reported_with_its_last_words(
    tmp_path: Path, film: Torrent, seeder: LibtorrentPeer
) -> None:
    await seeder.seed(film.path, film.folder)
    (tmp_path / "bad").write_text("#!/bin/sh\necho first >&2\necho no screen >&2\nexit 3\n")
    (tmp_path / "bad").chmod(0o755)
    words = ("play", magnet(film, seeder), "--player", str(tmp_path / "bad"))
    result = await chilly(*words, env=alone(tmp_path))
    assert result.code == 1
    assert result.err == "chilly: error: The player ended with code 3: no screen\n"


async def test_without_a_player_it_says_which_there_are(tmp_path: Path) -> None:
    env = {**alone(tmp_path), "PATH": str(tmp_path)}
    assert_sentence(await chilly("play", "a", env=env), 2, "mpv", "--print")
    result = await chilly("play", "a", "--player", "nonsuch", env=env)
    assert_sentence(result, 2, "nonsuch")


async def test_interrupted_it_takes_player_and_server_with_it(
    tmp_path: Path, film: Torrent, seeder: LibtorrentPeer
) -> None:
    await seeder.seed(film.path, film.folder)
    written = tmp_path / "pid"
    (tmp_path / "long").write_text(
        f"#!/bin/sh\necho $$ >{tmp_path}/pid.new\nmv {tmp_path}/pid.new {written}\nexec sleep 600\n"
    )
    (tmp_path / "long").chmod(0o755)
    words = ("play", magnet(film, seeder), "--player", str(tmp_path / "long"), "--json")
    async with running(*words, env=alone(tmp_path)) as process:
        url = ""
        while not url:
            event = json.loads(await line(process))
            url = event["url"] if event["event"] == "playing" else ""
        await until(written.exists, 60)
        async with asyncio.timeout(60):
            process.send_signal(signal.SIGINT)
            await process.wait()
    assert process.returncode == 130
    player = int(written.read_text())
    assert not Path(f"/proc/{player}").exists()
    port = int(url.split("/")[2].rpartition(":")[2])
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
