"""The user's settings of the HTTP API."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from pydantic import SecretStr

from chilly_movies.api.gates.origins import read_origin
from chilly_movies.net.public_url import PublicUrl, parse_public_url
from chilly_movies.runtime.setting_fields import setting

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_MIN_SECRET = 16


def read_keys(keys: SecretStr | None) -> tuple[tuple[str, str], ...]:
    """Each key of `CHILLY_API_KEYS` with its scope.

    Raises:
        ValueError: the text is malformed; it is not repeated.
    """
    found: dict[str, str] = {}
    for part in keys.get_secret_value().split(",") if keys else ():
        scope, colon, key = part.strip().partition(":")
        if not colon or scope not in ("read", "control", "admin"):
            raise ValueError("must look like read:KEY,control:KEY,admin:KEY")
        if len(key.encode()) < _MIN_SECRET:
            raise ValueError(f"a key must have at least {_MIN_SECRET} bytes")
        if key in found:
            raise ValueError("a key is there twice")
        found[key] = scope
    return tuple(found.items())


def _is_rate(text: str) -> None:
    if not re.fullmatch(r"\d{1,6}/(second|minute|hour|day)", text) or text.startswith("0"):
        raise ValueError("must look like 60/minute")


def _are_networks(networks: tuple[str, ...]) -> None:
    for text in networks:
        if ipaddress.ip_network(text, strict=False).prefixlen == 0:
            raise ValueError("must not be every address there is")


@dataclass(frozen=True, kw_only=True)
class HttpSettings:
    """Where the API is served, who may call, and how much at once."""

    host: str = setting("localhost", "address to serve the API on")
    port: int = setting(3000, "port of the API, 0 = any free one", ge=0, le=65_535)
    api_secret: SecretStr | None = setting(
        None, "API key; without one everybody on this machine may use the API", secret=True
    )
    api_keys: SecretStr | None = setting(
        None,
        "further keys with what they may: read:KEY,control:KEY,admin:KEY",
        check=read_keys,
        secret=True,
    )
    rate_limit_start: str = setting("60/minute", "starts per client address", check=_is_rate)
    rate_limit_cancel: str = setting("120/minute", "cancels per client address", check=_is_rate)
    allowed_origins: tuple[str, ...] = setting(
        (),
        "origins of pages that may call, app://chilly too",
        check=lambda origins: list(map(read_origin, origins)),
    )
    allowed_hosts: tuple[str, ...] = setting((), "host names the API is reached by")
    public_url: PublicUrl | None = setting(
        None,
        "address of the API behind a proxy, https://films.example/chilly say",
        read=parse_public_url,
    )
    trusted_proxies: tuple[str, ...] = setting(
        (),
        "addresses of proxies whose X-Forwarded-For, -Proto, -Host count",
        check=_are_networks,
    )
    max_connections: int = setting(
        512, "connections to the API per client address", ge=8, le=100_000
    )
    stream_timeout: float = setting(
        60.0, "seconds a player waits for bytes that do not come", gt=0, le=3600
    )
    max_streams: int = setting(
        128, "open event and film streams per client address", ge=1, le=100_000
    )

    @property
    def secret(self) -> str | None:
        """The API key, None if there is none."""
        return self.api_secret.get_secret_value() if self.api_secret else None

    @property
    def keys(self) -> tuple[tuple[str, str], ...]:
        """The further keys, each with its scope."""
        return read_keys(self.api_keys)

    def check(self) -> None:
        """Refuses to serve others without a key.

        Raises:
            ValueError: the host is not loopback and the key is short.
        """
        if self.host not in _LOOPBACK:
            short = len((self.secret or "").encode()) < _MIN_SECRET
            if short and (self.secret or not self.api_keys):  # further keys are long enough
                raise ValueError(
                    f"CHILLY_HOST {self.host} is not loopback and needs an API_SECRET of "
                    f"at least {_MIN_SECRET} bytes"
                )
