"""`chilly tracker`: introduces peers to each other, WebTorrent's as well."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from chilly_movies.cli.exits import CommandFailed, Exit
from chilly_movies.cli.output import Output
from chilly_movies.cli.running import run

if TYPE_CHECKING:
    from chilly_movies.tracker.http import Tracker

_Flag = Parameter(negative="", show_default=False)
_EVERY = 60.0
"""Seconds between two lines about what is going on."""


def tracker(
    *,
    host: str = "localhost",
    port: int = 8000,
    interval: int = 120,
    public_url: str | None = None,
    trusted_proxy: Annotated[list[str] | None, Parameter(negative="")] = None,
    json: Annotated[bool, _Flag] = False,
) -> int:
    """Run a small tracker for private groups and tests, until Ctrl-C.

    It serves any BitTorrent client by HTTP and WebTorrent clients by WebSocket, and keeps nothing.

    Args:
        host: Address to listen on; without it only programs on this machine get in.
        port: Port to listen on, 0 = any free one.
        interval: Seconds between two announces of a client.
        public_url: Address behind a proxy, https://films.example/tracker say, for what is printed.
        trusted_proxy: Address or network of a proxy whose X-Forwarded-For counts; repeat it.
        json: Say addresses and numbers as JSON lines.
    """
    if not 0 <= port <= 65_535:
        raise CommandFailed("--port takes 0 to 65535.", Exit.USAGE)
    if not 1 <= interval <= 86_400:
        raise CommandFailed("--interval takes 1 to 86400.", Exit.USAGE)
    proxies = tuple(map(_network, trusted_proxy or ()))
    public = _public(public_url) if public_url else None
    # What strangers send us is not worth a line on a terminal.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    out = Output(as_json=json)
    try:
        run(_track(out, host, port, interval, proxies, public))
    except (KeyboardInterrupt, asyncio.CancelledError):
        out.say("The tracker stopped.")
    return Exit.DONE


def _network(text: str) -> str:
    try:
        if ipaddress.ip_network(text, strict=False).prefixlen:
            return text
    except ValueError:
        pass
    raise CommandFailed(
        "--trusted-proxy takes an address, or a network like 10.0.0.0/8.", Exit.USAGE
    )


def _public(text: str) -> dict[str, str]:
    """The addresses by which clients announce, for HTTP and for WebSocket."""
    from chilly_movies.net.public_url import parse_public_url

    try:
        url = f"{parse_public_url(text)}/announce"
    except ValueError as error:
        raise CommandFailed(f"--public-url {error}.", Exit.USAGE) from None
    return {"publicHttp": url, "publicWs": url.replace("http", "ws", 1)}


async def _track(
    out: Output,
    host: str,
    port: int,
    interval: int,
    proxies: Sequence[str] = (),
    public: dict[str, str] | None = None,
) -> None:
    from chilly_movies.tracker.http import Tracker, serve_tracker

    served = Tracker(interval=interval)
    try:
        async with serve_tracker(served, host, port, proxies=proxies) as url:
            out.say(f"The tracker listens on {url} and {url.ws}, Ctrl-C stops")
            if public is not None:
                out.say("Clients announce to {publicHttp} and {publicWs}".format(**public))
            out.record({"http": str(url), "ws": url.ws, **(public or {})})
            await _tell(out, served)
    except BrokenPipeError:
        raise  # of standard output
    except OSError as error:
        known = {
            errno.EADDRINUSE: f"Port {port} is in use by another program; --port chooses another.",
            errno.EACCES: f"Port {port} needs more rights than we have; --port chooses another.",
        }
        other = f"The address {host} cannot be listened on; --host chooses another."
        raise CommandFailed(known.get(error.errno or 0, other), Exit.USAGE) from None


async def _tell(out: Output, served: Tracker) -> None:
    """Says what is going on, now and then, as long as it changes."""
    told = (0, 0, 0)
    while True:
        await asyncio.sleep(_EVERY)
        swarms, peers = served.swarms.totals()
        now = (swarms, peers, len(served.sockets))
        if now != told:
            told = now
            out.say(f"swarms: {swarms}, peers: {peers}, WebSocket connections: {now[2]}")
            out.record({"swarms": swarms, "peers": peers, "connections": now[2]})
