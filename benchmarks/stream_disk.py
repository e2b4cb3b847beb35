"""A complete film over loopback: ours and nginx, and what readers cost us.

Readers live in processes of their own and take bytes as fast as they come, or do not read on.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.meter import usage
from benchmarks.stream_player import MIB, Film
from tests.acceptance.backend import Backend
from tests.peers.process import free_port

READERS = 8
PAUSED = 200
PAUSED_SECONDS = 10.0
LOOKS = 500
PACE = 0.01
"""Seconds between two questions for a status."""
OTHER = f"magnet:?xt=urn:btih:{'ab' * 20}"
_SETTINGS = {
    "CHILLY_LOG_LEVEL": "warning", "CHILLY_MAX_STREAMS": "500", "CHILLY_MAX_CONNECTIONS": "500",
}  # fmt: skip

NGINX = """daemon off; worker_processes 1; user root; pid {folder}/pid; error_log {folder}/log;
events {{ worker_connections 512; }}
http {{ sendfile on; tcp_nopush on; access_log off;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{ listen 127.0.0.1:{port}; root {root}; }} }}
"""


@dataclass(slots=True)
class DiskFigures:
    """MiB a second of each round by server and number of readers, and what readers cost us."""

    speeds: dict[str, dict[int, list[float]]] = field(default_factory=dict)
    reading: float = 0.0
    paused: float = 0.0
    idle: float = 0.0
    base: float = 0.0


@asynccontextmanager
async def ours(folder: Path, content: Path) -> AsyncIterator[tuple[Backend, str]]:
    """Our server with the film complete, and its address."""
    async with Backend(folder, _SETTINGS) as backend:
        backend.media.mkdir(parents=True, exist_ok=True)
        (backend.media / content.name).hardlink_to(content)
        wish = {"path": content.name, "id": "whole", "version": "v1"}
        answer = await backend.http.post("/torrents/create", json=wish, timeout=120)
        answer.raise_for_status()
        await backend.wait("whole")
        await backend.until("whole", lambda event: event["progress"]["phase"] == "seeding")
        yield backend, f"{backend.url}/stream/whole/0"


@asynccontextmanager
async def nginx(content: Path) -> AsyncIterator[str]:
    """An nginx with the film, one worker, sendfile; the film's address."""
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        (Path(folder) / "conf").write_text(
            NGINX.format(folder=folder, port=port, root=content.parent)
        )
        process = await asyncio.create_subprocess_exec(
            "nginx", "-p", folder, "-c", f"{folder}/conf", "-e", f"{folder}/log"
        )
        try:
            async with asyncio.timeout(10):
                while not _listens(port):  # noqa: ASYNC110 (a benchmark may poll)
                    await asyncio.sleep(0.05)
            yield f"http://127.0.0.1:{port}/{content.name}"
        finally:
            process.terminate()
            await process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def measure(folder: Path, content: Path, rounds: int) -> DiskFigures:
    """Speed by turns, then memory and CPU of ours."""
    found = DiskFigures()
    size = Film(content).size
    async with AsyncExitStack() as stack:
        backend, url = await stack.enter_async_context(ours(folder / "disk", content))
        servers = {"ours": url}
        if shutil.which("nginx"):
            servers["nginx"] = await stack.enter_async_context(nginx(content))
        found.base = _resident(backend.pid)
        for _ in range(rounds):
            for name, address in servers.items():
                rows = found.speeds.setdefault(name, {1: [], READERS: []})
                for count, speeds in rows.items():
                    speeds.append(await _speed(address, count, size))
        found.reading = (_peak(backend.pid) - found.base) / READERS
        await _hold(backend, url, found)
    return found


async def _speed(url: str, count: int, size: int) -> float:
    """MiB a second of so many readers together."""
    reader = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.stream_disk", url, str(count), stdout=-1
    )
    assert reader.stdout is not None
    seconds = float(await reader.stdout.readline())
    await reader.wait()
    return count * size / MIB / seconds


async def _hold(backend: Backend, url: str, found: DiskFigures) -> None:
    """What readers cost that read a MiB and then pause."""
    before = _resident(backend.pid)
    async with AsyncExitStack() as stack:
        for _ in range(PAUSED):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
            client.setblocking(False)
            await _ask(client, url)
        await asyncio.sleep(2.0)
        spent, began = usage(backend.pid).cpu, time.monotonic()
        await asyncio.sleep(PAUSED_SECONDS)
        found.idle = (usage(backend.pid).cpu - spent) / (time.monotonic() - began)
        found.paused = (_resident(backend.pid) - before) / PAUSED


async def _ask(client: socket.socket, url: str) -> None:
    loop, address = asyncio.get_running_loop(), urlsplit(url)
    await loop.sock_connect(client, (address.hostname, address.port))
    request = f"GET {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n"
    await loop.sock_sendall(client, request.encode())
    await loop.sock_recv(client, 4096)


# --- status meanwhile -----------------------------------------------------------------------


async def status_meanwhile(folder: Path, content: Path) -> dict[str, list[float]]:
    """Milliseconds of `status` of another job, sorted, while others watch."""
    found: dict[str, list[float]] = {}
    async with ours(folder / "status", content) as (backend, url):
        await backend.start(OTHER, id="other")
        found["nobody watches"] = await ask_status(backend.url)
        for count in (1, 4):
            reader = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "benchmarks.stream_disk",
                url,
                str(count),
                "again",
                stdout=-1,
                start_new_session=True,
            )
            try:
                await asyncio.sleep(1.0)
                found[f"{count} at full speed"] = await ask_status(backend.url)
            finally:
                os.killpg(reader.pid, signal.SIGKILL)
                await reader.wait()
    return found


async def ask_status(url: str) -> list[float]:
    """Ask many times for the status of the job `other`."""
    address, took = urlsplit(url), []
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    head = f"GET /download/status/other HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode()
    for _ in range(LOOKS):
        began = time.perf_counter()
        writer.write(head)
        answer = await reader.readuntil(b"\r\n\r\n")
        assert b" 200 " in answer.partition(b"\r\n")[0], answer
        length = answer.lower().partition(b"content-length:")[2].split()[0]
        await reader.readexactly(int(length))
        took.append(1000 * (time.perf_counter() - began))
        await asyncio.sleep(PACE)
    writer.close()
    return sorted(took)


# --- printing -------------------------------------------------------------------------------


def show_disk(found: DiskFigures, rounds: int) -> None:
    """The table of speeds and the lines about costs."""
    if "nginx" not in found.speeds:
        print("nginx is missing: apt-get install nginx-light")
    print(f"\nA complete film over loopback, MiB/s, median (worst) of {rounds} rounds")
    print("| readers | " + " | ".join(found.speeds) + " | ours / nginx | aim |")
    print("|---" * (len(found.speeds) + 3) + "|")
    for count in (1, READERS):
        rows = [found.speeds[name][count] for name in found.speeds]
        cells = [f"{statistics.median(row):,.0f} ({min(row):,.0f})" for row in rows]
        ratio = f"{statistics.median(rows[0]) / statistics.median(rows[-1]):.2f}"
        aim = "0.80" if count == 1 else ""
        print(f"| {count} | " + " | ".join(cells) + f" | {ratio} | {aim} |")
    reading = f"{found.reading:.2f} MiB at full speed ({READERS} readers)"
    paused = f"{found.paused:.2f} MiB paused ({PAUSED} readers)"
    print(f"memory per reader: {reading}, {paused}; aim < 4; without {found.base:.0f} MiB")
    print(f"CPU of {PAUSED} paused readers: {found.idle:.2%} of a core; aim < 1 %")


def show_status(found: dict[str, list[float]]) -> None:
    """The table of answers."""
    print(f"\n`status` of another job, ms, {LOOKS} questions each; aim p99 < 20")
    print("| meanwhile | p50 | p99 | max |\n|---|---|---|---|")
    for name, took in found.items():
        p50, p99 = took[len(took) // 2], took[len(took) * 99 // 100]
        print(f"| {name} | {p50:.2f} | {p99:.2f} | {took[-1]:.2f} |")


def _resident(pid: int) -> float:
    return _memory(pid, "VmRSS:")


def _peak(pid: int) -> float:
    return _memory(pid, "VmHWM:")


def _memory(pid: int, name: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    return 0.0


def _read_whole(url: str, count: int, *, again: bool) -> float:
    """Be the readers: one process each; the seconds until all have the whole film."""
    began = time.monotonic()
    children = []
    for _ in range(count):
        child = os.fork()
        if not child:
            while True:
                _read_once(url)
                if not again:
                    os._exit(0)
        children.append(child)
    codes = [os.waitpid(child, 0)[1] for child in children]
    assert not any(codes), codes
    return time.monotonic() - began


def _read_once(url: str) -> None:
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port or 80)) as client:
        client.sendall(f"GET {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode())
        buffer = bytearray(MIB)
        got = client.recv_into(buffer)
        head, _, body = bytes(buffer[:got]).partition(b"\r\n\r\n")
        assert b" 200 " in head.partition(b"\r\n")[0], head
        left = int(head.lower().partition(b"content-length:")[2].split()[0]) - len(body)
        while left:
            count = client.recv_into(buffer)
            assert count, "the answer ended too early"
            left -= count


def main(given: Sequence[str]) -> None:
    """Be readers; print the seconds."""
    print(_read_whole(given[0], int(given[1]), again="again" in given), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
