"""`chilly find-data`: which bytes of torrents lie here already; nothing is started or changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from chilly_movies.cli.exits import CommandFailed, Exit
from chilly_movies.cli.media_folder import with_known_folder
from chilly_movies.cli.output import Output
from chilly_movies.cli.render import size, table
from chilly_movies.cli.sources import Wanted, read_sources
from chilly_movies.errors import ChillyError
from chilly_movies.runtime.loading import loading

if TYPE_CHECKING:
    from chilly_movies.drivers.torrent.finding.matching import Match
    from chilly_movies.drivers.torrent.finding.search import DataFinder
    from chilly_movies.jobs.models import MediaFile

_Flag = Parameter(negative="", show_default=False)


def find_data(
    *torrents: Annotated[str, Parameter(name="TORRENT")],
    media_root: Path | None = None,
    folder: Annotated[tuple[Path, ...], _Flag] = (),
    json: Annotated[bool, _Flag] = False,
) -> int:
    """Say which files of torrents lie here already, under whatever name.

    They are looked for in the media folder and the folders of CHILLY_ROOTS, by their size and by
    hashes of some of their bytes; a download compares every byte before it counts. Nothing is
    started, sent or changed.

    Args:
        torrents: Paths of torrent files.
        media_root: Where films are, instead of the setting.
        folder: A folder to look in beside it; can be given several times.
        json: One JSON document.
    """
    from chilly_movies.settings import load_settings

    wanted = read_sources(torrents)
    settings, _ = with_known_folder(load_settings(media_root=media_root))
    with loading():
        from chilly_movies.app import engine_config
        from chilly_movies.drivers.torrent.finding.search import DataFinder

    config = engine_config(settings)
    folders = (config.media_root, *config.film_folders, *(path.absolute() for path in folder))
    finder, out = DataFinder(folders), Output(as_json=json)
    found = [_look(one, finder) for one in wanted]
    out.document({"torrents": [one.document() for one in found]})
    for one in found:
        _show(one, out)
    return Exit.DONE


@dataclass(frozen=True, slots=True)
class _Found:
    """What of one torrent lies here."""

    torrent: str
    name: str
    files: Sequence[tuple[MediaFile, Match | None]]
    bytes_read: int

    @property
    def total(self) -> int:
        """Bytes of all its files."""
        return sum(file.size for file, _ in self.files)

    @property
    def found(self) -> int:
        """Bytes of those that lie here."""
        return sum(file.size for file, match in self.files if match is not None)

    def document(self) -> dict[str, Any]:
        """Itself as JSON."""
        files = [
            {
                "index": file.index,
                "path": file.path,
                "size": file.size,
                "foundAt": None if match is None else str(match.path),
                "sampled": match is not None and match.sampled,
            }
            for file, match in self.files
        ]
        return {
            "torrent": self.torrent,
            "name": self.name,
            "totalBytes": self.total,
            "foundBytes": self.found,
            "bytesRead": self.bytes_read,
            "files": files,
        }


def _look(wanted: Wanted, finder: DataFinder) -> _Found:
    """Looks for the files of one torrent.

    Raises:
        CommandFailed: it is no torrent file, or a broken one.
    """
    from chilly_movies.drivers.torrent.found import files_of

    if wanted.torrent is None:
        sentence = f"{wanted.text} is no torrent file; nobody is asked for its list of files."
        raise CommandFailed(sentence, Exit.USAGE)
    try:
        hashes, metadata = files_of(wanted.torrent)
    except ChillyError as error:
        raise CommandFailed(f"{wanted.text}: {error}", Exit.USAGE) from None
    files = metadata.facts.files
    found = finder.find(hashes, frozenset(file.index for file in files))
    pairs = [(file, found.matches.get(file.index)) for file in files]
    return _Found(wanted.text, metadata.facts.name or "", pairs, found.bytes_read)


def _show(found: _Found, out: Output) -> None:
    here = sum(match is not None for _, match in found.files)
    said = f"{size(found.found)} of {size(found.total)}, {here} of {len(found.files)} files"
    out.say(f"{found.name}: {said} are here.")
    rows = [(file.path, size(file.size), _where(match)) for file, match in found.files]
    out.show(table(("FILE", "SIZE", "WHERE"), rows))


def _where(match: Match | None) -> str:
    if match is None:
        return "not here"
    return str(match.path) if match.sampled else f"{match.path} (by its size alone)"
