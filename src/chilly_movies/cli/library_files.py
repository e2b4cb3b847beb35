"""The library's part of `chilly backup`, `chilly restore` and `chilly doctor`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from chilly_movies.cli import render
from chilly_movies.cli.checks import Finding
from chilly_movies.errors import ChillyError, StoreError
from chilly_movies.runtime.state_folder import LIBRARY

Taken: TypeAlias = tuple[int | None, int, str]
"""How many items there are, None = there is no library; how many were lost; what is damaged."""

_REMEDY = (
    "Stop the server; 'chilly backup FILE' saves the good rows, and 'chilly restore FILE --force' "
    "puts them in the place of the damaged ones. Or move the file away: the library is made anew "
    "of the films that are there."
)


def take_library(database: Path, contents: dict[str, Path], scratch: Path) -> Taken:
    """Copies the library for an archive if there is one; one that cannot be read is left out."""
    from chilly_movies.storage.library.inspection import copy_library

    if not database.exists():
        return None, 0, ""
    try:
        taken = copy_library(database, scratch / LIBRARY)
    except StoreError as error:
        return None, 0, str(error).rstrip(".")
    contents[LIBRARY] = scratch / LIBRARY
    return taken.items, taken.lost, taken.damage


def bring_library(scratch: Path) -> Taken:
    """Writes the library of an archive anew, beside it, if it has one.

    Raises:
        StoreError: it is none, or holds things that are not ours.
    """
    from chilly_movies.storage.library.inspection import rebuild

    if not (scratch / LIBRARY).exists():
        return None, 0, ""
    taken = rebuild(scratch / LIBRARY, scratch / f"fresh-{LIBRARY}")
    return taken.items, taken.lost, ""


def check_library(database: Path) -> Iterator[Finding]:
    """Checks the database of the library if there is one."""
    from chilly_movies.storage.library.inspection import survey_library

    if not database.exists():
        return
    try:
        found = survey_library(database)
    except ChillyError as error:
        yield Finding("library", "problem", f"The library: {error}", _REMEDY)
        return
    if found.damage:
        yield Finding("library", "problem", f"The library is damaged: {found.damage}.", _REMEDY)
    if found.lost:
        what = f"{render.count(found.lost, 'item')} of the library cannot be read."
        yield Finding("library", "problem", what, _REMEDY)
    if not found.damage and not found.lost:
        what = f"The library is sound and holds {render.count(found.items, 'item')}."
        yield Finding("library", "ok", what)
