"""The JSON of whole jobs, kept until they change."""

from __future__ import annotations

import json
from dataclasses import replace

from chilly_movies.api.wire.details import Details
from tests.doubles import make_job


def test_a_job_at_rest_is_made_into_json_once() -> None:
    details, job = Details(), make_job("a")
    first = details.of(job, missing=False, position=3)
    assert details.of(job, missing=False, position=3) is first
    assert json.loads(first)["id"] == "a"


def test_whatever_changes_of_a_job_is_shown_at_once() -> None:
    details, job = Details(), make_job("a")
    details.of(job, missing=False, position=3)
    for now, missing, position in (
        (replace(job, reason="waiting"), False, 3),
        (job, True, 3),
        (job, False, 1),
        (job, False, None),
    ):
        told = json.loads(details.of(now, missing=missing, position=position))
        assert (told["reason"], told["missing"], told["position"]) == (
            now.reason,
            missing,
            position,
        )


def test_no_more_jobs_are_kept_than_was_said_and_the_newest_stay() -> None:
    details, jobs = Details(kept=2), [make_job(name) for name in "abc"]
    shown = [details.of(job, missing=False, position=1) for job in jobs]
    assert details.of(jobs[2], missing=False, position=1) is shown[2]
    assert details.of(jobs[0], missing=False, position=1) is not shown[0]
