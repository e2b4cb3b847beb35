"""What `watching` asks of the outside; `media` implements it."""

from __future__ import annotations

from typing import Protocol

from chilly_movies.jobs.ports import FileReader
from chilly_movies.watching.tracks import Probed


class MediaProbe(Protocol):
    """Looks into film files. They come from strangers: it must survive all of them."""

    async def probe(self, reader: FileReader) -> Probed:
        """What the file says of itself, from what has arrived; bounded in time and memory.

        Never waits for bytes, never raises for what is in the file.
        """
        ...
