"""Puts the HTTP API together: gates, a hot lane of plain routes, and the documented rest."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Annotated, Any, Literal

import structlog
from fastapi import APIRouter, FastAPI, Query, Request, Response
from pydantic import Field, WithJsonSchema, create_model
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chilly_movies.api.gates.bodies import BodyGate
from chilly_movies.api.gates.clients import client_of
from chilly_movies.api.gates.faces import Face, FaceGate
from chilly_movies.api.gates.forwarded import ForwardedGate
from chilly_movies.api.gates.keys import KeyGate, KeyRing, may_see_addresses
from chilly_movies.api.gates.limits import RateGate, StreamGate
from chilly_movies.api.gates.security import ApiOptions, HostGate
from chilly_movies.api.openapi import complete
from chilly_movies.api.policy import KeyScope, Limit, Policies, Policy, Stream, hot, hot_lane
from chilly_movies.api.routers import operation_id, part_of_contract, take_over
from chilly_movies.api.routes import (
    docs,
    downloads,
    events,
    files,
    links,
    sources,
    stats,
    stream,
    swarm,
    torrents,
    watching,
)
from chilly_movies.api.topics import TOPICS
from chilly_movies.api.wire import problems
from chilly_movies.api.wire.handover import when_over
from chilly_movies.api.wire.problems import documented
from chilly_movies.api.wire.schemas import (
    ASKED_FOR,
    EventOut,
    FollowerOut,
    Health,
    JobId,
    ListenPortOut,
    answer,
)
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.jobs.events import EVENT_NAMES
from chilly_movies.jobs.models import Status
from chilly_movies.jobs.options import START_OPTIONS
from chilly_movies.jobs.requests import JOB_ID_PATTERN
from chilly_movies.jobs.start_request import AS_JSON, StartRequest
from chilly_movies.jobs.torrents import TorrentInspector, TorrentMaker
from chilly_movies.version import __version__
from chilly_movies.watching.facts import MediaFactsCache
from chilly_movies.watching.ports import MediaProbe

log = structlog.get_logger("chilly_movies.access")

system = part_of_contract("system")

_EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Server-sent events; the data of each is an EventOut.",
        "content": {"text/event-stream": {"schema": {"$ref": "#/components/schemas/EventOut"}}},
    }
}


def _as_text(says: str, pattern: str | None) -> tuple[Any, None]:
    """A field of a form: text, whatever it stands for; it may be left out."""
    shape = {"type": "string", "pattern": pattern, "description": says}
    told = WithJsonSchema({name: value for name, value in shape.items() if value is not None})
    return Annotated[str | None, told], None


_UPLOAD: dict[str, Any] = {
    "torrent": (bytes, Field(json_schema_extra={"format": "binary"})),
    "id": _as_text("Made up if absent.", JOB_ID_PATTERN),
    **{name: _as_text(f"As JSON. {says}", None) for name, says in AS_JSON.items()},
    **{one.wire: _as_text(one.says, one.pattern) for one in START_OPTIONS.values()},
}
StartUpload = create_model(
    "StartUpload",
    __doc__="A start with a `.torrent` file. Form fields are text, whatever they stand for.",
    **_UPLOAD,
)


@system.get(
    "/health", response_model=Health, responses=documented(), openapi_extra={"security": []}
)
@Policy(scope=None)
async def get_health(request: Request) -> Response:
    """Whether the server is there; needs no key."""
    downloader: Downloader = request.app.state.downloader
    counts = dict.fromkeys(Status, 0)
    for job in await downloader.list():
        counts[job.status] += 1
    ports = downloader.listening if may_see_addresses(request.scope) else ()
    return answer(
        Health(
            status="ok",
            version=__version__,
            jobs=counts,
            network=downloader.network_problem,
            torrent_ports=[ListenPortOut.model_validate(port) for port in ports],
            followers=[
                FollowerOut(name=name, behind=behind)
                for name, behind in downloader.followers.behind().items()
            ],
        )
    )


_Names = Annotated[
    list[Literal[(*EVENT_NAMES, *ASKED_FOR)]] | None,  # type: ignore[valid-type]
    Query(
        description="Only these events; the snapshot comes all the same. Events of the library "
        "come to those alone that name them here."
    ),
]
_Statuses = Annotated[
    list[Status] | None, Query(description="Only changes after which the job has one of these.")
]


@system.get("/events", responses={**documented(422, 429), **_EVENTS}, response_class=Response)
@Policy(KeyScope.READ, stream=Stream.EVENTS, signable=True)
@hot(events.stream_events)
async def follow_jobs(
    request: Request,
    id: Annotated[list[JobId] | None, Query(description="Only these jobs.")] = None,  # noqa: A002
    event: _Names = None,
    status: _Statuses = None,
) -> Response:
    """All jobs: first a snapshot, then changes; `Last-Event-ID` replays what was missed."""
    return await events.stream_events(request)


@system.get(
    "/events/{id}", responses={**documented(404, 422, 429), **_EVENTS}, response_class=Response
)
@Policy(KeyScope.READ, stream=Stream.EVENTS, signable=True)
@hot(events.stream_events)
async def follow_job(
    request: Request,
    id: JobId,  # noqa: A002
    event: _Names = None,
    status: _Statuses = None,
) -> Response:
    """One job's changes: its history so far, then changes as they happen."""
    return await events.stream_events(request)


def build_app(
    downloader: Downloader,
    api_options: ApiOptions,
    topics: Mapping[str, object],
    *,
    start_limit: str,
    cancel_limit: str,
    probe: MediaProbe,
    torrent_maker: TorrentMaker | None = None,
    torrent_inspector: TorrentInspector | None = None,
    stream_timeout: float,
    on_stop: Callable[[], Any] | None = None,
    faces: Sequence[Face] = (),
) -> ASGIApp:
    """Builds the whole API as one ASGI application.

    Args:
        downloader: what the routes drive; opened when the application starts.
        api_options: the callers that are let in, and their limits.
        topics: what answers the topics of other rooms, by their names.
        start_limit: starts per client address, like `60/minute`; torrents made or inspected, too.
        cancel_limit: cancels per client address.
        probe: reads what film files say of themselves.
        torrent_maker: makes torrents; None = none are made.
        torrent_inspector: looks into torrents of others; None = nothing does.
        stream_timeout: seconds a reader of a film waits for bytes that do not come.
        on_stop: awaited when the application stops.
        faces: other programs' APIs, which stand beside ours.
    """
    api = documented_app()
    api.state.torrent_maker, api.state.torrent_inspector = torrent_maker, torrent_inspector
    api.state.wants_keys = bool(api_options.all_keys)
    facts = MediaFactsCache(downloader, probe)
    for topic in TOPICS:
        made = topic.make(topics.get(topic.name), downloader, facts)
        setattr(api.state, topic.name, made)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        await downloader.open()
        for topic in TOPICS:
            await topic.begin(getattr(api.state, topic.name))
        yield
        await facts.aclose()
        if on_stop is not None:
            await on_stop()

    lanes = [*hot_lane(api.routes), Mount("/", api)]
    app = Starlette(routes=lanes, lifespan=lifespan, exception_handlers=api.exception_handlers)
    api.state.public_url = api_options.public_url
    for state in (api.state, app.state):
        state.downloader, state.signer = downloader, api_options.signer
        state.facts, state.stream_timeout = facts, stream_timeout
    return _guarded(app, api.state.policies, api_options, start_limit, cancel_limit, faces)


def _guarded(
    inner: ASGIApp,
    policies: Policies,
    api_options: ApiOptions,
    start_limit: str,
    cancel_limit: str,
    faces: Sequence[Face],
) -> ASGIApp:
    """Puts the application behind its gates; the last one made is passed first."""
    app: ASGIApp = BodyGate(inner, policies)
    app = StreamGate(app, policies, api_options.max_streams)
    app = RateGate(app, policies, {Limit.START: start_limit, Limit.CANCEL: cancel_limit})
    keys = KeyRing(api_options.all_keys)
    app = KeyGate(app, policies, keys, api_options.signer)
    if faces:
        app = FaceGate(app, faces, policies, keys)
    app = HostGate(app, policies, api_options)
    return ForwardedGate(AccessLog(app), api_options.proxies)


def documented_app() -> FastAPI:
    """Builds the routes with their contract, not yet connected to anything."""
    app = FastAPI(
        title="Chilly Movies",
        version=__version__,
        summary="Downloads films, tells how far they are, and keeps them on your disk.",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        separate_input_output_schemas=False,
        generate_unique_id_function=operation_id,
    )
    problems.install(app)
    take_over(app, _routers())
    docs.install(app)
    app.state.policies = Policies(app.routes)
    make = app.openapi

    def contract() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = complete(make(), _READ_BY_HAND)
        return app.openapi_schema

    app.openapi = contract  # type: ignore[method-assign]
    return app


def _routers() -> Iterator[APIRouter]:
    """The routers in the order of the contract; links are made for what the others allow."""
    first = [part.router for part in (downloads, files, swarm, watching, stream, torrents, sources)]
    last = [*(topic.router for topic in TOPICS), stats.router, system]
    others = Policies([route for router in (*first, *last) for route in router.routes])
    yield from (*first, links.router(others), *last)


_READ_BY_HAND = (
    problems.Problem,
    StartRequest,
    StartUpload,
    EventOut,
    *torrents.READ_BY_HAND,
    *sources.READ_BY_HAND,
)
"""Bodies and answers the framework knows nothing of."""


class AccessLog:
    """A layer that logs one line per request, without query and headers: they may hold the key."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, answer = time.perf_counter(), _Answer()

        async def noting(message: Message) -> None:
            answer.heard(message)
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            asked = (scope["method"], scope["path"], answer, began, client_of(scope))
            when_over(scope, partial(_note_request, *asked))


class _Answer:
    """What is logged of an answer: its status and, if it is a refusal, its code."""

    def __init__(self) -> None:
        self.status = 0
        self.code: str | None = None
        self._is_problem = False

    def heard(self, message: Message) -> None:
        """Takes in a message that is sent."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            kind = (b"content-type", problems.MEDIA_TYPE.encode())
            self._is_problem = kind in [tuple(field) for field in message.get("headers", [])]
        elif self._is_problem and self.code is None and message.get("body"):
            with suppress(ValueError, KeyError, TypeError):
                self.code = str(json.loads(message["body"])["code"])


def _note_request(method: str, path: str, answer: _Answer, began: float, client: str) -> None:
    ms = round(1000 * (time.perf_counter() - began), 1)
    code = {} if answer.code is None else {"code": answer.code}
    log.info(
        "request", method=method, path=path, status=answer.status, ms=ms, client=client, **code
    )
