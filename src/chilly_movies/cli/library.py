"""`chilly library`, `match`, `file` and `undo`: the films and series that the user has."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from cyclopts import Parameter

from chilly_movies.cli import render
from chilly_movies.cli.exits import CommandFailed, Exit
from chilly_movies.cli.remote import HERE, Flag, Remote
from chilly_movies.cli.running import run

_Item = Annotated[str, Parameter(name="ITEM")]


def library(
    *words: Annotated[str, Parameter(name="WORDS")], limit: int = 50, remote: Remote = HERE
) -> int:
    """Show what is in the library, all of it or what is found by some words.

    Args:
        words: Words of a title or of the cast, whole or begun.
        limit: How many at most, 500 or fewer.
        remote: Which server.
    """
    out = remote.output()

    async def work() -> None:
        async with remote.client() as api:
            found = await api.library(" ".join(words), limit=limit)
        out.document(found)
        if not found["items"]:
            out.say("Nothing was found." if words else "The library is empty.")
            return
        out.show(_table(found["items"]))
        if found["total"] > len(found["items"]):
            out.say(f"These are {len(found['items'])} of {found['total']}; --limit shows more.")

    run(work())
    return Exit.DONE


def _table(items: list[dict[str, Any]]) -> Any:
    rows = [
        (one["id"], one["state"], one["kind"], str(one["year"] or ""), one["title"])
        for one in items
    ]
    return render.table(("ID", "STATE", "KIND", "YEAR", "TITLE"), rows)


def match(
    item_id: _Item,
    ref: Annotated[str | None, Parameter(name="REF")] = None,
    /,
    *,
    title: str | None = None,
    year: int | None = None,
    kind: Literal["movie", "tv"] | None = None,
    remote: Remote = HERE,
) -> int:
    """Say what an item of the library is; nothing overrules that.

    Args:
        item_id: Which item, as 'chilly library' shows it.
        ref: A title of a catalogue, like tmdb:movie:10331.
        title: Instead, what it is called.
        year: Of the first release.
        kind: Whether it is a film or a series.
        remote: Which server.
    """
    if (ref is None) is (title is None):
        raise CommandFailed("Give either a title of a catalogue or --title.", Exit.USAGE)
    said = {"ref": ref, "title": title, "year": year, "mediaType": kind}
    return _changed(remote, item_id, "PUT", "/match", {k: v for k, v in said.items() if v})


def file(item_id: _Item, /, *, plan: Annotated[bool, Flag] = False, remote: Remote = HERE) -> int:
    """File an item of the library for media servers.

    Args:
        item_id: Which item, as 'chilly library' shows it.
        plan: Only show what would be done.
        remote: Which server.
    """
    if not plan:
        return _changed(remote, item_id, "POST", "/file")
    out = remote.output()

    async def work() -> None:
        async with remote.client() as api:
            found = await api.filing_plan(item_id)
        out.document(found)
        rows = [(one["how"] or "there", one["place"]) for one in found["files"]]
        rows += [("removed", place) for place in found["removed"]]
        out.show(render.table(("HOW", "PLACE"), rows))

    run(work())
    return Exit.DONE


def undo(item_id: _Item, /, *, remote: Remote = HERE) -> int:
    """Take out of the tree what filing put there of an item; it stays out until it is filed.

    Args:
        item_id: Which item, as 'chilly library' shows it.
        remote: Which server.
    """
    return _changed(remote, item_id, "POST", "/undo")


def _changed(
    remote: Remote, item_id: str, method: str, verb: str, body: dict[str, Any] | None = None
) -> int:
    """Changes an item, and says how it stands then."""
    out = remote.output()

    async def work() -> None:
        async with remote.client() as api:
            item = await api.change_item(method, item_id, verb, body)
        out.document(item)
        out.say(f"{item['title']} is {item['state']}")

    run(work())
    return Exit.DONE
