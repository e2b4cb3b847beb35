"""Addresses of trackers and web seeds as they should have been written (RFC 3986)."""

from __future__ import annotations

import re
from urllib.parse import quote

_PARTS = re.compile(r"([a-z]{2,5})://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
_ALLOWED = "/?%:@!$&'()*+,;=-._~"
_BARE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_AROUND = "\ufeff\u200b\u2060"
_HIDDEN = re.compile(r"[\x00-\x1f\x7f\\]")
"""What nobody means to be part of an address, so such a one is left to be refused."""


def tidy_url(url: str) -> str:
    """The address without blanks around it, its scheme and host in lower case.

    In what follows the host all that an address cannot hold is percent-encoded; what is encoded
    already stays as it is. What is no address comes back as it was, and is for others to refuse.

    Args:
        url: bytes that are no UTF-8 may be in it as surrogates.
    """
    url = url.strip().strip(_AROUND).strip()
    parts = _PARTS.fullmatch(url)
    if parts is None or _HIDDEN.search(url):
        return url
    rest = quote(parts[3], _ALLOWED, errors="surrogateescape")
    return f"{parts[1].lower()}://{parts[2].lower()}{_BARE_PERCENT.sub('%25', rest)}"


def place_of(url: str) -> str:
    """The address without what follows the host and its port: there may be a key in it."""
    parts = _PARTS.fullmatch(url)
    return url if parts is None else f"{parts[1]}://{parts[2].rpartition('@')[2]}"
