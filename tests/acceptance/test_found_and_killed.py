"""The server killed while it takes what lies here already, and `chilly find-data` beside it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lab.found_data import World, snapshot
from tests.acceptance.backend import Backend, clean_environment, start_chilly
from tests.peers.torrents import make_films, make_torrent, sha256_of

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]
MIB = 1 << 20


async def test_a_kill_at_any_step_changes_nothing_of_the_user_s_and_leaves_one_film(
    tmp_path: Path,
) -> None:
    digests = make_films(tmp_path / "show", {"1.mkv": 2 * MIB + 7, "1.srt": 400})
    torrent = make_torrent(tmp_path / "show", tmp_path / "show.torrent", piece_size=64 * 1024)
    mine = tmp_path / "media" / "mine"
    mine.mkdir(parents=True)
    (tmp_path / "show").rename(mine / "box")
    before = snapshot(mine)
    for number, step in enumerate(("found.linked", "publish.renamed")):
        async with Backend(tmp_path, {"CHILLY_FAILPOINT": f"{step}:exit"}, warm=True) as ours:
            if number == 0:
                await ours.http.post(
                    "/download/start",
                    data={"id": "a", "sourceType": "torrent"},
                    files={"torrent": torrent.path.read_bytes()},
                )
            assert await ours.died() == -9
        assert (step, snapshot(mine)) == (step, before)
    async with Backend(tmp_path, warm=True) as ours:
        job = await ours.wait("a")
        assert job["status"] == "completed"
        show = tmp_path / "media" / "show"
        assert {name: sha256_of(show / name) for name in digests} == digests
        names = sorted(path.name for path in (tmp_path / "media").glob("[!.]*"))
        assert names == ["mine", "show"]
        await ours.http.delete("/downloads/a", params={"deleteFiles": "true"})
        assert not show.exists()
    assert snapshot(mine) == before


async def test_find_data_names_the_files_and_starts_nothing(tmp_path: Path) -> None:
    make_films(tmp_path / "show", {"1.mkv": MIB, "2.mkv": MIB + 1})
    torrent = make_torrent(tmp_path / "show", tmp_path / "show.torrent")
    (tmp_path / "media").mkdir()
    (tmp_path / "show" / "1.mkv").rename(tmp_path / "media" / "else.bin")
    (tmp_path / "chilly.toml").touch()
    before = sorted(tmp_path.rglob("*"))

    async def said(*words: str) -> tuple[int | None, str, str]:
        environment = clean_environment(tmp_path)
        process = await start_chilly(["find-data", *words], environment, tmp_path)
        out, err = await process.communicate()
        return process.returncode, out.decode(), err.decode()

    code, text, _ = await said(str(torrent.path))
    assert code == 0
    assert "show: 1.0 MB of 2.1 MB, 1 of 2 files are here." in text
    _, text, _ = await said(str(torrent.path), "--json")
    (found,) = json.loads(text)["torrents"]
    assert (found["name"], found["totalBytes"], found["foundBytes"]) == ("show", 2 * MIB + 1, MIB)
    places = {file["path"]: file["foundAt"] for file in found["files"]}
    assert places == {"show/1.mkv": str(tmp_path / "media" / "else.bin"), "show/2.mkv": None}
    code, _, error = await said(torrent.magnet)
    assert code == 2
    assert "no torrent file" in error
    assert sorted(tmp_path.rglob("*")) == before


async def test_a_small_library_is_found_nearly_whole_and_nothing_wrongly(tmp_path: Path) -> None:
    world = World.make(tmp_path, torrents=6, files=120)
    account = await world.run()
    assert account.problems == []
    assert account.found_share >= 0.99
