"""Tells paths from other sources, and says what lies there before it is a job."""

from __future__ import annotations

from dataclasses import replace

from chilly_movies.disk.roots import RootedPath, Roots
from chilly_movies.disk.scan import Found, look
from chilly_movies.disk.threads import on_disk
from chilly_movies.errors import InvalidSource, SourceNotFound, SourceUnavailable
from chilly_movies.jobs.inspection import Certainty, InspectedSource
from chilly_movies.jobs.models import MediaFile, Source
from chilly_movies.names import safe_paths
from chilly_movies.net.link_answer import LinkAnswer


class LocalSources:
    """Implements `inspection.SourceInspector`.

    Args:
        roots: the folders that films may be taken from.
    """

    def __init__(self, roots: Roots) -> None:
        self._roots = roots

    def recognises(self, urn: str, answer: LinkAnswer | None = None) -> Certainty:
        """See `inspection.SourceInspector`."""
        if urn.startswith("/"):
            return Certainty.CERTAIN
        if "/" not in urn or "://" in urn:
            return Certainty.NONE
        try:
            self._roots.find(urn)
        except InvalidSource:
            return Certainty.NONE
        return Certainty.CERTAIN

    async def inspect(self, source: Source, *, resolve: bool) -> InspectedSource:
        """See `inspection.SourceInspector`."""
        place = self._roots.find(source.urn)

        def found() -> Found:
            try:
                return look(place)
            except FileNotFoundError:
                raise SourceNotFound(f"Nothing lies at '{place.urn}'.") from None
            except OSError as error:  # the source's disk, not that of the media folder
                sentence = f"'{place.urn}' cannot be read: {error.strerror}."
                raise SourceUnavailable(sentence) from None

        return _shown(replace(source, urn=place.urn), place, await on_disk(found))


def _shown(source: Source, place: RootedPath, found: Found) -> InspectedSource:
    paths = safe_paths("/".join((place.name, *file.path)) for file in found.files)
    files = tuple(
        MediaFile(number, path, file.size)
        for number, (path, file) in enumerate(zip(paths, found.files, strict=True))
    )
    return InspectedSource(source, place.name, sum(file.size for file in files), files)
