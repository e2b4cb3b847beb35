"""Candidates: when a source is given up the next is taken, and no data of the dead is left."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from chilly_movies.errors import DiskError, InvalidRequest
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.jobs.models import Job, Status
from tests.contract.rig import Rig, history, reach, reach_when
from tests.contract.web import api
from tests.doubles import GatedStore, idle

pytestmark = pytest.mark.anyio
DEAD = "mock:?fail=source_rejected&failAt=0&name=dead"
ALSO_DEAD = "mock:?fail=source_rejected&failAt=50&name=half"
ALIVE = "mock:?name=alive"


def given(*urns: str) -> list[dict[str, Any]]:
    return [{"sourceUrn": urn} for urn in urns]


async def switches(downloader: Downloader) -> list[tuple[str, str]]:
    changes = await downloader.changes_since(0)
    told = [change.news for change in changes if change.event == "source"]
    return [(news["from"]["sourceUrn"], news["to"]["sourceUrn"]) for news in told if news]


async def test_each_candidate_is_taken_in_turn_and_the_job_never_was_failed(rig: Rig) -> None:
    downloader = rig.make()
    await rig.add("a", source_urn=DEAD, candidates=given(ALSO_DEAD, ALIVE))
    job = await downloader.wait("a")
    assert (job.status, job.name, job.source.urn) == (Status.COMPLETED, "alive", DEAD)
    assert job.running_source.urn == ALIVE
    assert await switches(downloader) == [(DEAD, ALSO_DEAD), (ALSO_DEAD, ALIVE)]
    assert "error" not in await history(downloader, "a")
    assert (job.attempts, job.error) == (0, None)
    assert rig.driver.removed == [("a", False)] * 2


async def test_the_last_candidate_that_fails_fails_the_job_and_resume_tries_all_again(
    rig: Rig,
) -> None:
    downloader = rig.make()
    once = f"{ALSO_DEAD}&failTimes=1"
    await rig.add("a", source_urn=DEAD, candidates=given(once))
    await reach(downloader, "a", Status.FAILED)
    assert await switches(downloader) == [(DEAD, once)]
    await downloader.resume("a")
    job = await downloader.wait("a")
    assert (job.status, job.running_source.urn) == (Status.COMPLETED, once)


async def test_a_resume_of_a_failed_job_comes_back_to_its_own_source(rig: Rig) -> None:
    downloader = rig.make()
    await rig.add("a", source_urn=DEAD, candidates=given(ALSO_DEAD))
    await reach(downloader, "a", Status.FAILED)
    await downloader.resume("a")
    await reach(downloader, "a", Status.FAILED)
    assert await switches(downloader) == [(DEAD, ALSO_DEAD), (ALSO_DEAD, DEAD)]


async def test_identity_stays_the_first_source_over_a_restart(rig: Rig) -> None:
    downloader = rig.make()
    secret = {"username": "u", "password": "p"}
    await rig.add("a", source_urn=DEAD, candidates=[{"sourceUrn": ALIVE, **secret}])
    before = await downloader.wait("a")
    downloader = await rig.restart()
    job = await downloader.status("a")
    assert (job.source, job.candidates, job.active_source, job.spent) == (
        before.source, before.candidates, before.active_source, before.spent,
    )  # fmt: skip
    assert [s and s.password for s in secrets_of(job)] == [None, "p", "p"]
    assert (await rig.add("a", source_urn=DEAD)).status is Status.COMPLETED
    assert await switches(downloader) == [(DEAD, ALIVE)]


def secrets_of(job: Job) -> list[Any]:
    active = job.active_source
    assert active is not None
    return [job.source.secret, job.candidates[0].source.secret, active.secret]


async def test_a_source_with_trouble_is_tried_a_few_times_and_then_left_for_the_next(
    rig: Rig,
) -> None:
    downloader = rig.make()
    away = "mock:?fail=source_unavailable&failAt=0&name=away"
    await rig.add("a", source_urn=away, candidates=given(ALIVE))
    for tries in range(1, 5):
        await _reach_tries(downloader, tries)
        rig.clock.forward(10_000)
        await rig.add(f"other-{tries}")  # the queue is looked at
    job = await downloader.wait("a")
    assert job.running_source.urn == ALIVE


async def _reach_tries(downloader: Downloader, tries: int) -> None:
    await reach_when(downloader, "a", lambda job: job.attempts == tries)


async def test_what_the_disk_does_not_delete_keeps_the_job_at_its_source(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    downloader = rig.make()
    refused = 0

    async def refuse(*_: Any, **__: Any) -> None:
        nonlocal refused
        refused += 1
        raise DiskError("The job's files cannot be deleted.")

    monkeypatch.setattr(rig.driver, "remove", refuse)
    await rig.add("a", source_urn=DEAD, candidates=given(ALIVE))
    job = await reach_when(downloader, "a", lambda job: job.error is not None)
    assert (job.status, job.running_source.urn) == (Status.QUEUED, DEAD)
    assert job.error is not None
    assert (job.error.code, refused) == ("disk_error", 1)
    monkeypatch.undo()
    rig.clock.forward(100)
    await downloader.resume("a")
    assert (await downloader.wait("a")).running_source.urn == ALIVE


async def test_a_film_that_was_complete_once_is_not_given_up_for_another(rig: Rig) -> None:
    downloader = rig.make()
    await rig.add("a", source_urn=ALIVE, candidates=given(DEAD))
    job = await downloader.wait("a")
    assert job.next_source is None


async def test_candidates_are_replaced_and_taken_away_by_adjust(rig: Rig) -> None:
    downloader = rig.make(max_active=0)
    await rig.add("a", source_urn=DEAD, candidates=given(ALSO_DEAD))
    job = await downloader.adjust("a", candidates=given(ALIVE))
    assert [one.source.urn for one in job.candidates] == [ALIVE]
    seq = downloader.last_seq
    assert await downloader.adjust("a", candidates=given(ALIVE)) == job
    assert downloader.last_seq == seq
    with_user = [{"sourceUrn": ALIVE, "username": "u"}]
    job = await downloader.adjust("a", candidates=with_user)
    assert downloader.last_seq > seq
    assert job.candidates[0].source.secret is not None
    assert (await downloader.adjust("a", candidates=None)).candidates == ()


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("candidates", given("mock:?nonsense=1")), ("candidates", given(*[ALIVE] * 51)),
        ("mirrors", given("ftp://h/x")), ("mirrors", [{"sourceUrn": "http://h/x", "size": -1}]),
        ("mirrors", [{"sourceUrn": "http://h/x", "checksum": "md5:1"}]),
        ("candidates", [{"sourceUrn": ALIVE, "sourceType": "nonsense"}]),
    ],
)  # fmt: skip
async def test_what_is_no_candidate_or_mirror_is_refused(
    rig: Rig, member: str, value: list[dict[str, Any]]
) -> None:
    downloader = rig.make(max_active=0)
    with pytest.raises(InvalidRequest):
        await rig.add("a", **{member: value})
    await rig.add("b")
    with pytest.raises(InvalidRequest):
        await downloader.adjust("b", {member: value})


async def test_the_api_shows_both_sources_and_tells_the_change_without_secrets() -> None:
    async with api() as web:
        web.pace.flow()
        body = {
            "id": "a", "sourceUrn": DEAD,
            "candidates": [{"sourceUrn": ALIVE, "username": "canary", "size": 5}],
            "mirrors": [{"sourceUrn": "http://canary:canary@h/x"}],
        }  # fmt: skip
        answer = await web.post("/download/start", body)
        assert answer.status_code == 200
        await web.downloader.wait("a")
        shown = (await web.client.get("/downloads/a")).json()
        assert (shown["sourceType"], shown["sourceUrn"]) == ("torrent", DEAD)
        assert shown["activeSource"] == {"sourceType": "torrent", "sourceUrn": ALIVE}
        assert shown["candidates"] == [
            {"sourceType": "torrent", "sourceUrn": ALIVE, "checksum": None, "size": 5}
        ]
        assert shown["mirrors"][0]["sourceUrn"] == "http://h/x"
        assert (await web.post("/download/start", body)).status_code == 200
        patched = await web.client.patch("/downloads/a", json={"mirrors": None})
        assert patched.json()["mirrors"] == []
        changes = await web.downloader.changes_since(0)
        [news] = [change.news for change in changes if change.event == "source"]
        assert news is not None
        assert news["reason"] == "This mock download was scripted to fail here."
        assert "canary" not in f"{shown} {changes} {patched.text}"


async def test_a_candidate_that_another_job_has_is_passed_over_and_harms_it_not(rig: Rig) -> None:
    downloader = rig.make()
    rig.pace.hold()
    await rig.add("owner", source_urn=ALIVE)
    await reach(downloader, "owner", Status.ACTIVE)
    last = "mock:?name=last"
    await rig.add("a", source_urn=DEAD, candidates=given(ALIVE, last))
    rig.pace.flow()
    job = await downloader.wait("a")
    assert (job.status, job.running_source.urn) == (Status.COMPLETED, last)
    assert await switches(downloader) == [(DEAD, last)]
    assert (await downloader.wait("owner")).status is Status.COMPLETED


async def test_a_candidate_that_another_job_got_meanwhile_is_not_taken(rig: Rig) -> None:
    store = GatedStore()
    downloader = rig.make(store=store)
    rig.pace.hold()
    await rig.add("a", source_urn=DEAD, candidates=given(ALIVE))
    await rig.reach_active("a")
    store.holding = True
    start = asyncio.create_task(rig.add("owner", source_urn=ALIVE, held=True))
    await idle()
    rig.pace.flow()
    await idle()
    store.holding = False
    for held in list(store.held):
        await held.release()
    await start
    assert (await downloader.wait("a")).status is Status.FAILED
    assert await switches(downloader) == []


@pytest.mark.parametrize("way", ["candidates", "start"])
async def test_credentials_given_later_are_those_of_the_source_that_is_run(
    rig: Rig, way: str
) -> None:
    """A source that was taken once knows no others than those the job keeps for it now."""
    downloader = rig.make()
    await rig.add("a", source_urn=DEAD, candidates=given(ALSO_DEAD))
    await reach(downloader, "a", Status.FAILED)
    if way == "candidates":
        await downloader.adjust("a", candidates=[{"sourceUrn": ALSO_DEAD, "username": "later"}])
    else:
        await downloader.resume("a")  # it comes back to its own source
        await reach(downloader, "a", Status.FAILED)
        await rig.add("a", source_urn=DEAD, username="later")
    source = (await downloader.status("a")).as_run.source
    assert source.urn == (ALSO_DEAD if way == "candidates" else DEAD)
    assert source.secret is not None
    assert source.secret.username == "later"
