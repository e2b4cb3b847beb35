"""Flags for the options of a job, made of their one description, and labels as they are typed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field, make_dataclass
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from chilly_movies.cli.exits import CommandFailed, Exit
from chilly_movies.cli.sources import read_files
from chilly_movies.jobs.options import CHANGEABLE, START_OPTIONS, Option

LabelFlag = Annotated[list[str] | None, Parameter(negative="")]


def _flag(option: Option) -> tuple[str, Any, Any]:
    """A flag as a field of a dataclass; lists are typed like `0,2`."""
    says = option.says
    if option.example is not None:
        says = f"{says.removesuffix('.')}; for example {option.example}."
    kind: Any = (str if option.is_list else option.given) | None
    about = Parameter(help=says, negative="")
    return option.name, Annotated[kind, about], field(default=None)


def _flags(name: str, options: Iterable[str]) -> Any:
    made = make_dataclass(
        name,
        [_flag(START_OPTIONS[option]) for option in options],
        frozen=True,
        kw_only=True,
        namespace={"__module__": __name__},  # of another it would be taken for a built-in type
    )
    return Parameter(name="*")(made)


if TYPE_CHECKING:
    OptionFlags = Any
    ChangeFlags = Any
else:
    OptionFlags = _flags("OptionFlags", START_OPTIONS)
    ChangeFlags = _flags("ChangeFlags", CHANGEABLE)

NOT_GIVEN = OptionFlags()
UNCHANGED = ChangeFlags()


def given_options(flags: OptionFlags | ChangeFlags) -> dict[str, Any]:
    """The options by name; None = not given.

    Raises:
        CommandFailed: a list has another form.
    """
    given = {name: getattr(flags, name, None) for name in START_OPTIONS}
    return {**given, "files": read_files(given["files"])}


def read_changes(flags: ChangeFlags, defaults: Iterable[str]) -> dict[str, Any]:
    """The options to be changed by name; None = the server's default.

    Args:
        flags: as they were typed.
        defaults: options that go back to their defaults, in the spelling of the flags.

    Raises:
        CommandFailed: nothing is to be changed, there is no such option, or a list has another
            form.
    """
    given = {name: value for name, value in given_options(flags).items() if value is not None}
    back = [name.removeprefix("--").replace("-", "_") for name in defaults]
    if unknown := set(back) - set(CHANGEABLE):
        known = ", ".join(name.replace("_", "-") for name in CHANGEABLE)
        raise CommandFailed(f"There is no option '{min(unknown)}'; there is: {known}.", Exit.USAGE)
    if not (given or back):
        raise CommandFailed("Say what to change; 'chilly adjust --help' shows it.", Exit.USAGE)
    return {**given, **dict.fromkeys(back)}


def read_labels(texts: Iterable[str] | None) -> dict[str, str]:
    """Labels that were typed as `key=value`.

    Raises:
        CommandFailed: one has another form.
    """
    labels = {}
    for text in texts or ():
        key, equals, labels[key] = text.partition("=")
        if not (key and equals):
            raise CommandFailed(f"'{text}' is no label: type it as key=value.", Exit.USAGE)
    return labels
