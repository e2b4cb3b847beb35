"""Compares the HTTP contract of this checkout with that of another revision.

`python -m lab.same_contract REVISION` prints every path, member, type, range, required list and
status code that differs: what breaks a client of the older contract, and growth, which breaks none,
with the reason. It ends with 1 if something breaks. Descriptions, titles and examples are text for
people, and the names of schemas and operations are not on the wire: they may differ.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

CONTRACT = "contracts/openapi.yaml"
FOR_PEOPLE = {"description", "title", "summary", "example", "examples", "operationId", "tags"}
MAPS = {"properties", "responses", "links", "content", "headers"}
"""What holds things by their names."""
_JOB = "responses/200/content/application/json/schema/properties"
LOOKED_AT = {
    **{
        f"{place}/position/{key}": "null of a job that does not wait, whose number said nothing"
        for place in (
            f"/downloads/get/{_JOB}/items/items/properties",
            f"/downloads/{{id}}/get/{_JOB}",
        )
        for key in ("anyOf", "type")
    },
    "/links/get/parameters/query path/schema/pattern": "events have links, too; what had still has",
}
"""Differences no rule can judge, which somebody looked at: where, and why they break nothing."""

OPEN = {
    "sourceType": (
        {"anyOf", "enum", "type"},
        "the same texts, and those of drivers that somebody handed in to their server",
    ),
    "checksum": ({"pattern"}, "more kinds of checksums are taken"),
}
"""Members of which these keys differ and break nothing: a server as it comes answers as before."""


def resolved(node: Any, whole: Any, above: tuple[str, ...] = (), *, names: bool = False) -> Any:
    """The contract without text for people, with each reference replaced by what it names.

    Args:
        node: a part of it.
        whole: the contract.
        above: the references that led here.
        names: the keys are names of members, which may be called like text for people.
    """
    if isinstance(node, list):
        return [resolved(item, whole, above) for item in node]
    if not isinstance(node, dict):
        return node
    if not names and (reference := node.get("$ref")) is not None:
        if reference in above:
            return {"again": len(above) - above.index(reference)}
        target = whole
        for step in reference.removeprefix("#/").split("/"):
            target = target[step]
        return resolved(target, whole, (*above, reference))
    return {
        key: resolved(value, whole, above, names=not names and key in MAPS)
        for key, value in node.items()
        if names or key not in FOR_PEOPLE
    }


def by_name(parameters: list[Any]) -> dict[str, Any]:
    """Parameters of an operation, whose order says nothing."""
    return {f"{one['in']} {one['name']}": one for one in parameters}


def differences(old: Any, new: Any, where: tuple[str, ...] = ()) -> Iterator[Difference]:
    """Each place in which two contracts differ."""
    if where and where[-1] == "parameters" and isinstance(old, list) and isinstance(new, list):
        old, new = by_name(old), by_name(new)
    if _lists_of_schemas(old, new):
        old, new = ({str(at): one for at, one in enumerate(some)} for some in (old, new))
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys(), key=str):
            inside = (*where, str(key))
            yield from differences(old.get(key, ABSENT), new.get(key, ABSENT), inside)
    elif in_any_order(old) != in_any_order(new):
        yield Difference(where, old, new)


def _lists_of_schemas(old: Any, new: Any) -> bool:
    """Whether both are lists of alternatives, as many of them."""
    both = isinstance(old, list) and isinstance(new, list) and len(old) == len(new)
    return both and all(isinstance(one, dict) for one in (*old, *new))


def in_any_order(value: Any) -> Any:
    """Lists of plain values (required members, enums) compare without their order."""
    plain = isinstance(value, list) and all(not isinstance(x, dict | list) for x in value)
    return sorted(map(str, value)) if plain else value


class _Absent:
    def __repr__(self) -> str:
        return "nothing"


ABSENT = _Absent()


@dataclass(frozen=True)
class Difference:
    """A place in which two contracts differ, and what they say there."""

    where: tuple[str, ...]
    old: Any
    new: Any

    @property
    def in_answer(self) -> bool:
        return "responses" in self.where

    def __str__(self) -> str:
        was, now = (
            "..." if isinstance(value, dict | list) and len(str(value)) > 60 else repr(value)
            for value in (self.old, self.new)
        )
        return f"{'/'.join(self.where)}: {was} -> {now}"


def growth(diff: Difference) -> str | None:
    """Why the difference breaks no client of the older contract; None if it may break one."""
    *above, key = diff.where
    added, gone = diff.old is ABSENT, diff.new is ABSENT
    inside = above[-1] if above else ""
    if (known := LOOKED_AT.get("/".join(diff.where))) is not None:
        return known
    if len(diff.where) <= 2 and added:
        return "a new route"
    if "links" in diff.where and diff.in_answer:
        return "a link says which operation takes the answer; nothing is sent because of it"
    for member, (keys, why) in OPEN.items():
        if key in keys and member in diff.where:
            return why
    if key == "default" and gone:
        return "left out means what it meant; generators took a default for 'always there'"
    if key == "security" and diff.new == []:
        return "no key is needed any more"
    if "text/event-stream" in diff.where:
        return "the data of the events, whose form prose told before"
    if inside == "parameters" and added and not diff.new.get("required"):
        return "a parameter nobody has to give"
    return _growth_of_answer(diff) if diff.in_answer else _growth_of_request(diff)


def _growth_of_answer(diff: Difference) -> str | None:
    *above, key = diff.where
    added = diff.old is ABSENT
    if above[-1:] == ["properties"] and added:
        return "a new member of an answer; what is not known is ignored"
    if above[-1:] == ["responses"] and added and key >= "400":
        return "a further error, of the shape of all errors"
    if key == "enum" and added:
        return "the same texts as before, now all of them are named"
    if key == "required" and set(diff.new) >= set(() if added else diff.old):
        return "always there, which before was only so"
    return None


def _growth_of_request(diff: Difference) -> str | None:
    *above, key = diff.where
    added = diff.old is ABSENT
    if above[-1:] == ["properties"] and added:
        return "a member nobody has to give"  # if one has to, `required` differs, too
    if key == "enum" and not added and set(diff.new) >= set(diff.old):
        return "more may be asked for"
    if key == "type" and added and diff.new == "string" and "multipart/form-data" in above:
        return "a field of a form is text anyway"
    return None


def main() -> None:
    """Compares and prints."""
    revision = sys.argv[1]
    root = Path(__file__).parents[1]
    shown = subprocess.run(
        ["git", "show", f"{revision}:{CONTRACT}"], cwd=root, check=True, capture_output=True
    )
    old, new = yaml.safe_load(shown.stdout), yaml.safe_load((root / CONTRACT).read_text())
    found = list(differences(resolved(old["paths"], old), resolved(new["paths"], new)))
    breaks = [diff for diff in found if growth(diff) is None]
    sys.stdout.write("".join(f"BREAK  {diff}\n" for diff in breaks))
    for line, times in Counter(map(_of_many, found)).items():
        sys.stdout.write(f"growth {times:4} times {line}\n" if line else "")
    sys.stdout.write(f"{len(breaks)} breaks and {len(found) - len(breaks)} times growth ")
    sys.stdout.write(f"in {len(old['paths'])} paths\n")
    sys.exit(1 if breaks else 0)


def _of_many(diff: Difference) -> str:
    """What growth says without the route, as a schema is part of many; "" for what breaks."""
    why, where = growth(diff), diff.where
    if "schema" in where:
        kind = "answer" if diff.in_answer else "request"
        where = (kind, *where[where.index("schema") + 1 :])
    return f"{replace(diff, where=where)} ({why})" if why else ""


if __name__ == "__main__":
    main()
