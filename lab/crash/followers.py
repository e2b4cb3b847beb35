"""kill -9 of a server with a follower and a webhook, and of its receiver, again and again.

The server makes jobs that complete; a follower notes each completed one in a database of its own,
and a webhook tells a receiver, which writes each delivery to a file before it takes it. After all
kills both must have every completed job, in order. `python -m lab.crash.followers --kills 200`
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import select
import signal
import socket
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

from chilly_movies.drivers.mock.driver import MockDriver
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.jobs.events import Change
from chilly_movies.jobs.models import Job, SourceType
from chilly_movies.jobs.retry import RetryPolicy
from chilly_movies.net.policy import NetworkConfig, NetworkPolicy
from chilly_movies.notices.webhooks import WebhookParts, Webhooks
from chilly_movies.runtime.logs import configure_logs
from chilly_movies.storage.opened import open_all
from lab.crash import store

_DATABASE, _DIARY, _DELIVERIES = "chilly.db", "diary.db", "deliveries"
_SECRET = "secret-of-the-lab-0123456789"
_SOON = RetryPolicy(base=0.01, cap=0.1)
_SOURCE = "mock:?name={0}&seconds=0.02&metadataSeconds=0.01&seedSeconds=0"


# --- the processes that are killed ------------------------------------------------------------


class Diary:
    """Work whose result and cursor are one transaction of a database of its own."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        for table in ("done (number INTEGER PRIMARY KEY, job TEXT)", "cursor (seq INTEGER)"):
            self._database.execute(f"CREATE TABLE IF NOT EXISTS {table}")

    async def cursor(self) -> int | None:
        """See `Work`."""
        seq = self._database.execute("SELECT max(seq) FROM cursor").fetchone()[0]
        return None if seq is None else int(seq)

    async def handle(self, changes: Sequence[Change]) -> None:
        """See `Work`."""
        self._note([change for change in changes if change.event == "completed"], changes[-1].seq)

    async def resync(self, _jobs: Sequence[Job], seq: int) -> None:
        """See `Work`."""
        self._note([], seq)

    def _note(self, done: Sequence[Change], seq: int) -> None:
        self._database.execute("BEGIN IMMEDIATE")
        for change in done:
            self._database.execute("INSERT INTO done VALUES (?, ?)", (change.seq, change.id))
        self._database.execute("INSERT INTO cursor VALUES (?)", (seq,))
        self._database.execute("COMMIT")


async def _serve(folder: Path, port: int, ready: int, *, busy: bool) -> None:
    stores = open_all(folder / _DATABASE)
    driver = MockDriver(resume_store=stores.resume, tick=0.005)
    downloader = Downloader(
        dict.fromkeys(SourceType, driver), stores.jobs, max_active=8, cursors=stores.cursors
    )
    network = NetworkPolicy(NetworkConfig(allow_private_addresses=True))
    parts = WebhookParts(stores.webhooks, network.post, _SOON)
    webhooks = Webhooks(parts, downloader, lambda change: {"seq": change.seq, "id": change.id,
                                                           "event": change.event})  # fmt: skip
    await downloader.open()
    downloader.followers.begin("diary", Diary(folder / _DIARY), _SOON)
    if not await webhooks.list():
        await webhooks.add(f"http://127.0.0.1:{port}/", ["completed"], _SECRET)
    os.write(ready, b"!")
    while True:
        await asyncio.sleep(0.01)
        if busy:
            await downloader.start(source_urn=_SOURCE.format(time.time_ns()))


async def _receive(folder: Path, listener: socket.socket) -> None:
    with (folder / _DELIVERIES).open("ab") as file:

        async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(OSError, asyncio.IncompleteReadError):
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])
                line = await reader.readexactly(length) + b"\n"
                os.write(file.fileno(), line)  # one write of less than a page is not torn
                writer.write(b"HTTP/1.1 204 x\r\nconnection: close\r\n\r\n")
                await writer.drain()
            writer.close()

        await (await asyncio.start_server(take, sock=listener)).serve_forever()


# --- the process that kills -------------------------------------------------------------------


class Killer:
    """Kills server and receiver in turn, and compares at the end.

    Args:
        folder: where both keep what they know.
        seed: of all that is random.

    Attributes:
        kills: how many there were.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder = folder
        self._dice = random.Random(seed)
        self.kills = 0
        self._ready, self._says_ready = os.pipe()
        self._children: set[int] = set()
        Diary(folder / _DIARY)
        (folder / _DELIVERIES).touch()
        with closing(self._listener(0)) as free:
            self._port = int(free.getsockname()[1])

    def _listener(self, port: int) -> socket.socket:
        made = socket.socket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(("127.0.0.1", port))
        return made

    def run(self, kills: int) -> list[str]:
        """So many kills, then time to catch up; what was broken."""
        try:
            return self._run(kills)
        finally:
            for child in tuple(self._children):
                self._kill(child)

    def _run(self, kills: int) -> list[str]:
        server, receiver = self._server(busy=True), self._receiver()
        while self.kills < kills:
            self.kills += 1
            time.sleep(self._dice.uniform(0.02, 0.5))
            if self._dice.random() < 0.5:
                if self._dice.random() < 0.8:
                    self._let_work()
                self._kill(server)
                server = self._server(busy=True)
            else:
                self._kill(receiver)
                time.sleep(self._dice.choice([0, 0, 0.3]))
                receiver = self._receiver()
        self._let_work()
        self._kill(server)
        self._server(busy=False)
        return self._caught_up()

    def _let_work(self) -> None:
        """Wait until the server is ready, and for a random while; most lives are to be of use."""
        if select.select([self._ready], [], [], 20)[0]:
            os.read(self._ready, 1)
        time.sleep(self._dice.uniform(0.02, 0.4))

    def _server(self, *, busy: bool) -> int:
        while select.select([self._ready], [], [], 0)[0]:
            os.read(self._ready, 1)  # of a life that is over
        work = partial(_serve, self._folder, self._port, self._says_ready, busy=busy)
        return self._fork(work)

    def _receiver(self) -> int:
        listener = self._listener(self._port)
        child = self._fork(partial(_receive, self._folder, listener))
        listener.close()
        return child

    def _fork(self, work: Callable[[], Coroutine[Any, Any, None]]) -> int:
        child = os.fork()
        if not child:
            configure_logs("critical", "text")
            with suppress(BaseException):
                asyncio.run(work())
            os._exit(1)
        self._children.add(child)
        return child

    def _kill(self, child: int) -> None:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        self._children.discard(child)

    def _caught_up(self) -> list[str]:
        """What is missing or out of order once both had time to do the rest."""
        deadline = time.monotonic() + 60
        while (problems := self._problems()) and time.monotonic() < deadline:
            time.sleep(0.3)
        return problems

    def _problems(self) -> list[str]:
        stored = store.read(self._folder).events
        wanted = [(event.seq, event.job_id) for event in stored if event.event == "completed"]
        with closing(sqlite3.connect(self._folder / _DIARY)) as diary:
            done = diary.execute("SELECT number, job FROM done ORDER BY rowid").fetchall()
        lines = (self._folder / _DELIVERIES).read_bytes().splitlines()
        events = [json.loads(line)["event"] for line in lines]
        told = list(dict.fromkeys((event["seq"], event["id"]) for event in events))
        running = [job.id for job in store.read(self._folder).jobs.values()
                   if job.status in ("queued", "active")]  # fmt: skip
        return [
            f"{what}: {len(wanted)} completed, {len(found)} handled, the first difference is "
            f"{next((a for a, b in zip(wanted, found, strict=False) if a != b), 'a missing end')}"
            for what, found in (("follower", done), ("receiver", told))
            if found != wanted
        ] + [f"{len(running)} jobs are not completed"] * bool(running)

    def completed(self) -> int:
        """How many jobs were completed in all."""
        return sum(event.event == "completed" for event in store.read(self._folder).events)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Kill a follower and a webhook's receiver.")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chilly-followers-") as folder:
        killer = Killer(Path(folder), wanted.seed)
        broken = killer.run(wanted.kills)
        completed = killer.completed()
    sys.stdout.write(
        f"seed {wanted.seed}: {killer.kills} kills in {time.monotonic() - began:.0f} s, "
        f"{completed} completed jobs: {len(broken)} broken\n" + "".join(f"{b}\n" for b in broken)
    )
    return min(1, len(broken))


if __name__ == "__main__":
    sys.exit(main())
