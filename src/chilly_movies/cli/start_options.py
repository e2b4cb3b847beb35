"""The flags of `chilly add` for the options of a start, made of their one description."""

from __future__ import annotations

from dataclasses import field, make_dataclass
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from chilly_movies.cli.sources import read_files
from chilly_movies.jobs.options import START_OPTIONS, Option


def _flag(option: Option) -> tuple[str, Any, Any]:
    """A flag as a field of a dataclass; lists are typed like `0,2`."""
    says = option.says
    if option.example is not None:
        says = f"{says.removesuffix('.')}; for example {option.example}."
    kind: Any = (str if option.is_list else option.given) | None
    about = Parameter(help=says, negative="")
    return option.name, Annotated[kind, about], field(default=None)


if TYPE_CHECKING:
    OptionFlags = Any
else:
    OptionFlags = Parameter(name="*")(
        make_dataclass(
            "OptionFlags",
            map(_flag, START_OPTIONS.values()),
            frozen=True,
            kw_only=True,
            namespace={"__module__": __name__},  # of another it would be taken for a built-in type
        )
    )

NOT_GIVEN = OptionFlags()


def given_options(flags: OptionFlags) -> dict[str, Any]:
    """The options by name; None = not given.

    Raises:
        CommandFailed: a list has another form.
    """
    given = {name: getattr(flags, name) for name in START_OPTIONS}
    return {**given, "files": read_files(given["files"])}
