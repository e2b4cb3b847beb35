"""What a server says of a link that it was asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_PAGES = ("text/html", "application/xhtml+xml")
_TAG = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype html|html|head)\b", re.IGNORECASE)
_TOTAL = re.compile(r"bytes (?:\d+-\d+|\*)/(\d{1,18})")


@dataclass(frozen=True, slots=True)
class LinkAnswer:
    """What a server says of a link.

    Attributes:
        url: where redirects led to; a magnet link if they led to one.
        headers: of its answer, names in lower case.
        beginning: the first bytes, at most 1 KiB.
        is_part: no more than these were sent.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    beginning: bytes = b""
    is_part: bool = False

    @property
    def media_type(self) -> str:
        """What it calls the type of its content, in lower case and without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def is_page(self) -> bool:
        """Whether a browser would show it as a page."""
        return self.media_type in _PAGES or bool(_TAG.match(self.beginning))

    @property
    def size(self) -> int | None:
        """Bytes of the whole content, None if it does not say."""
        if self.is_part:
            total = _TOTAL.fullmatch(self.headers.get("content-range", "").strip())
            return int(total[1]) if total else None
        length = self.headers.get("content-length", "")
        encoded = self.headers.get("content-encoding", "identity") != "identity"
        return int(length) if length.isdecimal() and len(length) < 19 and not encoded else None
