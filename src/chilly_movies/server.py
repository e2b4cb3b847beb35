"""Serves the API: binds, runs until told to stop, and stops in the right order."""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import cast

import uvicorn
from starlette.types import ASGIApp

from chilly_movies.connections import Doorkeeper, GuardedProtocol
from chilly_movies.errors import SettingsError

_BACKLOG = 1024
_DRAIN = 5


def bind(host: str, port: int) -> list[socket.socket]:
    """Sockets for the address; `localhost` gives IPv4 and IPv6 loopback.

    Args:
        host: a name or an IP address.
        port: 0 = any free one, the same for both.

    Raises:
        SettingsError: the port is in use, or the address is not ours.
    """
    if host != "localhost":
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return [_bind_one(family, host, port)]
    first = _bind_one(socket.AF_INET, "127.0.0.1", port)
    try:
        second = _bind_one(socket.AF_INET6, "::1", first.getsockname()[1])
    except SettingsError:
        if port and socket.has_ipv6 and _ipv6_loopback():
            first.close()
            raise
        return [first]  # no IPv6 here, or the free port was taken there
    return [first, second]


def _bind_one(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family is socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            sentence = f"Port {port} is in use by another program; CHILLY_PORT chooses another."
        elif error.errno == errno.EACCES:
            sentence = f"Port {port} needs more rights than we have; CHILLY_PORT chooses another."
        else:
            sentence = f"The address {host} cannot be served on; CHILLY_HOST chooses another."
        raise SettingsError(sentence) from None
    listener.setblocking(False)
    return listener


def _ipv6_loopback() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


class _Server(uvicorn.Server):
    """uvicorn, with our order of stopping and our signal handling."""

    def __init__(self, config: uvicorn.Config, before_drain: Callable[[], None]) -> None:
        super().__init__(config)
        self._before_drain = before_drain

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End event streams first: an open one would keep the drain waiting for ever."""
        self._before_drain()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT stop in order; a second SIGINT stops at once."""
        loop = asyncio.get_running_loop()

        def stop(*, at_once: bool) -> None:
            self.force_exit = at_once
            self.should_exit = True

        loop.add_signal_handler(signal.SIGTERM, lambda: stop(at_once=False))
        loop.add_signal_handler(signal.SIGINT, lambda: stop(at_once=self.should_exit))
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)


async def serve(
    app: ASGIApp,
    sockets: list[socket.socket],
    before_drain: Callable[[], None],
    doorkeeper: Doorkeeper | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        app: the ASGI application.
        sockets: bound and listening.
        before_drain: called before open connections are waited for; it must end all streams.
        doorkeeper: who lets connections in; None = one with the usual limits.
    """
    await _Server(server_config(app, doorkeeper), before_drain).serve(sockets)


def server_config(app: ASGIApp, doorkeeper: Doorkeeper | None = None) -> uvicorn.Config:
    """How uvicorn runs: no proxy is believed, nothing is said of us, connections are guarded."""
    protocol = partial(GuardedProtocol, doorkeeper or Doorkeeper())
    return uvicorn.Config(
        app, access_log=False, log_config=None, proxy_headers=False, server_header=False,
        timeout_graceful_shutdown=_DRAIN, http=cast("type[asyncio.Protocol]", protocol),
        ws="none", lifespan="on",
    )  # fmt: skip
