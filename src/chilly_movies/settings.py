"""All settings by room, and the only reader of the environment.

Order: environment, then `chilly.toml` in the config folder, then the defaults. Each room describes
its group of settings where it stands; outside they have no groups: `CHILLY_PORT` is `http.port`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import platformdirs
from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    create_model,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from chilly_movies.api.settings import HttpSettings
from chilly_movies.catalogue.settings import CatalogueSettings
from chilly_movies.disk.settings import DiskSettings
from chilly_movies.drivers.http.settings import HttpSourceSettings
from chilly_movies.drivers.torrent.settings import TorrentSettings
from chilly_movies.errors import SettingsError
from chilly_movies.inbox.settings import InboxSettings
from chilly_movies.jobs.settings import JobSettings
from chilly_movies.library.settings import LibrarySettings
from chilly_movies.net.settings import NetworkSettings
from chilly_movies.runtime import failpoints
from chilly_movies.runtime.setting_fields import (
    Origin,
    SettingField,
    SettingStanding,
    setting,
    settings_of,
)
from chilly_movies.runtime.state_folder import default_path

PREFIX = "CHILLY_"
CONFIG_FILE_VARIABLE = "CHILLY_CONFIG"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the user may set.

    Attributes:
        origins: what each was taken from, by its name; those that are not in it have their default.
    """

    media_root: Path = setting(Path("media"), "where finished films go")
    state_dir: Path = setting(default_path, "database, resume data and lock")
    server: str | None = setting(
        None, "address of the server that commands talk to, https://films.example say"
    )
    log_level: Literal["debug", "info", "warning", "error"] = setting("info", "how much")
    log_format: Literal["text", "json"] = setting(
        "text",
        "for people or machines",
        read=lambda text: "text" if text == "console" else text,  # as it was called before
    )
    http: HttpSettings = field(default_factory=HttpSettings)
    jobs: JobSettings = field(default_factory=JobSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    torrent: TorrentSettings = field(default_factory=TorrentSettings)
    disk: DiskSettings = field(default_factory=DiskSettings)
    inbox: InboxSettings = field(default_factory=InboxSettings)
    http_source: HttpSourceSettings = field(default_factory=HttpSourceSettings)
    catalogue: CatalogueSettings = field(default_factory=CatalogueSettings)
    library: LibrarySettings = field(default_factory=LibrarySettings)
    origins: Mapping[str, Origin] = field(default_factory=dict, compare=False)

    @property
    def given(self) -> frozenset[str]:
        """The names of those that somebody set, in whatever place."""
        return frozenset(name for name, origin in self.origins.items() if origin != "stored")

    def check(self) -> None:
        """Refuses what does not go together.

        Raises:
            ValueError: it does not.
        """
        media, state = self.media_root.resolve(), self.state_dir.resolve()
        if state == media or media in state.parents or state in media.parents:
            raise ValueError("CHILLY_STATE_DIR and CHILLY_MEDIA_ROOT must not contain each other")
        self.network.check()
        self.http.check()


GROUPS: Final[Mapping[str, Any]] = {
    known.name: known.default_factory
    for known in fields(Settings)
    if is_dataclass(known.default_factory)
}
SETTINGS: Final[Mapping[str, tuple[str | None, SettingField]]] = {
    one.name: (group, one)
    for group, kind in ((None, Settings), *GROUPS.items())
    for one in settings_of(kind)
}
"""Each setting by its name outside, with the group it is in; None = it concerns all rooms."""


def variable_of(name: str) -> str:
    """What a setting is called in the environment."""
    return "API_SECRET" if name.lower() == "api_secret" else PREFIX + name.upper()


def value_of(settings: Settings, name: str) -> Any:
    """The value of the setting of that name."""
    group, one = SETTINGS[name]
    return getattr(settings if group is None else getattr(settings, group), one.field)


def standings(settings: Settings) -> Iterator[SettingStanding]:
    """Yields how each setting stands; of a secret only whether it is set."""
    for name, (_, one) in SETTINGS.items():
        value = value_of(settings, name)
        if one.secret:
            value = "not set" if value is None else "set"
        elif isinstance(value, tuple):
            value = [*value]
        elif value is not None and not isinstance(value, bool | int | float):
            value = str(value)
        yield SettingStanding(
            name=name,
            value=value,
            secret=one.secret,
            origin=settings.origins.get(name, "default"),
            changeable=False,
            meaning=one.says,
        )


# --- reading --------------------------------------------------------------------------------


class _Read(BaseSettings):
    """What is read: all settings side by side."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Ours: what the caller gives, the environment, the file."""
        return init_settings, env_settings, _File(settings_cls, config_file())


class _File(TomlConfigSettingsSource):
    """The file with settings.

    Each may have the name of the environment or that of its field: `CHILLY_MAX_ACTIVE` or
    `max_active`.
    """

    def _read_file(self, file_path: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in super()._read_file(file_path).items():
            field = name.lower().removeprefix(PREFIX.lower())
            if field in found:
                raise ValueError(f"{field} stands in it twice")
            found[field if field in SETTINGS else name] = value
        return found


def _member(one: SettingField) -> tuple[Any, Any]:
    """The member that reads a setting."""
    alias = AliasChoices("API_SECRET", "api_secret") if one.name == "api_secret" else None
    about = [BeforeValidator(one.prepared), AfterValidator(one.checked)]
    bounds = Field(validation_alias=alias, **one.bounds)
    return Annotated[one.type, bounds, NoDecode, *about], Field(default_factory=one.default)


_MEMBERS: dict[str, Any] = {name: _member(one) for name, (_, one) in SETTINGS.items()}
_ReadAll = create_model("_ReadAll", __base__=_Read, **_MEMBERS)


def secrets_of(settings: Settings) -> tuple[str, ...]:
    """Every secret there is in the settings."""
    values = [value_of(settings, name) for name in SETTINGS]
    found = [value.get_secret_value() for value in values if isinstance(value, SecretStr)]
    keys = [key for key, _ in settings.http.keys]
    proxy = settings.network.proxy
    return (*keys, *found, *(() if proxy is None else proxy.secrets))


def config_file() -> Path:
    """The file that is read if it is there: `CHILLY_CONFIG`, or the user's `chilly.toml`."""
    named = os.environ.get(CONFIG_FILE_VARIABLE)
    folder = platformdirs.user_config_path("chilly-movies")
    return Path(named).expanduser() if named else folder / "chilly.toml"


def load_settings(**given: Any) -> Settings:
    """Read all settings.

    Args:
        **given: values that win over the environment, by the names of the settings; None = not
            given.

    Raises:
        SettingsError: one is unknown or malformed; the message names it in one line.
    """
    known = {PREFIX + name.upper() for name in SETTINGS}
    known |= {CONFIG_FILE_VARIABLE, failpoints.VARIABLE}
    known.discard(PREFIX + "API_SECRET")  # it is API_SECRET: ignoring this would open the door
    unknown = sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)
    if unknown:
        raise SettingsError(f"There is no setting {unknown[0]}; see 'chilly settings' for all.")
    if os.environ.get(CONFIG_FILE_VARIABLE) and not config_file().exists():
        raise SettingsError(f"The file that {CONFIG_FILE_VARIABLE} names is not there.")
    try:
        given = {name: value for name, value in given.items() if value is not None}
        read = _ReadAll(**given)
    except ValidationError as error:
        raise SettingsError(_first_problem(error)) from None
    except (OSError, ValueError) as error:  # a file that cannot be read, or is no TOML
        raise SettingsError(f"The file {config_file().name} cannot be read: {error}.") from None
    values: dict[str | None, dict[str, Any]] = {group: {} for group in (None, *GROUPS)}
    for name, (group, one) in SETTINGS.items():
        values[group][one.field] = getattr(read, name)
    groups = {group: make(**values[group]) for group, make in GROUPS.items()}
    variables = {name.upper() for name in os.environ}
    origins: dict[str, Origin] = {
        name: "command"
        if name in given
        else "environment"
        if variable_of(name) in variables
        else "file"
        for name in read.model_fields_set
    }
    settings = Settings(**values[None], **groups, origins=origins)
    try:
        settings.check()
    except ValueError as error:
        raise SettingsError(_printable(f"{error}.")) from None
    return settings


def _first_problem(error: ValidationError) -> str:
    """One line for the first problem; the value itself may be a secret and is not shown."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    message = _printable(first["msg"].removeprefix("Value error, "))  # a host is repeated in it
    name = _printable(str(first["loc"][0]))
    if first["type"] == "extra_forbidden":
        return f"There is no setting '{name}' (in {config_file().name})."
    return f"The setting {variable_of(name)} is malformed: {message[0].lower()}{message[1:]}."


def _printable(text: str) -> str:
    return "".join(sign if sign.isprintable() else "?" for sign in text)
