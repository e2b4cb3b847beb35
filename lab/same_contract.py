"""Compares the HTTP contract of this checkout with that of another revision.

`python -m lab.same_contract REVISION` prints every path, member, type, range, required list and
status code that differs, and ends with 1 if one does. Descriptions, titles and examples are text
for people, and the names of schemas are not on the wire: both may differ.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

CONTRACT = "contracts/openapi.yaml"
FOR_PEOPLE = {"description", "title", "summary", "example", "examples", "operationId", "tags"}


def resolved(node: Any, whole: Any, above: tuple[str, ...] = ()) -> Any:
    """The contract without text for people, with each reference replaced by what it names."""
    if isinstance(node, list):
        return [resolved(item, whole, above) for item in node]
    if not isinstance(node, dict):
        return node
    if (reference := node.get("$ref")) is not None:
        if reference in above:
            return {"again": len(above) - above.index(reference)}
        target = whole
        for step in reference.removeprefix("#/").split("/"):
            target = target[step]
        return resolved(target, whole, (*above, reference))
    inside = above and above[-1] == "properties"  # there, the keys are names of members
    return {
        key: resolved(value, whole, (*above, "properties") if key == "properties" else above)
        if not (inside and key in FOR_PEOPLE)
        else resolved(value, whole, above[:-1])
        for key, value in node.items()
        if inside or key not in FOR_PEOPLE
    }


def differences(old: Any, new: Any, where: str = "") -> Iterator[str]:
    """One line for each place in which two contracts differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys(), key=str):
            if key not in old or key not in new:
                yield f"{where}/{key}: {'added' if key in new else 'gone'}"
            else:
                yield from differences(old[key], new[key], f"{where}/{key}")
    elif in_any_order(old) != in_any_order(new):
        yield f"{where}: {old!r} -> {new!r}"


def in_any_order(value: Any) -> Any:
    """Lists of plain values (required members, enums) compare without their order."""
    plain = isinstance(value, list) and all(not isinstance(x, dict | list) for x in value)
    return sorted(map(str, value)) if plain else value


def main() -> None:
    """Compares and prints."""
    revision = sys.argv[1]
    root = Path(__file__).parents[1]
    shown = subprocess.run(
        ["git", "show", f"{revision}:{CONTRACT}"], cwd=root, check=True, capture_output=True
    )
    old, new = yaml.safe_load(shown.stdout), yaml.safe_load((root / CONTRACT).read_text())
    found = list(differences(resolved(old["paths"], old), resolved(new["paths"], new)))
    sys.stdout.write("".join(f"{line}\n" for line in found))
    sys.stdout.write(f"{len(found)} differences in {len(old['paths'])} paths\n")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
