"""What grows with the number of jobs: time to be ready, memory, idle CPU, time of an answer.

Each row is the installed program as a process of its own over a store that was filled
beforehand: a few jobs are active (magnets nobody answers), one half of the rest is paused, one
half completed. Nothing leaves this machine.

Run it with `python -m benchmarks.scale [--jobs 100 1000 10000] [--active 10]`.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from chilly_movies.jobs.events import Change
from chilly_movies.jobs.models import Job, MediaFile, Progress, Source, SourceType, Status
from chilly_movies.storage.jobs import open_stores

CHILLY = Path(sys.executable).parent / "chilly"
_GB = 1_400_000_000
_SETTINGS = {
    "CHILLY_PORT": "0", "CHILLY_TORRENT_PORT": "0", "CHILLY_INTERFACE": "127.0.0.1",
    "CHILLY_DHT": "false", "CHILLY_WEBTORRENT": "false", "CHILLY_LOG_LEVEL": "warning",
    "CHILLY_MIN_FREE_SPACE": "0",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    jobs: int
    active: int
    ready: float
    settled: float
    cpu_to_ready: float
    memory: float
    idle: float
    list_p50: float
    list_p99: float
    status_p99: float


def make_job(number: int, *, active: int) -> Job:
    """A job as a real one looks after its metadata came; the first `active` ones have none yet."""
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number)
    info_hash = f"{number + 1:040x}"
    urn = f"magnet:?xt=urn:btih:{info_hash}&dn=Film+{number}" + "".join(
        f"&tr=http%3A%2F%2F127.0.0.1%3A9%2Fannounce%2F{tracker}" for tracker in range(5)
    )
    job = Job(
        id=f"film-{number}", key=f"{number:032x}", source=Source(SourceType.TORRENT, urn),
        position=number + 1, created_at=now, updated_at=now, identities=(f"btih:{info_hash}",),
    )  # fmt: skip
    if number < active:
        return _replace(job, status=Status.ACTIVE, started_at=now)
    name = f"Film {number} (2020)"
    files = (
        MediaFile(0, f"{name}/{name}.mkv", _GB), MediaFile(1, f"{name}/{name}.en.srt", 90_000),
        MediaFile(2, f"{name}/poster.jpg", 400_000),
    )  # fmt: skip
    known = _replace(job, name=name, files=files, started_at=now)
    if number % 2:
        half = Progress(50.0, _GB // 2, _GB)
        return _replace(known, status=Status.PAUSED, progress=half)
    whole = Progress(100.0, _GB, _GB, ratio=1.0)
    return _replace(
        known, status=Status.COMPLETED, progress=whole, path=name, completed_at=now,
        reason="the seeding goal is reached",
    )  # fmt: skip


def _replace(job: Job, **changes: object) -> Job:
    from dataclasses import replace

    return replace(job, **changes)  # type: ignore[arg-type]


async def fill(folder: Path, jobs: int, active: int) -> None:
    """A store with so many jobs, and the resume data of those that are not active."""
    store, resume = open_stores(folder / "state" / "chilly.db")
    await store.load()
    for begin in range(0, jobs, 500):
        batch = [make_job(n, active=active) for n in range(begin, min(jobs, begin + 500))]
        changes = [Change.of(0, "queued", job) for job in batch]
        await asyncio.gather(*map(store.add, batch, changes))
        kept = [job for job in batch if job.status is not Status.ACTIVE]
        await asyncio.gather(*(resume.save_resume(job.key, b"x" * 4000) for job in kept))
    await store.aclose()


@contextmanager
def serving(folder: Path, active: int) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The program over that store, and its port."""
    # Python keeps what it compiled, as it does wherever nobody forbids it
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("CHILLY_", "PYTHONDONT"))}
    paths = {
        "CHILLY_STATE_DIR": str(folder / "state"), "CHILLY_MEDIA_ROOT": str(folder / "media"),
        "CHILLY_CONFIG": str(folder / "chilly.toml"), "CHILLY_MAX_ACTIVE": str(max(1, active)),
    }  # fmt: skip
    (folder / "chilly.toml").touch()
    command = [str(CHILLY), "serve"]
    with subprocess.Popen(
        command, env={**kept, **_SETTINGS, **paths}, stdout=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            found = re.search(rb"http://[\w.\[\]]+:(\d+)", process.stdout.readline())
            assert found is not None, "the server did not start"
            yield process, int(found[1])
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> float:
    """Resident MB of a process."""
    text = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+)", text)
    assert found is not None
    return int(found[1]) / 1024


def timed(connection: http.client.HTTPConnection, path: str, times: int) -> list[float]:
    """Milliseconds of so many GETs, sorted."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200
        took.append(1000 * (time.perf_counter() - began))
    return sorted(took)


def wait_for(connection: http.client.HTTPConnection, active: int, began: float) -> float:
    """Seconds until as many jobs are active as should be."""
    while True:
        connection.request("GET", "/health")
        counts = json.loads(connection.getresponse().read())["jobs"]
        if counts["active"] == active:
            return time.perf_counter() - began
        time.sleep(0.05)


def measure(jobs: int, active: int, idle_seconds: float, requests: int) -> Row:
    """One row of the table."""
    with tempfile.TemporaryDirectory(prefix="chilly-scale-") as temporary:
        folder = Path(temporary)
        asyncio.run(fill(folder, jobs, active))
        began = time.perf_counter()
        with serving(folder, active) as (process, port):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request("GET", "/health")
            connection.getresponse().read()
            ready, spent = time.perf_counter() - began, cpu_seconds(process.pid)
            settled = wait_for(connection, active, began)
            time.sleep(3)
            before, since = cpu_seconds(process.pid), time.perf_counter()
            time.sleep(idle_seconds)
            idle = (cpu_seconds(process.pid) - before) / (time.perf_counter() - since)
            connection.close()  # the server hangs up on who says nothing for so long
            listed = timed(connection, "/downloads", requests)
            stated = timed(connection, f"/download/status/film-{jobs - 1}", requests)
            connection.close()
            p99 = int(0.99 * (requests - 1))
            return Row(
                jobs, active, ready, settled, spent, memory(process.pid), 100 * idle,
                listed[requests // 2], listed[p99], stated[p99],
            )  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--active", type=int, default=10)
    parser.add_argument("--idle", type=float, default=10.0, help="seconds of watching it idle")
    parser.add_argument("--requests", type=int, default=500)
    wish = parser.parse_args()
    print(f"load of this machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print("| jobs | active | ready s | all active s | CPU to ready s | memory MB | idle CPU % "
          "| list p50 ms | list p99 ms | status p99 ms |")  # fmt: skip
    print("|" + "---|" * 10)
    for jobs in wish.jobs:
        row = measure(jobs, min(wish.active, jobs), wish.idle, wish.requests)
        print(
            f"| {row.jobs:,} | {row.active} | {row.ready:.2f} | {row.settled:.2f} "
            f"| {row.cpu_to_ready:.2f} | {row.memory:.0f} | {row.idle:.2f} "
            f"| {row.list_p50:.2f} | {row.list_p99:.2f} | {row.status_p99:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
