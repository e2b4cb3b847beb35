"""The address by which clients reach this server, where a proxy stands before it. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_URL = re.compile(
    r"(?P<scheme>https?)://(?P<name>\[[0-9a-f:.]+\]|[a-z0-9.-]+)(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>(/[A-Za-z0-9._~-]+)*)/*",
    re.IGNORECASE,
)
_USUAL_PORTS = {"http": "80", "https": "443"}


@dataclass(frozen=True, slots=True)
class PublicUrl:
    """Scheme, host and path of the address, the first two in lower case.

    Attributes:
        scheme: `http` or `https`.
        host: a name or an address, with its port if it is not the usual one of the scheme.
        path: what a proxy takes away before it asks us, `` or like `/films`.
    """

    scheme: str
    host: str
    path: str = ""

    @property
    def origin(self) -> str:
        """What browsers send as the Origin of its pages."""
        return f"{self.scheme}://{self.host}"

    def __str__(self) -> str:
        """Returns the whole address, without a slash at its end."""
        return self.origin + self.path


def parse_public_url(text: str) -> PublicUrl:
    """Reads an address like `https://films.example/chilly`.

    Raises:
        ValueError: it is none, or has a user, a query or a fragment.
    """
    parts = _URL.fullmatch(text)
    if parts is None or not 0 < int(parts["port"] or 1) < 65536:
        raise ValueError(
            "must be an address like https://films.example or https://nas.example/films"
        )
    scheme, port = parts["scheme"].lower(), parts["port"]
    usual = port is None or int(port) == int(_USUAL_PORTS[scheme])
    host = parts["name"].lower() + ("" if usual else f":{int(port)}")
    return PublicUrl(scheme, host, parts["path"])
