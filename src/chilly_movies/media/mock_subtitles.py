"""A converter that converts nothing: for front-end authors and tests."""

from __future__ import annotations

from chilly_movies.jobs.ports import FileReader
from chilly_movies.watching.tracks import Cues


class MockSubtitleConverter:
    """Implements `ports.SubtitleConverter`: all subtitles say the same."""

    async def sidecar(
        self, reader: FileReader, *, ending: str, language: str | None, fps: float | None
    ) -> Cues:
        """See `ports.SubtitleConverter`."""
        return _CUES

    async def embedded(self, reader: FileReader, number: int) -> Cues:
        """See `ports.SubtitleConverter`."""
        return _CUES


_CUES = Cues("WEBVTT\n\n00:00:01.000 --> 00:00:04.000\n<i>This</i> is a mock film.\n")
