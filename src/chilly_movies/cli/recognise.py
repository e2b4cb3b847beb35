"""`chilly recognise`: what names say, without server and network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from chilly_movies.cli.exits import CommandFailed, Exit
from chilly_movies.cli.output import Output

if TYPE_CHECKING:
    from chilly_movies.library.recognition import Recognition


def recognise(
    *names: Annotated[str, Parameter(name="NAME")],
    json: Annotated[bool, Parameter(negative="", show_default=False)] = False,
) -> int:
    """Tell which film or episode names speak of, by the names alone.

    Args:
        names: Names of files or releases, with or without their folders.
        json: Print a line of JSON for each.

    Raises:
        CommandFailed: there is no name.
    """
    from chilly_movies.library.recognition import recognise as by_name

    if not names:
        raise CommandFailed("Give at least one NAME of a file or a release.", Exit.USAGE)
    out = Output(as_json=json)
    for name in names:
        found = by_name(name)
        out.record(_record(found))
        out.say(_sentence(found))
    return Exit.DONE


def _record(found: Recognition) -> dict[str, Any]:
    return {
        "name": found.name,
        "mediaType": found.kind,
        "title": found.title,
        "year": found.year,
        "season": found.season,
        "episodes": list(found.episodes),
        "absolute": list(found.absolute),
        "quality": found.quality,
        "confidence": found.confidence,
        "sure": found.sure,
    }


def _sentence(found: Recognition) -> str:
    """A line for people."""
    if found.title is None:
        return f"{found.name}: nothing was recognised"
    said = [found.title + (f" ({found.year})" if found.year else "")]
    if found.season is not None:
        said.append(f"season {found.season}")
    numbers = found.episodes or found.absolute
    if numbers:
        said.append("episode " + ", ".join(str(number) for number in numbers))
    said += [mark for mark in (found.edition, found.quality) if mark]
    doubt = "" if found.sure else " (not sure" + "".join(f"; {d}" for d in found.doubts) + ")"
    return f"{found.name}: {', '.join(said)}{doubt}"
