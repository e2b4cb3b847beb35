"""A face as small as one can be: a form adds a download, a page lists all, a cookie is a key."""

from __future__ import annotations

import secrets
from http.cookies import SimpleCookie

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import Scope

from chilly_movies.api.gates.faces import Face, scope_of_key
from chilly_movies.jobs.downloader import Downloader


def small_face(downloader: Downloader, body_limit: int = 1000) -> Face:
    """The face over a downloader, at `/small/v2`."""
    sessions: dict[str, bytes] = {}

    async def login(request: Request) -> PlainTextResponse:
        key = str((await request.form())["password"]).encode()
        if scope_of_key(request.scope, key) is None:
            return PlainTextResponse("Fails.")
        sessions[session := secrets.token_hex()] = key
        return PlainTextResponse("Ok.", headers={"Set-Cookie": f"SID={session}; HttpOnly"})

    async def add(request: Request) -> PlainTextResponse:
        await downloader.start(source_urn=str((await request.form())["urls"]))
        return PlainTextResponse("Ok.")

    async def info(_request: Request) -> PlainTextResponse:
        return PlainTextResponse("\n".join(job.source.urn for job in await downloader.list()))

    def key(scope: Scope) -> bytes | None:
        cookie = SimpleCookie(Request(scope).headers.get("cookie", "")).get("SID")
        return None if cookie is None else sessions.get(cookie.value)

    routes = [Route("/login", login, methods=["POST"]), Route("/add", add, methods=["POST"]),
              Route("/info", info)]  # fmt: skip
    return Face(
        prefix="/small/v2",
        app=Starlette(routes=routes),
        key=key,
        refusal=PlainTextResponse("Forbidden", 403),
        public=frozenset({"/login"}),
        body_limit=body_limit,
        rate="20/minute",
    )
