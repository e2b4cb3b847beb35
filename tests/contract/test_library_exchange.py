"""A library taken elsewhere as JSON lines, and brought from there."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from chilly_movies.errors import InvalidRequest
from chilly_movies.library.exchange import bring, export
from chilly_movies.library.models import Item, ItemFile
from chilly_movies.library.ports import LibraryQuery
from chilly_movies.storage.library.memory import MemoryLibraryStore
from tests.contract.test_library_store import FULL
from tests.library_items import LibraryStores, film, item_id, make_store, titles, watched

pytestmark = pytest.mark.anyio

FIRST = b'{"format":"chilly-library","version":1}\n'


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[LibraryStores]:
    made = await make_store(request.param, tmp_path)
    yield made
    await made.aclose()


async def cut(text: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    for start in range(0, len(text), size):
        yield text[start : start + size]


async def written(store: LibraryStores) -> bytes:
    return b"".join([chunk async for chunk in export(store)])


async def everything(store: LibraryStores) -> list[Item]:
    return [item async for item in store.all()]


def line(item: Item, **other: object) -> bytes:
    """An item as a line, with other members."""
    made = {"id": item.id, "kind": "movie", "title": item.title,
            "addedAt": "2030-01-02T12:00:00Z", "changedAt": "2030-01-02T12:00:00Z"}  # fmt: skip
    return json.dumps({"item": made | other}).encode() + b"\n"


@pytest.mark.parametrize("size", [1, 7, 100_000])
async def test_what_was_exported_is_the_same_elsewhere(store: LibraryStores, size: int) -> None:
    await store.put([FULL, *(film(f"film {number}") for number in range(120))])
    await store.put_position(watched("film 3"))
    await store.put_position(watched("film 3", 1, viewer="böb"))
    other = MemoryLibraryStore()
    text = await written(store)
    done = await bring(other, cut(text, size))
    assert (done.items, done.positions, done.refused) == (121, 2, 0)
    assert await everything(other) == await everything(store)
    assert [p async for p in other.all_positions()] == [p async for p in store.all_positions()]
    assert await written(other) == text


async def test_an_import_of_the_same_file_changes_nothing_and_others_stay(
    store: LibraryStores,
) -> None:
    await store.put([film("a"), film("b")])
    await store.put_position(watched("a"))
    text = await written(store)
    await store.put([replace(film("a"), title="changed"), film("c")])
    for _ in range(2):
        done = await bring(store, cut(text))
        assert (done.items, done.positions, done.refused) == (2, 1, 0)
    assert titles(await store.page(LibraryQuery())) == ["a", "b", "c"]
    assert titles(await store.page(LibraryQuery(text="changed"))) == []


@pytest.mark.parametrize(
    "text",
    [b"", b"\n", b"{}", b"[]", b"null", b"\x89PNG\r\n", b'{"format":"other","version":1}',
     line(film("a")), FIRST.replace(b"1", b"2"), b"[" * 100_000, b"x" * (5 * 2**20)],
    ids=range(11),
)  # fmt: skip
async def test_what_is_no_export_is_refused_and_nothing_is_taken(
    store: LibraryStores, text: bytes
) -> None:
    with pytest.raises(InvalidRequest):
        await bring(store, cut(text + b"\n" + line(film("b")), 1 << 16))
    assert await everything(store) == []


@pytest.mark.parametrize(
    "bad",
    [
        b"{",
        b"{}",
        b"null",
        b'{"item":null}',
        b'{"item":{"id":1}}',
        b'{"item":"\xff"}',
        b"[" * 100_000,
        line(film("a"), id="lib-../../etc"),
        line(film("a"), id="a"),
        line(film("a"), kind="song"),
        line(film("a"), addedAt="2030-01-02T12:00:00"),
        line(film("a"), title="\ud800"),
        line(film("a"), files=[{"index": 0, "path": "../a", "size": 1}]),
        line(film("a"), files=[{"index": 0, "path": "/etc/passwd", "size": 1}]),
        line(film("a"), files=[{"index": 0, "path": "a//b", "size": 1}]),
        line(film("a"), files=[{"index": 0, "path": "a\0", "size": 1}]),
        line(film("a"), files=[{"index": 0, "path": "a", "size": 1, "filed": "x/../../y"}]),
        line(film("a"), files=[{"index": 0, "path": "a", "size": 1}] * 2),
        line(film("a"), files=[{"index": -1, "path": "a", "size": 1}]),
        line(film("a"), year=10**30),
        json.dumps({"position": {"itemId": item_id("none"), "viewer": "a", "fileIndex": 0,
            "seconds": 1, "seen": False, "at": "2030-01-02T12:00:00Z"}}).encode(),
        json.dumps({"position": {"itemId": item_id("before"), "viewer": "a", "fileIndex": -1,
            "seconds": 1, "seen": False, "at": "2030-01-02T12:00:00Z"}}).encode(),
        b'{"item":{"title":"' + b"x" * (5 * 2**20) + b'"}}',
    ],
    ids=range(23),
)  # fmt: skip
async def test_a_bad_line_is_named_and_left_out_alone(store: LibraryStores, bad: bytes) -> None:
    text = FIRST + line(film("before")) + bad.rstrip(b"\n") + b"\n" + line(film("after"))
    done = await bring(store, cut(text, 1 << 16))
    assert (done.items, done.refused) == (2, 1)
    assert [refusal.line for refusal in done.refusals] == [3]
    assert done.refusals[0].why.endswith(".")
    assert len(done.refusals[0].why) < 300
    assert sorted(item.title for item in await everything(store)) == ["after", "before"]


async def test_members_of_a_later_version_are_passed_over(store: LibraryStores) -> None:
    file = {"index": 0, "path": "a.mkv", "size": 1, "smell": "none"}
    await bring(store, cut(FIRST + line(film("a"), colour="red", files=[file])))
    assert [item.files for item in await everything(store)] == [(ItemFile(0, "a.mkv", 1),)]


async def test_not_all_of_very_many_bad_lines_are_told(store: LibraryStores) -> None:
    done = await bring(store, cut(FIRST + b"{}\n" * 1000))
    assert (done.refused, len(done.refusals)) == (1000, 100)
