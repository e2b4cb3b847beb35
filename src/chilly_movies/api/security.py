"""Gates every request passes, in this order: Host and Origin, API key, rate limit, body.

All are plain ASGI. Without the first a web page could rebind its DNS name to loopback and drive
this server; see OWASP on DNS rebinding and CSRF.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chilly_movies.api.problems import problem

_LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
_HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::(\d{1,5}))?")
_LOOPBACK_ORIGIN = re.compile(r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?")
_OPEN_PATHS = ("/health", "/docs")
_JSON_LIMIT = 1024 * 1024
_UPLOAD_LIMIT = 11 * 1024 * 1024
_MAX_DEPTH = 20
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_CSP = (
    b"default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    b"frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
_PAGE_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", _CSP),
]


@dataclass(frozen=True, slots=True)
class Access:
    """Who may call.

    Attributes:
        api_secret: the key every call needs, None = no key.
        hosts: names besides loopback that the server is reached by.
        origins: web origins besides loopback whose pages may call.
    """

    api_secret: str | None = None
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()


def header_values(scope: Scope, name: bytes) -> list[bytes]:
    """All values of a header field, in order."""
    return [value for key, value in scope["headers"] if key == name]


class HostGate:
    """Refuses a foreign or doubtful Host (421) and a foreign Origin (403), and answers preflights.

    Adds the security headers of every answer.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._hosts = {h.lower() for h in (*_LOOPBACK_HOSTS, *access.hosts)}
        self._origins = {o.lower().rstrip("/") for o in access.origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        origin = self._origin(scope)
        welcome = self._may_call(scope, origin)
        guarded = _with_headers(send, origin if welcome else None)
        if not self._known_host(scope):
            detail = "The Host header does not name this server; CHILLY_ALLOWED_HOSTS adds names."
            await problem(421, detail)(scope, receive, guarded)
        elif not welcome:
            detail = "Pages of this origin may not call; CHILLY_ALLOWED_ORIGINS adds origins."
            await problem(403, detail)(scope, receive, guarded)
        elif scope["method"] == "OPTIONS" and origin and self._is_preflight(scope):
            await guarded({"type": "http.response.start", "status": 204, "headers": _PREFLIGHT})
            await guarded({"type": "http.response.body", "body": b""})
        else:
            await self._app(scope, receive, guarded)

    def _known_host(self, scope: Scope) -> bool:
        values = header_values(scope, b"host")
        match = _HOST.fullmatch(values[0]) if len(values) == 1 else None
        if match is None:
            return False
        name = match[1].decode().lower()
        port = scope["server"][1] if scope.get("server") else None
        if match[2] is not None and name in _LOOPBACK_HOSTS and port not in (None, int(match[2])):
            return False
        return name in self._hosts or values[0].decode().lower() in self._hosts

    def _origin(self, scope: Scope) -> str | None:
        """The one Origin given, '' for several, None for none."""
        values = header_values(scope, b"origin")
        if not values:
            return None
        return values[0].decode("latin-1").lower() if len(values) == 1 else ""

    def _may_call(self, scope: Scope, origin: str | None) -> bool:
        if origin is None:
            site = header_values(scope, b"sec-fetch-site")
            foreign = site and site[-1].lower() in (b"cross-site", b"same-site")
            return scope["method"] in _SAFE_METHODS or not foreign
        return origin in self._origins or _LOOPBACK_ORIGIN.fullmatch(origin) is not None

    @staticmethod
    def _is_preflight(scope: Scope) -> bool:
        return bool(header_values(scope, b"access-control-request-method"))


_PREFLIGHT = [
    (b"access-control-allow-methods", b"GET, HEAD, POST, PATCH, DELETE"),
    (b"access-control-allow-headers",
     b"content-type, x-api-key, authorization, range, last-event-id"),
    (b"access-control-max-age", b"600"),
]  # fmt: skip


def _with_headers(send: Send, origin: str | None) -> Send:
    """Send with the security headers, and CORS ones for an origin that was let in."""

    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", [])) + _PAGE_HEADERS
            if origin:
                headers += [
                    (b"access-control-allow-origin", origin.encode("latin-1")),
                    (b"access-control-expose-headers",
                     b"retry-after, ratelimit, ratelimit-policy, content-range, etag"),
                    (b"vary", b"origin"),
                ]  # fmt: skip
            message = {**message, "headers": headers}
        await send(message)

    return guarded


class KeyGate:
    """Asks for the API key when one is set: `x-api-key`, `Authorization: Bearer`, `?api_key=`."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        secret = access.api_secret
        self._digest = hashlib.sha256(secret.encode()).digest() if secret else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http" and self._digest is not None and not _is_open(scope["path"]):
            keys = list(_given_keys(scope))
            if not keys or not all(self._fits(key) for key in keys):
                detail = (
                    "The API key is wrong." if keys
                    else "An API key is needed: send it as x-api-key header or api_key query."
                )  # fmt: skip
                answer = problem(401, detail, headers={"WWW-Authenticate": "Bearer"})
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _fits(self, key: bytes) -> bool:
        assert self._digest is not None  # noqa: S101 (for the type checker)
        return hmac.compare_digest(hashlib.sha256(key).digest(), self._digest)


def _is_open(path: str) -> bool:
    return any(path == open_ or path.startswith(open_ + "/") for open_ in _OPEN_PATHS)


def _given_keys(scope: Scope) -> Iterable[bytes]:
    yield from header_values(scope, b"x-api-key")
    for value in header_values(scope, b"authorization"):
        scheme, _, token = value.partition(b" ")
        if scheme.lower() == b"bearer":
            yield token.strip()
    query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    for text in query.get("api_key", []):
        yield text.encode("utf-8", "surrogateescape")


class BodyGate:
    """Reads bodies within bounds and lets only strict JSON, or a multipart upload, through.

    Args:
        app: what comes next.
        paths: the paths whose POST has a body; elsewhere no body is ever read.
    """

    def __init__(self, app: ASGIApp, paths: Collection[str]) -> None:
        self._app = app
        self._paths = frozenset(paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] not in self._paths:
            await self._app(scope, receive, send)
            return
        kind = _content_type(scope)
        if kind is None:
            detail = "The body must be application/json (or multipart/form-data for a file)."
            await problem(415, detail)(scope, receive, send)
            return
        limit = _JSON_LIMIT if kind == "application/json" else _UPLOAD_LIMIT
        body = await _read(scope, receive, limit)
        if body is None:
            await problem(413, f"The body is larger than {limit} bytes.")(scope, receive, send)
            return
        flaw = json_flaw(body) if kind == "application/json" and body else None
        if flaw is not None:
            errors = [{"field": "", "message": flaw}]
            await problem(422, f"The body is not usable JSON: {flaw}.", errors=errors)(
                scope, receive, send
            )
            return
        await self._app(scope, _replay(body, receive), send)


def _content_type(scope: Scope) -> str | None:
    values = header_values(scope, b"content-type")
    kind = values[0].split(b";")[0].strip().lower().decode("latin-1") if len(values) == 1 else ""
    return kind if kind in ("application/json", "multipart/form-data") else None


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
