"""A start with a thousand jobs after kill -9, a hundred of them in the middle of a download.

Nine hundred jobs are paused or completed in the store; a hundred are downloaded for real from one
seeder until each has some pieces, then the server is killed. Timed from the next start: until the
API answers, and until every job is in its right state: the hundred are active, with what is right
on their disk found again, the others as they were. `python -m lab.crash.restarts`
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks.scale import cpu_seconds, fill
from lab.crash.herd import SETTINGS, Herd, Small, listed, until_all
from tests.acceptance.backend import Backend
from tests.peers.libtorrent_peer import LibtorrentPeer

READY = 2.0
RIGHT = 10.0
_PIECE = 64 * 1024
_KIB = 1024


def _data(media: Path, film: Small) -> Path | None:
    return next(media.glob(f".incomplete/*/{film.torrent.name}"), None)


def _is_right(job: dict[str, object], good: int) -> bool:
    """Active again, past the check, with all that is right on its disk."""
    progress = job["progress"]
    assert isinstance(progress, dict)
    checked = progress["phase"] == "downloading" and progress["bytesDownloaded"] >= good
    return job["status"] == "completed" or (job["status"] == "active" and checked)


async def restart(folder: Path, jobs: int, active: int, size: int) -> dict[str, float]:
    """One kill and one start.

    Returns:
        What was measured, in seconds and megabytes; `wrong` counts jobs in a wrong state.
    """
    server = folder / "server"
    await fill(server, jobs - active, 0)
    async with LibtorrentPeer(time_limit=900) as seeder:
        herd = Herd(folder / "films", seeder)
        rate = max(4 * _KIB, size // 60)
        films = await herd.grow(active, size, piece=_PIECE, rate=rate)
        ours = {f"live-{number}": film for number, film in enumerate(films)}
        async with Backend(server, SETTINGS) as before:
            for name, film in ours.items():
                await before.start(film.magnet, id=name)
            some = lambda job: job["progress"]["bytesDownloaded"] >= 2 * _PIECE  # noqa: E731
            await until_all(before, ours, some, 180)
            was = {name: job["status"] for name, job in (await listed(before)).items()}
            await before.kill()
        media = server / "media"
        good = {n: film.good(path) for n, film in ours.items() if (path := _data(media, film))}
        began = time.monotonic()
        async with Backend(server, SETTINGS) as after:
            answer = await after.http.get("/downloads?limit=500")
            assert answer.status_code == 200
            ready, cpu = time.monotonic() - began, cpu_seconds(after.pid)
            left = dict(good)
            while left and time.monotonic() - began < 60:
                shown = await listed(after)
                left = {n: size for n, size in left.items() if not _is_right(shown[n], size)}
                await asyncio.sleep(0.1)
            right, spent = time.monotonic() - began, cpu_seconds(after.pid)
            now = {name: job["status"] for name, job in (await listed(after)).items()}
    wrong = [n for n in was if n not in ours and now.get(n) != was[n]]
    sys.stdout.write(
        f"jobs: {dict(Counter(now.values()))}; found again {sum(good.values())} bytes\n"
    )
    return {
        "ready": ready, "right": right, "cpu to ready": cpu, "cpu to right": spent,
        "wrong": len(wrong) + len(left), "active": len(good),
    }  # fmt: skip


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Restart after a kill with many jobs.")
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--active", type=int, default=100)
    parser.add_argument("--size", type=int, default=2048, help="KiB of an active film")
    parser.add_argument("--rounds", type=int, default=1)
    wanted = parser.parse_args()
    failed = 0
    for _ in range(wanted.rounds):
        with tempfile.TemporaryDirectory(prefix="chilly-restart-") as folder:
            made = asyncio.run(
                restart(Path(folder), wanted.jobs, wanted.active, wanted.size * _KIB)
            )
        figures = ", ".join(f"{name} {value:.2f}" for name, value in made.items())
        sys.stdout.write(f"{figures} (load of the machine {os.getloadavg()[0]:.1f})\n")
        failed += bool(made["wrong"]) or made["ready"] > READY or made["right"] > RIGHT
    return min(1, failed)


if __name__ == "__main__":
    sys.exit(main())
