"""The attacker's side: each attack in a process of its own, of low priority, on loopback.

`python -m lab.siege.attacks NAME PORT FACTS` runs one and prints what became of its connections
as a line of JSON. It ends by itself.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import socket
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import uvloop

from lab.siege.bombs import torrents

Facts = dict[str, Any]
Attack = Callable[["Field"], Awaitable[None]]
MIB = 1 << 20
_HOST = b"Host: localhost\r\n"
_BLOCK = b"a" * 65536
_PATIENCE = 120.0
_ATTACKS: dict[str, Attack] = {}
_GONE = (OSError, RuntimeError)
"""The other side hung up; uvloop says it so if it knew already."""


def attack(function: Attack) -> Attack:
    """Make it known by its name."""
    _ATTACKS[function.__name__] = function
    return function


class Field:
    """Where the server is, how much of everything, and what was seen.

    Args:
        port: of the server, on 127.0.0.1.
        facts: the numbers of this attack.
    """

    def __init__(self, port: int, facts: Facts) -> None:
        self.port = port
        self.facts = facts
        self.seen: Counter[str] = Counter()
        self.most: dict[str, float] = {}

    def note(self, name: str, value: float) -> None:
        """Keep the largest."""
        self.most[name] = max(value, self.most.get(name, value))

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection."""
        return await asyncio.open_connection("127.0.0.1", self.port, limit=4 * MIB)

    async def ask(self, request: bytes) -> str:
        """Send it on a connection of its own; the status, or how it ended."""
        try:
            reader, writer = await self.open()
        except _GONE:
            return "no connection"
        try:
            writer.write(request)
            return await status_of(reader)
        finally:
            writer.close()

    async def all(self, many: Iterable[Awaitable[None]], at_once: int) -> None:
        """Run them, so many at a time."""
        gate = asyncio.Semaphore(at_once)

        async def one(task: Awaitable[None]) -> None:
            async with gate:
                await task

        await asyncio.gather(*(one(task) for task in many))


async def status_of(reader: asyncio.StreamReader) -> str:
    """The status of the next answer; `closed` if there is none."""
    try:
        async with asyncio.timeout(_PATIENCE):
            line = await reader.readline()
    except (*_GONE, ValueError):
        return "closed"
    except TimeoutError:
        return "silent"
    return line.split()[1].decode() if line.startswith(b"HTTP/1.1 ") else "closed"


async def _pour(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, block: bytes, most: int
) -> int:
    """Write until so many bytes are out or somebody answers or hangs up; how many got away."""
    sent = 0
    try:
        while sent < most and not reader.at_eof() and not reader._buffer:  # type: ignore[attr-defined]
            writer.write(block)
            await writer.drain()
            sent += len(block)
            await asyncio.sleep(0)
    except _GONE:
        pass
    return sent


@attack
async def slowloris(field: Field) -> None:
    """Connections that send their head a byte at a time and come back when thrown out."""
    end = time.monotonic() + field.facts["seconds"]
    head = b"GET /health HTTP/1.1\r\n" + _HOST + b"X: " + b"a" * 4096

    async def one(number: int) -> None:
        await asyncio.sleep(number / field.facts["connections"])
        while time.monotonic() < end:
            try:
                reader, writer = await field.open()
                for at in range(len(head)):
                    writer.write(head[at : at + 1])
                    await asyncio.sleep(field.facts["pause"])
                    if reader.at_eof() or time.monotonic() > end:
                        break
                writer.close()
                field.seen["opened"] += 1
            except _GONE:
                field.seen["reset"] += 1

    await asyncio.gather(*(one(n) for n in range(field.facts["connections"])))


@attack
async def endless_heads(field: Field) -> None:
    """Heads of 100 MB: one endless field, and fields without end."""

    async def one(number: int) -> None:
        reader, writer = await field.open()
        writer.write(b"GET /health HTTP/1.1\r\n" + _HOST + (b"X: " if number % 2 else b""))
        block = _BLOCK if number % 2 else b"X-Field: 1234567890\r\n" * 3000
        sent = await _pour(reader, writer, block, field.facts["bytes"])
        field.seen[await status_of(reader)] += 1
        field.note("KiB that got away", sent // 1024)
        writer.close()

    await field.all(map(one, range(field.facts["connections"])), field.facts["at_once"])


@attack
async def endless_bodies(field: Field) -> None:
    """Bodies of 1 GB: with a length, in chunks, as JSON, as an upload, where none belongs."""
    chunk = b"%x\r\n%b\r\n" % (len(_BLOCK), _BLOCK)
    kinds = (b"application/json", b"multipart/form-data; boundary=a")
    heads = [
        (b"POST %b HTTP/1.1\r\n%bContent-Type: %b\r\n%b\r\n\r\n" % (path, _HOST, kind, how), block)
        for path in (b"/download/start", b"/download/pause", b"/torrents/inspect", b"/nothing")
        for kind in kinds
        for how, block in ((b"Content-Length: 1000000000", _BLOCK),
                           (b"Transfer-Encoding: chunked", chunk))
    ]  # fmt: skip
    heads.append((b"GET /health HTTP/1.1\r\n%bContent-Length: 1000000000\r\n\r\n" % _HOST, _BLOCK))

    async def one(number: int) -> None:
        head, block = heads[number % len(heads)]
        reader, writer = await field.open()
        writer.write(head)
        sent = await _pour(reader, writer, block, field.facts["bytes"])
        field.seen[await status_of(reader)] += 1
        sent += await _drained(reader, writer, block, field.facts["bytes"] - sent)
        field.note("MB that got away", round(sent / 1e6, 1))
        writer.close()

    await field.all(map(one, range(field.facts["connections"])), field.facts["at_once"])


async def _drained(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, block: bytes, most: int
) -> int:
    """Go on writing although the answer is there, until the other side hangs up."""
    sent = 0
    eating = asyncio.create_task(_eat(reader))
    try:
        while sent < most and not eating.done():
            writer.write(block)
            async with asyncio.timeout(_PATIENCE):
                await writer.drain()
            sent += len(block)
            await asyncio.sleep(0)
    except (*_GONE, TimeoutError):
        pass
    eating.cancel()
    return sent


async def _eat(reader: asyncio.StreamReader) -> None:
    try:
        while await reader.read(65536):
            pass
    except _GONE:
        pass


@attack
async def many_bodies(field: Field) -> None:
    """Bodies of a megabyte, all at once; and one of 400 MB."""
    text = b'{"id": "a", "sourceType": "torrent", "sourceUrn": "%b"}' % (b"m" * (MIB - 200))
    bomb = b'{"id": "a", "files": [%b0]}' % (b"{}," * (MIB // 3 - 100))
    files = b",".join(b'{"index": %d, "priority": %d}' % (n, n % 7) for n in range(20_000))
    files = b'{"files": [%b, {"index": -1}, {"index": "%b"}]}' % (files, b"x" * 400_000)
    job = field.facts["job"].encode()

    async def one(number: int) -> None:
        body = (bomb, files, text, text)[number % 4]
        call = (b"POST /download/start", b"PATCH /downloads/" + job + b"/files")[number % 2]
        head = b"%b HTTP/1.1\r\n%bContent-Type: application/json\r\n" % (call, _HOST)
        if number % 3:
            request = b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body)
        else:
            chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
            request = b"%bTransfer-Encoding: chunked\r\n\r\n%b" % (head, chunks)
        field.seen[await field.ask(request)] += 1

    async def huge(how: bytes, block: bytes) -> None:
        reader, writer = await field.open()
        writer.write(
            b"POST /download/start HTTP/1.1\r\n%bContent-Type: application/json\r\n%b\r\n\r\n"
            % (_HOST, how)
        )
        sent = await _pour(reader, writer, block, 400 * MIB)
        field.seen[await status_of(reader)] += 1
        field.note("MB of 400 that got away", round(sent / 1e6, 1))
        writer.close()

    for _ in range(field.facts["rounds"]):
        await asyncio.gather(*map(one, range(field.facts["connections"])))
        await huge(b"Content-Length: 400000000", _BLOCK)
        await huge(b"Transfer-Encoding: chunked", b"10000\r\n" + _BLOCK + b"\r\n")


@attack
async def streams(field: Field) -> None:
    """Event streams that are opened and kept."""
    kept: list[asyncio.StreamWriter] = []

    async def one(number: int) -> None:
        try:
            reader, writer = await field.open()
            path = b"/events" if number % 2 else b"/events/" + field.facts["job"].encode()
            writer.write(b"GET %b HTTP/1.1\r\n%b\r\n" % (path, _HOST))
            field.seen[await status_of(reader)] += 1
            if number % 10:
                field.facts.setdefault("tasks", []).append(asyncio.create_task(_eat(reader)))
            else:
                reader._transport.pause_reading()  # type: ignore[attr-defined]
            kept.append(writer)
        except _GONE:
            field.seen["no connection"] += 1

    await field.all(map(one, range(field.facts["streams"])), field.facts["at_once"])
    field.seen["open at the end"] = sum(not (w.transport.is_closing() or _ended(w)) for w in kept)
    await asyncio.sleep(field.facts["hold"])


@attack
async def listeners(field: Field) -> None:
    """Event streams that hear many changes, which one in ten does not read."""
    kept: list[asyncio.StreamWriter] = []

    async def one(number: int) -> None:
        sock = socket.socket()
        sock.setblocking(False)
        deaf = number % 10 == 0
        if deaf:  # or the system would keep megabytes for it
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", field.port))
        reader, writer = await asyncio.open_connection(sock=sock)
        writer.write(b"GET /events HTTP/1.1\r\n%b\r\n" % _HOST)
        status = await status_of(reader)
        field.seen[status] += 1
        if deaf:
            reader._transport.pause_reading()  # type: ignore[attr-defined]
            field.seen["let in, deaf"] += status == "200"
        else:
            field.facts.setdefault("tasks", []).append(asyncio.create_task(_eat(reader)))
        kept.append(writer)

    await field.all(map(one, range(field.facts["streams"])), field.facts["at_once"])
    body = b'{"id": "%b"}' % field.facts["job"].encode()
    for number in range(field.facts["changes"]):
        verb = b"resume" if number % 2 else b"pause"
        head = b"POST /download/%b HTTP/1.1\r\n%bContent-Type: application/json\r\n" % (verb, _HOST)
        await field.ask(head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
    field.seen["open at the end"] = sum(not (w.transport.is_closing() or _ended(w)) for w in kept)


def _ended(writer: asyncio.StreamWriter) -> bool:
    return bool(writer.transport.get_protocol()._stream_reader.at_eof())  # type: ignore[attr-defined]


@attack
async def stalled(field: Field) -> None:
    """Half a head, no head, and bodies that trickle: how long until each is thrown out."""
    half = b"GET /health HTTP/1.1\r\nHost: loc"
    body = b"POST /download/start HTTP/1.1\r\n%bContent-Type: %b\r\nContent-Length: 9000\r\n\r\n"
    json_body = body % (_HOST, b"application/json")
    upload = body % (_HOST, b"multipart/form-data; boundary=a")
    plan = [(half, False)] * field.facts["half"] + [(b"", False)] * field.facts["idle"]
    plan += [(json_body, True), (upload, True)] * (field.facts["slow"] // 2)

    async def one(first: bytes, trickles: bool) -> None:
        began = time.monotonic()
        reader, writer = await field.open()
        writer.write(first)
        eating = asyncio.create_task(_eat(reader))
        while not eating.done():
            await asyncio.wait([eating], timeout=0.2)
            if trickles and not eating.done():
                writer.write(b" ")
        field.seen["closed"] += 1
        field.note("s until the last was closed", round(time.monotonic() - began, 1))
        writer.close()

    await asyncio.gather(*(one(*which) for which in plan))


@attack
async def large_heads(field: Field) -> None:
    """A field of 1 MB, 5,000 fields, an address of 70 kB."""
    head = b"GET /health HTTP/1.1\r\n" + _HOST
    kinds = (
        head + b"X: " + b"a" * 1_000_000 + b"\r\n\r\n",
        head + b"".join(b"X-%04d: 1234567890\r\n" % n for n in range(5000)) + b"\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n" + _HOST + b"\r\n",
    )

    async def one(number: int) -> None:
        field.seen[await field.ask(kinds[number % 3])] += 1

    await field.all(map(one, range(field.facts["connections"])), field.facts["at_once"])


@attack
async def forwarded(field: Field) -> None:
    """Starts that each claim another address; one good client asks from 127.0.0.2."""
    dice = random.Random(9)
    left = field.facts["requests"]
    done = False

    async def bad() -> None:
        nonlocal left
        reader, writer = await field.open()
        while left > 0:
            batch = min(8, left)
            left -= batch
            for _ in range(batch):
                claimed = ".".join(str(dice.randrange(1, 255)) for _ in range(4)).encode()
                writer.write(
                    b"POST /download/cancel HTTP/1.1\r\n%bContent-Type: application/json\r\n"
                    b"X-Forwarded-For: %b\r\nContent-Length: 12\r\n\r\n"
                    b'{"id": "no"}' % (_HOST, claimed)
                )
            for _ in range(batch):
                field.seen[await _answered(reader)] += 1
        writer.close()

    async def good() -> None:
        while not done:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", field.port, local_addr=("127.0.0.2", 0)
            )
            writer.write(
                b"POST /download/cancel HTTP/1.1\r\n%bContent-Type: application/json\r\n"
                b'Content-Length: 12\r\n\r\n{"id": "no"}' % _HOST
            )
            field.seen["good client: " + await _answered(reader)] += 1
            writer.close()
            await asyncio.sleep(1)

    asking = asyncio.create_task(good())
    await asyncio.gather(*(bad() for _ in range(8)))
    done = True
    await asking


async def _answered(reader: asyncio.StreamReader) -> str:
    head = await reader.readuntil(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
    await reader.readexactly(int(fields[b"content-length"]))
    return head.split()[1].decode()


@attack
async def odd_ranges(field: Field) -> None:
    """Range fields of every odd kind, 6,000 ranges in one among them."""
    dice, times = random.Random(38), list[float]()
    path = b"/stream/" + field.facts["film"].encode() + b"/0"
    odd = [
        b"bytes=" + b",".join(b"%d-%d" % (n * 3, n * 3 + 1) for n in range(6000)),
        b"bytes=" + b",".join([b"0-0"] * 6000), b"bytes=" + b"0-," * 6000,
        b"bytes=0-" + b"9" * 5000,
        b"bytes=-" + b"9" * 400, b"bytes=-0", b"bytes=", b"bytes", b"", b"=", b"bytes=5-2", b"-1",
        b"bytes=abc", b"items=0-1", b"bytes=0-1" * 500, b"bytes=--1", b"bytes=1--2", b"bytes=0x1-2",
        b"bytes=\xb2-\xb3", b"bytes= 0 - 1", b"BYTES=0-1", b"bytes=0-0,-1,5-", b"bytes=,,,0-1,,",
    ]  # fmt: skip

    async def one(number: int) -> None:
        value = odd[number] if number < len(odd) else bytes(
            dice.choice(b"bytes=0123456789-, \t=\xff") for _ in range(dice.randrange(1, 60))
        )  # fmt: skip
        if number % 2 and number >= len(odd):
            value = b"bytes=" + value
        began = time.monotonic()
        request = b"GET %b HTTP/1.1\r\n%bRange: %b\r\nConnection: close\r\n\r\n"
        reader, writer = await field.open()
        writer.write(request % (path, _HOST, value))
        field.seen[await status_of(reader)] += 1
        await _eat(reader)
        times.append(1000 * (time.monotonic() - began))
        writer.close()

    await field.all(map(one, range(field.facts["requests"])), 1)
    field.note("ms for 99 of 100", round(sorted(times)[len(times) * 99 // 100]))


@attack
async def pipelines(field: Field) -> None:
    """Small requests by the thousand in one breath, without reading an answer."""
    breath = (b"GET /health HTTP/1.1\r\n%b\r\n" % _HOST) * 5000

    async def one(_: int) -> None:
        reader, writer = await field.open()
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        try:
            for _ in range(4):
                writer.write(breath)
                async with asyncio.timeout(field.facts["hold"]):
                    await writer.drain()
            await asyncio.sleep(field.facts["hold"])
            field.seen["kept"] += 1
        except TimeoutError:
            field.seen["held up"] += 1
        except _GONE:
            field.seen["closed"] += 1
        writer.close()

    await field.all(map(one, range(field.facts["connections"])), field.facts["connections"])


attack(torrents)


async def _run(name: str, port: int, facts: Facts) -> Facts:
    field = Field(port, facts)
    began = time.monotonic()
    await _ATTACKS[name](field)
    for task in facts.get("tasks", []):
        task.cancel()
    return {"seen": field.seen, "most": field.most, "seconds": time.monotonic() - began}


def main() -> None:
    """The command line."""
    os.nice(10)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    name, port, facts = sys.argv[1:]
    found = uvloop.run(_run(name, int(port), json.loads(facts)))
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()
    os._exit(0)  # thousands of open connections need no farewell


if __name__ == "__main__":
    main()
