"""A proxy as the user names it: `socks5://user:password@host:port` or `http://host:port`. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote, unquote

_PROXY = re.compile(
    r"(?P<scheme>socks5h?|http)://(?:(?P<user>[^\s:@/]*)(?::(?P<password>[^\s@/]*))?@)?"
    r"(?P<host>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):(?P<port>[0-9]{1,5})/?"
)
_LONGEST = 255
"""Bytes that SOCKS has room for (RFC 1929)."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """Where all traffic goes first.

    Attributes:
        scheme: how it is spoken to. Names are resolved by the proxy in both cases.
        host: a name or an address.
        port: its port.
        user: never shown, like the password.
        password: empty if there is none.
    """

    scheme: Literal["socks5", "http"]
    host: str
    port: int
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @property
    def place(self) -> str:
        """Where it is, for people; without user and password."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be shown, in every spelling it was given in."""
        plain = (self.user, self.password)
        return tuple(dict.fromkeys(text for s in plain for text in (s, quote(s, safe="")) if text))


def parse_proxy(text: str) -> Proxy:
    """Read the setting.

    Raises:
        ValueError: it is malformed; the text is not repeated, as it may hold a password.
    """
    parts = _PROXY.fullmatch(text)
    if parts is None or not 0 < int(parts["port"]) < 65536:
        raise ValueError("must look like socks5://user:password@host:port or http://host:port")
    user, password = unquote(parts["user"] or ""), unquote(parts["password"] or "")
    if max(len(user.encode()), len(password.encode())) > _LONGEST or bool(user) < bool(password):
        raise ValueError("must have a user before the password, and neither over 255 bytes")
    scheme: Literal["socks5", "http"] = "http" if parts["scheme"] == "http" else "socks5"
    return Proxy(scheme, parts["host"].strip("[]"), int(parts["port"]), user, password)
