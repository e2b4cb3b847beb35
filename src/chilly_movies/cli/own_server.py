"""A server for the length of one command, where none runs: `chilly serve` on a port of its own."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from chilly_movies.cli.exits import CommandFailed, Exit

_READY_WITHIN = 30.0
_ENDS_WITHIN = 15.0


@asynccontextmanager
async def own_server() -> AsyncIterator[str]:
    """The address of a server with the user's settings; it ends with the body, or with us.

    Raises:
        CommandFailed: it does not start; it says why itself.
    """
    server = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "chilly_movies",
        "serve",
        "--host",
        "localhost",
        "--port",
        "0",
        "--log-level",
        "error",
        "--stop-with-stdin",
        "--json",
        stdin=PIPE,
        stdout=PIPE,
        start_new_session=True,
    )
    assert server.stdin is not None  # noqa: S101 (for the type checker)
    assert server.stdout is not None  # noqa: S101
    try:
        async with asyncio.timeout(_READY_WITHIN):
            line = await server.stdout.readline()
        try:
            url = str(json.loads(line)["url"])
        except (ValueError, KeyError, TypeError):
            raise CommandFailed("No server could be started.", Exit.USAGE) from None
        reading = asyncio.create_task(_drain(server.stdout))
        try:
            yield url
        finally:
            reading.cancel()
    finally:
        server.stdin.close()  # it stops in order: what is there is kept
        try:
            async with asyncio.timeout(_ENDS_WITHIN):
                await server.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                server.kill()
            await server.wait()


async def _drain(stream: asyncio.StreamReader) -> None:
    while await stream.read(4096):
        pass
