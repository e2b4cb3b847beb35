"""The library of the installed program: from one start to a filed film, whatever is killed."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.backend import Backend, clean_environment, start_chilly
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.torrents import make_film, make_torrent

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]
MIB = 1 << 20
NIGHT = "Night.of.the.Living.Dead.1968.1080p.BluRay.x264-GRP"
SHOWN = "Night of the Living Dead (1968)"
STEPS = (
    "library.taken", "library.noted", "library.matched", "filing.intended", "filing.staged",
    "filing.put", "filing.replaced", "library.filed",
)  # fmt: skip
"""Every failpoint between a completed job and a filed film."""


def shelf(folder: Path, **more: str) -> dict[str, str]:
    """Settings with which films are filed."""
    (folder / "shelf").mkdir(parents=True, exist_ok=True)
    (folder / "films").mkdir(exist_ok=True)
    roots = {"CHILLY_ROOTS": f"films={folder}/films"}
    return {"CHILLY_LIBRARY_ROOT": str(folder / "shelf"), **roots, **more}


async def filed(ours: Backend, job_id: str) -> dict[str, Any]:
    """The item of a job once it is filed."""
    async with asyncio.timeout(60), ours.listen("/events?event=library-filed") as events:
        while True:
            page = (await ours.http.get("/library", params={"job": job_id})).json()
            if [one["state"] for one in page["items"]] == ["filed"]:
                found = await ours.http.get(f"/library/{page['items'][0]['id']}")
                item: dict[str, Any] = found.json()
                return item
            await anext(events)


def tree_of(folder: Path) -> dict[str, int]:
    """Every file of the tree that is not hidden, with its number of names."""
    top = folder / "shelf"
    files = [path for path in top.rglob("*") if path.is_file()]
    shown = {str(path.relative_to(top)): path.stat().st_nlink for path in files}
    return {name: links for name, links in shown.items() if not name.startswith(".")}


async def test_one_start_of_a_torrent_files_a_film_with_its_nfo_and_no_further_call(
    tmp_path: Path, seeder: LibtorrentPeer
) -> None:
    make_film(tmp_path / f"source/{NIGHT}.mkv", 2 * MIB)
    film = make_torrent(tmp_path / f"source/{NIGHT}.mkv", tmp_path / "film.torrent")
    await seeder.seed(film.path, film.folder)
    async with Backend(tmp_path / "ours", shelf(tmp_path / "ours"), warm=True) as ours:
        await ours.start(f"{film.magnet}&x.pe=127.0.0.1:{seeder.port}", id="night")
        item = await filed(ours, "night")
        job = await ours.job("night")
    assert (item["title"], item["year"], item["kind"]) == (
        "Night of the Living Dead",
        1968,
        "movie",
    )
    [file] = item["files"]
    [place] = [name for name in tree_of(tmp_path / "ours") if name.endswith(".mkv")]
    assert (file["filed"], file["how"]) == (place, "hardlink")
    assert place.startswith(f"Movies/{SHOWN}/{SHOWN}")
    source, stands = tmp_path / "ours/media" / job["path"], tmp_path / "ours/shelf" / place
    assert source.samefile(stands)
    nfo = stands.with_suffix(".nfo").read_text()
    assert "<title>Night of the Living Dead</title>" in nfo


async def test_a_season_of_ten_episodes_is_one_series_with_every_episode_in_its_place(
    tmp_path: Path, seeder: LibtorrentPeer
) -> None:
    pack = tmp_path / "source/The.Lucy.Show.S01.720p.WEB-DL.x264-GRP"
    for number in range(1, 11):
        make_film(
            pack / f"The.Lucy.Show.S01E{number:02}.720p.WEB-DL.x264-GRP.mkv", 100_000 + number
        )
    show = make_torrent(pack, tmp_path / "show.torrent")
    await seeder.seed(show.path, show.folder)
    async with Backend(tmp_path / "ours", shelf(tmp_path / "ours"), warm=True) as ours:
        await ours.start(f"{show.magnet}&x.pe=127.0.0.1:{seeder.port}", id="show")
        item = await filed(ours, "show")
    assert (item["title"], item["kind"]) == ("The Lucy Show", "tv")
    assert sorted((one["season"], *one["episodes"]) for one in item["files"]) == [
        (1, number) for number in range(1, 11)
    ]
    films = [name for name in tree_of(tmp_path / "ours") if name.endswith(".mkv")]
    assert len(films) == 10
    for number in range(1, 11):
        assert [f"S01E{number:02}" in name for name in films].count(True) == 1
    assert len(list((tmp_path / "ours/shelf").rglob("The Lucy Show*/tvshow.nfo"))) == 1


@pytest.mark.parametrize("step", STEPS)
async def test_a_kill_between_completed_and_filed_files_it_once(tmp_path: Path, step: str) -> None:
    await killed_and_filed(tmp_path, step)


async def killed_and_filed(folder: Path, step: str) -> None:
    """A server that is killed at a step and started again has filed its film, once."""
    settings = shelf(folder)
    make_film(folder / f"films/{NIGHT}.mkv", 300_000)
    fails = {**settings, "CHILLY_FAILPOINT": f"{step}:exit"}
    async with Backend(folder, fails, warm=True) as ours:
        body = {"id": "a", "sourceType": "local", "sourceUrn": f"films/{NIGHT}.mkv"}
        asking = asyncio.create_task(ours.http.post("/download/start", json=body))
        assert await ours.died() == -9
        await asyncio.wait([asking])
        asking.exception()
    async with Backend(folder, settings, warm=True) as ours:
        item = await filed(ours, "a")
        assert (await ours.http.get("/library")).json()["total"] == 1
    found = tree_of(folder)
    assert sorted(Path(name).suffix for name in found) == [".mkv", ".nfo"]
    assert found[item["files"][0]["filed"]] == 3  # the film, the job's and this one
    assert not list((folder / "shelf").rglob(".chilly/*/*"))


async def said(ours: Backend, folder: Path, *words: str) -> Any:
    """What a command prints as JSON."""
    words = (*words, "--json", "--server", ours.url)
    process = await start_chilly(words, clean_environment(folder), folder)
    out, complaint = await process.communicate()
    assert process.returncode == 0, complaint
    return json.loads(out)


async def test_commands_find_choose_plan_file_and_undo(tmp_path: Path) -> None:
    make_film(tmp_path / "films/xyz.mkv", 300_000)
    async with Backend(tmp_path, shelf(tmp_path), warm=True) as ours:
        body = {"id": "a", "sourceType": "local", "sourceUrn": "films/xyz.mkv"}
        async with ours.listen("/events?event=library-changed") as events:
            await ours.verb("start", body)
            async for event in events:
                if event.get("item", {}).get("state") == "waiting":
                    break
        [one] = (await said(ours, tmp_path, "library"))["items"]
        words = ("match", one["id"], "--title", "Nosferatu", "--year", "1922", "--kind", "movie")
        assert (await said(ours, tmp_path, *words))["title"] == "Nosferatu"
        await filed(ours, "a")
        assert (await said(ours, tmp_path, "library", "nosf"))["total"] == 1
        plan = await said(ours, tmp_path, "file", one["id"], "--plan")
        assert {file["how"] for file in plan["files"] if file["index"] is not None} == {None}
        assert (await said(ours, tmp_path, "undo", one["id"]))["state"] == "matched"
        assert tree_of(tmp_path) == {}
        await said(ours, tmp_path, "file", one["id"])
        assert (await filed(ours, "a"))["title"] == "Nosferatu"


async def test_a_state_folder_without_a_library_is_taken_in_and_what_is_undone_stays_out(
    tmp_path: Path,
) -> None:
    settings = shelf(tmp_path)
    make_film(tmp_path / f"films/{NIGHT}.mkv", 300_000)
    async with Backend(tmp_path, {**settings, "CHILLY_LIBRARY": "false"}, warm=True) as ours:
        body = {"id": "a", "sourceType": "local", "sourceUrn": f"films/{NIGHT}.mkv"}
        await ours.verb("start", body)
        await ours.wait("a")
        assert (await ours.http.get("/library")).status_code == 503
    assert not (tmp_path / "state/library.db").exists()
    async with Backend(tmp_path, settings, warm=True) as ours:
        item = await filed(ours, "a")
        plan = await ours.http.post("/library/plan", json={"id": item["id"]})
        assert [one["how"] for one in plan.json()["files"] if one["index"] == 0] == [None]
        undone = await ours.http.post(f"/library/{item['id']}/undo")
        assert (undone.status_code, undone.json()["state"]) == (200, "matched")
        assert tree_of(tmp_path) == {}
    async with Backend(tmp_path, settings, warm=True) as ours:
        again = (await ours.http.get(f"/library/{item['id']}")).json()
        assert (again["state"], again["files"][0]["filed"]) == ("matched", None)
        assert (await ours.http.post(f"/library/{item['id']}/file")).status_code == 200
        assert (await filed(ours, "a"))["files"][0]["filed"] == item["files"][0]["filed"]
