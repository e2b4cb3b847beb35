"""An installation that an earlier version left opens, goes on and replays its events.

The archive was made by `lab.old_state` with the tree at 9e7d285 and holds 20 jobs in all states.
"""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from lab.old_state import (
    make_torrents,
    opened_again,
    replayed,
    same_member,
    seeder,
    stored_events,
)
from tests.acceptance.backend import Backend
from tests.peers.torrents import sha256_of

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]
ARCHIVE = Path(__file__).parents[1] / "fixtures" / "state-of-0.1.tar.xz"
GO_ON = ("queued-1", "queued-2", "queued-3", "queued-4", "active-magnet-1", "active-magnet-2",
         "half-active")  # fmt: skip
"""Jobs that have to complete by themselves once their seeder is there."""


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The installation at a new place; as far as it knows, its media folder was always there."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path / "left", filter="data")
    opened_again(tmp_path / "left", tmp_path / "old")
    return tmp_path / "old"


async def test_twenty_jobs_of_the_first_version_are_there_and_go_on(old: Path) -> None:
    before = {job["id"]: job for job in json.loads((old / "jobs.json").read_text())["items"]}
    events = stored_events(old)
    assert len(before) == 20
    async with seeder() as peer, Backend(old, {"CHILLY_MAX_ACTIVE": "3"}, warm=True) as ours:
        page = (await ours.http.get("/downloads", params={"limit": 100})).json()
        now = {job["id"]: job for job in page["items"]}
        assert await replayed(ours, events[-1][0]) == events
        torrents = make_torrents(old / "made")
        for name in GO_ON:
            await peer.seed(torrents[name].path, torrents[name].folder)
        assert now.keys() == before.keys()
        lost = [
            (job_id, name, job[name], now[job_id].get(name))
            for job_id, job in before.items()
            for name in job
            if not same_member(name, job[name], now[job_id].get(name))
        ]
        assert lost == []
        queue = [job_id for job_id in now if now[job_id]["position"] is not None]
        assert queue
        by_now, by_then = (
            sorted(queue, key=lambda job_id: jobs[job_id]["position"]) for jobs in (now, before)
        )
        assert by_now == by_then
        at_rest = {i: j["status"] for i, j in before.items() if j["status"] not in _MOVES}
        assert {i: now[i]["status"] for i in at_rest} == at_rest
        for name in GO_ON:
            assert (await ours.wait(name, within=120))["status"] == "completed", name
        films = {name: sha256_of(ours.media / f"{name}.mkv") for name in GO_ON}
    assert films == {name: sha256_of(torrents[name].content) for name in GO_ON}


_MOVES = ("queued", "active")
