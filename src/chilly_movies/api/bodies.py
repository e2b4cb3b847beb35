"""The last gate before the job: bodies within bounds, and only strict JSON or an upload."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chilly_movies.api.keys import header_values
from chilly_movies.api.problems import problem

_JSON = "application/json"
_JSON_LIMIT = 1024 * 1024
_ID_LIMIT = 16 * 1024
_ID_ONLY = ("/download/pause", "/download/resume", "/download/cancel")
_UPLOAD_LIMIT = 11 * 1024 * 1024
_JSON_SECONDS = 10.0
_UPLOAD_SECONDS = 60.0
_AT_ONCE = 32 * 1024
"""JSON up to here is checked at once; more of it in a thread, so that others are served."""
_MAX_DEPTH = 20


class BodyGate:
    """Reads bodies within bounds and lets only strict JSON, or a multipart upload, through.

    Args:
        app: what comes next.
        paths: the paths whose POST has a body; elsewhere only that of a choice of files is read.
    """

    def __init__(self, app: ASGIApp, paths: Collection[str]) -> None:
        self._app = app
        self._paths = frozenset(paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if not self._takes_body(scope):
            await self._app(scope, receive, send)
            return
        kind = _content_type(scope)
        if kind is None or (kind != _JSON and scope["method"] == "PATCH"):
            detail = "The body must be application/json (or multipart/form-data for a file)."
            await problem(415, detail)(scope, receive, send)
            return
        limit, seconds = _bounds(kind, scope["path"])
        try:
            async with asyncio.timeout(seconds):
                body = await _read(scope, receive, limit)
        except TimeoutError:
            answer = problem(408, "The body did not arrive in time.", headers=_CLOSE)
            await answer(scope, receive, send)
            return
        if body is None:
            await problem(413, f"The body is larger than {limit} bytes.")(scope, receive, send)
            return
        flaw = await _flaw(body) if kind == _JSON and body else None
        if flaw is not None:
            errors = [{"field": "", "message": flaw}]
            await problem(422, f"The body is not usable JSON: {flaw}.", errors=errors)(
                scope, receive, send
            )
            return
        await self._app(scope, _replay(body, receive), send)

    def _takes_body(self, scope: Scope) -> bool:
        if scope["type"] != "http":
            return False
        method, path = scope["method"], scope["path"]
        chooses = method == "PATCH" and path.startswith("/downloads/") and path.endswith("/files")
        return chooses or (method == "POST" and path in self._paths)


_CLOSE = {"Connection": "close"}


def _bounds(kind: str, path: str) -> tuple[int, float]:
    """The most bytes a body may have, and the most seconds it may take."""
    if kind != _JSON:
        return _UPLOAD_LIMIT, _UPLOAD_SECONDS
    return (_ID_LIMIT if path in _ID_ONLY else _JSON_LIMIT), _JSON_SECONDS


async def _flaw(body: bytes) -> str | None:
    return json_flaw(body) if len(body) <= _AT_ONCE else await asyncio.to_thread(json_flaw, body)


def _content_type(scope: Scope) -> str | None:
    values = header_values(scope, b"content-type")
    kind = values[0].split(b";")[0].strip().lower().decode("latin-1") if len(values) == 1 else ""
    return kind if kind in (_JSON, "multipart/form-data") else None


async def _read(scope: Scope, receive: Receive, limit: int) -> bytes | None:
    """The whole body, None if it is larger than the limit."""
    lengths = header_values(scope, b"content-length")
    if lengths and (not lengths[0].isdigit() or int(lengths[0]) > limit):
        return None
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b""
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            return None
        if not message.get("more_body", False):
            return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    """A receive that gives the body that was read already, once."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if not given:
            given = True
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return replay


def json_flaw(body: bytes) -> str | None:
    """What makes this JSON unusable for us, None if nothing does.

    Refused besides broken JSON: NaN and infinity, numbers past 2^53 (RFC 8259 section 6),
    duplicate keys, more than 20 levels, and lone surrogates.
    """
    try:
        text = body.decode("utf-8")
        value = json.loads(
            text,
            parse_constant=_refuse,
            parse_float=_finite,
            parse_int=_bounded,
            object_pairs_hook=_unique,
        )
        text_out = json.dumps(value, ensure_ascii=False)
        text_out.encode("utf-8")
    except UnicodeError:
        return "it is not valid UTF-8 text"
    except RecursionError:
        return f"it is nested deeper than {_MAX_DEPTH} levels"
    except json.JSONDecodeError as error:
        return f"{error.msg} at position {error.pos}"
    except ValueError as error:
        return str(error)
    return _too_deep(value)


def _refuse(name: str) -> object:
    raise ValueError(f"{name} is no JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError("a number is too large")
    return value


def _bounded(text: str) -> int:
    if len(text) > 17 or abs(int(text)) > 2**53:
        raise ValueError("a number is too large")
    return int(text)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def _too_deep(value: object) -> str | None:
    level: list[object] = [value]
    for _ in range(_MAX_DEPTH):
        level = [
            child
            for item in level
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return None
    return f"it is nested deeper than {_MAX_DEPTH} levels"
