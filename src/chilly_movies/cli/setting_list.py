"""`chilly settings`: every setting, its name in the environment, its value, and its meaning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from chilly_movies.cli.exits import Exit
from chilly_movies.cli.output import Output
from chilly_movies.cli.render import table

if TYPE_CHECKING:
    from chilly_movies.settings import Settings


def settings(*, json: Annotated[bool, Parameter(negative="", show_default=False)] = False) -> int:
    """Show all settings, their present values, and what they mean.

    Args:
        json: One JSON document.
    """
    from chilly_movies.settings import CONFIG_FILE_VARIABLE, config_file, load_settings

    out = Output(as_json=json)
    found = described(load_settings())
    found.append(_row("config", CONFIG_FILE_VARIABLE, str(config_file()), "file with settings"))
    out.document(found)
    rows = [(row["variable"], _shown(row["value"]), row["meaning"]) for row in found]
    out.show(table(("VARIABLE", "VALUE", "MEANING"), rows))
    return Exit.DONE


def described(settings: Settings) -> list[dict[str, Any]]:
    """Lists each setting: variable, value and meaning; of a secret only whether it is set."""
    from pydantic import SecretStr

    from chilly_movies.settings import PREFIX

    rows = []
    for name, field in type(settings).model_fields.items():
        variable = "API_SECRET" if name == "api_secret" else PREFIX + name.upper()
        value: Any = getattr(settings, name)
        if "SecretStr" in str(field.annotation):
            value = "set" if isinstance(value, SecretStr) else "not set"
        elif isinstance(value, tuple):
            value = list(value)
        elif value is not None and not isinstance(value, bool | int | float):
            value = str(value)
        rows.append(_row(name, variable, value, field.description or ""))
    return rows


def _row(name: str, variable: str, value: Any, meaning: str) -> dict[str, Any]:
    return {"name": name, "variable": variable, "value": value, "meaning": meaning}


def _shown(value: Any) -> str:
    if value in (None, "", []):
        return "-"
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(value) if isinstance(value, list) else str(value)
