"""The TMDB client as the tests use it: quick retries, and our server on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from chilly_movies.catalogue.titles import TitleKind
from chilly_movies.catalogue.tmdb.provider import TmdbProvider
from chilly_movies.jobs.retry import RetryPolicy
from chilly_movies.storage.sqlite.answers import SqliteAnswers
from tests.integration.tmdb_server import TOKEN, Reply, TmdbServer, failure

MOVIE = TitleKind.MOVIE
FAST = RetryPolicy(max_attempts=3, base=0.001, cap=0.002)
NEVER = RetryPolicy(max_attempts=3, base=600, cap=600)
BUSY = failure(429, 25, "Your request count is over the allowed limit.", retry_after="0")
BROKEN = Reply(503, b"<html>down</html>", {"content-type": "text/html"})


@asynccontextmanager
async def connected(server: TmdbServer, **options: Any) -> AsyncIterator[TmdbProvider]:
    """A client of the server, closed at the end; `options` replace the usual ones."""
    usual: dict[str, Any] = {"bearer_token": TOKEN, "retry": FAST, "base_url": server.base_url}
    cache_path: Path | None = options.pop("cache_path", None)
    if cache_path is not None:
        options["cache"] = SqliteAnswers(cache_path)
    provider = TmdbProvider(**usual | options)
    try:
        yield provider
    finally:
        await provider.aclose()


async def name_of(provider: TmdbProvider, number: int = 19) -> str:
    """The name of a film, which has to be asked for."""
    return (await provider.details(MOVIE, number)).title.name
