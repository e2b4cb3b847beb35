"""All settings, and the only reader of the environment.

Order: environment, then `chilly.toml` in the config folder, then the defaults below.
"""

from __future__ import annotations

import ipaddress
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from pydantic import (
    AliasChoices,
    Field,
    HttpUrl,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from chilly_movies.errors import SettingsError
from chilly_movies.net.proxies import Proxy, parse_proxy
from chilly_movies.net.public_url import parse_public_url
from chilly_movies.runtime import failpoints
from chilly_movies.runtime.state_folder import default_path

PREFIX = "CHILLY_"
CONFIG_FILE_VARIABLE = "CHILLY_CONFIG"
_MAX_BYTES_PER_SECOND = 2**31 - 1
_MIN_SECRET = 16
_LOOPBACK = ("localhost", "127.0.0.1", "::1")

MAX_ACTIVE = 3
MIN_FREE_SPACE = 1_000_000_000
METADATA_TRIES = 100
START_LIMIT, CANCEL_LIMIT = "60/minute", "120/minute"
STREAM_TIMEOUT = 60.0
"""Defaults of settings that are arguments of the Python API, too."""

Port = Annotated[int, Field(ge=0, le=65535)]
Rate = Annotated[int, Field(ge=0, le=_MAX_BYTES_PER_SECOND)]
Words = Annotated[tuple[str, ...], NoDecode]


class Settings(BaseSettings):
    """What the user may set. Each field is `CHILLY_<NAME>` in the environment."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", frozen=True, validate_default=True
    )

    media_root: Path = Field(Path("media"), description="where finished films go")
    state_dir: Path = Field(
        default_factory=default_path,
        description="database, resume data and lock",
    )
    host: str = Field("localhost", description="address to serve the API on")
    port: Port = Field(3000, description="port of the API, 0 = any free one")
    api_secret: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("API_SECRET", "api_secret"),
        description="API key; without one everybody on this machine may use the API",
    )
    api_keys: SecretStr | None = Field(
        None, description="further keys with what they may: read:KEY,control:KEY,admin:KEY"
    )
    max_active: int = Field(MAX_ACTIVE, ge=1, le=1000, description="downloads at once")
    min_free_space: int = Field(
        MIN_FREE_SPACE, ge=0, le=2**60, description="bytes that stay free beside the films"
    )
    torrent_port: Port = Field(6881, description="port for peers, 0 = any free one")
    interface: str | None = Field(
        None, description="the only network interface, or address of one, to use"
    )
    proxy: SecretStr | None = Field(
        None, description="socks5://user:password@host:port or http://host:port for all traffic"
    )
    proxy_force: bool = Field(True, description="nothing goes round the proxy, WebRTC is off")
    block_list: Path | None = Field(
        None, description="file with addresses not to talk to: .p2p, .dat or CIDR, .gz or not"
    )
    allow_list: Path | None = Field(
        None, description="file with the only addresses to talk to, in the same forms"
    )
    anonymous: bool = Field(False, description="tell peers and trackers as little as possible")
    dht: bool = Field(True, description="find peers without trackers")
    lsd: bool = Field(False, description="find peers in the local network")
    upnp: bool = Field(False, description="ask the router to open the torrent port")
    webtorrent: bool = Field(True, description="talk to browsers over WebRTC")
    webtorrent_trackers: Words = Field(
        ("wss://tracker.openwebtorrent.com", "wss://tracker.webtorrent.dev"),
        description="WebSocket trackers added to every torrent that is not private",
    )
    stun_server: str = Field("", description="host:port that tells this machine's address")
    allow_private_addresses: bool = Field(
        False, description="loopback and private peers, trackers, web seeds and links"
    )
    metadata_timeout: int = Field(
        120, ge=5, le=86_400, description="seconds a magnet waits before others get its slot"
    )
    metadata_tries: int = Field(
        METADATA_TRIES,
        ge=0,
        le=10**6,
        description="how often it waits so before it fails, 0 = without end",
    )
    seed_ratio: float = Field(1.0, ge=0, le=1000, description="stop seeding there, 0 = never seed")
    seed_time: int = Field(86_400, ge=0, le=10**9, description="seconds, 0 = never seed")
    download_limit: Rate = Field(0, description="bytes per second, 0 = unlimited")
    upload_limit: Rate = Field(0, description="bytes per second, 0 = unlimited")
    rate_limit_start: str = Field(START_LIMIT, description="starts per client address")
    rate_limit_cancel: str = Field(CANCEL_LIMIT, description="cancels per client address")
    allowed_origins: Words = Field((), description="web origins that may call the API")
    allowed_hosts: Words = Field((), description="host names the API is reached by")
    public_url: str | None = Field(
        None, description="address of the API behind a proxy, https://films.example/chilly say"
    )
    trusted_proxies: Words = Field(
        (), description="addresses of proxies whose X-Forwarded-For, -Proto, -Host count"
    )
    max_connections: int = Field(
        512, ge=8, le=100_000, description="connections to the API per client address"
    )
    stream_timeout: float = Field(
        STREAM_TIMEOUT,
        gt=0,
        le=3600,
        description="seconds a player waits for bytes that do not come",
    )
    max_streams: int = Field(
        128, ge=1, le=100_000, description="open event and film streams per client address"
    )
    tmdb_api_key: SecretStr | None = Field(None, description="TMDB v3 key")
    tmdb_bearer_token: SecretStr | None = Field(None, description="TMDB read access token")
    tmdb_base_url: HttpUrl = Field(
        HttpUrl("https://api.themoviedb.org/3"), description="where the TMDB API is"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="how much")
    log_format: Literal["console", "json"] = Field("console", description="for people or machines")

    @field_validator(
        "allowed_origins", "allowed_hosts", "webtorrent_trackers", "trusted_proxies", mode="before"
    )
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator(
        "api_secret",
        "api_keys",
        "tmdb_api_key",
        "tmdb_bearer_token",
        "interface",
        "proxy",
        "public_url",
        "block_list",
        "allow_list",
        mode="before",
    )
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("media_root", "state_dir", "block_list", "allow_list")
    @classmethod
    def _from_home(cls, value: Path | None) -> Path | None:
        if value is None:
            return None
        try:
            return value.expanduser()
        except RuntimeError:
            raise ValueError(f"the home folder of {value.parts[0]} is not known") from None

    @field_validator("api_keys")
    @classmethod
    def _are_keys(cls, value: SecretStr | None) -> SecretStr | None:
        read_keys(value)
        return value

    @field_validator("proxy")
    @classmethod
    def _is_proxy(cls, value: SecretStr | None) -> SecretStr | None:
        read_proxy(value)
        return value

    @field_validator("public_url")
    @classmethod
    def _is_public_url(cls, value: str | None) -> str | None:
        return None if value is None else str(parse_public_url(value))

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            if ipaddress.ip_network(text, strict=False).prefixlen == 0:
                raise ValueError("must not be every address there is")
        return value

    @field_validator("rate_limit_start", "rate_limit_cancel")
    @classmethod
    def _is_rate(cls, value: str) -> str:
        if not re.fullmatch(r"\d{1,6}/(second|minute|hour|day)", value) or value.startswith("0"):
            raise ValueError("must look like 60/minute")
        return value

    @field_validator("webtorrent_trackers")
    @classmethod
    def _are_ws_urls(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for url in value:
            if not re.fullmatch(r"wss?://[^/\s,]+(/\S*)?", url):
                raise ValueError("must be addresses like wss://tracker.example")
        return value

    @field_validator("stun_server")
    @classmethod
    def _is_host_and_port(cls, value: str) -> str:
        if value and not re.fullmatch(r"(stun:)?[^\s:/]+:\d{1,5}", value):
            raise ValueError("must look like stun.example:3478")
        return value

    @field_validator("allowed_origins")
    @classmethod
    def _are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            if not re.fullmatch(r"https?://[^/\s,]+", origin):
                raise ValueError("must be origins like https://films.example")
        return value

    @model_validator(mode="after")
    def _check_together(self) -> Settings:
        media, state = self.media_root.resolve(), self.state_dir.resolve()
        if state == media or media in state.parents or state in media.parents:
            raise ValueError("CHILLY_STATE_DIR and CHILLY_MEDIA_ROOT must not contain each other")
        if self.proxy and self.interface:
            raise ValueError(
                "CHILLY_PROXY and CHILLY_INTERFACE cannot be used together: "
                "the engine would not bind its calls to the proxy"
            )
        if self.host not in _LOOPBACK:
            secret = self.api_secret.get_secret_value() if self.api_secret else ""
            short = len(secret.encode()) < _MIN_SECRET
            if short and (secret or not self.api_keys):  # further keys are long enough
                raise ValueError(
                    f"CHILLY_HOST {self.host} is not loopback and needs an API_SECRET of "
                    f"at least {_MIN_SECRET} bytes"
                )
        return self

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
            found[field if field in Settings.model_fields else name] = value
        return found


def secrets_of(settings: Settings) -> tuple[str, ...]:
    """Every secret there is in the settings."""
    own = (settings.api_secret, settings.tmdb_api_key, settings.tmdb_bearer_token)
    keys = tuple(key for key, _ in read_keys(settings.api_keys))
    proxy = read_proxy(settings.proxy)
    keys += () if proxy is None else proxy.secrets
    return (*keys, *(secret.get_secret_value() for secret in own if secret is not None))


def read_keys(setting: SecretStr | None) -> tuple[tuple[str, str], ...]:
    """Each key of `CHILLY_API_KEYS` with its scope.

    Raises:
        ValueError: the text is malformed; it is not repeated.
    """
    keys: dict[str, str] = {}
    for part in setting.get_secret_value().split(",") if setting else ():
        scope, colon, key = part.strip().partition(":")
        if not colon or scope not in ("read", "control", "admin"):
            raise ValueError("must look like read:KEY,control:KEY,admin:KEY")
        if len(key.encode()) < _MIN_SECRET:
            raise ValueError(f"a key must have at least {_MIN_SECRET} bytes")
        if key in keys:
            raise ValueError("a key is there twice")
        keys[key] = scope
    return tuple(keys.items())


def read_proxy(setting: SecretStr | None) -> Proxy | None:
    """The proxy of `CHILLY_PROXY`.

    Raises:
        ValueError: the text is malformed; it is not repeated.
    """
    return None if setting is None else parse_proxy(setting.get_secret_value())


def config_file() -> Path:
    """The file that is read if it is there: `CHILLY_CONFIG`, or the user's `chilly.toml`."""
    named = os.environ.get(CONFIG_FILE_VARIABLE)
    folder = platformdirs.user_config_path("chilly-movies")
    return Path(named).expanduser() if named else folder / "chilly.toml"


def load_settings(**given: Any) -> Settings:
    """Read all settings.

    Args:
        **given: values that win over the environment; None = not given.

    Raises:
        SettingsError: one is unknown or malformed; the message names it in one line.
    """
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    known |= {CONFIG_FILE_VARIABLE, failpoints.VARIABLE}
    known.discard(PREFIX + "API_SECRET")  # it is API_SECRET: ignoring this would open the door
    unknown = sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)
    if unknown:
        raise SettingsError(f"There is no setting {unknown[0]}; see 'chilly settings' for all.")
    if os.environ.get(CONFIG_FILE_VARIABLE) and not config_file().exists():
        raise SettingsError(f"The file that {CONFIG_FILE_VARIABLE} names is not there.")
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        raise SettingsError(_first_problem(error)) from None
    except (OSError, ValueError) as error:  # a file that cannot be read, or is no TOML
        raise SettingsError(f"The file {config_file().name} cannot be read: {error}.") from None


def _first_problem(error: ValidationError) -> str:
    """One line for the first problem; the value itself may be a secret and is not shown."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    message = first["msg"].removeprefix("Value error, ")
    message = "".join(c if c.isprintable() else "?" for c in message)  # a host is repeated in it
    if not first["loc"]:
        return message + "."
    name = "".join(c if c.isprintable() else "?" for c in str(first["loc"][0]))
    if first["type"] == "extra_forbidden":
        return f"There is no setting '{name}' (in {config_file().name})."
    variable = "API_SECRET" if name.lower() == "api_secret" else PREFIX + name.upper()
    return f"The setting {variable} is malformed: {message[0].lower()}{message[1:]}."
