"""Texts that go where a room is torn off; see `lab.tear_off`."""

from __future__ import annotations

TAKE_LIBRARY = """\
    from chilly_movies.storage.library.inspection import copy_library

    if not database.exists():
        return None, 0, ""
    try:
        taken = copy_library(database, scratch / LIBRARY)
    except StoreError as error:
        return None, 0, str(error).rstrip(".")
    contents[LIBRARY] = scratch / LIBRARY
    return taken.items, taken.lost, taken.damage
"""
BRING_LIBRARY = """\
    from chilly_movies.storage.library.inspection import rebuild

    if not (scratch / LIBRARY).exists():
        return None, 0, ""
    taken = rebuild(scratch / LIBRARY, scratch / f"fresh-{LIBRARY}")
    return taken.items, taken.lost, ""
"""
CHECK_LIBRARY = """\
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
"""
