"""API keys: which there are, what each may do, and the gate that asks for one."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from enum import IntEnum
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Receive, Scope, Send

from chilly_movies.api.problems import problem
from chilly_movies.api.signing import Signer

_OPEN_PATHS = ("/health", "/docs")
_READ_METHODS = ("GET", "HEAD", "OPTIONS")


class KeyScope(IntEnum):
    """What a key may do; each may all that stands before it."""

    READ = 1
    """Look at jobs, events and films."""
    CONTROL = 2
    """Start, pause, resume and cancel, too."""
    ADMIN = 3
    """Everything: remove jobs and films, too."""


def needed_scope(method: str, path: str) -> KeyScope:
    """What a request takes. An unknown method takes the most."""
    if method in _READ_METHODS:
        return KeyScope.READ
    return KeyScope.CONTROL if method in ("POST", "PATCH", "PUT") else KeyScope.ADMIN


def header_values(scope: Scope, name: bytes) -> list[bytes]:
    """All values of a header field, in order."""
    return [value for key, value in scope["headers"] if key == name]


class KeyRing:
    """The known keys, as digests only.

    Args:
        keys: each key with its scope.
    """

    def __init__(self, keys: Iterable[tuple[str, KeyScope]]) -> None:
        self._digests = {hashlib.sha256(key.encode()).digest(): scope for key, scope in keys}

    def __bool__(self) -> bool:
        return bool(self._digests)

    def scope_of(self, key: bytes) -> KeyScope | None:
        """What the key may do, None for an unknown one. Takes the same time for any key."""
        given, found = hashlib.sha256(key).digest(), None
        for digest, scope in self._digests.items():
            if hmac.compare_digest(given, digest):
                found = scope
        return found


class KeyGate:
    """Asks for a key if there are any: `x-api-key`, `Authorization: Bearer` or `?api_key=`.

    A signed link opens its film without one.

    Args:
        app: what comes next.
        keys: those that are known; none = everybody may call.
        signer: who made the signed links.
    """

    def __init__(self, app: ASGIApp, keys: KeyRing, signer: Signer) -> None:
        self._app = app
        self._keys = keys
        self._signer = signer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or not self._keys or _is_open(scope["path"]):
            await self._app(scope, receive, send)
            return
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = set(_given_keys(scope, query))
        if not given and self._is_signed(scope, query):
            await self._app(scope, receive, send)
            return
        allowed = self._keys.scope_of(given.pop()) if len(given) == 1 else None
        needed = needed_scope(scope["method"], scope["path"])
        if allowed is None:
            await _unauthorized(scope, receive, send, some=bool(given), query=query)
        elif allowed < needed:
            detail = (
                f"This key may not do that: it takes one with the scope '{needed.name.lower()}'."
            )
            await problem(403, detail, code="forbidden_scope")(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _is_signed(self, scope: Scope, query: Mapping[str, list[str]]) -> bool:
        expires, signature = query.get("expires", []), query.get("sig", [])
        if scope["method"] not in ("GET", "HEAD") or len(expires) != 1 or len(signature) != 1:
            return False
        return self._signer.verify(scope["path"], expires[0], signature[0])


async def _unauthorized(
    scope: Scope, receive: Receive, send: Send, *, some: bool, query: Mapping[str, list[str]]
) -> None:
    detail = "An API key is needed: send it as x-api-key header or api_key query."
    if some:
        detail = "The API key is wrong."
    elif "sig" in query:
        detail = "This link does not hold, or no longer."
    await problem(401, detail, headers={"WWW-Authenticate": "Bearer"})(scope, receive, send)


def _is_open(path: str) -> bool:
    return any(path == open_ or path.startswith(open_ + "/") for open_ in _OPEN_PATHS)


def _given_keys(scope: Scope, query: Mapping[str, list[str]]) -> Iterable[bytes]:
    yield from header_values(scope, b"x-api-key")
    for value in header_values(scope, b"authorization"):
        scheme, _, token = value.partition(b" ")
        if scheme.lower() == b"bearer":
            yield token.strip()
    for text in query.get("api_key", []):
        yield text.encode("utf-8", "surrogateescape")
