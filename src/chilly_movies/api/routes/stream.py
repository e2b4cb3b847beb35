"""`/stream`: a film's bytes while it arrives, written straight to the connection.

At most one chunk per reader is in memory, besides what the connection's buffer holds. When bytes
do not come in time the connection is closed short of its Content-Length: players then ask again
from where they are.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Annotated, Any

import structlog
from fastapi import Path, Query, Request, Response
from starlette.types import Receive, Scope, Send

from chilly_movies.api.policy import KeyScope, Policy, Stream, hot
from chilly_movies.api.routers import part_of_contract
from chilly_movies.api.wire.headers import disposition, media_type
from chilly_movies.api.wire.problems import documented, from_error, problem
from chilly_movies.api.wire.ranges import Answer, Entity, decide
from chilly_movies.api.wire.schemas import JobId
from chilly_movies.errors import ChillyError, InvalidRequest, StreamStalled
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.jobs.models import Job
from chilly_movies.jobs.open_files import main_video
from chilly_movies.jobs.options import MAX_FILES
from chilly_movies.jobs.ports import FileReader
from chilly_movies.jobs.requests import check_id
from chilly_movies.watching.facts import MediaFactsCache

log = structlog.get_logger(__name__)

router = part_of_contract("streaming")

CHUNK = 512 * 1024
"""The knee: larger ones are hardly faster, smaller ones cost three times the CPU."""

CUT = "chilly.cut"
"""The ASGI extension by which an answer that cannot be completed ends: `close` its connection, once
what was written is sent, then `abort` it."""
_LAST_BYTES = 5.0
"""Seconds a client has to read what was sent before its stream was cut."""

_FILM = {"schema": {"type": "string", "format": "binary"}}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    **documented(404, 409, 412, 422, 429),
    200: {"description": "The whole file.", "content": {"*/*": _FILM}},
    206: {
        "description": "The ranges asked for; several come as multipart/byteranges.",
        "content": {"*/*": _FILM},
    },
    304: {"description": "The client has it already."},
    416: {**documented(416)[416], "description": "No range lies in the file."},
}
_Resume = Annotated[bool, Query(description="Let a paused download go on.")]
_Index = Annotated[
    int, Path(ge=0, lt=MAX_FILES, description="The file's index.", alias="fileIndex", examples=[0])
]


FILM = Policy(KeyScope.READ, stream=Stream.FILM, signable=True, embeddable=True)


@router.get("/stream/{id}", responses=_ANSWERS, response_class=Response, name="stream_film")
@router.head("/stream/{id}", responses=_ANSWERS, response_class=Response, name="head_film")
@FILM
async def stream_film(request: Request, id: JobId, resume: _Resume = False) -> Response:  # noqa: A002
    """The largest video of a download, while it arrives; see the route with a file index."""
    return _stream(request, id, None, resume=resume)


async def hot_stream(request: Request) -> Response:
    """The same, without the framework's parameter handling: players ask often."""
    text = request.path_params.get("fileIndex")
    if text is not None and not (text.isascii() and text.isdigit() and len(text) <= 5):
        raise InvalidRequest("The file index must be a whole number.", field="fileIndex")
    resume = request.query_params.get("resume", "false").lower()
    if resume not in ("true", "false", "1", "0"):
        raise InvalidRequest("The value of resume must be true or false.", field="resume")
    index = None if text is None else int(text)
    return _stream(request, request.path_params["id"], index, resume=resume in ("true", "1"))


@router.get(
    "/stream/{id}/{fileIndex}", responses=_ANSWERS, response_class=Response, name="stream_file"
)
@router.head(
    "/stream/{id}/{fileIndex}", responses=_ANSWERS, response_class=Response, name="head_file"
)
@FILM
@hot(hot_stream)
async def stream_file(
    request: Request,
    id: JobId,  # noqa: A002 (the contract's name)
    index: _Index,
    resume: _Resume = False,
) -> Response:
    """One file of a download, while it arrives.

    Ranges and conditions work as RFC 9110 says. Bytes that are not there yet are fetched first
    and waited for. A queued download is started, a paused one only with `resume=true`.
    """
    return _stream(request, id, index, resume=resume)


def _stream(request: Request, job_id: str, index: int | None, *, resume: bool) -> Response:
    state = request.app.state
    return FilmStream(
        state.downloader, state.facts, check_id(job_id), index, resume, state.stream_timeout
    )


class FilmStream(Response):
    """The answer to one reader of a film."""

    def __init__(
        self,
        downloader: Downloader,
        facts: MediaFactsCache,
        job_id: str,
        index: int | None,
        resume: bool,
        patience: float,
    ) -> None:
        super().__init__()
        self._downloader = downloader
        self._facts = facts
        self._job_id = job_id
        self._index = index
        self._resume = resume
        self._patience = patience
        self._begun = self._cut = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        work = asyncio.ensure_future(self._answer(scope, receive, send))
        gone = asyncio.ensure_future(_gone(receive))
        try:
            either: list[asyncio.Future[None]] = [work, gone]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if self._cut:
                await _end(scope, gone)
        finally:
            for task in (work, gone):
                task.cancel()
            await asyncio.wait([work, gone])
        if not work.cancelled():
            work.result()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._read_and_send(scope, receive, send)
        except OSError:
            pass  # the client left in the middle of a write
        except ChillyError as error:
            if self._begun:  # the connection closes short of what was promised
                log.info("a stream was cut", job=self._job_id, code=error.code, why=str(error))
                self._cut = True
                return
            await from_error(error)(scope, receive, send)

    async def _read_and_send(self, scope: Scope, receive: Receive, send: Send) -> None:
        opened = self._downloader.open_file(
            self._job_id, self._index, resume=self._resume, bitrate=await self._bitrate()
        )
        async with _In(opened, self._patience) as reader:
            job = await self._downloader.status(self._job_id)
            index = main_video(job.files).index if self._index is None else self._index
            entity = _entity(job, index, reader.size)
            answer = decide(scope["method"], _fields(scope), entity)
            if answer.status in (412, 416):
                await _refusal(answer, entity)(scope, receive, send)
                return
            plan = _Plan(answer, entity, reader.name)
            wanted = scope["method"] == "GET" and answer.status != 304
            async with aclosing(self._chunks(reader, plan if wanted else _NOTHING)) as chunks:
                await self._send(send, plan, chunks)

    async def _bitrate(self) -> int | None:
        """Returns the bytes a second that playing takes; None as long as they are unknown."""
        job = await self._downloader.status(self._job_id)
        if self._index is None:
            return None
        known = self._facts.glance(job, self._index)
        return known.bitrate // 8 if known and known.bitrate else None

    async def _send(self, send: Send, plan: _Plan, chunks: AsyncIterator[bytes]) -> None:
        first = await anext(chunks, b"")  # before the head: it may come too late
        self._begun = True
        head = {"type": "http.response.start", "status": plan.status, "headers": plan.headers}
        await send(head)
        await send({"type": "http.response.body", "body": first, "more_body": True})
        async for chunk in chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _chunks(self, reader: FileReader, plan: _Plan) -> AsyncGenerator[bytes, None]:
        for (first, last), heading in zip(plan.parts, plan.headings, strict=True):
            if heading:
                yield heading
            at = first
            while at <= last:
                chunk = await self._next(reader, at, min(CHUNK, last + 1 - at))
                at += len(chunk)
                yield chunk
        if plan.closing:
            yield plan.closing

    async def _next(self, reader: FileReader, at: int, length: int) -> bytes:
        if reader.available(at) > 0:
            return await reader.read(at, length)
        try:
            async with asyncio.timeout(self._patience):
                return await reader.read(at, length)
        except TimeoutError:
            raise _stalled(self._patience) from None


async def _end(scope: Scope, gone: asyncio.Future[None]) -> None:
    """Closes the connection: just returning would do it too, and be an error to the server."""
    server = (scope.get("extensions") or {}).get(CUT, {})
    for verb in server.values():
        verb()
        await asyncio.wait([gone], timeout=_LAST_BYTES)


class _In:
    """A context that is entered within some seconds, and left however long that takes."""

    def __init__(self, context: Any, patience: float) -> None:
        self._context = context
        self._patience = patience

    async def __aenter__(self) -> FileReader:
        try:
            async with asyncio.timeout(self._patience):
                reader: FileReader = await self._context.__aenter__()
                return reader
        except TimeoutError:
            raise _stalled(self._patience) from None

    async def __aexit__(self, *raised: Any) -> None:
        await self._context.__aexit__(*raised)


def _stalled(patience: float) -> StreamStalled:
    return StreamStalled(f"The film did not arrive within {patience:g} s; try again later.")


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _fields(scope: Scope) -> Mapping[str, Sequence[str]]:
    found: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
    return found


def _entity(job: Job, index: int, size: int) -> Entity:
    """Returns the entity for caches: the info hash, or else the job, determines its bytes.

    So does how often they were thrown away for others.
    """
    told = f"{job.info_hash or job.key}/{index}/{size}"
    if job.generation:
        told += f"/{job.generation}"
    digest = hashlib.sha256(told.encode()).hexdigest()[:32]
    return Entity(size, f'"{digest}"', job.created_at)


def _refusal(answer: Answer, entity: Entity) -> Response:
    if answer.status == 412:
        return problem(412, "The file is not the one the request names.")
    headers = {"Content-Range": f"bytes */{entity.size}", "Accept-Ranges": "bytes"}
    detail = f"No range asked for lies in the file, which has {entity.size} bytes."
    return problem(416, detail, headers=headers)


class _Plan:
    """The head of an answer, and the frame around its ranges."""

    def __init__(self, answer: Answer, entity: Entity, name: str) -> None:
        self.status, self.parts = answer.status, answer.parts
        kind = media_type(name)
        size = entity.size
        self.headings = [b""] * len(self.parts)
        self.closing = b""
        shown = [
            ("etag", entity.etag), ("last-modified", entity.last_modified),
            ("accept-ranges", "bytes"), ("cache-control", "private, no-cache"),
        ]  # fmt: skip
        if answer.status != 304:
            shown.append(("content-disposition", disposition(name)))
        if answer.status == 206 and len(self.parts) == 1:
            shown.append(("content-range", f"bytes {_of(self.parts[0], size)}"))
        if answer.status == 206 and len(self.parts) > 1:
            kind = self._frame(kind, size)
        if answer.status != 304:
            sent = sum(last + 1 - first for first, last in self.parts)
            sent += sum(map(len, self.headings)) + len(self.closing)
            shown += [("content-type", kind), ("content-length", str(sent))]
        self.headers = [(key.encode(), value.encode("latin-1")) for key, value in shown]

    def _frame(self, kind: str, size: int) -> str:
        """Makes headings for several ranges; returns the type of all (RFC 9110, section 14.6)."""
        boundary = secrets.token_hex(16)
        self.headings = [
            f"\r\n--{boundary}\r\nContent-Type: {kind}\r\n"
            f"Content-Range: bytes {_of(part, size)}\r\n\r\n".encode()
            for part in self.parts
        ]
        self.closing = f"\r\n--{boundary}--\r\n".encode()
        return f"multipart/byteranges; boundary={boundary}"


def _of(part: tuple[int, int], size: int) -> str:
    return f"{part[0]}-{part[1]}/{size}"


_NOTHING = _Plan(Answer(304), Entity(0, "", datetime.min.replace(tzinfo=UTC)), "")
