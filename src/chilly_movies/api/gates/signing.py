"""Links that open one film for a while without the key, so that no playlist has to hold it.

`/stream/a/0?expires=1800000000&sig=...`: an HMAC (RFC 2104) with a secret of this installation over
path and time. Whoever has the link can read that one address until then, and nothing else. Which
addresses a signature opens is in the policies of their routes.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from urllib.parse import quote

from chilly_movies.runtime.clocks import steady_time

DEFAULT_SECONDS = 6 * 3600
"""A long film with a long pause."""
MAX_SECONDS = 24 * 3600
_SECRET_BYTES = 32


class Signer:
    """Makes and checks signed links.

    Args:
        secret: of this installation; None = one that is forgotten at the end of the process.
        clock: seconds since 1970; None = those that no leap of the time of day disturbs.
    """

    def __init__(
        self, secret: bytes | None = None, clock: Callable[[], float] | None = None
    ) -> None:
        self._secret = secret or secrets.token_bytes(_SECRET_BYTES)
        self._clock = clock or steady_time()

    def sign(self, path: str, seconds: int = DEFAULT_SECONDS) -> str:
        """Returns the path with a signature that holds for so many seconds (at most a day).

        Args:
            path: the address without percent signs and query, as `/stream/<id>/<file>`.
            seconds: from now.

        Raises:
            ValueError: it is no path, or a browser would ask for another one.
        """
        if not _is_path(path):
            raise ValueError("a path begins with a slash and has no backslash")
        expires = int(self._clock()) + max(1, min(seconds, MAX_SECONDS))
        signature = self._signature(path, str(expires))
        return f"{quote(path, safe='/:')}?expires={expires}&sig={signature}"

    def expires(self, seconds: int) -> int:
        """Returns when a link signed now for so many seconds ends, in seconds since 1970."""
        return int(self._clock()) + max(1, min(seconds, MAX_SECONDS))

    def seconds_left(self, expires: str) -> int:
        """Returns for how many seconds a link that ends then still holds."""
        return int(expires) - int(self._clock())

    def verify(self, path: str, expires: str, signature: str) -> bool:
        """Tells whether this signature opens this path now."""
        if not _is_path(path) or not re.fullmatch(r"[0-9]{1,12}", expires):
            return False
        wanted = self._signature(path, expires)
        fits = hmac.compare_digest(wanted.encode(), signature.encode("utf-8", "replace"))
        return fits and self._clock() < int(expires) <= self._clock() + MAX_SECONDS

    def _signature(self, path: str, expires: str) -> str:
        text = f"{expires}\n{path}".encode("utf-8", "surrogatepass")
        digest = hmac.digest(self._secret, text, hashlib.sha256)
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _is_path(text: str) -> bool:
    return text.startswith("/") and "\\" not in text
