"""The last gate before the job: bodies within bounds, and only strict JSON or an upload."""

from __future__ import annotations

import asyncio
import codecs
import json
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, nullcontext
from typing import Self

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chilly_movies.api.gates.keys import header_values
from chilly_movies.api.policy import JSON, Policies
from chilly_movies.api.wire.problems import problem
from chilly_movies.runtime.vitals import trim

_JSON = "application/json"
_UPLOAD_LIMIT = 11 * 1024 * 1024
_JSON_SECONDS = 9.0
_UPLOAD_SECONDS = 60.0
_UPLOAD_PACE = 64 * 1024
"""Bytes a second below which an upload does not get as long as that."""
_AT_ONCE = 32 * 1024
"""JSON up to here is checked at once; more of it in a thread, so that others are served."""
_UNANNOUNCED = 16 * 1024
"""Bytes of a body of unknown length after which it is a large one."""
_MAX_DEPTH = 20
_MAX_COMMAS = 50_000
"""The largest body of any use, a choice among all files of a torrent, has four fifths of that."""
_CROWD = 1000
"""Commas from which on bodies are handled one after the other: each may take 60 ms."""
ROOM = 12 * 1024 * 1024
"""Bytes that all large bodies may take together."""
_JSON_COST = 12
"""How many times its size a large JSON body takes until it is answered; the largest come alone."""


class BodyGate:
    """Reads bodies within bounds and lets only strict JSON, or a multipart upload, through.

    Args:
        app: what comes next.
        policies: which routes read a body, and how much of one.
    """

    def __init__(self, app: ASGIApp, policies: Policies) -> None:
        self._app = app
        self._policies = policies
        self._room = Room(ROOM)
        self._costly = asyncio.Lock()
        self._reader = ThreadPoolExecutor(1, "json")  # one after the other: that bounds memory

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        wanted = self._policies.of(scope).body if scope["type"] == "http" else None
        if wanted is None:
            await self._app(scope, receive, send)
            return
        kind = _content_type(scope)
        if kind is None or (kind != _JSON and not wanted.upload):
            detail = "The body must be application/json (or multipart/form-data for a file)."
            await problem(415, detail)(scope, receive, send)
            return
        limit, cost = (wanted.limit, _JSON_COST) if kind == _JSON else (_UPLOAD_LIMIT, 1)
        quick = kind == _JSON
        reader = BodyReader(scope, receive, self._room, limit=limit, cost=cost, quick=quick)
        async with reader as body:
            whole = await body.read_or_answer(send)
            if whole is None:
                return
            if kind == _JSON:
                whole = whole.removeprefix(codecs.BOM_UTF8)  # RFC 8259 section 8.1 lets us
            costly = kind == _JSON and (len(whole) > JSON.limit or whole.count(b",") > _CROWD)
            async with self._alone() if costly else nullcontext():
                flaw = await self._flaw(whole) if kind == _JSON and whole else None
                if flaw is None:
                    await self._app(scope, replay(whole, receive), send)
                    return
            errors = [{"field": "", "message": flaw}]
            answer = problem(422, f"The body is not usable JSON: {flaw}.", errors=errors)
            await answer(scope, receive, send)

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """Lets one large body at a time in, and gives freed memory back before and after it."""
        async with self._costly:
            trim()
            try:
                yield
            finally:
                trim()

    async def _flaw(self, body: bytes) -> str | None:
        if len(body) <= _AT_ONCE:
            return json_flaw(body)
        loop = asyncio.get_running_loop()
        flaw = await loop.run_in_executor(self._reader, json_flaw, body)
        trim()
        return flaw


_CLOSE = {"Connection": "close"}


class Room:
    """A share of memory for large bodies; requests that find none wait in the order they came."""

    def __init__(self, size: int) -> None:
        self._free = size
        self._door = asyncio.Lock()
        self._given_back = asyncio.Event()

    async def take(self, size: int) -> None:
        """Waits until so many bytes are free, and takes them."""
        async with self._door:
            while self._free < size:
                self._given_back.clear()
                await self._given_back.wait()
            self._free -= size

    def give_back(self, size: int) -> None:
        """Lets the next ones have them."""
        self._free += size
        self._given_back.set()


class BodyReader:
    """The body of one request; entered for as long as it is held.

    Args:
        scope: of the request.
        receive: gives the body.
        room: memory for large bodies.
        limit: the most bytes it may have.
        cost: how many times its size it takes until it is answered; `limit` times that is room.
        quick: it must have arrived after 9 s; otherwise it gets longer while it arrives.
    """

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        room: Room,
        *,
        limit: int,
        cost: int = 1,
        quick: bool = False,
    ) -> None:
        self._scope = scope
        self._receive = receive
        self._room = room
        self._limit = limit
        self._cost = cost
        self._quick = quick
        self._lengths = header_values(scope, b"content-length")
        self._taken = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._room.give_back(self._taken)

    async def read_or_answer(self, send: Send) -> bytes | None:
        """Reads the whole body, b"" if the client left; None if it was refused, and answered."""
        try:
            async with asyncio.timeout(_JSON_SECONDS) as patience:
                whole = await self._read(patience)
        except TimeoutError:
            answer = problem(408, "The body did not arrive in time.", headers=_CLOSE)
        else:
            if whole is not None:
                return whole
            answer = problem(413, f"The body is larger than {self._limit} bytes.")
        await answer(self._scope, self._receive, send)
        return None

    async def _read(self, patience: asyncio.Timeout) -> bytes | None:
        """Reads the whole body; None if it is larger than the limit, b"" if the client left."""
        announced = self._lengths[0] if self._lengths else b"0"
        if not announced.isdigit() or int(announced) > self._limit:
            return None
        if int(announced) > _AT_ONCE:
            await self._take(int(announced))
        began = asyncio.get_running_loop().time()
        body = bytearray()
        more = True
        while more:
            message = await self._receive()
            if message["type"] != "http.request":
                return b""
            part, more = message.get("body", b""), message.get("more_body", False)
            if len(body) + len(part) > self._limit:
                return None
            if len(body) + len(part) > _UNANNOUNCED:
                await self._take(self._limit)
            body += part
            if not self._quick:
                seconds = min(_UPLOAD_SECONDS, _JSON_SECONDS + len(body) / _UPLOAD_PACE)
                patience.reschedule(began + seconds)
        return bytes(body)

    async def _take(self, size: int) -> None:
        """Waits for room in memory, and takes it."""
        if not self._taken:
            size *= self._cost
            await self._room.take(size)
            self._taken = size


def _content_type(scope: Scope) -> str | None:
    values = header_values(scope, b"content-type")
    kind = values[0].split(b";")[0].strip().lower().decode("latin-1") if len(values) == 1 else ""
    return kind if kind in (_JSON, "multipart/form-data") else None


def replay(body: bytes, receive: Receive) -> Receive:
    """Returns a `receive` that gives the body that was read already, once."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if not given:
            given = True
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return replay


def json_flaw(body: bytes) -> str | None:
    """Says what makes this JSON unusable for us; None if nothing does.

    Refused besides broken JSON: very many members, NaN and infinity, numbers past 2^53 (RFC 8259
    section 6), duplicate keys, more than 20 levels, and lone surrogates. Nothing of the value is
    kept: of each object only its height, as soon as it is read.
    """
    if body.count(b",") > _MAX_COMMAS:
        return "it has too many members"
    try:
        value = json.loads(
            body.decode("utf-8"),
            parse_constant=_refuse,
            parse_float=_finite,
            parse_int=_bounded,
            object_pairs_hook=_weighed,
        )
        too_deep = _height(value) > _MAX_DEPTH
    except UnicodeError:
        return "it is not valid UTF-8 text"
    except RecursionError:
        too_deep = True
    except json.JSONDecodeError as error:
        return f"{error.msg} at position {error.pos}"
    except ValueError as error:
        return str(error)
    return f"it is nested deeper than {_MAX_DEPTH} levels" if too_deep else None


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _finite(text: str) -> None:
    if float(text) in (float("inf"), float("-inf")):
        raise ValueError("a number is too large")


def _bounded(text: str) -> None:
    if len(text) > 15 and (len(text) > 17 or abs(int(text)) > 2**53):
        raise ValueError("a number is too large")


class _Height(int):
    """The remains of a parsed object: how many levels it had."""


_HEIGHTS = tuple(map(_Height, range(_MAX_DEPTH + 2)))
"""One for each, so that thousands of objects take no room; the last stands for all above."""


def _weighed(pairs: list[tuple[str, object]]) -> _Height:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a key is there twice")
    "".join(members).encode()  # an error if half a character is in a key
    if not any(members.values()):  # numbers, too, of which nothing is kept
        return _HEIGHTS[2 if members else 1]
    height = 1 + max(map(_height, members.values()))
    return _HEIGHTS[min(height, _MAX_DEPTH + 1)]


def _height(value: object) -> int:
    """Counts the levels of a value; raises if half a character is in one of its texts."""
    if isinstance(value, list):
        return 1 + max(map(_height, value), default=0)
    if isinstance(value, str) and not value.isascii():
        value.encode()
    return value if isinstance(value, _Height) else 1
