"""The TMDB client against a server on loopback that can misbehave in every way we know of."""

from __future__ import annotations

import asyncio
import gzip
import logging
import socket
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from chilly_movies.catalogue.tmdb.origin import LARGEST_BODY, AnswerRefused, CatalogueBusy
from chilly_movies.catalogue.tmdb.provider import TmdbProvider
from chilly_movies.errors import (
    MetadataError,
    MetadataNotConfigured,
    MetadataUnavailable,
    TitleNotFound,
)
from tests.integration.tmdb_client import BROKEN, BUSY, FAST, MOVIE, NEVER, connected, name_of
from tests.integration.tmdb_server import (
    API_KEY,
    SILENCE,
    TOKEN,
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


# The key


async def test_a_v3_key_goes_into_the_query(server: TmdbServer) -> None:
    async with connected(server, bearer_token=None, api_key=f" {API_KEY}\n") as provider:
        assert await name_of(provider) == "Metropolis"
    assert server.seen[0].query["api_key"] == API_KEY
    assert "authorization" not in server.seen[0].headers


async def test_a_token_goes_into_a_header_and_wins_over_a_key(server: TmdbServer) -> None:
    async with connected(server, api_key=API_KEY) as provider:
        assert await name_of(provider) == "Metropolis"
    assert server.seen[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert "api_key" not in server.seen[0].query


@pytest.mark.parametrize("empty", [None, "", "  "])
async def test_without_a_key_every_method_names_the_settings_and_asks_nobody(
    server: TmdbServer, empty: str | None
) -> None:
    async with connected(server, bearer_token=empty, api_key=empty) as provider:
        calls: list[Awaitable[object]] = [
            provider.search("metropolis"),
            provider.search(""),
            provider.details(MOVIE, 19),
            provider.season(1954, 1),
            provider.videos(MOVIE, 19),
            provider.similar(MOVIE, 19),
        ]
        for call in calls:
            with pytest.raises(MetadataNotConfigured) as caught:
                await call
            assert "CHILLY_TMDB_API_KEY" in str(caught.value)
            assert "CHILLY_TMDB_BEARER_TOKEN" in str(caught.value)
    assert server.seen == []


@pytest.mark.parametrize("bad", ["can ary", "can\r\nx: y", "can\x00ary", "canåry"])
async def test_a_key_no_request_can_carry_is_refused_without_quoting_it(
    server: TmdbServer, bad: str
) -> None:
    async with connected(server, bearer_token=bad) as provider:
        with pytest.raises(MetadataNotConfigured) as caught:
            await provider.details(MOVIE, 19)
    assert "can" not in str(caught.value).replace("catalogue", "")
    assert server.seen == []


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_key_is_said_plainly_and_not_tried_again(
    server: TmdbServer, status: int
) -> None:
    server.always = failure(status, 7, "Invalid API key")
    async with connected(server) as provider:
        with pytest.raises(MetadataNotConfigured, match="refused the key"):
            await provider.details(MOVIE, 19)
    assert len(server.seen) == 1


# Trouble that passes


# mtime=0: the bytes stand in the test's id, which every worker must collect alike.
CUT_OFF_GZIP = gzip.compress(b"{}" * 999, mtime=0)[:-12]


@pytest.mark.parametrize(
    "trouble",
    [
        BUSY,
        BROKEN,
        failure(500, 11, "Internal error"),
        json_reply(["not", "an", "object"]),
        Reply(200, b'{"id": 19, "title": "Metro'),
        Reply(200, b""),
        Reply(200, b"\xff\xfe\xff"),
        Reply(200, b"[" * 200_000),
        Reply(200, b'{"id": 19', lie=100),
        Reply(200, b"no gzip", {"content-encoding": "gzip"}),
        Reply(200, CUT_OFF_GZIP, {"content-encoding": "gzip"}),
    ],
    ids=lambda reply: f"{reply.status}-{reply.body[:12]!r}",
)
async def test_trouble_that_passes_is_not_noticed_by_the_caller(
    server: TmdbServer, trouble: Reply
) -> None:
    server.script = [trouble, trouble]
    async with connected(server) as provider:
        assert await name_of(provider) == "Metropolis"
    assert len(server.seen) == 3


async def test_a_retry_after_replaces_the_backoff(server: TmdbServer) -> None:
    # Backing off would take minutes here, doing what the server says takes no time.
    past = format_datetime(datetime.now(UTC) - timedelta(minutes=1), usegmt=True)
    server.script = [BUSY, failure(503, 9, "Service offline", retry_after=past)]
    async with connected(server, retry=NEVER) as provider:
        assert await name_of(provider) == "Metropolis"
    assert len(server.seen) == 3


@pytest.mark.parametrize("kind", ["seconds", "date"])
async def test_a_long_retry_after_is_passed_on_instead_of_waited_for(
    server: TmdbServer, kind: str
) -> None:
    due = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    hint = "3600" if kind == "seconds" else due
    server.always = failure(429, 25, "over the limit", retry_after=hint)
    async with connected(server) as provider:
        with pytest.raises(CatalogueBusy) as caught:
            await provider.details(MOVIE, 19)
    assert caught.value.retry_after == pytest.approx(3600, abs=300)
    assert len(server.seen) == 1


@pytest.mark.parametrize("hint", ["", "soon", "-1", "1.5.2", "Mon, 99 Foo 2026 99:99:99 GMT"])
async def test_a_retry_after_that_makes_no_sense_is_ignored(server: TmdbServer, hint: str) -> None:
    server.script = [failure(429, 25, "over the limit", retry_after=hint)]
    async with connected(server) as provider:
        assert await name_of(provider) == "Metropolis"


# Trouble that stays


@pytest.mark.parametrize("trouble", [BUSY, BROKEN, Reply(200, b"{")], ids=["429", "503", "json"])
async def test_trouble_that_stays_is_reported_after_the_set_number_of_attempts(
    server: TmdbServer, trouble: Reply
) -> None:
    server.always = trouble
    async with connected(server) as provider:
        with pytest.raises(MetadataUnavailable):
            await provider.details(MOVIE, 19)
    assert len(server.seen) == FAST.max_attempts


async def test_a_server_that_says_nothing_is_given_up_on_in_time(server: TmdbServer) -> None:
    server.always = SILENCE
    async with connected(server, timeout=0.01) as provider:
        with pytest.raises(MetadataUnavailable, match="in time"):
            await provider.details(MOVIE, 19)


async def test_a_call_that_is_cancelled_ends_at_once(server: TmdbServer) -> None:
    server.always = SILENCE
    async with connected(server) as provider:
        call = asyncio.create_task(provider.details(MOVIE, 19))
        await server.asked.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call


async def test_a_refused_connection_is_reported() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    provider = TmdbProvider(bearer_token=TOKEN, base_url=f"http://127.0.0.1:{port}/3", retry=FAST)
    with pytest.raises(MetadataUnavailable, match="cannot be reached"):
        await provider.details(MOVIE, 19)
    await provider.aclose()


@pytest.mark.parametrize(
    "call",
    [
        lambda p: p.search("metropolis"),
        lambda p: p.details(MOVIE, 19),
        lambda p: p.season(1954, 1),
        lambda p: p.videos(MOVIE, 19),
        lambda p: p.similar(MOVIE, 19),
    ],
    ids=["search", "details", "season", "videos", "similar"],
)
async def test_json_of_the_wrong_shape_is_reported(
    server: TmdbServer, call: Callable[[TmdbProvider], Awaitable[object]]
) -> None:
    server.always = json_reply({"id": "nineteen", "results": {}, "episodes": 3})
    async with connected(server) as provider:
        with pytest.raises(MetadataUnavailable):
            await call(provider)


@pytest.mark.parametrize("compressed", [False, True])
async def test_a_huge_answer_is_dropped_and_not_asked_for_again(
    server: TmdbServer, tmp_path: Path, compressed: bool
) -> None:
    spaces = b"{" + b" " * (LARGEST_BODY + 100_000) + b"}"
    server.always = Reply(200, spaces)
    if compressed:
        server.always = Reply(200, gzip.compress(spaces, mtime=0), {"content-encoding": "gzip"})
    async with connected(server, cache_path=tmp_path / "c" / "tmdb.db") as provider:
        with pytest.raises(AnswerRefused, match="too large"):
            await provider.details(MOVIE, 19)
    assert len(server.seen) == 1


async def test_an_answer_of_the_largest_size_is_read(server: TmdbServer) -> None:
    film = b'{"id":19,"title":"Metropolis"}'
    server.always = Reply(200, film.ljust(LARGEST_BODY))
    async with connected(server) as provider:
        assert await name_of(provider) == "Metropolis"


async def test_a_compressed_answer_is_asked_for_and_read(server: TmdbServer) -> None:
    film = gzip.compress(b'{"id":19,"title":"Metropolis"}', mtime=0)
    server.always = Reply(200, film, {"content-encoding": "gzip"})
    async with connected(server) as provider:
        assert await name_of(provider) == "Metropolis"
    assert server.seen[0].headers["accept-encoding"] == "gzip"


async def test_an_encoding_nobody_asked_for_is_refused(server: TmdbServer) -> None:
    server.always = Reply(200, b"{}", {"content-encoding": "br"})
    async with connected(server) as provider:
        with pytest.raises(AnswerRefused, match="encoding"):
            await provider.details(MOVIE, 19)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_to_another_host_is_not_followed(server: TmdbServer, status: int) -> None:
    async with TmdbServer() as other:
        location = {"location": f"{other.base_url}/movie/19"}
        server.always = Reply(status, b"", location)
        async with connected(server) as provider:
            with pytest.raises(AnswerRefused, match=str(status)):
                await provider.details(MOVIE, 19)
        assert other.seen == []
    assert len(server.seen) == 1


async def test_a_304_nobody_asked_for_is_refused(server: TmdbServer) -> None:
    server.always = Reply(304)
    async with connected(server) as provider:
        with pytest.raises(AnswerRefused, match="304"):
            await provider.details(MOVIE, 19)


async def test_a_404_on_a_search_is_not_taken_for_a_missing_title(server: TmdbServer) -> None:
    server.always = failure(404, 34, "The resource you requested could not be found.")
    async with connected(server) as provider:
        with pytest.raises(MetadataUnavailable):
            await provider.search("metropolis")
        with pytest.raises(TitleNotFound):
            await provider.details(MOVIE, 19)


# What is asked


async def test_requests_carry_the_language_and_what_the_method_needs(server: TmdbServer) -> None:
    async with connected(server, language="de-AT") as provider:
        await provider.search("metropolis", MOVIE, year=1927, page=2)
        await provider.details(MOVIE, 19)
        await provider.videos(MOVIE, 19)
    search, details, videos = (dict(seen.query) for seen in server.seen)
    assert search == {
        "query": "metropolis",
        "include_adult": "false",
        "primary_release_year": "1927",
        "page": "2",
        "language": "de-AT",
    }
    assert details == {"append_to_response": "credits,external_ids", "language": "de-AT"}
    assert videos == {"include_video_language": "de,en,null", "language": "de-AT"}


@pytest.mark.parametrize("query", ["a&api_key=x#y", "%00\x00", "Méliès 映画", "\ud800", "x" * 9000])
async def test_any_words_can_be_searched_for(server: TmdbServer, query: str) -> None:
    async with connected(server) as provider:
        await provider.search(query, MOVIE)
    clean = query.encode("utf-8", "replace").decode()[:500]
    assert server.seen[0].query["query"] == clean
    assert "api_key" not in server.seen[0].query


# The key stays secret


class Everything(logging.Handler):
    """Keeps every log line, formatted as far as it goes."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.getMessage()} {vars(record)!r}")


@pytest.fixture
def log() -> Iterator[list[str]]:
    """Every log line at every level, as the test goes on."""
    handler, root = Everything(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler.lines
    root.removeHandler(handler)
    root.setLevel(level)


def chain_of(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        yield f"{error} {error!r} {vars(error)!r}"
        yield "".join(traceback.format_exception(error))
        request = getattr(error, "_request", None)
        yield str(request.url) + repr(request.headers.raw) if request is not None else ""
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("auth", ["api_key", "bearer_token"])
@pytest.mark.parametrize(
    "reply",
    [
        BUSY,
        BROKEN,
        SILENCE,
        Reply(200, b"{"),
        Reply(200, b"{}", lie=9),
        Reply(302, b"", {"location": "/elsewhere"}),
        failure(401, 7, "Invalid API key"),
        failure(404, 34, "not found"),
        json_reply({"id": 19, "title": "Metropolis"}, cache_control="max-age=60"),
        json_reply({}),
    ],
    ids=lambda reply: f"{reply.status}-{reply.body[:8]!r}",
)
async def test_the_key_is_in_no_log_line_no_error_no_output_and_no_file(
    server: TmdbServer,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    log: list[str],
    auth: str,
    reply: Reply,
) -> None:
    secret = API_KEY if auth == "api_key" else TOKEN
    credentials: dict[str, Any] = {"api_key": None, "bearer_token": None} | {auth: secret}
    server.always = reply
    # Opening the cache takes longer than the time limit a silent server is given here.
    credentials |= {"timeout": 0.02} if reply is SILENCE else {"cache_path": tmp_path / "tmdb.db"}
    texts: list[str] = []
    async with connected(server, **credentials) as provider:
        texts += [repr(provider), str(provider)]
        try:
            await provider.details(MOVIE, 19)
        except MetadataError as error:
            texts += chain_of(error)
    output = capfd.readouterr()
    texts += [*log, output.out, output.err]
    if reply is not SILENCE:  # which may be given up on before the request is out
        assert any(secret in f"{seen.query} {seen.headers}" for seen in server.seen)
        assert any("send_request_headers" in line for line in log)
    assert not [text for text in texts if secret in text]
    stored = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert bool(stored) == (reply is not SILENCE)
    assert not [blob for blob in stored if secret.encode() in blob]


async def test_no_foreign_error_with_its_request_hangs_on_ours(server: TmdbServer) -> None:
    server.always = Reply(200, b"{}", lie=9)
    async with connected(server) as provider:
        with pytest.raises(MetadataUnavailable) as caught:
            await provider.details(MOVIE, 19)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
