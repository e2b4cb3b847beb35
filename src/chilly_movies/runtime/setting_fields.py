"""How a room describes its settings: fields of a frozen dataclass, each with its default once.

`settings.py` makes of them what is read from the environment and the file. Loads nothing heavy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import MISSING, dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints, overload

T = TypeVar("T")
_KEY = "setting"


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingField:
    """One setting of a group.

    Attributes:
        field: the field of the group.
        name: the setting's name; `CHILLY_<NAME>` in the environment.
        type: what it may be.
        default: makes what it is if nobody sets it.
        says: what it means, a few words for people.
        bounds: of a number, by pydantic's names (`ge`, `gt`, `le`).
        read: makes its value of text, or raises `ValueError`.
        check: raises `ValueError` if the value cannot be.
        secret: it is never shown.
    """

    field: str
    name: str
    type: Any
    default: Callable[[], Any]
    says: str
    bounds: dict[str, Any]
    read: Callable[[str], object] | None = None
    check: Callable[[Any], object] | None = None
    secret: bool = False

    def prepared(self, value: object) -> object:
        """Makes of a text what the setting's type is made of; other values stay as they are.

        Nothing is no text where the setting may be None, and a comma parts the items of a tuple.

        Raises:
            ValueError: `read` refuses the text.
        """
        if value == "" and type(None) in get_args(self.type):
            return None
        if not isinstance(value, str):
            return value
        if get_origin(self.type) is tuple:
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value if self.read is None else self.read(value)

    def checked(self, value: Any) -> Any:
        """Returns the value; of a path that begins with `~` the one it stands for.

        Raises:
            ValueError: the value cannot be, or the home folder is not known.
        """
        if isinstance(value, Path):
            try:
                value = value.expanduser()
            except RuntimeError:
                unknown = f"the home folder of {value.parts[0]} is not known"
                raise ValueError(unknown) from None
        if self.check is not None:
            self.check(value)
        return value


Origin = Literal["command", "environment", "file", "default", "stored"]
"""What a setting was taken from: the command line, ..., what was set while the server ran."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingStanding:
    """How a setting stands, for people.

    Attributes:
        name: as in `SettingField`.
        value: a number, text, truth value, list of texts, or None; of a secret whether it is set.
        secret: its value is not told.
        origin: what it was taken from.
        changeable: it can be changed while the server runs.
        meaning: a few words.
    """

    name: str
    value: bool | int | float | str | list[str] | None
    secret: bool
    origin: Origin
    changeable: bool
    meaning: str


@overload
def setting(default: Callable[[], T], says: str, *, name: str | None = None, **more: Any) -> T: ...


@overload
def setting(default: T, says: str, *, name: str | None = None, **more: Any) -> T: ...


def setting(default: Any, says: str, *, name: str | None = None, **more: Any) -> Any:
    """A field of a group of settings.

    Args:
        default: what it is if nobody sets it, or what makes that.
        says: what it means.
        name: how it is called outside, None = like the field.
        **more: `read`, `check` and `secret` of a `SettingField`; all else are bounds.
    """
    about = {"says": says, "name": name, **more}
    secret = more.get("secret", False)
    if callable(default):
        return field(default_factory=default, repr=not secret, metadata={_KEY: about})
    return field(default=default, repr=not secret, metadata={_KEY: about})


def settings_of(group: type[Any]) -> Iterator[SettingField]:
    """The settings that a group describes."""
    types = get_type_hints(group, include_extras=True)
    for known in fields(group):
        if _KEY in known.metadata:
            about = dict(known.metadata[_KEY])
            own = {key: about.pop(key) for key in ("read", "check", "secret") if key in about}
            says, name = about.pop("says"), about.pop("name") or known.name
            default: Any = known.default_factory
            if default is MISSING:
                default = partial(deepcopy, known.default)
            yield SettingField(
                field=known.name,
                name=name,
                type=types[known.name],
                default=default,
                says=says,
                bounds=about,
                **own,
            )


def values_of(group: Any) -> dict[str, Any]:
    """The values of a group by the names of its fields."""
    return {known.name: getattr(group, known.name) for known in fields(group)}
