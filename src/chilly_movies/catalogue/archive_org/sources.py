"""Where a film of the Internet Archive is to be had: by its torrent, and by a plain link."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from chilly_movies.catalogue.archive_org.catalogue import ArchiveCatalogue
from chilly_movies.catalogue.archive_org.item import ARCHIVE, ArchiveFile, ArchiveItem
from chilly_movies.catalogue.titles import TitleRef
from chilly_movies.errors import InvalidSource
from chilly_movies.jobs.models import FurtherSource, Source, SourceType
from chilly_movies.jobs.named import NamedFilm, Naming

_PLAYED: Final = frozenset({"mp4", "m4v", "mkv", "webm"})
"""What players and browsers take."""
_VIDEO: Final = _PLAYED | {"ogv", "avi", "mpg", "mpeg", "mov", "wmv", "flv", "ts", "m2ts", "divx"}
_TEXT: Final = frozenset({"srt", "vtt", "ass"})


def naming(catalogue: ArchiveCatalogue) -> Naming:
    """What `archive:<identifier>` stands for."""

    async def find(identifier: str) -> NamedFilm:
        item = await catalogue.item(TitleRef(ARCHIVE, identifier))
        return film_of(item, catalogue)

    return Naming("archiveId", find)


def film_of(item: ArchiveItem, catalogue: ArchiveCatalogue) -> NamedFilm:
    """Where the films of an item are to be had.

    The torrent has all files of an item, of which the films and their subtitles are wanted. The
    Archive shares it by web seeds alone; the link to the one film is there for when these fail.

    Raises:
        InvalidSource: there is no film, or there are several and no torrent.
    """
    films, where = pick_films(item.files), item.identifier
    if not films:
        raise InvalidSource(f"The item '{where}' of the Internet Archive holds no film.")
    links = tuple(
        FurtherSource(
            Source(SourceType.HTTP, catalogue.address_of(where, film.name)),
            film.checksum,
            film.size,
        )
        for film in films[: 1 if len(films) == 1 else 0]
    )
    torrent = next((f for f in item.files if f.format == "Archive BitTorrent"), None)
    labels = _labels(item)
    if torrent is None and not links:
        raise InvalidSource(
            f"The item '{where}' of the Internet Archive holds several films and no torrent."
        )
    if torrent is None:
        return NamedFilm(links[0].source, checksum=links[0].checksum, labels=labels)
    wanted = (*films, *_texts_of(films, item.files))
    return NamedFilm(
        Source(SourceType.TORRENT, catalogue.address_of(where, torrent.name)),
        files=tuple(file.name for file in wanted),
        candidates=links,
        labels=labels,
    )


def pick_films(files: Iterable[ArchiveFile]) -> list[ArchiveFile]:
    """The best file of each film that was uploaded: one that plays everywhere, else itself.

    The Archive makes several others of each upload; the largest is the best of these.
    """
    films = [file for file in files if file.suffix in _VIDEO]
    best: dict[str, ArchiveFile] = {}
    for film in (film for film in films if film.is_original):
        made = [f for f in films if f.made_of == film.name and f.suffix in _PLAYED]
        found = film
        if film.suffix not in _PLAYED and made:
            found = max(made, key=lambda one: one.size or 0)
        stem = film.name.rpartition(".")[0]
        known = best.get(stem)
        if known is None or (found.size or 0) > (known.size or 0):
            best[stem] = found
    return [best[stem] for stem in sorted(best)]


def _texts_of(films: list[ArchiveFile], files: Iterable[ArchiveFile]) -> list[ArchiveFile]:
    stems = tuple((film.made_of or film.name).rpartition(".")[0] for film in films)
    return [file for file in files if file.suffix in _TEXT and file.name.startswith(stems)]


def _labels(item: ArchiveItem) -> dict[str, str]:
    title = item.details.title
    name = re.sub(r"\s+", " ", title.name)[:200]
    labels = {"archiveId": item.identifier, "mediaType": title.kind.value, "title": name}
    return labels | ({"year": str(title.year)} if title.year is not None else {})
