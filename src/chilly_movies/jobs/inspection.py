"""What a source is, before anybody downloads it: its kind, its name, and what is in it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from chilly_movies.jobs.models import MediaFile, Source
from chilly_movies.jobs.torrents import InspectedTorrent
from chilly_movies.net.link_answer import LinkAnswer


class Certainty(IntEnum):
    """How sure it is that a text is a source of one kind."""

    NONE = 0
    POSSIBLE = 1
    """It may be: what its server says would tell."""
    LIKELY = 2
    """It looks like one; nothing has to be asked."""
    CERTAIN = 3
    """It is one, or it is broken and was meant as one."""


@dataclass(frozen=True, slots=True)
class InspectedSource:
    """What is known of a source that nobody downloads yet.

    Attributes:
        source: the source, with its type.
        name: display name, None if it is not known.
        size: bytes of all files, None if they are not known.
        files: empty if they are not known.
        torrent: what is in it, if it is a torrent whose metadata is known.
        identities: keys that say "the same film data", beside those its driver finds in its text.
        existing_id: the job that has it already, None if none has.
    """

    source: Source
    name: str | None = None
    size: int | None = None
    files: tuple[MediaFile, ...] = ()
    torrent: InspectedTorrent | None = None
    identities: tuple[str, ...] = ()
    existing_id: str | None = None


class SourceInspector(Protocol):
    """Knows sources of one kind before they are jobs."""

    def recognises(self, urn: str, answer: LinkAnswer | None = None) -> Certainty:
        """How sure it is that a text is a source of this kind. Without any I/O; never raises.

        Args:
            urn: what a caller gave.
            answer: what its server said, if it is a link and was asked.
        """
        ...

    async def inspect(self, source: Source, *, resolve: bool) -> InspectedSource:
        """Say what is in a source. Stores nothing; bounded in time; cancelling ends all traffic.

        Args:
            source: of this kind; its driver's `identify` lets it pass.
            resolve: others than the server of the link itself may be asked, too: peers, say.
                Else nothing is sent for a source that is no link.

        Raises:
            InvalidSource: the source is broken.
            DownloadError: the source is not there, or does not say what it is.
            EngineError: the downloader closed.
        """
        ...
