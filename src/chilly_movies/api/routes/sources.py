"""The route that says what a source is, and what is in it, before it is downloaded."""

from __future__ import annotations

from typing import Any

from fastapi import Request, Response
from pydantic import Field

from chilly_movies.api.policy import JSON_OR_UPLOAD, KeyScope, Limit, Policy
from chilly_movies.api.routers import part_of_contract
from chilly_movies.api.routes.torrents import InspectedFile, InspectedOut
from chilly_movies.api.wire.problems import documented
from chilly_movies.api.wire.schemas import (
    EXAMPLE_URN,
    JsonBody,
    Shown,
    SourceKind,
    answer,
    example,
)
from chilly_movies.api.wire.uploads import is_json, read_json, read_upload
from chilly_movies.api.wire.waiting import while_wanted
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.jobs.inspection import InspectedSource
from chilly_movies.jobs.requests import MAX_URN
from chilly_movies.jobs.source_request import Credentials
from chilly_movies.jobs.start_request import checked, parse

router = part_of_contract("sources")


class InspectSourceBody(JsonBody, Credentials):
    """Which source to look into. Further members are ignored."""

    model_config = example(sourceUrn=EXAMPLE_URN)

    source_urn: str = Field(
        min_length=1, max_length=MAX_URN, repr=False, description="As at a start."
    )
    source_type: str | None = Field(
        None, max_length=32, description="As at a start; absent: told from the sourceUrn."
    )
    resolve: bool = Field(
        False,
        description="Ask others than the server of a link, too: the peers of a magnet. Without it "
        "nothing is sent for a source that is no link; absent: false.",
    )


READ_BY_HAND = (InspectSourceBody,)
"""Bodies the framework knows nothing of."""


class InspectedSourceOut(Shown):
    """What is known of a source that nobody downloads yet."""

    source_type: SourceKind
    source_urn: str = Field(description="Without user name and password; empty for an upload.")
    name: str | None = Field(description="null: not known.")
    total_bytes: int | None = Field(description="Bytes of all files; null: not known.")
    files: list[InspectedFile] = Field(description="Empty: not known.")
    torrent: InspectedOut | None = Field(
        None, description="What is in it, of a torrent whose metadata is known; else left out."
    )
    existing_id: str | None = Field(
        None, description="The job that downloads it already; left out if none does."
    )


@router.post(
    "/sources/inspect",
    response_model=InspectedSourceOut,
    responses=documented(408, 413, 415, 422, 429, 502, 503, 504),
    summary="Look into a source",
    openapi_extra={
        "requestBody": {
            "content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/InspectSourceBody"}},
                "multipart/form-data": {"schema": {"$ref": "#/components/schemas/InspectUpload"}},
            },
            "required": True,
        },
    },
)
@Policy(KeyScope.CONTROL, limit=Limit.START, body=JSON_OR_UPLOAD)
async def inspect_source(request: Request) -> Response:
    """Of which kind a source is, what is in it and how large; nothing is stored.

    For uploads, info hashes and magnets nothing is sent unless `resolve` is true, which takes 30 s
    at most; a link asks its own server, and those that it redirects to. A `.torrent` file is sent
    as multipart with the part `torrent`.
    """
    resolve = False
    if is_json(request):
        body = checked(InspectSourceBody, await read_json(request))
        resolve = body.resolve
        wanted = parse(body.model_dump(exclude={"resolve"}))
    else:
        wanted = parse({"torrent": (await read_upload(request))[1]})
    downloader: Downloader = request.app.state.downloader
    found = await while_wanted(request, downloader.sources.inspect(wanted, resolve=resolve))
    return answer(InspectedSourceOut(**_members(found)), exclude_unset=True)


def _members(found: InspectedSource) -> dict[str, Any]:
    """The members of the answer; those that may be left out are, if they say nothing."""
    members: dict[str, Any] = {
        "source_type": found.source.type,
        "source_urn": found.source.urn,
        "name": found.name,
        "total_bytes": found.size,
        "files": [InspectedFile.model_validate(file) for file in found.files],
    }
    if found.torrent is not None:
        members["torrent"] = InspectedOut.model_validate(found.torrent)
    if found.existing_id is not None:
        members["existing_id"] = found.existing_id
    return members
