"""Faces: other programs' APIs, each spoken by an ASGI application of its own beside ours.

A face stands behind the same host, origin and proxy rules as the API, and beside its other gates:
it reads a key where its clients put it, in a cookie say, takes bodies of any type, and has limits
of its own. Without keys everybody may call it, as the API. What its gate refuses for another reason
than a key is answered in our shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from chilly_movies.api.gates.bodies import ROOM, BodyReader, Room, replay
from chilly_movies.api.gates.clients import client_of
from chilly_movies.api.gates.keys import KeyRing
from chilly_movies.api.gates.limits import Rate, Windows
from chilly_movies.api.policy import KeyScope, Policies, routed_path, scope_by_method
from chilly_movies.api.wire.problems import problem

_GRANTED, _KEYS = "chilly.granted", "chilly.keys"
"""Where a request's scope keeps what its key may do, and the keys."""


def _by_method(scope: Scope) -> KeyScope:
    return scope_by_method(scope["method"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """Another program's API.

    Attributes:
        prefix: what the paths of its requests begin with, `/transmission` say; its `root_path`.
        app: answers the requests that are let in.
        key: the key that a request carries in the face's own form; None = none.
        refusal: answers a request without a key that may do it, in the face's own form; what its
            key may says `granted`.
        takes: what a key must be able to do for a request. Where the body decides, say that it is
            `READ`, and compare `granted` there.
        public: paths below the prefix that need no key: where one logs in.
        body_limit: the most bytes of a body, of whatever type.
        rate: requests of one client address, like `600/minute`; None = as often as one likes.

    Raises:
        ValueError: the prefix or a limit is none.
    """

    prefix: str
    app: ASGIApp
    key: Callable[[Scope], bytes | None]
    refusal: ASGIApp
    takes: Callable[[Scope], KeyScope] = _by_method
    public: frozenset[str] = frozenset()
    body_limit: int = 256 * 1024
    rate: str | None = None

    def __post_init__(self) -> None:
        if not self.prefix.startswith("/") or self.prefix.endswith("/"):
            raise ValueError(f"{self.prefix!r} is no prefix like /transmission")
        if not 0 < self.body_limit <= ROOM:
            raise ValueError(f"a body may have at most {ROOM} bytes")
        if self.rate is not None:
            Rate.parse(self.rate)


def granted(scope: Scope) -> KeyScope | None:
    """Returns what the key of a face's request may do; everything if there are no keys."""
    found: KeyScope | None = scope[_GRANTED]
    return found


def scope_of_key(scope: Scope, key: bytes) -> KeyScope | None:
    """Returns what a key may do that somebody logs in with; None for an unknown one."""
    keys: KeyRing = scope[_KEYS]
    return keys.scope_of(key) if keys else KeyScope.ADMIN


class FaceGate:
    """Hands requests below the prefix of a face to it, if its key rule and limits let them.

    Args:
        app: answers all other requests.
        faces: those that are switched on.
        policies: of the API's own routes.
        keys: those that are known; none = everybody may call.

    Raises:
        ValueError: two faces have one prefix, or the API answers at one.
    """

    def __init__(
        self, app: ASGIApp, faces: Iterable[Face], policies: Policies, keys: KeyRing
    ) -> None:
        self._app = app
        self._faces: dict[str, Face] = {}
        self._keys = keys
        self._windows = Windows()
        self._room = Room(ROOM)
        for face in faces:
            if face.prefix in self._faces or policies.has_below(face.prefix):
                raise ValueError(f"{face.prefix} is answered by something else already")
            self._faces[face.prefix] = face

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        path = routed_path(scope) if scope["type"] == "http" else ""
        face = next((f for p, f in self._faces.items() if f"{path}/".startswith(f"{p}/")), None)
        if face is None:
            await self._app(scope, receive, send)
            return
        may, root = self._granted(face, scope), scope.get("root_path", "") + face.prefix
        inner = {**scope, "root_path": root, _GRANTED: may, _KEYS: self._keys}
        is_public = path.removeprefix(face.prefix) in face.public
        if not is_public and (may is None or may < face.takes(inner)):
            await face.refusal(inner, receive, send)
        elif (wait := self._wait(face, scope)) is not None:
            headers = {"Retry-After": str(wait)}
            answer = problem(429, "Too many requests: wait, then try again.", headers=headers)
            await answer(scope, receive, send)
        else:
            async with BodyReader(scope, receive, self._room, limit=face.body_limit) as body:
                if (whole := await body.read_or_answer(send)) is not None:
                    await face.app(inner, replay(whole, receive), send)

    def _granted(self, face: Face, scope: Scope) -> KeyScope | None:
        if not self._keys:
            return KeyScope.ADMIN
        key = face.key(scope)
        return None if key is None else self._keys.scope_of(key)

    def _wait(self, face: Face, scope: Scope) -> int | None:
        """Counts a request; returns the seconds to wait if it is one too many."""
        if face.rate is None:
            return None
        key = (face.prefix, client_of(scope))
        allowed, _, wait = self._windows.hit(Rate.parse(face.rate), key)
        return None if allowed else wait
