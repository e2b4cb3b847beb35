"""Answers that go on after their handler returned.

A task with the frames of all layers costs about 20 KB. A listener who waits for an event that may
come in an hour needs none of it: our own server lets the answer go on as a plain object that owns
the connection, and forgets everything about the request.

Why events are written in two ways, this one and the request's `send`, which any other server takes:
with 1,000 listeners of one job, servers with and without this extension in turn (six and five
rounds of `benchmarks.events` on two busy cores), an event for one listener cost 26 to 32 us of CPU
time this way and 77 to 86 us through `send`, and a listener 6 KB and 27 KB. On a quiet machine it
is 11 to 13 us this way. It can go once `send` costs at most 30 us and 25 KB.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from starlette.types import Scope

HANDOVER = "chilly.handover"
"""The ASGI extension, a dict whose `hand_over` takes itself and an owner and gives a `Connection`.

It may be called between two sends of an answer that said `transfer-encoding: chunked` itself. The
handler must return at once then, and send nothing any more.
"""


class Connection(Protocol):
    """A connection whose answer has begun, in chunks."""

    def write(self, chunk: bytes) -> bool:
        """Writes a chunk, its length included; returns False, and writes nothing, if it is full."""
        ...

    async def drain(self) -> None:
        """Waits until the connection takes something again, or is gone."""
        ...

    def close(self) -> None:
        """Closes the connection once all is sent."""
        ...

    def abort(self) -> None:
        """Closes the connection at once; what was not sent is lost."""
        ...


class StreamOwner:
    """The owner of a connection after the handler returned."""

    __slots__ = ("_then",)

    def __init__(self) -> None:
        self._then: tuple[Callable[[], None], ...] = ()

    def left(self) -> None:
        """Calls back all that wait for the end, as the connection is gone."""
        then, self._then = self._then, ()
        for call in then:
            call()

    def afterwards(self, call: Callable[[], None]) -> None:
        """Registers a callback for when the connection is gone."""
        self._then += (call,)


def when_over(scope: Scope, call: Callable[[], None]) -> None:
    """Calls back once the answer is really over, for a layer whose inner one returned."""
    owner: StreamOwner | None = (scope.get("extensions") or {}).get(HANDOVER, {}).get("owner")
    if owner is None:
        call()
    else:
        owner.afterwards(call)
