"""Data that lay in the media root before its job: it is the user's, so only looked at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from chilly_movies.drivers.torrent.engine import params as p
from chilly_movies.drivers.torrent.making.content import shown
from chilly_movies.errors import InvalidSource, SourceRejected
from chilly_movies.jobs.models import Job, SourceFacts

_ADVICE = "it is left as it is and not seeded"


def facts_of(job: Job) -> SourceFacts:
    """What the job's torrent file says, each file where it lies below the media root.

    The names on the disk are the torrent's own: nobody made them harmless there.

    Raises:
        SourceRejected: the torrent file is broken.
    """
    try:
        info = p.parse_torrent(job.source.data or b"").ti
    except InvalidSource as error:
        raise SourceRejected(str(error)) from None
    assert info is not None  # noqa: S101 (for the type checker)
    facts, layout = p.read_metadata(info, programs=True).facts, info.layout()
    files = (
        replace(file, path="/".join([job.path or "", *layout.file_path(file.index).split("/")[1:]]))
        for file in facts.files
    )
    return replace(facts, files=tuple(files))


def refuse_what_differs(media_root: Path, facts: SourceFacts) -> None:
    """Look at all files before the engine does, which makes empty ones that are missing.

    Raises:
        SourceRejected: one is missing, has another size, or lies outside the media root.
    """
    root = media_root.resolve()
    for file in facts.files:
        path, name = media_root / file.path, shown(file.path)
        if not path.exists():
            raise SourceRejected(f"The file '{name}' is not there, so nothing can be seeded.")
        if not path.resolve().is_relative_to(root):
            raise SourceRejected(f"The file '{name}' lies outside the media folder.")
        if not path.is_file() or path.stat().st_size != file.size:
            raise SourceRejected(f"The file '{name}' is not what the torrent says; {_ADVICE}.")


def differs() -> SourceRejected:
    """The error for data whose hashes are not those of the torrent."""
    return SourceRejected(f"The data on the disk is not what the torrent says; {_ADVICE}.")
