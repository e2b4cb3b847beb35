"""Serves the API: binds, runs until told to stop, and stops in the right order."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import structlog
import uvicorn
from starlette.types import ASGIApp

from chilly_movies.errors import SettingsError
from chilly_movies.server.connections import ConnectionLimiter, GuardedProtocol

log = structlog.get_logger(__name__)

_BACKLOG = 1024
_RECEIVE = 32 * 1024
_DRAIN = 2
"""Seconds that answers under way have to end, once all streams were told to."""
LAST_RESORT = 9.0
"""Seconds after which a server that was told to stop ends, whatever still hangs."""


def bind(host: str, port: int) -> list[socket.socket]:
    """Returns sockets bound to the address; `localhost` gives IPv4 and IPv6 loopback.

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
    # what one read of a connection can bring at most, and with it what a body costs that waits
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            sentence = (
                f"Port {port} is in use by another program: --port or CHILLY_PORT chooses another, "
                "0 any free one."
            )
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
    """A uvicorn server with our order of stopping, which leaves signals to others."""

    def __init__(self, config: uvicorn.Config, before_drain: Callable[[], None]) -> None:
        super().__init__(config)
        self._before_drain = before_drain

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends event streams first: an open one would keep the drain waiting for ever."""
        self._before_drain()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Takes no signals: the caller listens to them, before and after serving, too."""
        yield


class Stopper:
    """The signals that end the server: SIGTERM and SIGINT in order, a second SIGINT at once.

    Everything of worth is stored by then or is being stored before anything slow begins, so the
    process ends in any case when `LAST_RESORT` seconds are over.

    Args:
        give_up: ends the process; tests pass their own.
    """

    def __init__(self, give_up: Callable[[int], Any] = os._exit) -> None:
        self._give_up = give_up
        self._stop: Callable[[], Any] = lambda: None
        self._asked = False

    @contextmanager
    def listening(self, stop: Callable[[], Any]) -> Iterator[None]:
        """Calls `stop` once, when an end is wanted; must be entered in the event loop."""

        def interrupt() -> None:
            if self._asked:
                self._give_up(128 + signal.SIGINT)
            self.ask()

        loop = asyncio.get_running_loop()
        self._stop = stop
        loop.add_signal_handler(signal.SIGTERM, self.ask)
        loop.add_signal_handler(signal.SIGINT, interrupt)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    def instead(self, stop: Callable[[], Any]) -> None:
        """Replaces what is called; calls it at once if an end was asked for already."""
        self._stop = stop
        if self._asked:
            stop()

    @property
    def is_asked(self) -> bool:
        """Whether an end was asked for."""
        return self._asked

    def ask(self) -> None:
        """Stops in order; asking again changes nothing."""
        if not self._asked:
            self._asked = True
            log.info("stopping")
            watchdog = threading.Timer(LAST_RESORT, self._give_up, [1])
            watchdog.daemon = True
            watchdog.start()
            self._stop()


async def serve(
    app: ASGIApp,
    sockets: list[socket.socket],
    before_drain: Callable[[], None],
    limiter: ConnectionLimiter | None = None,
    stopper: Stopper | None = None,
) -> None:
    """Serves until SIGTERM or SIGINT.

    Args:
        app: the ASGI application.
        sockets: bound and listening.
        before_drain: called before open connections are waited for; it must end all streams.
        limiter: the limits of connections; None = the usual ones.
        stopper: hears the signals; None = one of our own.
    """
    server = _Server(server_config(app, limiter), before_drain)
    end = partial(setattr, server, "should_exit", True)
    if stopper is not None:
        stopper.instead(end)
        await server.serve(sockets)
    else:
        with Stopper().listening(end):
            await server.serve(sockets)


def server_config(app: ASGIApp, limiter: ConnectionLimiter | None = None) -> uvicorn.Config:
    """The settings of uvicorn: it believes no proxy, says nothing of us, and guards connections."""
    protocol = partial(GuardedProtocol, limiter or ConnectionLimiter())
    return uvicorn.Config(
        app,
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_DRAIN,
        http=cast("type[asyncio.Protocol]", protocol),
        ws="none",
        lifespan="on",
    )
