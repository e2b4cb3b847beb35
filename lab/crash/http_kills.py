"""kill -9 in the middle of an http download: how much is fetched twice, and is it right at the end.

    python -m lab.crash.http_kills [--kills 10] [--size-mib 1024] [--rate 20] [--segments 8]

The real server fetches one film from a web server that gives each connection its part of the rate.
That one knows what it sent, so what is counted is what a user's line carries: bytes that were under
way at the kill count as well.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import secrets
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from lab.crash.http_origin import HttpOrigin, Range, twice, united
from tests.acceptance.backend import Backend
from tests.peers.torrents import make_film, sha256_of

MIB = 1 << 20
AIM = 8 * MIB
"""More than this should not be fetched twice because of one kill."""


@dataclass
class Verdict:
    """What was counted.

    Attributes:
        repeated: bytes that were fetched a second time in the life behind each kill.
        claimed: what the server said it had, as soon as it ran again.
        is_right: the film is what it should be.
        seconds: from the first start to the end.
    """

    repeated: list[int] = field(default_factory=list)
    claimed: list[int] = field(default_factory=list)
    is_right: bool = False
    seconds: float = 0.0

    def summary(self, seed: int) -> str:
        """A few lines for people."""
        each = ", ".join(f"{count / MIB:.1f}" for count in self.repeated)
        return (
            f"seed {seed}: {len(self.repeated)} kills in {self.seconds:.0f} s, the film is "
            f"{'right' if self.is_right else 'WRONG'}\n"
            f"MiB fetched twice for each kill: {each}; at most "
            f"{max(self.repeated, default=0) / MIB:.1f} (aim: {AIM // MIB})"
        )


async def http_kills(
    folder: Path, seed: int, *, kills: int, size: int, rate: int, segments: int
) -> Verdict:
    """One download that is killed so many times, at moments spread over it."""
    verdict, chance = Verdict(), random.Random(seed)
    digest = make_film(folder / "origin" / "film.mkv", size, seed=seed)
    settings = {"CHILLY_HTTP_CONNECTIONS": str(segments), "CHILLY_LOG_LEVEL": "warning"}
    began, before = time.monotonic(), list[Range]()
    stops = sorted(chance.uniform(0.05, 0.95) * size for _ in range(kills))
    async with HttpOrigin({"film.mkv": folder / "origin" / "film.mkv"}, rate // segments) as origin:
        wish = {"id": "a", "sourceType": "http", "sourceUrn": f"{origin.url}/film.mkv"}
        for number, stop in enumerate([*stops, None]):
            server = Backend(folder / "server", settings)
            await server.__aenter__()
            try:
                if not number:
                    await server.verb("start", wish)
                else:
                    now = (await server.job("a"))["progress"]["bytesDownloaded"]
                    verdict.claimed.append(now)
                if stop is None:
                    job = await server.wait("a", within=600)
                else:
                    await _reach(server, stop)
            finally:
                await server.kill()
            sent = origin.forget()["film.mkv"]
            if number:
                verdict.repeated.append(twice(before, sent))
            before = united([*before, *sent])
    film = folder / "server" / "media" / str(job["path"])
    verdict.is_right = job["status"] == "completed" and sha256_of(film) == digest
    verdict.seconds = time.monotonic() - began
    return verdict


async def _reach(server: Backend, stop: float) -> None:
    """Wait until the job has so many bytes."""
    async with asyncio.timeout(600):
        while True:
            job = await server.job("a")
            assert job["status"] in ("queued", "active"), job
            if job["progress"]["bytesDownloaded"] >= stop:
                return
            await asyncio.sleep(0.05)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Kill the real server while it fetches a film.")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--size-mib", type=int, default=1024)
    parser.add_argument("--rate", type=float, default=20.0, help="MB/s of all segments together")
    parser.add_argument("--segments", type=int, default=8)
    parser.add_argument("--seed", type=int, default=None)
    given = parser.parse_args()
    seed = secrets.randbelow(1_000_000) if given.seed is None else given.seed
    with tempfile.TemporaryDirectory(prefix="chilly-http-kills-") as folder:
        verdict = asyncio.run(
            http_kills(
                Path(folder), seed, kills=given.kills, size=given.size_mib * MIB,
                rate=int(given.rate * 1e6), segments=given.segments,
            )
        )  # fmt: skip
    sys.stdout.write(verdict.summary(seed) + "\n")
    return 0 if verdict.is_right and max(verdict.repeated, default=0) <= AIM else 1


if __name__ == "__main__":
    sys.exit(main())
