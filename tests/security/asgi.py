"""The real application, its real route table, and a client that sends what no client would."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar
from urllib.parse import unquote_to_bytes

from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Message

from chilly_movies.api.app import documented_app
from chilly_movies.api.policy import Policies, every_route
from chilly_movies.app import create_app
from chilly_movies.catalogue.mock import MockMetadataProvider, mock_catalogue
from chilly_movies.library.library import Library, LibraryParts
from chilly_movies.mock import MockDownloader
from chilly_movies.storage.library.memory import MemoryLibraryStore
from tests.contract.rig import SCRIPT, Pace
from tests.contract.web import contract
from tests.doubles import until

Fields = Iterable[tuple[bytes, bytes]]
READING = ("GET", "HEAD", "OPTIONS")
_PORT = 3000
_VALUES = {"id": "a", "fileIndex": "0", "index": "0", "n": "0", "kind": "movie", "number": "1",
           "name": "start.js", "tracker": "0" * 16, "viewer": "ada", "ref": "tmdb:movie:19",
           "picture": "poster"}  # fmt: skip
_WITHIN = 10.0
_R = TypeVar("_R")
_C = TypeVar("_C")


@dataclass(frozen=True)
class Answer:
    """What came back; `status` is 0 if nothing did."""

    status: int
    headers: dict[str, str]
    body: bytes


def table() -> list[APIRoute]:
    """Every route there is."""
    every = [route for _, route in every_route(documented_app().routes)]
    return [route for route in every if isinstance(route, APIRoute)]


@cache
def policies() -> Policies:
    """What each of them asks and allows."""
    return Policies(documented_app().routes)


def templates() -> Iterator[tuple[str, str]]:
    """Every method and path of the route table, with its parameters, and a HEAD and OPTIONS each.

    Also the pages of documentation, and a path that nobody answers.
    """
    every = table()
    for path in sorted({route.path_format for route in every}):
        methods = {m for route in every if route.path_format == path for m in route.methods or ()}
        for method in sorted({*methods, "HEAD", "OPTIONS"}):
            yield method, path
    yield from (("GET", "/nothing"), ("POST", "/nothing"), ("DELETE", "/"))


def routes(**values: str) -> list[tuple[str, str]]:
    """The same with values for the parameters."""
    known = {**_VALUES, **values}
    return [(method, re.sub(r"\{(\w+)[^}]*\}", lambda m: known[m[1]], _of_an_item(path)))
            for method, path in templates()]  # fmt: skip


def _of_an_item(path: str) -> str:
    """The path with an id of the library where one belongs, as another is not found there."""
    return path.replace("/library/{id}", "/library/lib-a")


def some_pairs(rows: Iterable[_R], columns: Sequence[_C], every: int) -> Iterator[tuple[_R, _C]]:
    """Every row and every column many times, in one of so many of their pairs.

    `make edges` tries all pairs.
    """
    step = 1 if os.environ.get("CHILLY_ALL_PAIRS") else every
    for number, row in enumerate(rows):
        for column in columns[number % step :: step]:
            yield row, column


def mutating() -> list[tuple[str, str]]:
    """Those that change something."""
    return [(method, path) for method, path in routes() if method not in READING]


@cache
def with_body() -> list[tuple[str, str]]:
    """Those that read a body, as the contract says."""
    paths = contract()["paths"]
    return [
        (method, path)
        for (method, path), (_, template) in zip(routes(), templates(), strict=True)
        if "requestBody" in paths.get(template, {}).get(method.lower(), {})
    ]


async def ask(
    app: ASGIApp, method: str, target: str, fields: Fields = (), body: bytes = b"", *,
    host: bytes | None = b"localhost:3000", client: str = "127.0.0.1",
) -> Answer:  # fmt: skip
    """One request, past every client library: no field is added but this Host."""
    raw, _, query = target.partition("?")
    path = unquote_to_bytes(raw).decode("utf-8", "replace")  # as uvicorn does
    given = [*([] if host is None else [(b"host", host)]), *fields]
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method,
        "scheme": "http", "path": path, "raw_path": raw.encode(), "root_path": "",
        "query_string": query.encode("utf-8", "surrogateescape"), "headers": given,
        "client": (client, 1), "server": ("127.0.0.1", _PORT), "state": {},
    }  # fmt: skip
    started: list[Message] = []
    parts: list[bytes] = []
    begun = asyncio.Event()

    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if waiting:
            return waiting.pop()
        await begun.wait()  # who listens to events goes away once there is an answer
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            started.append(message)
        else:
            parts.append(message.get("body", b""))
            begun.set()

    async with asyncio.timeout(_WITHIN):
        await app(scope, receive, send)
    if not started:
        return Answer(0, {}, b"")
    headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in started[0]["headers"]}
    return Answer(started[0]["status"], headers, b"".join(parts))


@dataclass
class Server:
    """The application, and what it drives."""

    app: ASGIApp
    downloader: MockDownloader

    async def state(self) -> str:
        """All there is, as text."""
        return repr(list(await self.downloader.list()))


@asynccontextmanager
async def server(**settings: Any) -> AsyncIterator[Server]:
    """The application with a job 'a' that stands still."""
    pace = Pace()
    pace.hold()
    downloader = MockDownloader(SCRIPT, tick=1.0, sleep=pace.sleep)
    limits = {"start_limit": "999999/minute", "cancel_limit": "999999/minute"}
    library = Library(LibraryParts(store=MemoryLibraryStore()))
    known: Any = {"metadata": MockMetadataProvider(), "library": library}
    known["catalogue"] = mock_catalogue()
    app = create_app(downloader, **known, **{**limits, **settings})
    async with downloader:
        await downloader.start(id="a", source_urn="mock:?name=a")
        await until(lambda: pace.sleepers > 0)
        yield Server(app, downloader)
        pace.flow()
