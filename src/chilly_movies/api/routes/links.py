"""Hands out links that open a film for a while without the key."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from chilly_movies.api.gates.forwarded import base_url
from chilly_movies.api.gates.signing import DEFAULT_SECONDS, MAX_SECONDS, Signer
from chilly_movies.api.policy import KeyScope, Policies, Policy
from chilly_movies.api.routers import part_of_contract
from chilly_movies.api.wire.problems import documented
from chilly_movies.api.wire.schemas import Moment, Shown, answer


class LinkOut(Shown):
    """A link that needs no key."""

    url: str = Field(description="Path and query; put the server's address before it.")
    href: str = Field(description="The whole address, by which the client knows this server.")
    expires_at: Moment = Field(description="When it ends.")


def router(policies: Policies) -> APIRouter:
    """Builds the route, for the addresses whose policy lets a signature open them.

    Args:
        policies: of all other routes.
    """
    routes = {policy.route for _, policy in policies if policy.signable}
    whole = "|".join(sorted(route for route in routes if "{" not in route))
    beginnings = "|".join(sorted({route.split("/")[1] for route in routes}))
    part = r"[A-Za-z0-9._:\-]+"
    pattern = rf"^(({whole})|/({beginnings})/{part}(/{part})*)$"
    made = part_of_contract("links")

    @made.get("/links", response_model=LinkOut, responses=documented(422))
    @Policy(KeyScope.READ)
    async def get_link(
        request: Request,
        path: str = Query(
            max_length=1024,
            pattern=pattern,
            description="What to open: a film, subtitles, or events.",
            examples=["/stream/1/0"],
        ),
        seconds: Annotated[
            int, Query(ge=1, le=MAX_SECONDS, description="How long the link holds.")
        ] = DEFAULT_SECONDS,
    ) -> Response:
        """A link for a player or an EventSource, which send no headers.

        Whoever has it can read this one address until it ends.
        """
        base = base_url(request.scope, request.app.state.public_url)
        return _answer(request.app.state.signer, base, path, seconds)

    return made


def _answer(signer: Signer, base: str, path: str, seconds: int) -> Response:
    ends, url = datetime.fromtimestamp(signer.expires(seconds), UTC), signer.sign(path, seconds)
    made = answer(LinkOut(url=url, href=base + url, expires_at=ends))
    made.headers["Cache-Control"] = "no-store"
    return made
