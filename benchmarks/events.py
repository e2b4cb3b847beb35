"""A thousand listeners of one job: how late they hear, what it costs, and what stays behind.

The server is the real `chilly serve --mock` with its database; the listeners live in a process
of their own. One of them pauses and resumes the job, so the time from the verb to the event is
the time of the whole way: request, decision, commit, encoding, a thousand writes. The server's
CPU time comes from the kernel; the price of an event is all of it, divided by what arrived.

    python -m benchmarks.events [--listeners 1000] [--seconds 20] [--stuck 20] [--rounds 2]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import uvloop

from benchmarks.meter import usage
from tests.acceptance.backend import Backend

JOB = "film"
PERIOD = 0.2
"""Seconds between two verbs: pause and resume give about ten events a second."""
SETTLED = 3.0
"""Seconds after the listeners left until memory is looked at."""
_SETTINGS = {"CHILLY_MAX_STREAMS": "5000", "CHILLY_MAX_CONNECTIONS": "5000"}


class Ear(asyncio.Protocol):
    """One listener: notes when each verb's event arrived, and counts everything."""

    def __init__(self, path: str, host: str, verbs: dict[bytes, float], late: list[float]) -> None:
        self._request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        self._verbs = verbs
        self._late = late
        self.listening = False
        self.events = 0
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the events."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Some events, or the beginning."""
        now = time.perf_counter()
        if not self.listening:
            self.listening = b": listening" in data
            return
        self.events += data.count(b"\ndata: ")
        for word, began in self._verbs.items():
            if word in data:
                self._late.append(now - began)


async def listen(url: str, listeners: int, stuck: int, seconds: float) -> dict[str, Any]:
    """Listen for so long; the figures as the listeners see them."""
    address = urlsplit(url)
    assert address.hostname is not None
    assert address.port is not None
    verbs: dict[bytes, float] = {}
    late: list[float] = []
    ears = [Ear(f"/events/{JOB}", address.netloc, verbs, late) for _ in range(listeners)]
    loop = asyncio.get_running_loop()
    deaf = [_deaf(address.hostname, address.port, address.netloc) for _ in range(stuck)]
    for ear in ears:
        await loop.create_connection(lambda ear=ear: ear, address.hostname, address.port)  # type: ignore[misc]
    async with asyncio.timeout(60):
        while not all(ear.listening for ear in ears):  # noqa: ASYNC110 (a benchmark may poll)
            await asyncio.sleep(0.05)
    print("ready", flush=True)
    began = time.perf_counter()
    before = sum(ear.events for ear in ears)
    await _verbs(address.hostname, address.port, address.netloc, seconds, verbs)
    took = time.perf_counter() - began
    result = {"events": sum(ear.events for ear in ears) - before, "seconds": took}
    print("done", flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    gone = sum(ear.transport.is_closing() for ear in ears)
    for ear in ears:
        ear.transport.abort()
    for client in deaf:
        client.close()
    await asyncio.sleep(0.1)
    late.sort()
    shares = {f"p{share}": late[len(late) * share // 100 - 1] * 1000 for share in (50, 95, 99)}
    return {**result, **shares, "max": late[-1] * 1000, "measured": len(late), "dropped": gone}


def _deaf(host: str, port: int, name: str) -> socket.socket:
    """A listener that asks and never reads."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect((host, port))
    client.sendall(f"GET /events HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
    return client


async def _verbs(
    host: str, port: int, name: str, seconds: float, verbs: dict[bytes, float]
) -> None:
    """Pause and resume, over one connection; note when each was asked for."""
    reader, writer = await asyncio.open_connection(host, port)
    body = json.dumps({"id": JOB}).encode()
    end = time.perf_counter() + seconds
    turn = 0
    while (now := time.perf_counter()) < end:
        verb, word = (("pause", b'"paused"'), ("resume", b'"resumed"'))[turn % 2]
        verbs.clear()
        verbs[b'"event":' + word] = now
        head = (
            f"POST /download/{verb} HTTP/1.1\r\nHost: {name}\r\ncontent-type: application/json"
            f"\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        assert b" 200 " in answer.partition(b"\r\n")[0], answer
        length = answer.lower().partition(b"content-length:")[2].split()[0]
        await reader.readexactly(int(length))
        turn += 1
        await asyncio.sleep(max(0.0, now + PERIOD - time.perf_counter()))
    writer.close()


async def measure(listeners: int, stuck: int, seconds: float, rounds: int) -> list[dict[str, Any]]:
    """Several rounds against one server; the first one warms it up, too."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        async with Backend(Path(folder), _SETTINGS, "--mock") as backend:
            wish = {"id": JOB, "sourceType": "torrent", "sourceUrn": "mock:?seconds=1000000"}
            (await backend.http.post("/download/start", json=wish)).raise_for_status()
            found = [await _round(backend, listeners, stuck, seconds) for _ in range(rounds)]
    return found


async def _round(backend: Backend, listeners: int, stuck: int, seconds: float) -> dict[str, Any]:
    start = _resident(backend.pid)
    client = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.events", "--url", backend.url,
        "--listeners", str(listeners), "--seconds", str(seconds), "--stuck", str(stuck),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert client.stdin is not None
    assert client.stdout is not None
    await _expect(client.stdout, b"ready")
    cpu, began = usage(backend.pid).cpu, time.perf_counter()
    await _expect(client.stdout, b"done")
    spent, took = usage(backend.pid).cpu - cpu, time.perf_counter() - began
    full = _resident(backend.pid)
    client.stdin.write(b"\n")
    figures: dict[str, Any] = json.loads(await client.stdout.readline())
    await client.wait()
    await asyncio.sleep(SETTLED)
    events = figures["events"]
    return {
        **figures,
        "microseconds": spent / max(events, 1) * 1e6,
        "share": spent / took,
        "start": start, "full": full, "after": _resident(backend.pid),
    }  # fmt: skip


async def _expect(stream: asyncio.StreamReader, word: bytes) -> None:
    line = (await stream.readline()).strip()
    assert line == word, line


def _resident(pid: int) -> float:
    """MiB of memory the process has right now."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def main() -> None:
    """Print a table; with `--url`, be the listeners."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listeners", type=int, default=1000)
    parser.add_argument("--stuck", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    given = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 16_384)), hard))
    if given.url:
        work = listen(given.url, given.listeners, given.stuck, given.seconds)
        print(json.dumps(uvloop.run(work)), flush=True)
        return
    rounds = asyncio.run(measure(given.listeners, given.stuck, given.seconds, given.rounds))
    print(f"{given.listeners} listeners of one job, {given.stuck} more that never read")
    print("| round | events/s each | us CPU per event | p50 ms | p95 ms | p99 ms | max ms |"
          " CPU share | MiB before | with | after | dropped |")  # fmt: skip
    print("|---|" + "---|" * 11)
    for number, r in enumerate(rounds, 1):
        rate = r["events"] / given.listeners / r["seconds"]
        print(
            f"| {number} | {rate:.1f} | {r['microseconds']:.1f} | {r['p50']:.1f} | {r['p95']:.1f} "
            f"| {r['p99']:.1f} | {r['max']:.1f} | {r['share']:.0%} | {r['start']:.0f} "
            f"| {r['full']:.0f} | {r['after']:.0f} | {r['dropped']} |"
        )


if __name__ == "__main__":
    main()
