"""kill -9 of a process that changes many jobs at once, hundreds of times in the same folder.

The process is forked from one that has imported everything, so that a life costs little. It
tells what it is about to do and what was acknowledged on a pipe; this process compares that
with the database after each kill. `python -m lab.crash.kills --help`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import select
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from chilly_movies.drivers.mock.driver import MockDriver
from chilly_movies.errors import ChillyError
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.jobs.models import SourceType
from chilly_movies.runtime.logs import configure_logs
from chilly_movies.runtime.state_folder import DATABASE
from chilly_movies.storage.jobs import open_stores
from lab.crash import promises, store
from lab.crash.model import AFTER_IN_THE_AIR, Intent, Tally, Told

_HANDS = 12
_AFTER = {
    "start": Intent.RUN,
    "resume": Intent.RUN,
    "pause": Intent.PAUSED,
    "cancel": Intent.CANCELED,
    "remove": Intent.REMOVED,
}
_SOURCES = (
    "mock:?name={0}&seconds=0.05&metadataSeconds=0.01&seedSeconds=0",
    "mock:?name={0}&seconds=30&metadataSeconds=0.01",
    "mock:?name={0}&seconds=0.2&metadataSeconds=0&seedSeconds=0.1",
    "mock:?name={0}&seconds=0.1&fail=disk_error&failAt=50&failTimes=1",
)


# --- the process that is killed ---------------------------------------------------------------


def _live(state: Path, seed: int, out: int) -> None:
    configure_logs("error", "text")
    asyncio.run(_work(state, seed, out))


async def _work(state: Path, seed: int, out: int) -> None:
    jobs, resume = open_stores(state / DATABASE)
    driver = MockDriver(resume_store=resume, tick=0.01)
    downloader = Downloader(dict.fromkeys(SourceType, driver), jobs, max_active=8)
    await downloader.open()
    _tell(out, "ready")
    hands = [_hand(downloader, random.Random(f"{seed} {n}"), f"{seed}-{n}", out) for n in range(12)]
    await asyncio.gather(_listen(downloader, out), *hands)


async def _listen(downloader: Downloader, out: int) -> None:
    async for change in downloader.events():
        if change.durable:
            _tell(out, f"event {change.seq} {change.event} {change.id}")


async def _hand(downloader: Downloader, dice: random.Random, name: str, out: int) -> None:
    """One caller: makes jobs and changes them; each of its calls is told before and after."""
    old = [
        job.id for job in await downloader.list() if job.id.rpartition("-")[0].endswith(name[-2:])
    ]
    mine = old[:4]
    for number in range(10**9):
        await asyncio.sleep(dice.uniform(0, 0.004))
        verb = dice.choices((*_AFTER,), (25, 20, 30, 15, 10))[0]
        if verb == "start" or not mine:
            verb, job_id = "start", f"{name}-{number}"
            mine.append(job_id)
        else:
            job_id = dice.choice(mine)
        _tell(out, f"try {verb} {job_id}")
        try:
            await _do(downloader, verb, job_id, dice)
        except ChillyError:
            _tell(out, f"no {verb} {job_id}")
            continue
        _tell(out, f"ack {verb} {job_id}")
        if verb == "remove" or len(mine) > 6:
            mine = [job for job in mine[-6:] if job != job_id or verb != "remove"]


async def _do(downloader: Downloader, verb: str, job_id: str, dice: random.Random) -> None:
    if verb == "start":
        urn = dice.choice(_SOURCES).format(job_id)
        await downloader.start(id=job_id, source_type="torrent", source_urn=urn)
    elif verb == "remove":
        await downloader.remove(job_id)
    else:
        await getattr(downloader, verb)(job_id)


def _tell(out: int, text: str) -> None:
    os.write(out, text.encode() + b"\n")  # one write of less than a page is not torn


# --- the process that kills -------------------------------------------------------------------


class Killer:
    """Kills one life after the other, and compares.

    Args:
        state: the state folder they share.
        seed: of all that is random.
    """

    def __init__(self, state: Path, seed: int) -> None:
        self.tally = Tally(seed)
        self._state = state
        self._dice = random.Random(seed)
        self._jobs: dict[str, Told] = {}
        self._gone: set[str] = set()
        self._last_event: dict[str, str] = {}
        self._seen = 0

    def kill(self) -> None:
        """One life and its end, and whether everything is as it was promised."""
        self.tally.rounds += 1
        told: list[tuple[int, str, str]] = []
        for line in self._lines(self._dice.uniform(0.005, 0.4)):
            words = line.split()
            if words[0] == "ready":
                self.tally.starts += 1
            elif words[0] == "event":
                told.append((int(words[1]), words[2], words[3]))
            else:
                self._take(*words)
        self._compare(told)

    def _lines(self, after: float) -> Iterator[str]:
        """What a life says until it is killed so many seconds after it was ready."""
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            with suppress(BaseException):
                os.close(reader)
                _live(self._state, self._dice.randrange(10**9), writer)
            os._exit(1)
        os.close(writer)
        self._dice.random()  # the child drew one
        said, deadline = b"", time.monotonic() + 20
        early = self._dice.random() < 0.1
        if early:
            deadline = time.monotonic() + after / 4
        ready = False
        while (left := deadline - time.monotonic()) > 0:
            if not select.select([reader], [], [], left)[0]:
                break
            part = os.read(reader, 1 << 16)
            if not part:
                self.tally.breaks("the process ended by itself")
                break
            said += part
            if not ready and not early and b"ready\n" in said:
                ready, deadline = True, time.monotonic() + after
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        self.tally.kills += 1
        self.tally.early_kills += early
        while part := os.read(reader, 1 << 16):
            said += part
        os.close(reader)
        yield from (line.decode() for line in said.split(b"\n")[:-1])

    def _take(self, what: str, verb: str, job_id: str) -> None:
        job = self._jobs.setdefault(job_id, Told(job_id, may_fail=True))
        if what == "try":
            job.before = job.intents
            job.intents |= AFTER_IN_THE_AIR.get(_AFTER[verb], frozenset({_AFTER[verb]}))
        elif what == "no":
            job.intents = job.before
        else:
            self.tally.acks += 1
            # pausing or canceling a completed job leaves it so, and nobody told us
            over = {Intent.RUN} & job.before if verb in ("pause", "cancel", "start") else set()
            job.intents = frozenset({_AFTER[verb], *(over and {Intent.COMPLETED})})
            job.intents |= {Intent.COMPLETED} & job.before if verb != "remove" else set()

    def _compare(self, told: list[tuple[int, str, str]]) -> None:
        stored = store.read(self._state, after=self._seen)
        tell = self.tally.breaks
        tell(*promises.whole(stored))
        tell(*promises.nothing_lost(stored, self._jobs.values(), self._gone))
        tell(*promises.order(stored.events, self._last_event))
        rows = {event.seq: (event.seq, event.event, event.job_id) for event in stored.events}
        tell(
            *(f"event {row} was told and is not stored" for row in told if rows.get(row[0]) != row)
        )
        if [row[0] for row in told] != sorted({row[0] for row in told}):
            tell("event numbers did not rise")
        self.tally.events += len(told)
        self._seen = max(rows, default=self._seen)
        self._gone |= self._jobs.keys() - stored.jobs.keys()
        self._jobs = {name: job for name, job in self._jobs.items() if name in stored.jobs}


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Kill a busy writer of the database.")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chilly-kills-") as folder:
        killer = Killer(Path(folder), wanted.seed)
        for _ in range(wanted.kills):
            killer.kill()
    tally = killer.tally
    sys.stdout.write(
        f"seed {wanted.seed}: {tally.kills} kills ({tally.early_kills} while it started) in "
        f"{time.monotonic() - began:.0f} s, {tally.acks} acknowledged verbs, "
        f"{tally.events} changes told\nintegrity_check and all promises after each: "
        f"{len(tally.broken)} broken\n" + "".join(f"{broken}\n" for broken in tally.broken)
    )
    return min(1, len(tally.broken))


if __name__ == "__main__":
    sys.exit(main())
