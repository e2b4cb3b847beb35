"""A peer that is far away: what comes and goes takes its time, over a line of limited speed."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from tests.peers.ways import until_either_ends

_BLOCK = 16 * 1024
_BUFFER = 64 * 1024
"""What the line holds before the sender has to wait; a large one would make each seek wait."""
_SLACK = 0.05
"""Seconds this process may be late without the line losing speed."""


class _Line:
    """One direction of a line: all who use it share its speed.

    Args:
        delay: seconds each byte is under way.
        speed: bytes per second, 0 = without limit.
    """

    def __init__(self, delay: float, speed: float = 0) -> None:
        self._delay = delay
        self._speed = speed
        self._free = 0.0

    def send(self, size: int) -> tuple[float, float]:
        """When so many bytes have left the sender, and when they arrive."""
        now = asyncio.get_running_loop().time()
        left = max(now - _SLACK, self._free) + (size / self._speed if self._speed else 0.0)
        self._free = left
        return left, left + self._delay


@asynccontextmanager
async def distant(port: int, round_trip: float, upload: float = 0) -> AsyncIterator[int]:
    """A loopback port that leads to another one, which seems to be far away.

    Args:
        port: where the peer listens on loopback.
        round_trip: seconds there and back again together.
        upload: bytes per second that come from it, 0 = without limit.
    """
    there, back = _Line(round_trip / 2), _Line(round_trip / 2, upload)
    calls: set[asyncio.Task[None]] = set()

    def called(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(_carry(port, reader, writer, there, back))
        calls.add(task)
        task.add_done_callback(calls.discard)

    server = await asyncio.start_server(called, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for call in tuple(calls):
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)


async def _carry(
    port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, there: _Line, back: _Line
) -> None:
    """One connection, until either end leaves."""
    ends = [writer]
    try:
        with socket.socket() as far:
            far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            far.setblocking(False)
            await asyncio.get_running_loop().sock_connect(far, ("127.0.0.1", port))
            far_reader, far_writer = await asyncio.open_connection(sock=far.dup(), limit=_BLOCK)
        ends.append(far_writer)
        await until_either_ends(
            _one_way(reader, far_writer, there), _one_way(far_reader, writer, back)
        )
    except OSError:
        pass  # nobody listens there any more
    finally:
        for end in ends:
            end.transport.abort()


async def _one_way(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: _Line) -> None:
    """Hand on what comes, each block when its time has come."""
    loop = asyncio.get_running_loop()
    while data := await reader.read(_BLOCK):
        left, arrives = line.send(len(data))
        loop.call_at(arrives, partial(_write, writer, data))
        await asyncio.sleep(max(0.0, left - loop.time()))
        await writer.drain()
    await asyncio.sleep(max(0.0, line.send(0)[1] - loop.time()))


def _write(writer: asyncio.StreamWriter, data: bytes) -> None:
    if not writer.is_closing():
        writer.write(data)
