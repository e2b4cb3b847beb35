"""`chilly settings`: every setting, its name in the environment, its value, and its meaning."""

from __future__ import annotations

import json as js
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from chilly_movies.cli.exits import Exit
from chilly_movies.cli.output import Output
from chilly_movies.cli.render import table

if TYPE_CHECKING:
    from chilly_movies.settings import Settings


_Flag = Parameter(negative="", show_default=False)


def settings(*, json: Annotated[bool, _Flag] = False, toml: Annotated[bool, _Flag] = False) -> int:
    """Show all settings, their present values, and what they mean.

    Args:
        json: One JSON document.
        toml: A file with all settings and their defaults, to begin your own with.
    """
    from chilly_movies.settings import CONFIG_FILE_VARIABLE, config_file, load_settings

    out = Output(as_json=json)
    if toml:
        out.raw("\n".join(sample(str(config_file()))))
        return Exit.DONE
    found = described(load_settings())
    found.append(_row("config", CONFIG_FILE_VARIABLE, str(config_file()), "file with settings"))
    out.document(found)
    rows = []
    for row in found:
        value = row["value"]
        if value in (None, "", []):
            value = "-"
        elif isinstance(value, bool):
            value = "true" if value else "false"
        shown = ",".join(value) if isinstance(value, list) else str(value)
        rows.append((row["variable"], shown, row["meaning"]))
    out.show(table(("VARIABLE", "VALUE", "MEANING"), rows))
    return Exit.DONE


def sample(path: str) -> Iterator[str]:
    """Yields the lines of a file with settings: each with its meaning, as a comment.

    Args:
        path: where the file is looked for.
    """
    from chilly_movies.settings import SETTINGS

    yield f"# The settings of Chilly Movies. They are read from {path}"
    yield "# or from the file that CHILLY_CONFIG names; the environment (CHILLY_MAX_ACTIVE and so"
    yield "# on) wins. These are the defaults: remove the '#' before what you change."
    for name, (_, one) in SETTINGS.items():
        value = one.default()
        if not isinstance(value, bool | int | float | tuple):
            value = "" if value is None else str(value)
        yield f"\n# {one.says}"
        yield f"#{name} = {js.dumps(value, ensure_ascii=False)}"


def described(settings: Settings) -> list[dict[str, Any]]:
    """Lists each setting: variable, value and meaning; of a secret only whether it is set."""
    from chilly_movies.settings import standings, variable_of

    return [
        _row(one.name, variable_of(one.name), one.value, one.meaning) for one in standings(settings)
    ]


def _row(name: str, variable: str, value: Any, meaning: str) -> dict[str, Any]:
    return {"name": name, "variable": variable, "value": value, "meaning": meaning}
