"""`chilly tracker`: introduces peers to each other, WebTorrent's as well."""

from __future__ import annotations

import asyncio
import errno
import logging
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
    json: Annotated[bool, _Flag] = False,
) -> int:
    """Run a small tracker for private groups and tests, until Ctrl-C.

    It serves any BitTorrent client by HTTP and WebTorrent clients by WebSocket, and keeps nothing.

    Args:
        host: Address to listen on; without it only programs on this machine get in.
        port: Port to listen on, 0 = any free one.
        interval: Seconds between two announces of a client.
        json: Say addresses and numbers as JSON lines.
    """
    if not 0 <= port <= 65_535:
        raise CommandFailed("--port takes 0 to 65535.", Exit.USAGE)
    if not 1 <= interval <= 86_400:
        raise CommandFailed("--interval takes 1 to 86400.", Exit.USAGE)
    # What strangers send us is not worth a line on a terminal.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    out = Output(as_json=json)
    try:
        run(_track(out, host, port, interval))
    except (KeyboardInterrupt, asyncio.CancelledError):
        out.say("The tracker stopped.")
    return Exit.DONE


async def _track(out: Output, host: str, port: int, interval: int) -> None:
    from chilly_movies.tracker.http import Tracker, serve_tracker

    served = Tracker(interval=interval)
    try:
        async with serve_tracker(served, host, port) as url:
            out.say(f"The tracker listens on {url} and {url.ws}, Ctrl-C stops")
            out.record({"http": str(url), "ws": url.ws})
            await _tell(out, served)
    except BrokenPipeError:
        raise  # of standard output
    except OSError as error:
        raise CommandFailed(_refusal(error, host, port), Exit.USAGE) from None


def _refusal(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} is in use by another program; --port chooses another."
    if error.errno == errno.EACCES:
        return f"Port {port} needs more rights than we have; --port chooses another."
    return f"The address {host} cannot be listened on; --host chooses another."


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
