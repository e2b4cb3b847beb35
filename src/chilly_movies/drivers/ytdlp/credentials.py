"""Tells the server of a link what only it may know, and no other that the link leads to."""

from __future__ import annotations

from collections.abc import Mapping
from http.cookiejar import Cookie, CookieJar
from typing import Any
from urllib.parse import urlsplit

from yt_dlp.networking import _urllib  # type: ignore[import-untyped]


class Credentials:
    """Headers and cookies of one source.

    Args:
        link: of the source.
        secret: `headers` and `cookies`, pairs of names and values.
    """

    def __init__(self, link: str, secret: Mapping[str, Any]) -> None:
        self._link = urlsplit(link)
        self._origin = origin(link)
        self._headers = {str(name): str(value) for name, value in secret.get("headers", ())}
        self._cookies = [(str(name), str(value)) for name, value in secret.get("cookies", ())]
        if self._headers:
            _urllib.RedirectHandler = _redirects_without(
                frozenset(name.lower() for name in self._headers)
            )

    def put_headers(self, request: Any) -> None:
        """Add the headers to a request to the source's server."""
        if self._headers and origin(request.url) == self._origin:
            for name, value in self._headers.items():
                request.headers.setdefault(name, value)

    def put_cookies(self, jar: CookieJar) -> None:
        """Let the jar give the cookies to the source's host alone."""
        host = self._link.hostname or ""
        domain = host if "." in host else f"{host}.local"  # as `http.cookiejar` completes names
        is_secure = self._link.scheme == "https"
        for name, value in self._cookies:
            cookie = Cookie(
                0,
                name,
                value,
                None,
                False,
                domain,
                False,
                False,
                "/",
                True,
                is_secure,
                None,
                True,
                None,
                None,
                {},
            )
            jar.set_cookie(cookie)


def origin(link: str) -> tuple[str, str, int | None]:
    """Which server a link is of: scheme, host and port (RFC 6454)."""
    try:
        parts = urlsplit(link)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return "", link, None
    return parts.scheme, parts.hostname or "", port


def _redirects_without(names: frozenset[str]) -> type:
    """A handler of redirects that tells another server none of these headers."""

    class Redirects(_urllib.RedirectHandler):  # type: ignore[misc]
        def redirect_request(self, req: Any, *about: Any) -> Any:
            following = super().redirect_request(req, *about)
            if origin(following.full_url) != origin(req.full_url):
                kept = {k: v for k, v in following.headers.items() if k.lower() not in names}
                following.headers = kept
            return following

    return Redirects
