"""Hands out links that open a film for a while without the key."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from chilly_movies.api.problems import documented
from chilly_movies.api.schemas import Wire, iso, to_json
from chilly_movies.api.signing import DEFAULT_SECONDS, MAX_SECONDS, Signer

router = APIRouter(tags=["links"])
_PATTERN = r"^/(stream|subtitles)/[A-Za-z0-9._:\-]+(/[A-Za-z0-9._:\-]+)*$"


class LinkOut(Wire):
    """A link that needs no key."""

    url: str = Field(description="Path and query; put the server's address before it.")
    expires_at: datetime = Field(description="When it ends.")


@router.get("/links", response_model=LinkOut, responses=documented(422))
async def link(
    request: Request,
    path: Annotated[
        str,
        Query(max_length=1024, pattern=_PATTERN, description="What to open: a film or subtitles.",
              examples=["/stream/1/0"]),
    ],
    seconds: Annotated[
        int, Query(ge=1, le=MAX_SECONDS, description="How long the link holds.")
    ] = DEFAULT_SECONDS,
) -> Response:  # fmt: skip
    """A link for a player: whoever has it can read this one address until it ends."""
    signer: Signer = request.app.state.signer
    ends = datetime.fromtimestamp(signer.expires(seconds), UTC)
    body = {"url": signer.sign(path, seconds), "expiresAt": iso(ends)}
    return Response(to_json(body), media_type="application/json",
                    headers={"Cache-Control": "no-store"})  # fmt: skip
