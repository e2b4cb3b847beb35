"""What goes over the wire: camelCase JSON, described by models, which also make the answers.

Only what is asked for or told all the time (a job in short, its events) is made by hand.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import Response
from pydantic import (
    AliasChoices,
    AliasPath,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    create_model,
)
from pydantic.alias_generators import to_camel
from typing_extensions import TypeAliasType

from chilly_movies.api.wire.codes import ErrorCode
from chilly_movies.jobs import start_request
from chilly_movies.jobs.events import EVENT_NAMES, SNAPSHOT, Change
from chilly_movies.jobs.labels import LABELS
from chilly_movies.jobs.models import Job, JobError, Phase, Progress, SourceType, Status, Transport
from chilly_movies.jobs.options import MAX_FOLDER, OPTIONS
from chilly_movies.jobs.queue import To
from chilly_movies.jobs.source_request import CANDIDATES, MIRRORS
from chilly_movies.jobs.spelling import Spelled
from chilly_movies.library.events import LIBRARY_EVENTS

JobId = start_request.JobId
Folder = Annotated[
    str,
    Field(
        max_length=MAX_FOLDER,
        description=OPTIONS["folder"].says,
        examples=[OPTIONS["folder"].example],
    ),
]
EXAMPLE_URN = start_request.EXAMPLE_URN


def iso(moment: datetime) -> str:
    """Writes a time by RFC 3339 in UTC with milliseconds, as JavaScript does."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Moment = Annotated[
    datetime,
    PlainSerializer(iso, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


def _of(value: str, member: str) -> AliasChoices:
    """A member of a value within the one that is shown; its name on the wire comes first."""
    return AliasChoices(to_camel(f"{value}_{member}"), AliasPath(value, member))


def named(member: str, attribute: str) -> AliasChoices:
    """A member made of an attribute of another name; its name on the wire comes first."""
    return AliasChoices(to_camel(member), attribute)


class Wire(BaseModel):
    """camelCase outside, snake_case inside; types are taken literally."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, strict=True)


class Shown(Wire):
    """What an answer says, made of a value's attributes of the same names."""

    model_config = ConfigDict(from_attributes=True, strict=False)


class JsonBody(Wire, Spelled):
    """What a caller sends; members that are not known are ignored, misspelled ones refused."""


def example(**members: Any) -> ConfigDict:
    """Gives a body an example, which a test sends to the mock."""
    return ConfigDict(json_schema_extra={"examples": [members]})


class IdBody(JsonBody):
    """Which job."""

    model_config = example(id="1")

    id: JobId


class MoveBody(JsonBody):
    """Where a film is to lie."""

    model_config = example(folder="Films/2024")

    folder: Folder


class PositionBody(JsonBody):
    """Where in the queue a job is to stand: either member."""

    model_config = example(to="top")

    to: To | None = Field(
        None, description="To an end, or past one job of the queue; at the end it stays there."
    )
    before: JobId | None = Field(None, description="Directly before the job of this id.")


class TransportsOut(Shown):
    """How many peers are connected by which transport."""

    tcp: int
    utp: int
    webrtc: int
    webseed: int


class PeerOut(Shown):
    """One connected peer."""

    address: str = Field(description="IP address and port.")
    transport: Transport
    client: str = Field(description="Its program as it calls itself, '' if unknown.")
    percent: float = Field(description="How much of the torrent it has.")
    download_speed: int = Field(description="Payload bytes per second from it.")
    upload_speed: int = Field(description="Payload bytes per second to it.")


class PeersOut(Shown):
    """The peers a job is connected to right now."""

    peers: list[PeerOut]


class ProgressOut(Shown):
    """How far a job is."""

    percent: float = Field(ge=0, le=100)
    bytes_downloaded: int
    bytes_total: int | None = Field(description="null before the metadata is known.")
    download_speed: int = Field(description="Bytes per second.")
    upload_speed: int = Field(description="Bytes per second.")
    time_remaining: int | None = Field(description="Seconds, null if unknown.")
    peers: int
    seeds: int
    ratio: float
    phase: Phase | None
    transports: TransportsOut = Field(description="The peers by transport.")


class FiguresOut(Shown):
    """What a job moved over all its runs, and how its swarm is while it runs."""

    uploaded: int = Field(description="Payload bytes that were sent to peers.")
    downloaded: int = Field(description="Payload bytes that came, the wasted ones included.")
    wasted: int = Field(description="Bytes of those with a wrong hash, or that were there already.")
    found: int = Field(
        description="Bytes of its files that lay here already, and were not fetched."
    )
    seconds_active: int = Field(description="Seconds it ran, seeding included.")
    seconds_seeding: int = Field(description="Seconds of those in which it was complete.")
    last_activity_at: Moment | None = Field(description="When payload moved last; null = never.")
    distributed_copies: float | None = Field(
        description="How often the connected peers and the server together have all of it; "
        "null if unknown."
    )
    swarm_seeds: int | None = Field(
        description="Peers of the swarm that have everything, as trackers tell; null if none does."
    )
    swarm_peers: int | None = Field(
        description="Peers of the swarm, seeds included, as trackers tell; null if none does."
    )


class ErrorOut(Shown):
    """Why a job failed or is tried again."""

    code: ErrorCode
    message: str = Field(description="One sentence for people.")


class JobOut(Shown):
    """A job in short."""

    id: str
    status: Status
    progress: ProgressOut
    reason: str | None = Field(None, description="Why nothing moves, in one sentence.")
    error: ErrorOut | None = None


class FileOut(Shown):
    """One file of a job."""

    index: int
    path: str = Field(description="Relative to the media folder.")
    size: int
    wanted: bool
    blocked: bool = Field(description="Left out because it looks like a program.")


if TYPE_CHECKING:
    OptionsOut = Shown
else:
    OptionsOut = create_model(
        "OptionsOut",
        __base__=Shown,
        __doc__="What the caller asked of this job; null = the server's setting.",
        **{name: (one.type, Field(description=one.says)) for name, one in OPTIONS.items()},
    )


LabelsOut = Annotated[dict[str, str], Field(description=LABELS)]


_KIND = "Of which kind a source is: one of these, or of a driver that was handed in to the server."
_KINDS = [{"type": "string", "enum": [str(kind) for kind in SourceType]}, {"type": "string"}]
SourceKind = TypeAliasType(
    "SourceKind",
    Annotated[str, WithJsonSchema({"description": _KIND, "anyOf": _KINDS})],
)


class FurtherSourceOut(Shown):
    """A further place of a film, without what is secret of it."""

    source_type: SourceKind = Field(validation_alias=_of("source", "type"))
    source_urn: str = Field(validation_alias=_of("source", "urn"))
    checksum: str | None
    size: int | None


class SourceOut(Shown):
    """Where a film comes from."""

    source_type: SourceKind = Field(validation_alias=named("source_type", "type"))
    source_urn: str = Field(validation_alias=named("source_urn", "urn"))


class SourceChangeOut(Shown):
    """That a source was given up for the next one."""

    from_: SourceOut = Field(alias="from")
    to: SourceOut
    reason: str = Field(description="Why, in one sentence.")


class JobDetail(JobOut):
    """A job with all that is known of it."""

    name: str | None
    labels: LabelsOut
    source_type: SourceKind = Field(validation_alias=_of("source", "type"))
    source_urn: str = Field(validation_alias=_of("source", "urn"))
    active_source: SourceOut = Field(
        validation_alias=named("active_source", "running_source"),
        description="The one that is run: `sourceUrn`, or a candidate after that was given up.",
    )
    candidates: list[FurtherSourceOut] = Field(description=CANDIDATES)
    mirrors: list[FurtherSourceOut] = Field(description=MIRRORS)
    info_hash: str | None
    path: str | None = Field(description="Where the film lies in the media folder.")
    missing: bool = Field(
        False, description="A finished film is not there any more, or its disk is away."
    )
    moving_to: str | None = Field(description="Where it is on its way to, null if it stays.")
    files: list[FileOut]
    options: OptionsOut
    figures: FiguresOut
    seeding: bool
    position: int | None = Field(
        description="Among the queued, active and paused jobs, 1 = the first; null for others."
    )
    attempts: int = Field(description="Failed tries in a row.")
    next_attempt_at: Moment | None
    created_at: Moment
    updated_at: Moment
    started_at: Moment | None
    completed_at: Moment | None


class JobPage(Shown):
    """A page of jobs."""

    items: list[JobDetail]
    next_cursor: str | None = Field(description="Give it as `cursor` for the next page.")
    total: int = Field(description="Jobs that match the filter.")


class FileProgressOut(Shown):
    """How far one file is."""

    index: int
    path: str = Field(description="Relative to the media folder.")
    size: int = Field(description="Bytes.")
    bytes_downloaded: int
    percent: float = Field(ge=0, le=100)
    complete: bool


class FileReadersOut(Shown):
    """How many players read one file."""

    index: int
    readers: int = Field(description="0 = nobody reads it any more.")


class PlacedOut(Shown):
    """Where a job stands now."""

    before: str | None = Field(description="The job it stands directly before; null = it is last.")


ASKED_FOR: tuple[str, ...] = (
    *LIBRARY_EVENTS,
)  # fmt: skip
"""Names of events that only those get who ask for them."""
EventName = TypeAliasType(
    "EventName",
    Annotated[
        Literal[(SNAPSHOT, *EVENT_NAMES, *ASKED_FOR)],  # type: ignore[valid-type]
        Field(description="What happened; `snapshot` = nothing, this is how the job stands."),
    ],
)


class EventOut(JobOut):
    """The data of one server-sent event. Members that say nothing are left out."""

    seq: int = Field(description="Number of the newest stored change that this builds on.")
    event: EventName
    name: str | None = Field(None, description="The film's name, once it is known.")
    labels: LabelsOut
    file: FileProgressOut | None = Field(
        None,
        description="Of a `file` event; every 2 s for files that moved, only the newest counts.",
    )
    stream: FileReadersOut | None = Field(None, description="Of a `stream` event.")
    placed: PlacedOut | None = Field(None, description="Of a `placed` event.")
    source: SourceChangeOut | None = Field(None, description="Of a `source` event.")
    item: dict[str, Any] | None = Field(
        None, description="Of a `library-` event: how the item stands. `id` is the item's."
    )


class ListenPortOut(Shown):
    """The port on which peers reach the server at one address."""

    address: str = Field(description="IP address of this machine.")
    wanted: int = Field(description="The port of the settings, 0 = any.")
    tcp: int | None = Field(description="The port that is open; another one if it was taken.")
    udp: int | None


class FollowerOut(Shown):
    """Work that is done for every stored change: a webhook, say."""

    name: str
    behind: int = Field(description="About how many changes it still has to do.")


class Health(Shown):
    """That the server is there."""

    status: str = Field(examples=["ok"])
    version: str
    jobs: dict[Status, int] = Field(description="How many jobs have which status.")
    network: str | None = Field(
        None, description="Why nothing is sent or received at the moment, null if it may be."
    )
    torrent_ports: list[ListenPortOut] = Field(
        default=[],
        description="Where peers reach the server; empty before the first download, and for "
        "callers without a key if there are keys.",
    )
    followers: list[FollowerOut] = Field(
        default=[], description="What is done for every stored change, and how far it is."
    )


def progress_out(progress: Progress) -> dict[str, Any]:
    """Returns the members of `ProgressOut`, without the cost of the model."""
    return {
        "percent": progress.percent,
        "bytesDownloaded": progress.bytes_downloaded,
        "bytesTotal": progress.bytes_total,
        "downloadSpeed": progress.download_speed,
        "uploadSpeed": progress.upload_speed,
        "timeRemaining": progress.time_remaining,
        "peers": progress.peers,
        "seeds": progress.seeds,
        "ratio": progress.ratio,
        "phase": progress.phase,
        "transports": {
            "tcp": progress.transports.tcp,
            "utp": progress.transports.utp,
            "webrtc": progress.transports.webrtc,
            "webseed": progress.transports.webseed,
        },
    }


def _error_out(error: JobError | None) -> dict[str, str] | None:
    return None if error is None else {"code": error.code, "message": error.message}


def job_out(job: Job) -> dict[str, Any]:
    """Returns the members of `JobOut`, without the cost of the model."""
    out: dict[str, Any] = {
        "id": job.id, "status": job.status, "progress": progress_out(job.progress),
    }  # fmt: skip
    if job.reason is not None:
        out["reason"] = job.reason
    if job.error is not None:
        out["error"] = _error_out(job.error)
    return out


def answer(shown: BaseModel, *, exclude_unset: bool = False) -> Response:
    """Returns a model as the answer to a request.

    Args:
        shown: what is answered.
        exclude_unset: leave out members that were given no value.
    """
    body = shown.model_dump_json(by_alias=True, exclude_unset=exclude_unset)
    return Response(body, media_type="application/json")


def to_json(value: Any) -> bytes:
    """Encodes a value as compact JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def event_data(change: Change) -> dict[str, Any]:
    """Returns the members of `EventOut`, without the cost of the model."""
    data: dict[str, Any] = {
        "seq": change.seq,
        "event": change.event,
        "id": change.id,
        "status": change.status,
        "progress": progress_out(change.progress),
        "labels": change.labels,
    }
    if change.name is not None:
        data["name"] = change.name
    if change.error is not None:
        data["error"] = _error_out(change.error)
    if change.reason is not None:
        data["reason"] = change.reason
    if change.news is not None:
        data["item" if change.event in ASKED_FOR else change.event] = change.news
    return data


@lru_cache(maxsize=64)
def event_message(change: Change) -> bytes:
    """Encodes a change as a server-sent event, once for all listeners of the same change."""
    return b"id: %d\ndata: %b\n\n" % (change.seq, to_json(event_data(change)))
