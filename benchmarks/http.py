"""Our backend against curl, wget and aria2, all fetching the same film from one nginx.

    python -m benchmarks.http [--rounds 5] [--size-mib 1024] [--limited-mib 128] [--only NAME,...]

Two lines: over loopback as fast as it goes, and at 6 MB/s for each connection with a smaller film.
Ours is a server process; a client starts the job over HTTP and listens to its events all the time.
The contenders take turns and another one begins each round, so that a busy moment hits all of them.
Each figure is a median with its least and greatest. A ratio is taken between the downloads of one
round: of ours to aria2 with as many connections, above 1 = ours was faster. CPU and memory are
those of the process and its children; of our server what it used more than before the start.
"""

# ruff: noqa: A005 (nothing here is run with this folder as its path)

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.engine import file_system, spread
from benchmarks.meter import usage
from tests.acceptance.backend import Backend
from tests.peers.nginx import nginx
from tests.peers.torrents import make_film, sha256_of

RATE = 6_000_000
FREE, LIMITED = "free", "6 MB/s a connection"
ALL_BYTES, COMPLETED = "all bytes there", "flushed, published"
WITHIN = 600.0
_PERIOD = 0.02
HEADINGS = (
    "line", "client", "until", "seconds", "min-max", "MB/s", "CPU s", "MB more than idle",
    "ratio to aria2", "ratio min-max",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Spent:
    """What one download took, until some point of it."""

    seconds: float
    cpu: float
    memory: int


@dataclass(frozen=True, slots=True)
class Client:
    """A contender.

    Attributes:
        name: what `--only` and the table call it.
        rival: the contender its ratio is to, "" = none.
        fetch: downloads the link into the folder; what it took by point, the file behind it.
        program: what must be installed.
    """

    name: str
    rival: str
    fetch: Callable[[str, Path], Awaitable[tuple[dict[str, Spent], Path]]]
    program: str = ""


@dataclass(slots=True)
class Row:
    """One line of the table, over all rounds."""

    line: str
    client: str
    until: str
    rival: str
    spent: list[Spent] = field(default_factory=list)


async def _command(words: Sequence[str], got: Path) -> tuple[dict[str, Spent], Path]:
    """Run a program that downloads and ends."""
    began = time.monotonic()
    pid = os.posix_spawnp(  # noqa: ASYNC221 (it returns at once)
        words[0], list(words), os.environ,
        file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)],
    )  # fmt: skip
    ended, peak = asyncio.ensure_future(asyncio.to_thread(os.wait4, pid, 0)), 0
    while not ended.done():  # of its end the system tells the peak of who started it, if larger
        peak = max(peak, usage(pid).peak)
        await asyncio.wait([ended], timeout=_PERIOD)
    seconds, (_, status, used) = time.monotonic() - began, ended.result()
    if status:
        raise RuntimeError(f"{words[0]} ended with {os.waitstatus_to_exitcode(status)}")
    cpu = used.ru_utime + used.ru_stime
    return {ALL_BYTES: Spent(seconds, cpu, peak)}, got


async def _curl(link: str, folder: Path) -> tuple[dict[str, Spent], Path]:
    got = folder / "film.mkv"
    return await _command(("curl", "-s", "-f", "-o", str(got), link), got)


async def _wget(link: str, folder: Path) -> tuple[dict[str, Spent], Path]:
    got = folder / "film.mkv"
    return await _command(("wget", "-q", "-O", str(got), link), got)


def _aria2(connections: int) -> Client:
    async def fetch(link: str, folder: Path) -> tuple[dict[str, Spent], Path]:
        words = (
            *("aria2c", "-q", "--no-conf", "--file-allocation=none", "-k1M", "-d", str(folder)),
            *(f"-x{connections}", f"-s{connections}", "-o", "film.mkv", link),
        )
        return await _command(words, folder / "film.mkv")

    return Client(f"aria2 -x{connections}", "", fetch, "aria2c")


def _ours(connections: int) -> Client:
    settings = {"CHILLY_LOG_LEVEL": "warning", "CHILLY_HTTP_CONNECTIONS": str(connections)}

    async def fetch(link: str, folder: Path) -> tuple[dict[str, Spent], Path]:
        async with Backend(folder, settings) as backend, backend.listen("/events") as events:
            await backend.http.get("/health")
            await asyncio.sleep(1.0)  # it is idle then
            before, began = usage(backend.pid), time.monotonic()
            await backend.verb("start", {"id": "a", "sourceType": "http", "sourceUrn": link})
            marks: dict[str, Spent] = {}

            def mark(point: str) -> None:
                now = usage(backend.pid)
                spent = now.cpu - before.cpu, now.peak - before.peak
                marks.setdefault(point, Spent(time.monotonic() - began, *spent))

            async for event in events:
                phase, status = event["progress"]["phase"], event["status"]
                if status == "failed":
                    raise RuntimeError(f"the job failed: {event['error']}")
                if phase == "post-processing" or status == "completed":
                    mark(ALL_BYTES)
                if status == "completed":
                    mark(COMPLETED)
                    break
            job = await backend.job("a")
        return marks, backend.media / job["files"][0]["path"]

    return Client(f"ours x{connections}", f"aria2 -x{connections}", fetch)


CLIENTS = (
    _ours(8), _ours(16), _aria2(8), _aria2(16),
    Client("curl", "", _curl, "curl"), Client("wget", "", _wget, "wget"),
)  # fmt: skip


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.http", description=__doc__)
    parser.add_argument("--size-mib", type=int, default=1024, help="of the film on the free line")
    parser.add_argument("--limited-mib", type=int, default=128, help="of the film on the other")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", metavar="NAME,...", help="of these contenders only")
    parser.add_argument("--lines", default=f"{FREE},{LIMITED}", help="of these lines only")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument("--dir", type=Path, help="where to work; else where temporary files go")
    options = parser.parse_args(arguments)
    names = [client.name for client in CLIENTS]
    chosen = options.only.split(",") if options.only else names
    if unknown := set(chosen) - set(names):
        parser.error(f"no contender {', '.join(sorted(unknown))}; there is: {', '.join(names)}")
    there = [client for client in CLIENTS if not client.program or shutil.which(client.program)]
    options.clients = [client for client in there if client.name in chosen]
    return options


def _level(content: Path, copy: Path) -> None:
    """Gives everybody the same start: memory that the host gave already, nothing to be written."""
    shutil.copyfile(content, copy)
    os.sync()
    copy.unlink()
    os.sync()


async def measure(options: argparse.Namespace, work: Path) -> list[Row]:
    """All contenders in turn on both lines, for so many rounds."""
    sizes = {FREE: options.size_mib, LIMITED: options.limited_mib}
    rows: list[Row] = []
    async with nginx(work / "origin", rate=RATE) as origin:
        for line in options.lines.split(","):
            content = work / "origin" / f"film{sizes[line]}.mkv"
            digest = make_film(content, sizes[line] << 20, seed=1)
            link = f"{origin.url}/{'slow/' if line == LIMITED else ''}{content.name}"
            for number in range(options.rounds):
                first = number % len(options.clients)
                for client in options.clients[first:] + options.clients[:first]:
                    marks = await _one(client, link, content, digest, work)
                    _note(rows, line, client, marks)
            content.unlink()
    order = [client.name for client in options.clients]
    rows.sort(key=lambda row: (row.line != FREE, order.index(row.client)))
    return rows


async def _one(
    client: Client, link: str, content: Path, digest: str, work: Path
) -> dict[str, Spent]:
    """One download; what it got is compared, too."""
    folder = work / "got"
    folder.mkdir()
    try:
        await asyncio.to_thread(_level, content, work / "copy")
        async with asyncio.timeout(WITHIN):
            marks, got = await client.fetch(link, folder)
        if await asyncio.to_thread(sha256_of, got) != digest:
            raise RuntimeError(f"{client.name} got something else")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return marks


def _note(rows: list[Row], line: str, client: Client, marks: dict[str, Spent]) -> None:
    for until, spent in marks.items():
        key = (line, client.name, until)
        row = next((row for row in rows if (row.line, row.client, row.until) == key), None)
        if row is None:
            rows.append(row := Row(line, client.name, until, client.rival))
        row.spent.append(spent)


def figures(rows: Sequence[Row], sizes: dict[str, int]) -> list[dict[str, Any]]:
    """Medians in plain numbers; what there is no number for is None."""
    found = []
    for row in rows:
        seconds = [spent.seconds for spent in row.spent]
        rival = next((r for r in rows if (r.line, r.client) == (row.line, row.rival)), None)
        others = [] if rival is None else [spent.seconds for spent in rival.spent]
        ratios = [other / own for other, own in zip(others, seconds, strict=False)]
        found.append({
            "line": row.line, "client": row.client, "until": row.until,
            "seconds": round(statistics.median(seconds), 2), "min-max": spread(seconds),
            "MB/s": round((sizes[row.line] << 20) / 1e6 / statistics.median(seconds)),
            "CPU s": round(statistics.median(spent.cpu for spent in row.spent), 2),
            "MB more than idle": round(statistics.median(s.memory for s in row.spent) / 1e6),
            "ratio to aria2": round(statistics.median(ratios), 2) if ratios else None,
            "ratio min-max": spread(ratios) if ratios else None,
            "runs": [round(each, 3) for each in seconds],
        })  # fmt: skip
    return found


def table(found: Sequence[dict[str, Any]]) -> str:
    """The figures as lines with columns."""
    cells = [["-" if row[h] is None else str(row[h]) for h in HEADINGS] for row in found]
    lines = [list(HEADINGS), ["-" * len(heading) for heading in HEADINGS], *cells]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |"
        for line in lines
    )


async def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    work = Path(tempfile.mkdtemp(prefix="chilly-bench-", dir=options.dir))
    try:
        (work / "origin").mkdir()
        kind = file_system(work)
        rows = await measure(options, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    found = figures(rows, {FREE: options.size_mib, LIMITED: options.limited_mib})
    print(
        f"nginx on loopback, {options.size_mib} MiB free and {options.limited_mib} MiB at 6 MB/s "
        f"for each connection, to {kind}; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; "
        f"median of {options.rounds} with their least and greatest\n\n{table(found)}"
    )
    if options.json is not None:
        options.json.write_text(json.dumps({"fileSystem": kind, "rows": found}, indent=2) + "\n")
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run(parse(arguments)))


if __name__ == "__main__":
    main()
