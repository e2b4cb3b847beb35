"""The route that tells what all downloads together move and moved."""

from __future__ import annotations

from fastapi import Request, Response
from pydantic import Field

from chilly_movies.api.policy import KeyScope, Policy
from chilly_movies.api.routers import part_of_contract
from chilly_movies.api.wire.problems import documented
from chilly_movies.api.wire.schemas import Moment, Shown, answer
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.jobs.models import Status

router = part_of_contract("system")


class MovedOut(Shown):
    """What all jobs together moved, jobs that are gone included; payload bytes."""

    since: Moment = Field(description="When counting began.")
    downloaded: int = Field(description="The wasted ones included.")
    uploaded: int
    wasted: int = Field(description="With a wrong hash, or there already.")


class StatsOut(Shown):
    """What the server does and did."""

    session: MovedOut = Field(description="Since the server was started.")
    all_time: MovedOut = Field(description="Since a version that counts first ran.")
    download_speed: int = Field(description="Payload bytes per second of all jobs.")
    upload_speed: int = Field(description="Payload bytes per second of all jobs.")
    peers: int = Field(description="Connected peers of all jobs.")
    jobs: dict[Status, int] = Field(description="How many jobs have which status.")
    dht_nodes: int | None = Field(description="Nodes of the DHT that are known; null: none used.")
    free_bytes: int | None = Field(
        description="Room on the disk of the media folder; null if it is away or unknown."
    )


@router.get("/stats", response_model=StatsOut, responses=documented())
@Policy(KeyScope.READ)
async def get_stats(request: Request) -> Response:
    """What all jobs together moved since the start and since ever, and how things are now."""
    downloader: Downloader = request.app.state.downloader
    return answer(StatsOut.model_validate(await downloader.stats()))
