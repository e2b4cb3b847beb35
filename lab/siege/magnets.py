"""`make dead-magnets`: a thousand magnets nobody has beside five films that live (A37)."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lab.crash.herd import SETTINGS, Herd, Small, listed, until_all
from lab.siege.__main__ import say
from lab.siege.user import share, watching
from tests.acceptance.backend import Backend
from tests.peers.libtorrent_peer import LibtorrentPeer

_LIVE = 5
_SIZE = 4_000_000
_PATIENCE = 20
_WITHIN = 120.0
_MEMORY_MB = 150.0
_P99_MS = 100.0


def _gave_up(job: Mapping[str, Any]) -> bool:
    return bool(job.get("error")) and job["error"]["code"] == "no_metadata"


async def _fetch(server: Backend, films: list[Small], name: str) -> float:
    """Seconds until all of them are there."""
    began = time.monotonic()
    for number, film in enumerate(films):
        await server.start(film.magnet, id=f"{name}{number}")
    jobs = [f"{name}{number}" for number in range(len(films))]
    late = await until_all(server, jobs, lambda job: job["status"] == "completed", _WITHIN)
    assert not late, f"not there in time: {late}"
    for film in films:
        assert film.is_whole(server.media / film.torrent.name), film.torrent.name
    return time.monotonic() - began


async def _start(server: Backend, jobs: list[str]) -> None:
    for job in jobs:
        await server.start(f"magnet:?xt=urn:btih:{int(job[4:]) + 1:040x}", id=job)


async def siege(dead: int, folder: Path) -> list[str]:
    """Run it; what did not hold."""
    settings = {**SETTINGS, "CHILLY_METADATA_TIMEOUT": str(_PATIENCE)}
    async with LibtorrentPeer() as seeder, Backend(folder / "ours", settings) as server:
        films = await Herd(folder / "films", seeder).grow(2 * _LIVE, _SIZE)
        alone = await _fetch(server, films[:_LIVE], "alone")
        port = int(urlsplit(server.url).port or 0)
        async with watching(port, server.pid, "/download/status/alone0") as seen:
            began = time.monotonic()
            jobs = [f"dead{number}" for number in range(dead)]
            await _start(server, jobs[: dead // 2])
            beside = await _fetch(server, films[_LIVE:], "beside")
            await _start(server, jobs[dead // 2 :])
            started = time.monotonic() - began
            left = await until_all(server, jobs, _gave_up, _WITHIN)
            took = time.monotonic() - began
            found = await listed(server)
        reasons = Counter(str(found[job]["error"]["message"]) for job in jobs if job not in left)
    p99, control = share(seen.took, 0.99), share(seen.control, 0.99)
    say(f"{dead} dead magnets started in {started:.1f} s; all had given up after {took:.1f} s")
    say(f"   reasons: {dict(reasons)}")
    say(f"   {_LIVE} films of {_SIZE // 10**6} MB: {alone:.1f} s alone, {beside:.1f} s beside them")
    say(
        f"   user: {len(seen.took)} answers, p50 {share(seen.took, 0.5):.1f}, p99 {p99:.1f} ms, "
        f"{len(seen.failures)} failures; bare echo p99 {control:.1f} ms; "
        f"load {os.getloadavg()[0]:.1f}"
    )
    memory = f"{seen.before:.0f} MB, at most {seen.peak:.0f} ({seen.grown:+.0f})"
    say(f"   memory {memory}; server CPU {seen.cpu:.1f} s")
    wrong = [f"{job} did not give up: {what.get('reason')}" for job, what in [*left.items()][:5]]
    wrong += sorted(set(seen.failures))
    wrong += [f"memory grew by {seen.grown:.0f} MB"] if seen.grown > _MEMORY_MB else []
    wrong += [f"p99 {p99:.0f} ms"] if p99 > _P99_MS + control else []
    wrong += [f"it took {took:.0f} s"] if took > _WITHIN else []
    return wrong


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Dead magnets beside films that live.")
    parser.add_argument("--dead", type=int, default=1000)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix=f"magnets-{os.getpid()}-") as folder:
        wrong = asyncio.run(siege(wanted.dead, Path(folder)))
    for what in wrong:
        say(f"BROKEN {what}")
    return min(1, len(wrong))


if __name__ == "__main__":
    sys.exit(main())
