"""Takes secrets out of texts that others see: keys, passwords, passkeys of trackers."""

from __future__ import annotations

import re
from collections.abc import Iterable

_SECRET_IN_URL = re.compile(
    r"([?&;](?:api[_-]?key|passkey|pk|pid|token|auth|key|secret|sig)=)[^&\s\"']+", re.I
)
_SECRET_IN_HEADER = re.compile(
    r"((?:x-api-key|api[_-]?key|authorization|cookie)[\"']?\s*[:=]\s*[\"']?(?:bearer |basic )?)"
    r"[^\s\"',&;]+",
    re.I,
)
_USER_IN_URL = re.compile(r"(://)[^/\s?#]+@")
_URL = re.compile(r"(?::|%3a)(?://|%2f%2f)[^\s\"']+", re.I)
_PASSKEY_IN_PATH = re.compile(r"(/|%2f)[a-z0-9_-]{16,}(?=/|%2f|[?&#]|$)", re.I)
HIDDEN = "[hidden]"
"""What stands where a secret was."""
_MIN_KNOWN = 8
"""Shorter ones stand in words that are no secret."""


_known: set[str] = set()
"""Our own secrets, which are hidden wherever they stand."""


def hide(secrets: Iterable[str]) -> None:
    """Hide these texts in every line from now on, whatever stands around them."""
    _known.update(secret for secret in secrets if len(secret) >= _MIN_KNOWN)


def redact(text: str) -> str:
    """The text without our secrets, keys in queries and headers, passkeys, and names in URLs."""
    for secret in _known:
        text = text.replace(secret, HIDDEN)
    text = _SECRET_IN_URL.sub(rf"\1{HIDDEN}", text)
    text = _SECRET_IN_HEADER.sub(rf"\1{HIDDEN}", text)
    text = _USER_IN_URL.sub(rf"\1{HIDDEN}@", text)
    return _URL.sub(lambda url: _PASSKEY_IN_PATH.sub(rf"\1{HIDDEN}", url[0]), text)
