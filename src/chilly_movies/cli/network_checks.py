"""What `chilly doctor` looks at on the way out: the proxy, the interface, lists of addresses."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING

from chilly_movies.cli.checks import Finding, Level

if TYPE_CHECKING:
    from chilly_movies.net.proxies import Proxy
    from chilly_movies.settings import Settings

_PATIENCE = 5.0


def check_proxy(settings: Settings) -> Iterator[Finding]:
    """Checks whether the proxy answers and takes our password. Nothing is asked of it."""
    proxy = settings.network.proxy
    if proxy is None:
        return
    problem = _why_silent(proxy)
    if problem is None:
        yield Finding("proxy", "ok", f"The proxy at {proxy.place} answers.")
    else:
        means = "" if not settings.network.proxy_force else ", so nothing is downloaded"
        yield Finding(
            "proxy",
            "problem",
            f"The proxy at {proxy.place} {problem}{means}.",
            "Start it, or mend CHILLY_PROXY.",
        )


def check_interface(settings: Settings) -> Iterator[Finding]:
    """Checks whether the interface can be used right now."""
    from chilly_movies.net.interfaces import why_unusable

    if settings.network.interface is None:
        return
    why = why_unusable(settings.network.interface)
    if why is None:
        yield Finding("network", "ok", f"The interface {settings.network.interface} can be used.")
    else:
        yield Finding(
            "network",
            "problem",
            f"Nothing is sent: {why}.",
            "Bring it up, or mend CHILLY_INTERFACE.",
        )


def check_lists(settings: Settings) -> Iterator[Finding]:
    """Checks whether the lists of addresses can be read, and says what is in them."""
    from chilly_movies.net.address_lists import read_list

    for name, path in (
        ("block", settings.network.block_list),
        ("allow", settings.network.allow_list),
    ):
        if path is None:
            continue
        try:
            found = read_list(path)
        except OSError as error:
            yield Finding(
                "lists",
                "problem",
                f"The {name} list {path} cannot be read: {error.strerror}.",
                f"Mend CHILLY_{name.upper()}_LIST.",
            )
            continue
        wrong = f", {found.malformed} lines are malformed" if found.malformed else ""
        level: Level = "remark" if wrong or not len(found.ranges) else "ok"
        yield Finding(
            "lists",
            level,
            f"The {name} list has {len(found.ranges)} ranges{wrong}.",
            f"Look at line {found.first_malformed} of it." if wrong else "",
        )


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
            if not way:
                return None
            user, password = proxy.user.encode(), proxy.password.encode()  # RFC 1929
            line.sendall(bytes((1, len(user))) + user + bytes((len(password),)) + password)
            return None if line.recv(2)[1:] == b"\0" else "refuses the user or the password"
    except OSError as error:
        return f"does not answer ({error.strerror or 'no answer in time'})"
