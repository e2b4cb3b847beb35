"""What `chilly doctor` looks at on the way out: the proxy."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING

from chilly_movies.cli.checks import Finding

if TYPE_CHECKING:
    from chilly_movies.proxies import Proxy
    from chilly_movies.settings import Settings

_PATIENCE = 5.0


def check_proxy(settings: Settings) -> Iterator[Finding]:
    """Whether the proxy answers, and takes our password. Nothing is asked of it."""
    from chilly_movies.settings import read_proxy

    proxy = read_proxy(settings.proxy)
    if proxy is None:
        return
    problem = _why_silent(proxy)
    if problem is None:
        yield Finding("proxy", "ok", f"The proxy at {proxy.place} answers.")
    else:
        means = "" if not settings.proxy_force else ", so nothing is downloaded"
        yield Finding("proxy", "problem", f"The proxy at {proxy.place} {problem}{means}.",
                      "Start it, or mend CHILLY_PROXY.")  # fmt: skip


def _why_silent(proxy: Proxy) -> str | None:
    try:
        with socket.create_connection((proxy.host, proxy.port), _PATIENCE) as line:
            if proxy.scheme == "http":
                return None  # it speaks only when it is asked for something
            way = 2 if proxy.user else 0
            line.sendall(bytes((5, 1, way)))
            answer = line.recv(2)
            if answer[:1] != b"\x05":
                return "does not speak SOCKS5"
            if answer[1:] != bytes((way,)):
                return "wants another way to log in" if way else "wants a user and a password"
            return _why_refused(line, proxy) if way else None
    except OSError as error:
        return f"does not answer ({error.strerror or 'no answer in time'})"


def _why_refused(line: socket.socket, proxy: Proxy) -> str | None:
    """Log in (RFC 1929)."""
    user, password = proxy.user.encode(), proxy.password.encode()
    line.sendall(bytes((1, len(user))) + user + bytes((len(password),)) + password)
    return None if line.recv(2)[1:] == b"\0" else "refuses the user or the password"
