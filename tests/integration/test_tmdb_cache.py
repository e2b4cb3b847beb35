"""The cache of the TMDB client: a real SQLite file, a real HTTP server."""

from __future__ import annotations

import asyncio
import gzip
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import httpx2
import pytest

from chilly_movies.catalogue.ports import KeptAnswer
from chilly_movies.catalogue.tmdb.cache import fresh_until
from chilly_movies.errors import MetadataError, MetadataUnavailable, StoreError
from chilly_movies.jobs.retry import RetryPolicy
from chilly_movies.storage.sqlite.answers import SqliteAnswers
from tests.integration.tmdb_client import connected, name_of
from tests.integration.tmdb_server import (
    Reply,
    TmdbServer,
    failure,
    json_reply,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
async def server() -> AsyncIterator[TmdbServer]:
    async with TmdbServer() as running:
        yield running


async def test_a_fresh_answer_is_not_asked_for_again_even_after_a_restart(
    server: TmdbServer, tmp_path: Path
) -> None:
    server.freshness = {"cache-control": "public, max-age=3600"}
    path = tmp_path / "new" / "tmdb.db"
    for _ in range(2):
        async with connected(server, cache_path=path) as provider:
            assert await name_of(provider) == "Metropolis"
            assert await name_of(provider) == "Metropolis"
    assert len(server.seen) == 1


async def test_a_stale_answer_is_revalidated_by_its_etag(
    server: TmdbServer, tmp_path: Path
) -> None:
    server.freshness = {"cache-control": "max-age=0", "etag": '"v1"'}
    async with connected(server, cache_path=tmp_path / "tmdb.db") as provider:
        assert await name_of(provider) == "Metropolis"
        assert await name_of(provider) == "Metropolis"
    assert [seen.headers.get("if-none-match") for seen in server.seen] == [None, '"v1"']


async def test_a_changed_answer_replaces_a_stale_one(server: TmdbServer, tmp_path: Path) -> None:
    server.freshness = {"cache-control": "max-age=0", "etag": '"v1"'}
    async with connected(server, cache_path=tmp_path / "tmdb.db") as provider:
        assert await name_of(provider) == "Metropolis"
        server.freshness["etag"] = '"v2"'
        server.script = [json_reply({"id": 19, "title": "Restored"}, etag='"v2"')]
        assert await name_of(provider) == "Restored"


async def test_an_answer_that_must_not_be_stored_is_asked_for_again(
    server: TmdbServer, tmp_path: Path
) -> None:
    server.freshness = {"cache-control": "no-store"}
    async with connected(server, cache_path=tmp_path / "tmdb.db") as provider:
        await name_of(provider)
        await name_of(provider)
    assert len(server.seen) == 2


@pytest.mark.parametrize(
    "bad",
    [
        Reply(200, b"{", {"cache-control": "max-age=3600"}),
        failure(404, 34, "not found", cache_control="max-age=3600"),
        failure(401, 7, "Invalid API key", cache_control="max-age=3600"),
        failure(500, 11, "Internal error", cache_control="max-age=3600"),
        Reply(308, b"", {"location": "/elsewhere", "cache-control": "max-age=3600"}),
    ],
    ids=lambda reply: str(reply.status),
)
async def test_a_bad_answer_is_never_kept(server: TmdbServer, tmp_path: Path, bad: Reply) -> None:
    async with connected(
        server, cache_path=tmp_path / "tmdb.db", retry=RetryPolicy(max_attempts=1)
    ) as provider:
        server.script = [bad]
        with pytest.raises(MetadataError):
            await name_of(provider)
        assert await name_of(provider) == "Metropolis"


async def test_a_compressed_answer_is_the_same_from_the_cache(
    server: TmdbServer, tmp_path: Path
) -> None:
    film = gzip.compress(json.dumps({"id": 19, "title": "Metropolis"}).encode(), mtime=0)
    fields = {"content-encoding": "gzip", "cache-control": "max-age=3600"}
    server.script = [Reply(200, film, fields)]
    async with connected(server, cache_path=tmp_path / "tmdb.db") as provider:
        assert await name_of(provider) == "Metropolis"
        assert await name_of(provider) == "Metropolis"
    assert len(server.seen) == 1


async def test_a_damaged_cache_file_costs_the_cache_and_nothing_else(
    server: TmdbServer, tmp_path: Path
) -> None:
    path = tmp_path / "tmdb.db"
    path.write_bytes(b"this is no database" * 100)
    async with connected(server, cache_path=path) as provider:
        assert await name_of(provider) == "Metropolis"


@pytest.mark.parametrize("turns", range(0, 40, 3))
async def test_a_request_cancelled_in_the_middle_of_the_cache_leaves_it_sound(
    server: TmdbServer, tmp_path: Path, turns: int
) -> None:
    server.freshness = {"cache-control": "max-age=0", "etag": '"v1"'}
    async with connected(server, cache_path=tmp_path / "tmdb.db") as provider:
        calls = [asyncio.create_task(name_of(provider)) for _ in range(3)]
        for _ in range(turns):
            await asyncio.sleep(0.0001)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        assert await name_of(provider) == "Metropolis"


async def test_closing_right_after_a_cancelled_request_is_safe(
    server: TmdbServer, tmp_path: Path
) -> None:
    for turns in range(12):
        async with connected(server, cache_path=tmp_path / f"{turns}.db") as provider:
            call = asyncio.create_task(name_of(provider))
            for _ in range(turns):
                await asyncio.sleep(0.0001)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)


async def test_a_cache_that_is_another_programs_database_is_left_alone(
    server: TmdbServer, tmp_path: Path
) -> None:
    path = tmp_path / "theirs.db"
    with closing(sqlite3.connect(path)) as theirs:
        theirs.execute("create table entries (precious text)")
        theirs.execute("insert into entries values ('kept')")
        theirs.commit()
    async with connected(server, cache_path=path) as provider:
        assert await name_of(provider) == "Metropolis"
    with closing(sqlite3.connect(path)) as theirs:
        assert theirs.execute("select * from entries").fetchall() == [("kept",)]
        assert theirs.execute("select name from sqlite_master").fetchall() == [("entries",)]


async def test_what_the_former_cache_kept_makes_room(server: TmdbServer, tmp_path: Path) -> None:
    path = tmp_path / "tmdb.db"
    with closing(sqlite3.connect(path)) as former:
        former.execute(
            "create table entries (id, cache_key, data, expires_at, last_accessed_at, chunk_count,"
            " ttl_deadline, tti)"
        )
        former.execute("create table streams (entry_id, chunk_number, chunk_data)")
        former.execute("insert into streams values ('x', 1, zeroblob(1000000))")
        former.commit()
    server.freshness = {"cache-control": "max-age=3600"}
    async with connected(server, cache_path=path) as provider:
        assert await name_of(provider) == "Metropolis"
        assert await name_of(provider) == "Metropolis"
    assert len(server.seen) == 1
    assert path.stat().st_size < 100_000


async def test_an_answer_that_was_found_unchanged_is_fresh_anew(
    server: TmdbServer, tmp_path: Path
) -> None:
    server.freshness = {"cache-control": "max-age=0", "etag": '"v1"'}
    async with connected(server, cache_path=tmp_path / "tmdb.db") as provider:
        await name_of(provider)
        server.freshness = {"cache-control": "max-age=3600", "etag": '"v1"'}
        await name_of(provider)
        assert await name_of(provider) == "Metropolis"
    assert len(server.seen) == 2


async def test_what_was_seen_once_is_given_while_the_catalogue_is_away_and_asked_for_again_later(
    server: TmdbServer, tmp_path: Path
) -> None:
    server.freshness = {"cache-control": "max-age=3600"}
    async with connected(server, cache_path=tmp_path / "tmdb.db") as provider:
        await name_of(provider, 19)
        server.freshness = {"cache-control": "max-age=0", "etag": '"v1"'}
        await name_of(provider, 653)
        server.always = failure(503, 9, "away")
        assert await name_of(provider, 19) == "Metropolis"
        assert await name_of(provider, 653) == "Nosferatu"
        with pytest.raises(MetadataUnavailable):
            await name_of(provider, 775)
        server.always = None
        asked = len(server.seen)
        assert await name_of(provider, 653) == "Nosferatu"
        assert len(server.seen) == asked + 1


async def test_beyond_its_bound_the_cache_drops_what_was_used_longest_ago(tmp_path: Path) -> None:
    now = 0.0
    cache = SqliteAnswers(tmp_path / "tmdb.db", largest=250, clock=lambda: now)
    for url in ("a", "b"):
        now += 10
        await cache.put(url, KeptAnswer(b"x" * 100, 1e9, None))
    now += 10_000
    assert await cache.get("a") == KeptAnswer(b"x" * 100, 1e9, None)
    await cache.put("c", KeptAnswer(b"x" * 100, 1e9, None))
    assert [await cache.get(url) is not None for url in ("a", "b", "c")] == [True, False, True]
    await cache.aclose()
    await cache.aclose()
    with pytest.raises(StoreError, match="closed"):
        await cache.get("a")


NOW = 1_800_000_000.0
NOON, ONE = "Fri, 15 Jan 2027 12:00:00 GMT", "Fri, 15 Jan 2027 13:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0),
        ({"cache-control": "public, max-age=60"}, 60),
        ({"cache-control": 'private, Max-Age="60"'}, 60),
        ({"cache-control": "max-age=60", "age": "20"}, 40),
        ({"cache-control": "max-age=60", "age": "90"}, 0),
        ({"cache-control": "max-age=" + "9" * 5000}, 365 * 86_400),
        ({"cache-control": "max-age=9999999999999"}, 365 * 86_400),
        ({"cache-control": "max-age=-1"}, 0),
        ({"cache-control": "no-cache, max-age=60"}, 0),
        ({"cache-control": "max-age=60, no-store"}, None),
        ({"cache-control": "max-age=60", "vary": "*"}, None),
        ({"cache-control": "max-age=60", "vary": "accept-encoding"}, 60),
        ({"date": NOON, "expires": ONE}, 3600),
        ({"date": ONE, "expires": NOON}, 0),
        ({"expires": "0"}, 0),
    ],
)
def test_how_long_an_answer_is_fresh(headers: dict[str, str], seconds: float | None) -> None:
    until = fresh_until(httpx2.Headers(headers), NOW)
    assert until == (None if seconds is None else NOW + seconds)


async def test_a_clock_that_was_set_back_makes_nothing_fresh_for_ever(
    server: TmdbServer, tmp_path: Path
) -> None:
    path = tmp_path / "tmdb.db"
    server.freshness = {"cache-control": "max-age=3600"}
    async with connected(server, cache_path=path) as provider:
        await name_of(provider)
    with closing(sqlite3.connect(path)) as cache:
        cache.execute("update answers set until = until + 1e9")
        cache.commit()
    async with connected(server, cache_path=path) as provider:
        await name_of(provider)
    assert len(server.seen) == 2
