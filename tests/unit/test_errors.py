"""The error tree: drawn, told apart by code, and answered."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator

import pytest

from chilly_movies import errors
from chilly_movies.api.wire.problems import MEDIA_TYPE, Problem, from_error
from chilly_movies.errors import ChillyError, DuplicateDownload


def family(kind: type[ChillyError] = ChillyError) -> Iterator[type[ChillyError]]:
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield child
            yield from family(child)


TREE = list(family())
LEAVES = [kind for kind in TREE if not list(family(kind))]
DRAWING = errors.__doc__ or ""


def make(kind: type[ChillyError]) -> ChillyError:
    if kind is DuplicateDownload:
        return DuplicateDownload("One sentence.", existing_id="other")
    return kind("One sentence.")


def line_of(kind: type[ChillyError]) -> str:
    [line] = [ln for ln in DRAWING.splitlines() if re.search(rf"─ {kind.__name__}\b", ln)]
    return line


def test_every_error_class_of_the_module_is_in_the_tree() -> None:
    classes = [c for _, c in inspect.getmembers(errors, inspect.isclass)]
    ours = {c for c in classes if c.__module__ == errors.__name__}
    assert ours == {ChillyError, *TREE}
    assert len(LEAVES) >= 16


def test_no_two_errors_share_a_code() -> None:
    codes = [kind.__dict__.get("code") for kind in (ChillyError, *TREE)]
    assert None not in codes
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("kind", TREE)
def test_codes_are_stable_names_for_programs(kind: type[ChillyError]) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", kind.code)


@pytest.mark.parametrize("kind", TREE)
def test_every_error_is_drawn_once_below_its_parent(kind: type[ChillyError]) -> None:
    parent = kind.__bases__[0]
    above = DRAWING[: DRAWING.index(line_of(kind))].splitlines()
    branch = re.search("[├└]", line_of(kind))
    assert branch is not None
    owner = next(line for line in reversed(above) if _name_column(line) == branch.start())
    assert re.search(rf"\b{parent.__name__}\b", owner)


def _name_column(line: str) -> int | None:
    found = re.search(r"[A-Z]", line)
    return found.start() if found else None


@pytest.mark.parametrize("kind", LEAVES)
def test_the_drawing_tells_each_leafs_code_status_and_retry(kind: type[ChillyError]) -> None:
    words = line_of(kind).split(kind.__name__, 1)[1].split()
    assert kind.code in words
    assert ("(retried)" in words) is kind.retryable
    told = [int(word) for word in words if word.isdigit()]
    assert told in ([], [kind.status_hint])
    assert told or issubclass(kind, errors.DownloadError)


@pytest.mark.parametrize("kind", [ChillyError, *TREE])
def test_every_error_is_answered_as_a_problem(kind: type[ChillyError]) -> None:
    answer = from_error(make(kind))
    body = json.loads(bytes(answer.body))
    Problem.model_validate(body)
    assert answer.media_type == MEDIA_TYPE == "application/problem+json"
    assert answer.status_code == body["status"] == kind.status_hint
    assert 400 <= kind.status_hint < 600
    assert (body["type"], body["detail"], body["code"]) == (
        "about:blank", "One sentence.", kind.code,
    )  # fmt: skip
    assert body["title"]


@pytest.mark.parametrize("kind", TREE)
def test_busy_errors_say_when_to_come_back(kind: type[ChillyError]) -> None:
    answer = from_error(make(kind))
    assert ("retry-after" in answer.headers) is (kind.status_hint == 503)


def test_a_wrong_field_is_named_in_the_answer() -> None:
    body = json.loads(bytes(from_error(errors.InvalidRequest("Too long.", field="id")).body))
    assert body["errors"] == [{"field": "id", "message": "Too long."}]


def test_a_duplicate_names_the_job_that_has_it() -> None:
    body = json.loads(bytes(from_error(make(DuplicateDownload)).body))
    assert body["existingId"] == "other"
