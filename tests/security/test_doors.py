"""The table of doors is true: at least forty, and every test it names is there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from chilly_movies.api.policy import KeyScope
from lab.guards import GUARDS, Guard
from tests.contract.web import api
from tests.security.asgi import policies, table

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parent.parent.parent
READING = {"GET", "HEAD", "OPTIONS"}
TABLE = Path(__file__).parent / "DOORS.md"
ROW = re.compile(r"^\| (\d+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)


def rows() -> list[tuple[str, ...]]:
    return ROW.findall(TABLE.read_text())


@cache
def names_in(path: str) -> frozenset[str]:
    """The names of all tests of a file."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    parsed = ast.parse((ROOT / path).read_text())
    return frozenset(node.name for node in ast.walk(parsed) if isinstance(node, functions))


def test_every_door_has_a_test_that_exists() -> None:
    found = rows()
    assert len(found) >= 40
    assert [number for number, *_ in found] == [str(n) for n in range(1, len(found) + 1)]
    for number, _, happened, harm, tests in found:
        assert len(happened.strip()) > 5
        assert len(harm.strip()) > 5
        for name in tests.split(","):
            path, _, test = name.strip().partition("::")
            assert test in names_in(path), f"door {number}: {name}"


def test_the_doors_have_many_tests_and_not_a_few() -> None:
    named = {name.strip() for *_, tests in rows() for name in tests.split(",")}
    assert len(named) >= 40


async def test_no_reading_method_reaches_a_verb() -> None:
    assert len(table()) >= 30
    for route in table():
        methods = route.methods or set()
        assert not (methods & READING and methods - READING), route.path
    async with api() as web:
        await web.start("a")
        before = await web.downloader.list()
        for method in READING:
            for verb in ("start", "pause", "resume", "cancel"):
                path = f"/download/{verb}?id=a"
                answer = await web.client.request(method, path, json={"id": "a"})
                assert answer.status_code == 405
            answer = await web.client.request(method, "/downloads/a?_method=DELETE")
            assert answer.status_code in (200, 405)
        headers = {"x-http-method-override": "DELETE"}
        assert (await web.client.get("/downloads/a", headers=headers)).status_code == 200
        assert await web.downloader.list() == before


def test_what_changes_anything_takes_more_than_a_key_to_read() -> None:
    changing = [(m, route.path) for route in table() for m in (route.methods or set()) - READING]
    assert len(changing) >= 10
    for method, path in changing:
        needed = policies().find(method, path).scope
        assert needed is not None
        assert needed > KeyScope.READ


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: f"{guard.door} {guard.what}")
def test_every_guard_that_is_taken_away_by_make_doors_is_still_there(guard: Guard) -> None:
    ast.parse(guard.broken())
    path, _, test = guard.test.partition("::")
    assert test in names_in(path)
    assert 1 <= guard.door <= len(rows())


def test_most_doors_have_a_guard_that_can_be_taken_away() -> None:
    assert len({guard.door for guard in GUARDS}) >= 40
