"""What is asked of a job can be changed after its start: at once, all or nothing, and for good."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chilly_movies.cli.commands import main
from chilly_movies.client import ApiClient
from chilly_movies.drivers.mock.driver import MockScript
from chilly_movies.errors import (
    FileNotFound,
    IllegalTransition,
    InvalidRequest,
    JobNotFound,
    NotReadable,
    StoreError,
)
from chilly_movies.jobs.adjustments import AdjustRequest
from chilly_movies.jobs.models import Job, MediaFile, Phase, SourceFacts, Status
from chilly_movies.jobs.options import CHANGEABLE, DEFAULTS, OPTIONS, Options
from tests.contract.rig import SCRIPT, NotingDriver, Rig, history, reach, reach_when
from tests.contract.test_start_options import GIVEN
from tests.contract.web import Api, api, problem
from tests.doubles import GatedStore, until

pytestmark = pytest.mark.anyio
KINDS = ["memory", "sqlite"]
SIMPLE = [name for name in CHANGEABLE if name != "files"]
FIXED = {"allow_executables", "mode", "checksum", "video_quality", "subtitles"}


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    made = Rig("memory", tmp_path)
    yield made
    await made.aclose()


@pytest.fixture
async def web() -> AsyncIterator[Api]:
    async with api() as web:
        yield web


async def patch(web: Api, body: Any, job_id: str = "a") -> dict[str, Any]:
    answer = await web.client.patch(f"/downloads/{job_id}", json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert found == (await web.client.get(f"/downloads/{job_id}")).json()
    return found


def wants(job: Job, files: int = 3) -> Job:
    """The job with so many files that are known."""
    known = tuple(MediaFile(i, f"Film/{i}.mkv", 100) for i in range(files))
    return replace(job, files=known)


# --- each option ----------------------------------------------------------------------------


def test_every_option_but_those_of_a_start_alone_can_be_changed() -> None:
    assert set(AdjustRequest.model_fields) >= {*CHANGEABLE, "labels"}
    assert {name for name in OPTIONS if name not in CHANGEABLE} == FIXED


@pytest.mark.parametrize("name", SIMPLE)
async def test_an_option_is_changed_alone_shown_and_goes_back_to_the_default_with_null(
    web: Api, name: str
) -> None:
    value, wire = GIVEN[name][0], OPTIONS[name].wire
    other = "seed_time" if name == "seed_ratio" else "seed_ratio"
    asked: dict[str, Any] = {other: 3}
    await web.start(**{OPTIONS[other].wire: 3})  # type: ignore[arg-type]
    assert (await patch(web, {wire: value}))["options"][wire] == value
    job = await web.downloader.status("a")
    assert job.options == replace(Options(), **{**asked, name: value})
    assert (await patch(web, {wire: None}))["options"][wire] == getattr(DEFAULTS, name)
    assert (await web.downloader.status("a")).options == replace(Options(), **asked)


@pytest.mark.parametrize("name", SIMPLE)
async def test_python_and_the_client_change_an_option_in_both_spellings(
    web: Api, name: str
) -> None:
    value = GIVEN[name][0]
    async with ApiClient("http://localhost:3000", transport=web.client._transport) as client:
        for number, spelling in enumerate((name, OPTIONS[name].wire)):
            await web.start(f"{number}")
            for adjust in (web.downloader.adjust, client.adjust):
                await adjust(f"{number}", **{spelling: value})
                shown = (await client.detail(f"{number}"))["options"][OPTIONS[name].wire]
                assert shown == value
                await adjust(f"{number}", **{spelling: None})
                job = await web.downloader.status(f"{number}")
                assert getattr(job.options, name) == getattr(DEFAULTS, name)


@pytest.mark.parametrize(
    ("body", "field"),
    [({"downloadLimit": -1}, "downloadLimit"), ({"seedRatio": "2"}, "seedRatio"),
     ({"order": "backwards"}, "order"), ({"folder": "../up"}, "folder"), ({"files": []}, "files"),
     ({"download_limit": 5}, "download_limit"), ({"Labels": {}}, "Labels")],
)  # fmt: skip
async def test_a_value_that_cannot_be_is_refused_and_nothing_of_the_rest_is_done(
    web: Api, body: Any, field: str
) -> None:
    await web.start()
    answer = await web.client.patch("/downloads/a", json={"seedTime": 9, **body})
    problem(answer, 422, "invalid_request", field=field)
    assert (await web.downloader.status("a")).options == Options()


async def test_what_a_body_does_not_name_stays_and_what_it_does_not_know_is_ignored(
    web: Api,
) -> None:
    await web.start(downloadLimit=7, order="sequential", labels={"k": "1"})
    before = await web.downloader.status("a")
    for nothing in ({}, {"what": 1, "allowExecutables": True}):
        await patch(web, nothing)
        after = await web.downloader.status("a")
        assert (after.options, after.labels) == (before.options, before.labels)
    assert "adjusted" not in await history(web.downloader)


# --- files ----------------------------------------------------------------------------------


class ManyFiles(NotingDriver):
    """A mock driver whose films have three files, of which the last is a program."""

    blocked = False

    async def run(self, job: Job, *, check: bool = False) -> Any:
        async with aclosing(super().run(job, check=check)) as reports:
            async for report in reports:
                if report.facts is not None and report.facts.files:
                    known = wants(job).files
                    last = replace(known[2], wanted=not self.blocked, blocked=self.blocked)
                    facts = SourceFacts(report.facts.identities, "Film", (*known[:2], last))
                    report = replace(report, facts=facts)  # noqa: PLW2901
                yield report


async def with_files(rig: Rig, *, blocked: bool = False, **wishes: Any) -> Job:
    """An active job with three files that stands still."""
    rig.make()
    driver = ManyFiles(SCRIPT, tick=1.0, sleep=rig.pace.sleep)
    driver.blocked = blocked
    drivers = dict.fromkeys(rig.downloader._drivers, driver)
    rig.make(drivers=drivers)
    rig.pace.hold(after=2)
    await rig.add(**wishes)
    return await reach_when(rig.downloader, "a", lambda job: job.files)


async def test_another_selection_keeps_the_priorities_of_files_that_stay(rig: Rig) -> None:
    await with_files(rig)
    await rig.downloader.choose_files("a", {1: 7})
    job = await rig.downloader.adjust("a", files=[1, 2])
    assert job.priorities() == {0: 0, 1: 7, 2: 4}
    assert [file.wanted for file in job.files] == [False, True, True]
    job = await rig.downloader.adjust("a", files=None)
    assert job.priorities() == {0: 4, 1: 7, 2: 4}
    assert all(file.wanted for file in job.files)


async def test_all_files_are_all_but_those_that_look_like_programs(rig: Rig) -> None:
    await with_files(rig, blocked=True)
    job = await rig.downloader.adjust("a", files=[0])
    job = await rig.downloader.adjust("a", files=None)
    assert job.priorities() == {0: 4, 1: 4, 2: 0}
    with pytest.raises(InvalidRequest, match="looks like a program"):
        await rig.downloader.adjust("a", files=[0, 2], seed_time=4)
    with pytest.raises(FileNotFound):
        await rig.downloader.adjust("a", files=[0, 3], seed_time=4)
    assert (await rig.downloader.status("a")) == job


async def test_files_that_are_not_known_yet_cannot_be_chosen_but_the_same_can_be_said_again(
    rig: Rig,
) -> None:
    rig.make()
    rig.pace.hold()
    await rig.add(files=[0, 2])
    await rig.reach_active()
    with pytest.raises(NotReadable):
        await rig.downloader.adjust("a", files=[0], download_limit=5)
    job = await rig.downloader.adjust("a", files=[2, 0], download_limit=5)
    assert (job.options.files, job.options.download_limit) == ((0, 2), 5)


# --- one event, or none ---------------------------------------------------------------------


async def test_all_that_is_changed_is_one_event_and_what_is_so_already_is_none(rig: Rig) -> None:
    rig.make()
    rig.pace.hold()
    await rig.add(labels={"k": "1"})
    job = await rig.reach_active()
    heard: list[Job] = []
    rig.downloader.on("adjusted", heard.append)
    changes = {"labels": {"l": "2"}, "download_limit": 5, "seedRatio": 2.0, "folder": "Films"}
    job = await rig.downloader.adjust("a", changes)
    again = await rig.downloader.adjust("a", {**changes, "labels": {"l": "2", "gone": None}})
    assert again == job
    assert await history(rig.downloader) == ["queued", "started", "adjusted"]
    await until(lambda: heard)
    assert heard == [job]
    assert job.labels == {"k": "1", "l": "2"}


@pytest.mark.parametrize("status", [s for s in Status if s is not Status.CANCELED])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_job_can_be_changed_as_it_stands_and_stays_so_after_a_crash(
    kind: str, status: Status, tmp_path: Path
) -> None:
    rig = Rig(kind, tmp_path)
    try:
        rig.make(max_active=0 if status is Status.QUEUED else 3)
        before = await rig.bring(status)
        after = await rig.downloader.adjust(
            "a", labels={"k": "1"}, upload_limit=6, seed_time=9, order="ends-first"
        )
        asked = replace(Options(), upload_limit=6, seed_time=9, order="ends-first")
        assert after == replace(
            before, options=asked, labels={"k": "1"}, updated_at=after.updated_at,
            progress=after.progress, reason=after.reason,
        )  # fmt: skip
        downloader = await rig.crash(max_active=0)
        found = await downloader.status("a")
        assert (found.options, found.labels) == (asked, {"k": "1"})
    finally:
        await rig.aclose()


async def test_nothing_of_a_canceled_job_can_be_changed_and_an_unknown_one_is_not_found(
    rig: Rig, web: Api
) -> None:
    rig.make()
    await rig.bring(Status.CANCELED)
    for changes in ({"seed_time": 5}, {"seed_time": None}, {}):
        with pytest.raises(IllegalTransition, match="'a' is canceled"):
            await rig.downloader.adjust("a", changes)
    with pytest.raises(JobNotFound):
        await rig.downloader.adjust("b", seed_time=5)
    await web.start()
    await web.post("/download/cancel", {"id": "a"})
    answer = await web.client.patch("/downloads/a", json={"labels": {"k": "1"}})
    problem(answer, 409, "illegal_transition")
    answer = await web.client.patch("/downloads/b", json={"labels": {"k": "1"}})
    problem(answer, 404, "job_not_found")


async def test_a_change_that_cannot_be_stored_did_not_happen(rig: Rig) -> None:
    store = GatedStore()
    rig.make(store=store)
    rig.pace.hold()
    await rig.add()
    before = await rig.reach_active()
    store.failing = 1
    with pytest.raises(StoreError):
        await rig.downloader.adjust("a", seed_time=5, labels={"k": "1"})
    assert await rig.downloader.status("a") == before


# --- films that are there -------------------------------------------------------------------


async def test_of_a_film_that_is_there_labels_and_limits_change_but_not_the_files(
    rig: Rig,
) -> None:
    rig.make()
    job = await rig.bring(Status.COMPLETED)
    job = await rig.downloader.adjust("a", labels={"k": "1"}, files=None, download_limit=5)
    assert (job.labels, job.options.download_limit) == ({"k": "1"}, 5)


async def test_another_selection_of_a_film_that_is_there_is_refused_with_all_else(
    rig: Rig,
) -> None:
    await with_files(rig)
    rig.pace.flow()
    before = await reach(rig.downloader, "a", Status.COMPLETED)
    with pytest.raises(IllegalTransition, match="is completed"):
        await rig.downloader.adjust("a", files=[0], labels={"k": "1"})
    assert await rig.downloader.status("a") == before


async def test_another_folder_moves_a_film_that_is_there_in_the_same_step(rig: Rig) -> None:
    rig.make()
    before = await rig.bring(Status.COMPLETED)
    rig.pace.flow()
    same = await rig.downloader.adjust("a", folder="")
    assert same == before
    job = await rig.downloader.adjust("a", folder="Films", labels={"k": "1"})
    assert (job.moving_to, job.labels) == (f"Films/{before.path}", {"k": "1"})
    job = await reach_when(rig.downloader, "a", lambda job: job.moving_to is None)
    assert (job.path, job.options.folder) == (f"Films/{before.path}", "Films")
    assert (await history(rig.downloader, "a"))[-2:] == ["adjusted", "moved"]


async def test_a_folder_chosen_in_time_is_where_the_film_will_lie(rig: Rig) -> None:
    rig.make()
    await rig.bring_half()
    job = await rig.downloader.adjust("a", folder="Films")
    assert (job.options.folder, job.moving_to) == ("Films", None)


async def test_what_lay_there_before_its_job_is_moved_only_if_another_folder_is_named(
    rig: Rig,
) -> None:
    rig.make()
    await rig.downloader.adopt("Films/Old.mkv", b"d4:infode", id="a")
    job = await reach(rig.downloader, "a", Status.COMPLETED)
    job = await rig.downloader.adjust("a", folder=job.options.folder, labels={"k": "1"})
    assert (job.path, job.moving_to) == ("Films/Old.mkv", None)
    job = await rig.downloader.adjust("a", folder=None)
    assert job.moving_to == "Old.mkv"


# --- the driver -----------------------------------------------------------------------------


async def test_a_goal_that_is_reached_already_ends_the_seeding_of_a_mock(rig: Rig) -> None:
    downloader = rig.make(script=replace(SCRIPT, seed_seconds=1000.0))
    rig.pace.hold(after=100)
    await rig.add()
    job = await reach_when(downloader, "a", lambda job: job.progress.ratio > 0.05)
    assert job.seeding
    await downloader.adjust("a", seed_ratio=0.01)
    rig.pace.hold(after=2)
    rig.pace.flow()
    job = await reach_when(downloader, "a", lambda job: not job.seeding)
    assert 0.05 < job.progress.ratio < 0.5
    assert job.status is Status.COMPLETED


async def test_a_job_told_before_its_end_not_to_seed_does_not(rig: Rig) -> None:
    downloader = rig.make(script=replace(SCRIPT, seed_seconds=1000.0))
    await rig.bring_half()
    await downloader.adjust("a", seed_time=0)
    rig.pace.flow()
    job = await reach(downloader, "a", Status.COMPLETED)
    assert (job.seeding, job.progress.phase) == (False, None)


async def test_a_mock_is_as_slow_as_its_limit(rig: Rig) -> None:
    script = MockScript(size=1_000_000, seconds=2.0, metadata_seconds=0, seed_seconds=0)
    downloader = rig.make(script=script)
    rig.pace.hold(after=1)
    await rig.add()
    await rig.reach_active()
    job = await downloader.adjust("a", download_limit=1000)
    rig.pace.hold(after=3)
    rig.pace._flowing.set()
    await asyncio.sleep(0)
    rig.pace.hold()
    job = await reach_when(downloader, "a", lambda job: job.progress.download_speed == 1000)
    assert job.progress.phase is Phase.DOWNLOADING


# --- the command line -----------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """What the commands ask of a server."""
    seen: list[tuple[str, dict[str, Any]]] = []

    async def ask(_self: ApiClient, method: str, path: str, **more: Any) -> dict[str, Any]:
        seen.append((f"{method} {path}", more.get("json") or more["params"]))
        return {"id": "a", "status": "active", "items": [], "nextCursor": None}

    monkeypatch.setattr(ApiClient, "_ask", ask)
    return seen


def test_the_command_label_sets_labels_and_removes_those_without_a_value(
    asked: list[tuple[str, dict[str, Any]]],
) -> None:
    assert main(["label", "a", "category=films", "note=a=b", "old="]) == 0
    labels = {"category": "films", "note": "a=b", "old": None}
    assert asked == [("PATCH /downloads/a", {"labels": labels})]
    assert [main(["label", "a"]), main(["label", "a", "novalue"])] == [2, 2]


def test_the_command_adjust_changes_what_is_typed_and_nothing_else(
    asked: list[tuple[str, dict[str, Any]]],
) -> None:
    typed = ["--download-limit", "5000", "--seed-ratio", "0", "--files", "2,0"]
    assert main(["adjust", "a", "b", *typed, "--default", "seed-time", "--order", "usual"]) == 0
    body = {"downloadLimit": 5000, "seedRatio": 0.0, "files": [0, 2], "seedTime": None}
    body["order"] = "usual"
    assert asked == [("PATCH /downloads/a", body), ("PATCH /downloads/b", body)]
    assert main(["adjust", "a"]) == 2
    assert main(["adjust", "a", "--default", "allow-executables"]) == 2
    assert main(["adjust", "a", "--order", "backwards"]) == 2


def test_the_commands_add_and_list_take_labels(asked: list[tuple[str, dict[str, Any]]]) -> None:
    assert main(["add", "magnet:?xt=x", "--label", "k=1", "--label", "l="]) == 0
    assert asked[0][1]["labels"] == {"k": "1", "l": ""}
    assert main(["list", "--label", "k=1", "--label", "l=2"]) == 0
    assert asked[1][1]["label"] == ["k=1", "l=2"]


async def test_what_is_asked_while_a_film_is_on_its_way_elsewhere_holds_at_once(rig: Rig) -> None:
    downloader = rig.make(script=replace(SCRIPT, seed_seconds=1e9))
    await rig.add("a")
    await reach(downloader, "a", Status.COMPLETED)
    rig.pace.hold()
    await downloader.move("a", "Elsewhere")
    await until(lambda: rig.pace.sleepers == 1)
    job = await downloader.adjust("a", seed_ratio=0.25)
    assert job.moving_to is not None
    assert rig.driver._options[job.key].seed_ratio == 0.25
