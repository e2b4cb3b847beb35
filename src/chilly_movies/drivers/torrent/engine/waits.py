"""What a torrent waits for the engine to answer, each by one alert."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TypeVar

from chilly_movies.errors import ChillyError, EngineError
from chilly_movies.runtime import tasks

T = TypeVar("T")
_TIMEOUT = 20.0


@dataclass(slots=True)
class Waits:
    """The open questions to the engine about one torrent.

    Attributes:
        resume: saves of resume data, the oldest first.
        renamed: renamed files, by file index.
        checked: comparisons with the hashes.
        removed: removals from the session.
    """

    resume: list[asyncio.Future[bytes | None]] = field(default_factory=list)
    renamed: dict[int, asyncio.Future[None]] = field(default_factory=dict)
    checked: list[asyncio.Future[None]] = field(default_factory=list)
    removed: list[asyncio.Future[None]] = field(default_factory=list)

    def end_save(self, data: bytes | None) -> None:
        """Answers the oldest save; None if there was nothing to save."""
        if self.resume:
            tasks.answer(self.resume.pop(0), data)

    def end_rename(self, index: int, error: ChillyError | None = None) -> None:
        """Answers the renaming of a file, with what went wrong if anything did."""
        if (future := self.renamed.pop(index, None)) is not None:
            _end(future, error)

    def end_check(self, error: Exception | None = None) -> None:
        """Answers all comparisons, with what went wrong if anything did."""
        waiting, self.checked = self.checked, []
        for future in waiting:
            _end(future, error)

    def end_removal(self) -> None:
        """Answers all removals."""
        for future in self.removed:
            tasks.answer(future, None)


def _end(future: asyncio.Future[None], error: Exception | None) -> None:
    if error is None:
        tasks.answer(future, None)
    elif not future.done():
        future.set_exception(error)


async def answer(future: asyncio.Future[T], what: str) -> T:
    """What the engine answers.

    Args:
        future: is given the answer.
        what: the question, for the error.

    Raises:
        EngineError: it did not within 20 s.
    """
    try:
        async with asyncio.timeout(_TIMEOUT):
            return await future
    except TimeoutError:
        raise EngineError(f"The torrent engine did not answer in time ({what}).") from None
