"""Bodies that are read by hand: JSON of a known form, or one torrent file in a form."""

from __future__ import annotations

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.types import Message, Receive

from chilly_movies.errors import InvalidRequest
from chilly_movies.jobs.requests import MAX_TORRENT_BYTES

_PIECE = 256 * 1024
"""Bytes that the parser of forms gets at once."""


def is_json(request: Request) -> bool:
    """Tells whether the body is JSON; else it is a form."""
    return request.headers["content-type"].lower().startswith("application/json")


async def read_json(request: Request) -> object:
    """Reads the body's value; None if it has none."""
    return await request.json() if await request.body() else None


async def read_upload(request: Request) -> tuple[dict[str, str], bytes]:
    """Reads the text fields of a form, and the torrent file in its part `torrent`.

    Raises:
        InvalidRequest: it has no such part.
    """
    pieces = Request(request.scope, _in_pieces(request.receive))
    async with pieces.form(max_files=1, max_fields=20) as form:
        fields = {key: value for key, value in form.items() if not isinstance(value, UploadFile)}
        upload = form.get("torrent")
        if not isinstance(upload, UploadFile):
            raise InvalidRequest("The form needs a file in the part 'torrent'.", field="torrent")
        return fields, await upload.read(MAX_TORRENT_BYTES + 1)


def _in_pieces(receive: Receive) -> Receive:
    """Yields the body in small pieces: the parser copies each, and others are served between.

    Args:
        receive: gives the body, in large pieces perhaps.
    """
    message: Message = {"type": "http.request", "more_body": True}
    at = 0

    async def piece() -> Message:
        nonlocal message, at
        if at >= len(message.get("body", b"")) and message.get("more_body"):
            message, at = await receive(), 0
        if message["type"] != "http.request":
            return message
        body = message.get("body", b"")
        part, at = body[at : at + _PIECE], at + _PIECE
        more = at < len(body) or message.get("more_body", False)
        return {"type": "http.request", "body": part, "more_body": more}

    return piece
