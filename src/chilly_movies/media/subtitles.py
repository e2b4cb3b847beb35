"""Subtitles as WebVTT: read and converted in a child process."""

from __future__ import annotations

import json

import structlog

from chilly_movies.errors import SubtitleUnreadable
from chilly_movies.jobs.ports import FileReader
from chilly_movies.media.sandbox import ChildFailed, Outcome, Sandbox
from chilly_movies.watching.tracks import Cues

log = structlog.get_logger(__name__)


class SandboxConverter:
    """Implements `ports.SubtitleConverter` with our own readers of subtitles and tracks.

    Args:
        sandbox: where it runs; None = one of its own.
    """

    def __init__(self, sandbox: Sandbox | None = None) -> None:
        self._sandbox = sandbox or Sandbox()

    async def sidecar(
        self, reader: FileReader, *, ending: str, language: str | None, fps: float | None
    ) -> Cues:
        """See `ports.SubtitleConverter`."""
        return await self._run(reader, "sidecar", ending, language or "", str(fps or 0.0))

    async def embedded(self, reader: FileReader, number: int) -> Cues:
        """See `ports.SubtitleConverter`."""
        return await self._run(reader, "embedded", str(number))

    async def _run(self, reader: FileReader, task: str, *words: str) -> Cues:
        try:
            outcome: Outcome = await self._sandbox.run(reader, task, *words)
            said = json.loads(outcome.body)
            return Cues(str(said["vtt"]), said["complete"] is True)
        except (ChildFailed, ValueError, KeyError, TypeError) as error:
            log.info("subtitles could not be read", problem=str(error))
            raise SubtitleUnreadable("Nothing can be made of these subtitles.") from None
