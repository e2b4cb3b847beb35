"""What subtitles ask of the outside; `media` implements it."""

from __future__ import annotations

from typing import Protocol

from chilly_movies.jobs.ports import FileReader
from chilly_movies.watching.tracks import Cues


class SubtitleConverter(Protocol):
    """Makes WebVTT of subtitles. They come from strangers: it must survive all of them."""

    async def sidecar(
        self, reader: FileReader, *, ending: str, language: str | None, fps: float | None
    ) -> Cues:
        """A subtitle file.

        Args:
            reader: all of it has arrived.
            ending: of its name, `.srt` say.
            language: its language if known, a hint to the charset.
            fps: pictures a second of its film if known, for files that count pictures.

        Raises:
            SubtitleUnreadable: it holds no subtitles.
        """
        ...

    async def embedded(self, reader: FileReader, number: int) -> Cues:
        """A text track of a film, as far as it has arrived.

        Args:
            reader: the film.
            number: the container's number of the track.

        Raises:
            SubtitleUnreadable: there is no such track, or it cannot be taken out.
        """
        ...
