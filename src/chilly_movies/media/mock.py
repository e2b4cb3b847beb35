"""A probe that looks at nothing: for front-end authors and tests."""

from __future__ import annotations

from dataclasses import replace

from chilly_movies.jobs.ports import FileReader
from chilly_movies.watching.tracks import (
    AudioTrack,
    MediaFacts,
    Probed,
    TextTrack,
    VideoTrack,
)

FACTS = MediaFacts(
    container="Matroska",
    duration=5400.0,
    bitrate=1_037_037,
    video=VideoTrack("H.264", 1280, 720, 24.0, 8),
    audio=(AudioTrack("AAC", "en", 2), AudioTrack("AAC", "fr", 2)),
    subtitles=(TextTrack(4, "SRT", "en"), TextTrack(5, "SRT", "fr", forced=True)),
    chapters=12,
)


class MockMediaProbe:
    """Implements `ports.MediaProbe`: every file is the same film, in the container of its name."""

    def __init__(self, facts: MediaFacts | None = FACTS) -> None:
        self._facts = facts

    async def probe(self, reader: FileReader) -> Probed:
        """See `ports.MediaProbe`."""
        if self._facts is None or not reader.available(0):
            return Probed(None, 0)
        if reader.name.endswith(".mkv"):
            return Probed(self._facts)
        return Probed(replace(self._facts, container="MP4", subtitles=()))
