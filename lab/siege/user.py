"""The local user's side: asks for one job's status all the time, and sees how long that takes."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path


def resident(pid: int) -> float:
    """Memory of a process in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    found = next(line for line in lines if line.startswith("VmRSS:"))
    return int(found.split()[1]) * 1024 / 1e6


def cpu(pid: int) -> float:
    """Seconds of the processor a process took so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def share(values: list[float], part: float) -> float:
    """The value that this part of all is at or below; in ms for seconds."""
    ordered = sorted(values)
    return 1000 * ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else 0.0


@dataclass
class Watch:
    """What the user saw, and what the server took meanwhile.

    Attributes:
        took: seconds for each answer, connecting included.
        failures: what went wrong instead of an answer.
        control: seconds for an echo within the user's own process at the same times: what of the
            delays is the machine's.
        before: memory at the start, in MB.
        peak: the most seen.
        cpu: seconds of the processor the server took.
    """

    took: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    control: list[float] = field(default_factory=list)
    before: float = 0.0
    peak: float = 0.0
    cpu: float = 0.0

    @property
    def grown(self) -> float:
        """MB more than at the start."""
        return self.peak - self.before


@asynccontextmanager
async def watching(port: int, pid: int, path: str, pace: float = 20.0) -> AsyncIterator[Watch]:
    """Ask for the path so many times a second, half of them on new connections."""
    seen = Watch(before=resident(pid))
    seen.peak, began = seen.before, cpu(pid)
    stop = asyncio.Event()
    echo = await asyncio.start_server(_echo, "127.0.0.1", 0)
    echo_port = echo.sockets[0].getsockname()[1]
    users = (_User(port, path), _User(echo_port, path))
    tasks = [
        asyncio.create_task(_every(stop, 1 / pace, user.ask, took, seen.failures))
        for user, took in zip(users, (seen.took, seen.control), strict=True)
    ]
    tasks.append(asyncio.create_task(_weigh(stop, pid, seen)))
    try:
        yield seen
    finally:
        stop.set()
        await asyncio.gather(*tasks)
        for user in users:
            await user.close()
        echo.close()
        seen.peak = max(seen.peak, resident(pid))
        seen.cpu = cpu(pid) - began


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    except (asyncio.IncompleteReadError, OSError):
        writer.close()


class _User:
    """Asks like a page does: on a kept connection, or on a new one; a kept one may be gone."""

    def __init__(self, port: int, path: str) -> None:
        self._port = port
        self._request = f"GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n".encode()
        self._kept: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._asked = 0

    async def ask(self) -> bytes:
        """The status line."""
        self._asked += 1
        if self._asked % 2 and self._kept is not None:
            try:
                return await self._on(*self._kept)
            except (OSError, asyncio.IncompleteReadError):
                self._kept[1].close()  # as pages do: once more, on a new one
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        status = await self._on(reader, writer)
        if self._kept is not None:
            self._kept[1].close()
        self._kept = (reader, writer)
        return status

    async def close(self) -> None:
        """Give the kept connection up."""
        if self._kept is not None:
            self._kept[1].close()
            with suppress(OSError):
                await self._kept[1].wait_closed()

    async def _on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(self._request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(f for f in head.lower().split(b"\r\n") if f.startswith(b"content-length:"))
        await reader.readexactly(int(length.split(b":")[1]))
        return head.split(b"\r\n")[0]


async def _every(
    stop: asyncio.Event,
    pause: float,
    ask: Callable[[], Awaitable[bytes]],
    took: list[float],
    failures: list[str],
) -> None:
    due = time.monotonic()
    while not stop.is_set():
        began = time.monotonic()
        try:
            async with asyncio.timeout(20):
                status = await ask()
            took.append(time.monotonic() - began)
            if b" 200 " not in status:
                failures.append(status.decode(errors="replace"))
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            failures.append(f"{type(error).__name__}: {error}")
        due = max(due + pause, time.monotonic())
        with suppress(TimeoutError):
            async with asyncio.timeout_at(
                asyncio.get_running_loop().time() + due - time.monotonic()
            ):
                await stop.wait()


async def _weigh(stop: asyncio.Event, pid: int, seen: Watch) -> None:
    while not stop.is_set():
        with suppress(FileNotFoundError, StopIteration):
            seen.peak = max(seen.peak, resident(pid))
        with suppress(TimeoutError):
            async with asyncio.timeout(0.02):
                await stop.wait()
