"""The swarm of a download: its trackers, peers and pieces, its torrent file and magnet link."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Request, Response
from pydantic import Field

from chilly_movies.api.policy import JSON, SMALL_JSON, KeyScope, Policy
from chilly_movies.api.routers import part_of_contract
from chilly_movies.api.routes.torrents import Base64
from chilly_movies.api.wire.headers import disposition
from chilly_movies.api.wire.problems import documented
from chilly_movies.api.wire.schemas import JobId, JsonBody, Moment, Shown, answer, example
from chilly_movies.errors import InvalidRequest
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.jobs.requests import check_id
from chilly_movies.jobs.swarm import LAST_TIER, MAX_TRACKERS, Tracker, TrackerStatus
from chilly_movies.jobs.swarm_verbs import Swarm

router = part_of_contract("downloads")

EXAMPLE_TRACKER = Tracker("https://tracker.example/announce", 0)
_TORRENT = "application/x-bittorrent"
_Url = Annotated[str, Field(min_length=1, max_length=2048)]
_Address = Annotated[str, Field(min_length=1, max_length=60)]
_Tier = Annotated[
    int,
    Field(ge=0, le=LAST_TIER, description="Trackers of lower tiers are asked first (BEP 12)."),
]
_TrackerId = Annotated[
    str,
    Path(pattern="^[0-9a-f]{16}$", description="Its `id`.", examples=[EXAMPLE_TRACKER.id]),
]


class TrackerOut(Shown):
    """A tracker of a download."""

    id: str = Field(description="What names it in an address; tells nothing of a passkey.")
    url: str = Field(description="Announce URL as it is, with its passkey if it has one.")
    tier: int = Field(description="Trackers of lower tiers are asked first (BEP 12).")
    status: TrackerStatus
    seeds: int | None = Field(description="In the swarm, as it tells; null if it does not.")
    peers: int | None = Field(description="In the swarm, seeds included, as it tells.")
    downloads: int | None = Field(description="How often it was downloaded, as it tells.")
    next_announce_at: Moment | None = Field(description="null if none is planned.")
    message: str | None = Field(
        description="Why it does not work, or what it says besides its answer, in one plain line "
        "of at most 200 signs; its own words, so show them as text."
    )


class TrackersOut(Shown):
    """The trackers of a download, in the order of their tiers."""

    trackers: list[TrackerOut]


class TrackersBody(JsonBody):
    """Trackers to add."""

    model_config = example(urls=["https://another.example/announce"])

    urls: Annotated[list[_Url], Field(fail_fast=True)] = Field(
        min_length=1,
        max_length=MAX_TRACKERS,
        description="Announce URLs: http, https, udp, ws or wss.",
    )
    tier: _Tier | None = Field(None, description="Of all of them; absent: each behind the others.")


class TrackerBody(JsonBody):
    """What is to be another of a tracker."""

    model_config = example(tier=1)

    url: _Url | None = Field(None, description="Announce URL; absent: as it is.")
    tier: _Tier | None = Field(None, description="Absent: as it is.")


class PeerBody(JsonBody):
    """A peer."""

    model_config = example(address="203.0.113.5:6881")

    address: _Address = Field(
        description="IP address and port; IPv6 in brackets.", examples=["203.0.113.5:6881"]
    )


class BanBody(JsonBody):
    """A peer that is not to come back."""

    model_config = example(address="203.0.113.5")

    address: _Address = Field(
        description="IP address; a port behind it does not count.", examples=["203.0.113.5"]
    )


class PiecesOut(Shown):
    """Which pieces of a download are there."""

    count: int
    piece_size: int = Field(description="Bytes of every piece but the last.")
    have: Base64 = Field(
        description="A bit per piece, the first one the highest of the first byte (BEP 3), "
        "1 = there and verified."
    )


class MagnetOut(Shown):
    """A link to a download's torrent."""

    magnet: str = Field(description="With its trackers, and their passkeys if they have any.")


def _swarm(request: Request) -> Swarm:
    downloader: Downloader = request.app.state.downloader
    return downloader.swarm


def _shown(trackers: Any) -> Response:
    return answer(TrackersOut(trackers=[TrackerOut.model_validate(one) for one in trackers]))


@router.get(
    "/downloads/{id}/trackers", response_model=TrackersOut, responses=documented(404, 409, 422)
)
@Policy(KeyScope.CONTROL)
async def list_trackers(request: Request, id: JobId) -> Response:  # noqa: A002
    """The trackers of a download, and how they do. Addresses may hold a passkey.

    A download that does not run has them, too; nobody has asked them yet then.
    """
    return _shown(await _swarm(request).trackers(check_id(id)))


_CHANGES = documented(404, 408, 409, 413, 415, 422)


@router.post("/downloads/{id}/trackers", response_model=TrackersOut, responses=_CHANGES)
@Policy(KeyScope.CONTROL, body=JSON)
async def add_trackers(request: Request, id: JobId, body: TrackersBody) -> Response:  # noqa: A002
    """Add trackers to a download; those it has already stay as they are.

    They are judged like those of a magnet link, kept over restarts, and asked at once if it runs.
    """
    found = await _swarm(request).add_trackers(check_id(id), body.urls, body.tier)
    return _shown(found)


@router.post(
    "/downloads/{id}/announce",
    response_model=TrackersOut,
    responses=documented(404, 409, 422),
)
@Policy(KeyScope.CONTROL)
async def announce_job(request: Request, id: JobId) -> Response:  # noqa: A002
    """Ask the trackers of a running download for peers now, those asked in the last 30 s aside."""
    return _shown(await _swarm(request).announce(check_id(id)))


@router.patch("/downloads/{id}/trackers/{tracker}", response_model=TrackersOut, responses=_CHANGES)
@Policy(KeyScope.CONTROL, body=SMALL_JSON)
async def change_tracker(
    request: Request,
    id: JobId,  # noqa: A002 (the contract's name)
    tracker: _TrackerId,
    body: TrackerBody,
) -> Response:
    """Give a tracker another address, a new passkey say, or another tier."""
    if body.url is None and body.tier is None:
        raise InvalidRequest("Give a url or a tier.", field="url")
    swarm = _swarm(request)
    return _shown(await swarm.edit_tracker(check_id(id), tracker, url=body.url, tier=body.tier))


@router.delete(
    "/downloads/{id}/trackers/{tracker}",
    response_model=TrackersOut,
    responses=documented(404, 409, 422),
)
@Policy(KeyScope.CONTROL)
async def remove_tracker(request: Request, id: JobId, tracker: _TrackerId) -> Response:  # noqa: A002
    """Take a tracker from a download, also one that its torrent names; it stays away."""
    return _shown(await _swarm(request).remove_tracker(check_id(id), tracker))


@router.post("/downloads/{id}/peers", status_code=204, response_class=Response, responses=_CHANGES)
@Policy(KeyScope.CONTROL, body=SMALL_JSON)
async def add_peer(request: Request, id: JobId, body: PeerBody) -> Response:  # noqa: A002
    """Connect a running download to a peer. Private torrents take theirs from trackers alone."""
    await _swarm(request).add_peer(check_id(id), body.address)
    return Response(status_code=204)


@router.post(
    "/downloads/{id}/peers/ban", status_code=204, response_class=Response, responses=_CHANGES
)
@Policy(KeyScope.CONTROL, body=SMALL_JSON)
async def ban_peer(request: Request, id: JobId, body: BanBody) -> Response:  # noqa: A002
    """Drop a peer and talk to its IP address no more, for any download, until the server ends.

    What is to hold for good belongs on the block list.
    """
    await _swarm(request).ban_peer(check_id(id), body.address)
    return Response(status_code=204)


@router.get("/downloads/{id}/pieces", response_model=PiecesOut, responses=documented(404, 409, 422))
@Policy(KeyScope.READ)
async def get_pieces(request: Request, id: JobId) -> Response:  # noqa: A002
    """Which pieces are there."""
    return answer(PiecesOut.model_validate(await _swarm(request).pieces(check_id(id))))


@router.get(
    "/downloads/{id}/torrent",
    responses={
        **documented(404, 409, 422),
        200: {
            "description": "The `.torrent` file.",
            "content": {_TORRENT: {"schema": {"type": "string", "format": "binary"}}},
        },
    },
    response_class=Response,
)
@Policy(KeyScope.CONTROL)
async def get_torrent_file(request: Request, id: JobId) -> Response:  # noqa: A002
    """The `.torrent` file of a download, with its trackers; known once its metadata is.

    Of a magnet link to a v2 or hybrid torrent the hashes of pieces have to arrive, too: 409
    `not_readable` before that.
    One that was uploaded comes back as it was, unless its trackers were changed.
    """
    name, data = await _swarm(request).torrent_file(check_id(id))
    headers = {"content-disposition": disposition(f"{name}.torrent")}
    return Response(data, media_type=_TORRENT, headers=headers)


@router.get("/downloads/{id}/magnet", response_model=MagnetOut, responses=documented(404, 409, 422))
@Policy(KeyScope.CONTROL)
async def get_magnet(request: Request, id: JobId) -> Response:  # noqa: A002
    """A magnet link to the torrent of a download, with its trackers."""
    return answer(MagnetOut(magnet=await _swarm(request).magnet(check_id(id))))
