"""The routes that make torrents of what lies in the media folder, and look into those of others."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Coroutine
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from chilly_movies.api.policy import JSON, JSON_OR_UPLOAD, KeyScope, Limit, Policy
from chilly_movies.api.wire.headers import media_type
from chilly_movies.api.wire.problems import documented
from chilly_movies.api.wire.schemas import EXAMPLE_URN, Count, JobId, Wire, example, to_json
from chilly_movies.api.wire.uploads import checked, is_json, read_json, read_upload
from chilly_movies.errors import EngineError
from chilly_movies.jobs import requests
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.jobs.models import Options, Status
from chilly_movies.jobs.requests import MAX_PATH, check_id
from chilly_movies.jobs.torrents import (
    InspectedTorrent,
    MadeTorrent,
    TorrentInspector,
    TorrentMaker,
    TorrentVersion,
    TorrentWish,
)
from chilly_movies.runtime.redaction import redact

T = TypeVar("T")

router = APIRouter(tags=["torrents"])

_LOOK_INTERVAL = 0.5
"""Seconds between two looks whether the client still waits."""
_Url = Annotated[str, Field(min_length=1, max_length=2048)]


class CreateBody(Wire):
    """What a torrent is to be made of. Further members are ignored."""

    model_config = example(path="My Film.mkv", version="hybrid", seed=True, id="seeded")

    path: str = Field(
        min_length=1,
        max_length=MAX_PATH,
        description="A file or folder, relative to the media folder. Hidden files and symlinks in "
        "a folder are left out.",
        examples=["My Film.mkv"],
    )
    version: Literal["hybrid", "v1", "v2"] = Field(
        "hybrid",
        description="Which info hashes it gets; absent: both. WebTorrent clients know v1 best.",
    )
    trackers: Annotated[list[_Url], Field(fail_fast=True)] = Field(
        default=[],
        max_length=100,
        description="Announce URLs: http, https, udp, ws or wss; absent: none.",
    )
    web_seeds: Annotated[list[_Url], Field(fail_fast=True)] = Field(
        default=[], max_length=20, description="URLs of the same data over HTTP; absent: none."
    )
    private: bool = Field(False, description="Peers come from the trackers alone; absent: false.")
    comment: str = Field("", max_length=2000, description="Absent: none.")
    seed: bool = Field(
        True, description="Seed it from where it lies, by a job of its own; absent: true."
    )
    id: JobId | None = Field(None, description="The job's; made up if absent.")
    upload_limit: Count | None = Field(None, description="Bytes per second, 0 = unlimited.")
    seed_ratio: float | None = Field(
        None, ge=0, le=1000, description="Stop seeding there; absent: never by itself."
    )
    seed_time: Count | None = Field(
        None, description="Seconds of seeding; absent: until it is stopped."
    )


class CreatedOut(Wire):
    """A torrent that was made."""

    id: str | None = Field(None, description="The job that seeds it.")
    status: Status | None = Field(None, description="That job's.")
    name: str
    size: int = Field(description="Bytes of all files.")
    info_hash: str | None = Field(description="SHA-1 (v1), null for v2 alone.")
    info_hash_v2: str | None = Field(
        alias="infoHashV2", description="SHA-256 (v2), null for v1 alone."
    )
    magnet: str
    torrent: str = Field(
        description="The `.torrent` file in base64.",
        json_schema_extra={"contentEncoding": "base64"},
    )


@router.post(
    "/torrents/create",
    response_model=CreatedOut,
    responses=documented(404, 408, 409, 413, 415, 422, 429, 502),
    summary="Make a torrent",
)
@Policy(KeyScope.CONTROL, limit=Limit.START, body=JSON)
async def create_torrent(body: CreateBody, request: Request) -> Response:
    """Make a torrent of what lies in the media folder, and seed it.

    The answer comes when all of it was read once: allow a second for each 300 MB. One torrent is
    made at a time; a client that goes away stops it. The job then checks the data again (phase
    `checking`), never writes to it, seeds until it is stopped, and deletes it on request only.
    """
    job_id = None if body.id is None else check_id(body.id)
    made = await _while_wanted(request, _maker(request).make(_wish(body)))
    answer = _created(made)
    if body.seed:
        options = Options(
            upload_limit=body.upload_limit, seed_ratio=body.seed_ratio, seed_time=body.seed_time
        )
        downloader: Downloader = request.app.state.downloader
        job = await downloader.adopt(body.path, made.data, id=job_id, options=options)
        answer = {"id": job.id, "status": job.status, **answer}
    return Response(to_json(answer), media_type="application/json")


# --- looking into one -----------------------------------------------------------------------


class InspectBody(Wire):
    """Which torrent to look into. Further members are ignored."""

    model_config = example(sourceUrn=EXAMPLE_URN)

    source_urn: str = Field(
        min_length=1,
        max_length=65_536,
        description="Magnet link, info hash or link to a torrent file.",
        examples=[EXAMPLE_URN],
    )


class InspectUpload(BaseModel):
    """A `.torrent` file to look into."""

    torrent: bytes = Field(json_schema_extra={"format": "binary"})


READ_BY_HAND = (InspectBody, InspectUpload)
"""Bodies the framework knows nothing of."""


class InspectedFile(Wire):
    """One file of a torrent."""

    index: int = Field(description="What `files` of a start wants.")
    path: str = Field(description="Made harmless, as it will be on the disk.")
    size: int
    media_type: str
    blocked: bool = Field(description="Looks like a program: left out unless allowExecutables.")


class InspectedOut(Wire):
    """What a torrent holds."""

    name: str
    info_hash: str | None = Field(description="SHA-1 (v1), null for v2 alone.")
    info_hash_v2: str | None = Field(
        alias="infoHashV2", description="SHA-256 (v2), null for v1 alone."
    )
    size: int = Field(description="Bytes of all files.")
    piece_length: int
    private: bool = Field(description="Peers come from its trackers alone.")
    files: list[InspectedFile]
    trackers: list[str] = Field(description="Those that may be asked; passkeys are hidden.")
    peers: int | None = Field(description="Heard of so far; null: nobody was asked.")


@router.post(
    "/torrents/inspect",
    response_model=InspectedOut,
    responses=documented(408, 413, 415, 422, 429, 502, 504),
    summary="Look into a torrent",
    openapi_extra={
        "requestBody": {
            "content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/InspectBody"}},
                "multipart/form-data": {"schema": {"$ref": "#/components/schemas/InspectUpload"}},
            },
            "required": True,
        },
    },
)
@Policy(KeyScope.CONTROL, limit=Limit.START, body=JSON_OR_UPLOAD)
async def inspect_torrent(request: Request) -> Response:
    """What is in a torrent, before it is downloaded; nothing is stored.

    A magnet's metadata is asked of its peers: that takes some seconds, and 30 at most. A `.torrent`
    file is sent as multipart with the part `torrent`.
    """
    inspector: TorrentInspector | None = request.app.state.torrent_inspector
    if inspector is None:
        raise EngineError("This server looks into no torrents.")
    source = requests.parse({"id": "look", **await _which(request)}).source
    assert source is not None  # noqa: S101 (for the type checker)
    found = await _while_wanted(request, inspector.inspect(source))
    return Response(to_json(_inspected(found)), media_type="application/json")


async def _which(request: Request) -> dict[str, Any]:
    """Returns the torrent file or the text of the source."""
    if is_json(request):
        return checked(InspectBody, await read_json(request))
    return {"torrent": (await read_upload(request))[1]}


def _inspected(found: InspectedTorrent) -> dict[str, Any]:
    return {
        "name": found.name,
        "infoHash": found.v1,
        "infoHashV2": found.v2,
        "size": found.size,
        "pieceLength": found.piece_size,
        "private": found.private,
        "files": [
            {
                "index": file.index,
                "path": file.path,
                "size": file.size,
                "mediaType": media_type(file.path),
                "blocked": file.blocked,
            }
            for file in found.files
        ],
        "trackers": [redact(url) for url in found.trackers],
        "peers": found.peers,
    }


def _maker(request: Request) -> TorrentMaker:
    maker: TorrentMaker | None = request.app.state.torrent_maker
    if maker is None:
        raise EngineError("This server makes no torrents.")
    return maker


def _wish(body: CreateBody) -> TorrentWish:
    return TorrentWish(
        path=body.path,
        version=TorrentVersion(body.version),
        trackers=tuple(body.trackers),
        web_seeds=tuple(body.web_seeds),
        private=body.private,
        comment=body.comment,
    )


def _created(made: MadeTorrent) -> dict[str, Any]:
    return {
        "name": made.name,
        "size": made.size,
        "infoHash": made.v1,
        "infoHashV2": made.v2,
        "magnet": made.magnet,
        "torrent": base64.b64encode(made.data).decode(),
    }


async def _while_wanted(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Runs the work until it is done, or until the client went away."""
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait([task], timeout=_LOOK_INTERVAL)
            if not task.done() and await request.is_disconnected():
                task.cancel()
                await asyncio.wait([task])
                raise EngineError("Nobody waited for the torrent.")
        return task.result()
    finally:
        task.cancel()
