"""The cache of the TMDB client: a real SQLite file, a real HTTP server."""

from __future__ import annotations

import asyncio
import gzip
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from chilly_movies.errors import (
    MetadataError,
    MetadataUnavailable,
)
from chilly_movies.jobs.retry import RetryPolicy
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
        with pytest.raises(MetadataUnavailable, match="cache cannot be used"):
            await name_of(provider)
    with closing(sqlite3.connect(path)) as theirs:
        assert theirs.execute("select * from entries").fetchall() == [("kept",)]
