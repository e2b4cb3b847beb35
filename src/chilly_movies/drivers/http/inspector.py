"""Tells links to plain files from others, and says what is there before it is a job."""

from __future__ import annotations

from urllib.parse import urlsplit

from chilly_movies.drivers.http.links import identity, name_of
from chilly_movies.errors import InvalidSource
from chilly_movies.jobs.inspection import Certainty, InspectedSource
from chilly_movies.jobs.models import MediaFile, Source, is_video
from chilly_movies.net.link_answer import LinkAnswer
from chilly_movies.net.policy import NetworkPolicy

_SUFFIXES = frozenset(
    ("mp3", "m4a", "aac", "flac", "ogg", "opus", "wav", "srt", "vtt", "ass", "ssa", "sub", "idx",
     "zip", "rar", "7z", "tar", "gz", "xz", "iso", "img")
)  # fmt: skip
"""How names of files end that are no films, but come with them."""
_METALINKS = ("application/metalink4+xml", "application/metalink+xml")


class HttpSources:
    """Implements `inspection.SourceInspector`.

    Args:
        policy: whom we may ask.
    """

    def __init__(self, policy: NetworkPolicy) -> None:
        self._policy = policy

    def recognises(self, urn: str, answer: LinkAnswer | None = None) -> Certainty:
        """See `inspection.SourceInspector`."""
        try:
            identity(urn)
        except InvalidSource:
            return Certainty.NONE
        path = urlsplit(urn).path.lower()
        if answer is not None:
            if _is_metalink(answer.media_type, urlsplit(answer.url).path):
                return Certainty.CERTAIN
            return Certainty.NONE if answer.is_page else Certainty.LIKELY
        if _is_metalink("", path):
            return Certainty.CERTAIN
        known = is_video(path) or path.rpartition(".")[2] in _SUFFIXES
        return Certainty.LIKELY if known else Certainty.POSSIBLE

    async def inspect(self, source: Source, *, resolve: bool) -> InspectedSource:
        """See `inspection.SourceInspector`."""
        secret = source.secret.as_headers() if source.secret is not None else None
        answer = await self._policy.peek(source.urn, secret)
        name, size = name_of(source.urn, answer.url, answer.headers), answer.size
        files = () if size is None else (MediaFile(0, name, size),)
        return InspectedSource(source, name, size, files)


def _is_metalink(kind: str, path: str) -> bool:
    """Whether a link leads to a metalink (RFC 5854), by its media type or its name."""
    return kind in _METALINKS or path.lower().endswith((".meta4", ".metalink"))
