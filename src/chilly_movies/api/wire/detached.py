"""Answers that go on after their handler returned.

A task with the frames of all layers costs about 20 KB. A listener who waits for an event that may
come in an hour needs none of it: our own server lets the answer go on as a plain object that owns
the connection, and forgets everything about the request.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from starlette.types import Scope

DETACH = "chilly.detach"
"""The ASGI extension, a dict whose `detach` takes itself and an owner and gives a `Line`.

It may be called between two sends of an answer that said `transfer-encoding: chunked` itself. The
handler must return at once then, and send nothing any more.
"""


class Line(Protocol):
    """A connection whose answer has begun, in chunks."""

    def write(self, chunk: bytes) -> bool:
        """Write a chunk, its length included; False, and nothing is written, if it is full."""
        ...

    async def drain(self) -> None:
        """Wait until it takes something again, or is gone."""
        ...

    def close(self) -> None:
        """End it once all is sent."""
        ...

    def abort(self) -> None:
        """End it now."""
        ...


class Owner:
    """What owns a connection after the handler returned."""

    __slots__ = ("_then",)

    def __init__(self) -> None:
        self._then: tuple[Callable[[], None], ...] = ()

    def left(self) -> None:
        """The connection is gone."""
        then, self._then = self._then, ()
        for call in then:
            call()

    def afterwards(self, call: Callable[[], None]) -> None:
        """Call this when the connection is gone."""
        self._then += (call,)


def when_over(scope: Scope, call: Callable[[], None]) -> None:
    """For a layer whose inner one returned: call this once the answer is really over."""
    owner: Owner | None = (scope.get("extensions") or {}).get(DETACH, {}).get("owner")
    if owner is None:
        call()
    else:
        owner.afterwards(call)
