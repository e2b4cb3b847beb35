"""What is sent is what the contract says is sent."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from chilly_movies.api.wire import schemas as s
from chilly_movies.jobs.events import Change
from chilly_movies.jobs.models import Job, Peer, Phase, Progress, Status, Transport
from chilly_movies.jobs.start_request import StartRequest
from tests.contract.test_job_store import FULL_JOB
from tests.doubles import NOON, make_job

JOBS = [FULL_JOB, make_job()]


def check(model: type[BaseModel], value: Any) -> dict[str, Any]:
    """The value as a reader gets it, if the model knows every member of it and takes it."""
    wire: dict[str, Any] = json.loads(s.to_json(value))
    model.model_validate_json(s.to_json(value))
    known = {field.alias or name for name, field in model.model_fields.items()}
    assert set(wire) <= known
    return wire


def shown(job: Job) -> dict[str, Any]:
    """The job in full, as it goes out."""
    wire: dict[str, Any] = json.loads(bytes(s.answer(s.JobDetail.model_validate(job)).body))
    return wire


@pytest.mark.parametrize("job", JOBS, ids=["full", "fresh"])
def test_a_job_in_short_is_what_its_model_says(job: Job) -> None:
    wire = check(s.JobOut, s.job_out(job))
    assert (wire["id"], wire["status"]) == (job.id, job.status)
    assert ("reason" in wire, "error" in wire) == (job.reason is not None, job.error is not None)
    check(s.ProgressOut, wire["progress"])


@pytest.mark.parametrize("job", JOBS, ids=["full", "fresh"])
def test_a_job_in_full_has_every_member_of_its_model(job: Job) -> None:
    wire = check(s.JobDetail, shown(job))
    assert list(wire) == [field.alias for field in s.JobDetail.model_fields.values()]
    assert wire["createdAt"] == s.iso(job.created_at)
    assert (wire["sourceType"], wire["infoHash"]) == (job.source.type, job.info_hash)
    assert set(wire["progress"]) == {field.alias for field in s.ProgressOut.model_fields.values()}
    assert wire["sourceUrn"] == job.source.urn
    assert len(wire["files"]) == len(job.files)
    for file in wire["files"]:
        assert set(file) == set(s.FileOut.model_fields)


def test_the_body_of_an_answer_is_compact_and_leaves_text_as_it_is() -> None:
    peer = Peer("[::1]:1", Transport.WEBRTC, "\u2713 client", 99.9, 5, 0)
    answer = s.answer(s.PeersOut(peers=[s.PeerOut.model_validate(peer)]))
    assert answer.media_type == "application/json"
    assert bytes(answer.body).decode() == (
        '{"peers":[{"address":"[::1]:1","transport":"webrtc","client":"\u2713 client",'
        '"percent":99.9,"downloadSpeed":5,"uploadSpeed":0}]}'
    )


@pytest.mark.parametrize("model", [s.JobDetail, s.PeerOut, s.FileOut, s.OptionsOut])
def test_a_value_that_is_not_what_the_contract_says_is_not_sent(model: type[BaseModel]) -> None:
    with pytest.raises(ValidationError):
        model.model_validate(NOON)


def test_a_page_of_jobs_is_what_its_model_says() -> None:
    items = [shown(job) for job in JOBS]
    check(s.JobPage, {"items": items, "nextCursor": None, "total": 2})


@pytest.mark.parametrize("job", JOBS, ids=["full", "fresh"])
@pytest.mark.parametrize("durable", [True, False])
def test_an_event_is_one_message_with_its_number_and_no_line_break_inside(
    job: Job, durable: bool
) -> None:
    message = s.event_message(Change.of(42, "progress", job, durable=durable))
    first, second, *end = message.split(b"\n")
    assert (first, end) == (b"id: 42", [b"", b""])
    assert second.startswith(b"data: ")
    wire = check(s.EventOut, json.loads(second[6:]))
    assert (wire["seq"], wire["event"], wire["id"]) == (42, "progress", job.id)


def test_an_event_is_encoded_once_for_all_listeners() -> None:
    change = Change.of(1, "queued", make_job())
    assert s.event_message(change) is s.event_message(change)
    assert s.event_message(Change.of(1, "queued", make_job("b"))) is not s.event_message(change)


@pytest.mark.parametrize("status", list(Status))
@pytest.mark.parametrize("phase", [None, *Phase])
def test_every_status_and_phase_is_known_to_the_models(status: Status, phase: Phase | None) -> None:
    job = make_job("a", status, progress=Progress(phase=phase))
    assert check(s.JobDetail, shown(job))["progress"]["phase"] == phase


def test_no_figure_of_progress_is_left_out() -> None:
    kept = {"needs"}  # for the disk guard alone
    assert len(s.progress_out(Progress())) == len(fields(Progress)) - len(kept)


def test_members_are_spelled_in_camel_case() -> None:
    for model in (s.JobDetail, s.ProgressOut, StartRequest, s.JobPage, s.EventOut):
        for name, field in model.model_fields.items():
            assert field.alias is not None
            assert "_" not in field.alias
            assert field.alias.lower() == name.replace("_", "")


def test_neither_key_nor_torrent_bytes_leave() -> None:
    wire = s.to_json(shown(FULL_JOB)).decode()
    assert FULL_JOB.key not in wire
    assert "4:info" not in wire


def test_times_are_written_as_javascript_does() -> None:
    assert s.iso(NOON) == "2030-01-02T12:00:00.000Z"
    east = NOON.astimezone(timezone(timedelta(hours=9))) + timedelta(microseconds=123_999)
    assert s.iso(east) == "2030-01-02T12:00:00.123Z"


PLAIN = st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8"))
NAMES = st.text(st.characters(codec="utf-8"), max_size=3)


@given(st.recursive(PLAIN, lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner)))
def test_json_is_compact_and_comes_back(value: Any) -> None:
    encoded = s.to_json(value)
    assert json.loads(encoded) == value
    assert b"\n" not in encoded


@pytest.mark.parametrize(
    "body",
    [
        {"id": "1"}, {"sourceUrn": "x", "sourceType": "torrent", "status": "queued"},
        {"id": "1", "files": [0, 19_999], "seedRatio": 0, "seedTime": 0, "downloadLimit": 0},
    ],
)  # fmt: skip
def test_a_start_may_leave_out_and_add_members(body: dict[str, Any]) -> None:
    assert set(StartRequest.model_validate(body).model_dump(exclude_unset=True)) <= set(
        StartRequest.model_fields
    )


@pytest.mark.parametrize(
    "body",
    [
        {"id": 1}, {"id": ""}, {"id": "a/b"}, {"id": "x" * 129}, {"id": "a\n"}, {"sourceUrn": 5},
        {"sourceUrn": "x" * 65_537}, {"files": []}, {"files": ["0"]}, {"files": [-1]},
        {"files": [20_000]}, {"files": [True]}, {"seedRatio": -1}, {"seedRatio": 1001},
        {"seedRatio": "1"}, {"seedTime": 1.5}, {"downloadLimit": -1}, {"uploadLimit": 2**53},
        {"uploadLimit": "1"}, {"sourceType": "x" * 33}, [], None, "x",
    ],
)  # fmt: skip
def test_a_start_takes_no_wrong_type_or_size(body: Any) -> None:
    with pytest.raises(ValidationError):
        StartRequest.model_validate(body)
