"""What of a film may be read, as the engine finds it right or wrong."""

from __future__ import annotations

from typing import Any

import pytest

from chilly_movies.drivers.torrent.engine.pieces import Geometry
from chilly_movies.drivers.torrent.reading.availability import Availability

pytestmark = pytest.mark.anyio
SIZE = 4
"""Bytes of the film, each of which is a piece."""


class Pieces:
    """What the engine says of one film; what it is told to fetch does not matter here."""

    received = 0

    def __init__(self) -> None:
        self.found = bytearray([1] * SIZE)
        self.on_arrival: Any = None
        self.on_check: Any = None

    def __getattr__(self, _name: str) -> Any:
        return lambda *_, **__: None

    def geometry(self) -> Geometry:
        return Geometry(piece_size=1, count=SIZE, files={0: (0, SIZE)})

    def priorities(self) -> list[int]:
        return [4] * SIZE

    async def there(self) -> bytearray:
        return bytearray(self.found)

    async def flush(self) -> None:
        """Nothing waits to be written."""


async def test_what_a_check_finds_wrong_is_not_read_again_in_a_film_that_was_complete() -> None:
    availability, engine = Availability(), Pieces()
    pieces: Any = engine
    availability.attach(pieces)
    await availability.refresh()
    availability.complete()
    assert await availability.bring(0, SIZE, 0) == SIZE
    engine.found[2] = 0
    engine.on_check()
    await availability.wait_written()
    assert availability.available(0, SIZE, 0) == 2
    assert await availability.bring(0, SIZE, 0) == 2
