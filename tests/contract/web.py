"""The API on a mock downloader: in this process, or behind a real server for event streams."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import httpx2
import pytest
import uvicorn
import yaml
from starlette.types import ASGIApp

from chilly_movies.api.app import documented_app
from chilly_movies.api.wire.codes import CODES
from chilly_movies.api.wire.problems import MEDIA_TYPE, Problem
from chilly_movies.api.wire.schemas import EventOut
from chilly_movies.app import create_app
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.mock import MockDownloader
from chilly_movies.server.serving import _Server, bind, server_config
from tests.contract.rig import SCRIPT, Pace

SECRET = "correct-horse-battery-staple"
URN = "https://films.example/a"


@dataclass
class Api:
    """A client of the API and what is behind it."""

    client: httpx2.AsyncClient
    downloader: Downloader
    pace: Pace

    async def post(self, path: str, body: Any = None, **more: Any) -> httpx2.Response:
        """A POST with JSON."""
        return await self.client.post(path, json=body, **more)

    async def start(self, job_id: str = "a", **more: Any) -> httpx2.Response:
        """Start a film of its own."""
        body = {"id": job_id, "sourceType": "http", "sourceUrn": f"https://films.example/{job_id}"}
        return await self.post("/download/start", {**body, **more})


@asynccontextmanager
async def api(*, client_address: str = "127.0.0.1", **settings: Any) -> AsyncIterator[Api]:
    """The API in this process; time stands still."""
    pace = Pace()
    pace.hold()
    downloader = MockDownloader(SCRIPT, tick=1.0, sleep=pace.sleep)
    app = create_app(downloader, **settings)
    async with downloader, served_by(app, client_address) as client:
        yield Api(client, downloader, pace)
        pace.flow()


@cache
def contract() -> dict[str, Any]:
    """The whole contract, which takes a while to make."""
    return documented_app().openapi()


CONTRACT_GROUP = pytest.mark.xdist_group("contract")
"""For modules whose tests look at it often: one process makes it for all."""


def read_yaml(text: str) -> Any:
    """What is written in it; the loader in C takes a third of the time."""
    return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def served_by(app: ASGIApp, client_address: str = "127.0.0.1") -> httpx2.AsyncClient:
    """A client of an application in this process."""
    transport = httpx2.ASGITransport(app, client=(client_address, 1234))
    return httpx2.AsyncClient(transport=transport, base_url="http://localhost:3000")


def problem(
    answer: httpx2.Response, status: int, code: str, *, field: str | None = None
) -> dict[str, Any]:
    """The body of an error answer, which must have the shape of all errors."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == MEDIA_TYPE
    body: dict[str, Any] = answer.json()
    Problem.model_validate(body)
    assert (body["status"], body["code"]) == (status, code)
    assert code in CODES
    assert body["detail"].endswith(".")
    assert "Traceback" not in answer.text
    if field is not None:
        assert [error["field"] for error in body["errors"]][:1] == [field]
    return body


@dataclass
class Live:
    """A server that can be stopped, and its address."""

    url: str
    server: uvicorn.Server
    task: asyncio.Task[None]

    async def stop(self) -> None:
        """Stop it as a signal would."""
        self.server.should_exit = True
        await self.task


@asynccontextmanager
async def serving(downloader: Downloader, **settings: Any) -> AsyncIterator[Live]:
    """The API behind a real server on a free port."""
    app = create_app(downloader, **settings)
    [listener] = bind("127.0.0.1", 0)
    config = server_config(app)
    server = _Server(config, downloader.end_events)
    task = asyncio.create_task(server.serve([listener]))
    try:
        yield Live(f"http://127.0.0.1:{listener.getsockname()[1]}", server, task)
    finally:
        server.should_exit = True
        await task
        listener.close()


@dataclass
class Messages:
    """An event stream as a browser reads it.

    Attributes:
        ids: the `id` of each message so far that has one; of a snapshot only the last has.
        comments: the comment lines so far.
    """

    lines: AsyncIterator[str]
    ids: list[int] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)

    async def next(self) -> dict[str, Any]:
        """The next message; StopAsyncIteration at the end of the stream."""
        number: int | None = None
        data = ""
        while True:
            async with asyncio.timeout(10):
                line = await anext(self.lines)
            if line.startswith(":"):
                self.comments.append(line)
            elif line.startswith("id: "):
                number = int(line[4:])
            elif line.startswith("data: "):
                data = line[6:]
            elif line == "" and data:
                message: dict[str, Any] = json.loads(data)
                if number is not None:
                    self.ids.append(number)
                assert message["seq"] == number or message["event"] == "snapshot"
                EventOut.model_validate(message)
                return message

    async def until(self, event: str) -> list[dict[str, Any]]:
        """All messages up to the first of this event."""
        seen = [await self.next()]
        while seen[-1]["event"] != event:
            seen.append(await self.next())
        return seen


@asynccontextmanager
async def listening(url: str, path: str = "/events", **more: Any) -> AsyncIterator[Messages]:
    """Listen to events over a connection of its own."""
    async with (
        httpx2.AsyncClient(base_url=url, timeout=10) as client,
        client.stream("GET", path, **more) as answer,
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield Messages(answer.aiter_lines())
