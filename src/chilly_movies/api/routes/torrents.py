"""The routes that make torrents of what lies in the media folder, and look into those of others."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import Request, Response
from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    PlainSerializer,
    WithJsonSchema,
    create_model,
)

from chilly_movies.api.policy import JSON, JSON_OR_UPLOAD, KeyScope, Limit, Policy
from chilly_movies.api.routers import part_of_contract
from chilly_movies.api.wire import headers
from chilly_movies.api.wire.problems import documented
from chilly_movies.api.wire.schemas import (
    EXAMPLE_URN,
    JobId,
    JsonBody,
    Shown,
    answer,
    example,
    named,
)
from chilly_movies.api.wire.uploads import is_json, read_json, read_upload
from chilly_movies.api.wire.waiting import while_wanted
from chilly_movies.errors import EngineError
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.jobs.models import Status
from chilly_movies.jobs.options import chosen
from chilly_movies.jobs.requests import MAX_PATH, MAX_URN, check_id
from chilly_movies.jobs.start_request import checked, option_members, parse
from chilly_movies.jobs.torrents import (
    TorrentInspector,
    TorrentMaker,
    TorrentVersion,
    TorrentWish,
)
from chilly_movies.runtime.redaction import redact

router = part_of_contract("torrents")

_Url = Annotated[str, Field(min_length=1, max_length=2048)]
InfoHash = Annotated[
    str | None,
    Field(validation_alias=named("info_hash", "v1"), description="SHA-1 (v1), null for v2 alone."),
]
InfoHashV2 = Annotated[
    str | None,
    Field(
        validation_alias=named("info_hash_v2", "v2"),
        description="SHA-256 (v2), null for v1 alone.",
    ),
]
Base64 = Annotated[
    bytes,
    PlainSerializer(lambda data: b64encode(data).decode(), return_type=str),
    WithJsonSchema({"type": "string", "contentEncoding": "base64"}),
]


class _CreateBody(JsonBody):
    """What a torrent is to be made of; without a goal it is seeded until it is stopped."""

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


if TYPE_CHECKING:
    CreateBody = _CreateBody
else:
    CreateBody = create_model(
        "CreateBody",
        __base__=_CreateBody,
        __doc__=_CreateBody.__doc__,
        **option_members("upload_limit", "seed_ratio", "seed_time"),
    )


class CreatedOut(Shown):
    """A torrent that was made."""

    id: str | None = Field(None, description="The job that seeds it.")
    status: Status | None = Field(None, description="That job's.")
    name: str
    size: int = Field(description="Bytes of all files.")
    info_hash: InfoHash
    info_hash_v2: InfoHashV2
    magnet: str
    torrent: Base64 = Field(
        validation_alias=named("torrent", "data"), description="The `.torrent` file in base64."
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
    made = await while_wanted(request, _maker(request).make(_wish(body)))
    shown = CreatedOut.model_validate(made)
    if not body.seed:
        return answer(shown, exclude_unset=True)
    downloader: Downloader = request.app.state.downloader
    job = await downloader.adopt(body.path, made.data, id=job_id, options=chosen(body))
    return answer(shown.model_copy(update={"id": job.id, "status": job.status}))


# --- looking into one -----------------------------------------------------------------------


class InspectBody(JsonBody):
    """Which torrent to look into. Further members are ignored."""

    model_config = example(sourceUrn=EXAMPLE_URN)

    source_urn: str = Field(
        min_length=1,
        max_length=MAX_URN,
        description="Magnet link, info hash or link to a torrent file.",
        examples=[EXAMPLE_URN],
    )


class InspectUpload(BaseModel):
    """A `.torrent` file to look into."""

    torrent: bytes = Field(json_schema_extra={"format": "binary"})


READ_BY_HAND = (InspectBody, InspectUpload)
"""Bodies the framework knows nothing of."""


class InspectedFile(Shown):
    """One file of a torrent."""

    index: int = Field(description="What `files` of a start wants.")
    path: str = Field(description="Made harmless, as it will be on the disk.")
    size: int
    media_type: Annotated[str, AfterValidator(headers.media_type)] = Field(
        validation_alias=named("media_type", "path")
    )
    blocked: bool = Field(description="Looks like a program: left out unless allowExecutables.")


class InspectedOut(Shown):
    """What a torrent holds."""

    name: str
    info_hash: InfoHash
    info_hash_v2: InfoHashV2
    size: int = Field(description="Bytes of all files.")
    piece_length: int = Field(validation_alias=named("piece_length", "piece_size"))
    private: bool = Field(description="Peers come from its trackers alone.")
    files: list[InspectedFile]
    trackers: list[Annotated[str, AfterValidator(redact)]] = Field(
        description="Those that may be asked; passkeys are hidden."
    )
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
    if is_json(request):
        wanted = parse({"source_urn": checked(InspectBody, await read_json(request)).source_urn})
    else:
        wanted = parse({"torrent": (await read_upload(request))[1]})
    assert wanted.source is not None  # noqa: S101 (for the type checker)
    found = await while_wanted(request, inspector.inspect(wanted.source))
    return answer(InspectedOut.model_validate(found))


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
