"""`chilly get` and `chilly add` take whatever a user has, and say what it is."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from chilly_movies.drivers.http.links import name_of
from chilly_movies.drivers.local.modes import SAID  # noqa: F401 (the tests go with this room)
from tests.acceptance.test_command_line import assert_sentence, chilly, engine, line, running
from tests.peers.torrents import make_film, sha256_of

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]
MIB = 1 << 20


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Where a film is served, and the folder it lies in."""
    folder = tmp_path / "site"
    make_film(folder / "film.mkv", MIB)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", folder
        server.shutdown()
        thread.join()


async def test_get_takes_a_link_to_a_film_and_a_path_and_says_what_they_are(
    tmp_path: Path, site: tuple[str, Path]
) -> None:
    url, folder = site
    env = engine(tmp_path, CHILLY_MEDIA_ROOT=str(tmp_path / "to"))
    digest = sha256_of(folder / "film.mkv")
    linked = await chilly("get", f"{url}/film.mkv", env=env)
    assert linked.code == 0, linked
    assert f"{name_of(f'{url}/film.mkv')} (http): 1 file, 1.0 MB\n" in linked.out
    assert sha256_of(tmp_path / "to/film.mkv") == digest
    own = await chilly("get", str(folder / "film.mkv"), env=env)
    assert own.code == 0, own
    assert "film.mkv (local): 1 file, 1.0 MB\n" in own.out
    assert sha256_of(tmp_path / "to/film (2).mkv") == digest
    assert sha256_of(folder / "film.mkv") == digest
    assert_sentence(await chilly("get", str(folder / "none.mkv"), env=env), 2, "no file or folder")


async def test_add_hands_anything_to_a_server_which_finds_out_what_it_is(
    tmp_path: Path, site: tuple[str, Path]
) -> None:
    url, folder = site
    env = engine(tmp_path, CHILLY_MEDIA_ROOT=str(tmp_path / "to"), CHILLY_ROOTS=f"mine={folder}")
    async with running("serve", "--port", "0", "--json", "--log-level", "error", env=env) as server:
        env["CHILLY_SERVER"] = json.loads(await line(server))["url"]
        found = {}
        for source in (f"{url}/film.mkv", str(folder / "film.mkv"), "ab" * 20):
            [job] = (await chilly("add", source, "--json", "--held", env=env)).json
            shown = (await chilly("status", job["id"], "--json", env=env)).json
            found[source] = (shown["sourceType"], shown["sourceUrn"])
        refused = await chilly("add", "hello there", env=env)
    assert found[f"{url}/film.mkv"][0] == "http"
    assert found[str(folder / "film.mkv")] == ("local", "mine/film.mkv")
    assert found["ab" * 20][0] == "torrent"
    assert_sentence(refused, 1, "must be a magnet link")
