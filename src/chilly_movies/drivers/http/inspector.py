"""Tells links to plain files from others, and says what is there before it is a job."""

from __future__ import annotations

from urllib.parse import urlsplit

from chilly_movies.drivers.http.links import identity, name_of
from chilly_movies.drivers.http.metalink import MAX_DOCUMENT, MetalinkFile, is_metalink, parse
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
            if _leads_to_metalink(answer):
                return Certainty.CERTAIN
            return Certainty.NONE if answer.is_page else Certainty.LIKELY
        if is_metalink("", path):
            return Certainty.CERTAIN
        known = is_video(path) or path.rpartition(".")[2] in _SUFFIXES
        return Certainty.LIKELY if known else Certainty.POSSIBLE

    async def inspect(self, source: Source, *, resolve: bool) -> InspectedSource:
        """See `inspection.SourceInspector`. Of a metalink the files that it names are told."""
        secret = source.secret.as_headers() if source.secret is not None else None
        answer = await self._policy.peek(source.urn, secret)
        if _leads_to_metalink(answer):
            document = await self._policy.get(
                source.urn, limit=MAX_DOCUMENT, what="a metalink", headers=secret
            )
            assert isinstance(document, bytes)  # noqa: S101 (for the type checker)
            return _of_metalink(source, parse(document))
        name, size = name_of(source.urn, answer.url, answer.headers), answer.size
        files = () if size is None else (MediaFile(0, name, size),)
        return InspectedSource(source, name, size, files)


def _leads_to_metalink(answer: LinkAnswer) -> bool:
    return is_metalink(answer.headers.get("content-type", ""), urlsplit(answer.url).path)


def _of_metalink(source: Source, found: tuple[MetalinkFile, ...]) -> InspectedSource:
    sizes = [file.size for file in found]
    known = [size for size in sizes if size is not None]
    files = tuple(MediaFile(n, file.path, file.size or 0) for n, file in enumerate(found))
    name = found[0].path.split("/")[0]
    return InspectedSource(source, name, sum(known) if len(known) == len(sizes) else None, files)
