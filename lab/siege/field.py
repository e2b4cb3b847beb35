"""One real server under attack, with a job the user asks about and a film in it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from lab.siege.plan import MEMORY_MB, Row
from lab.siege.user import Watch, share, watching
from tests.acceptance.backend import Backend
from tests.peers.torrents import make_film

_ROOT = Path(__file__).parents[2]
_DEAD = "magnet:?xt=urn:btih:" + "a" * 40
_FILM = 300_000
_SETTLE = 2.0


@dataclass
class Verdict:
    """What an attack came to."""

    title: str
    watch: Watch
    found: dict[str, Any]
    load: float
    broken: list[str]

    def line(self) -> str:
        """For the table."""
        seen = ", ".join(f"{name}: {count}" for name, count in sorted(self.found["seen"].items()))
        most = ", ".join(f"{value} {name}" for name, value in self.found["most"].items())
        took, control = self.watch.took, self.watch.control
        held = "BROKEN" if self.broken else "held  "
        user = (
            f"       user: {len(took)} answers, p50 {share(took, 0.5):.1f}, p99 "
            f"{share(took, 0.99):.1f}, worst {share(took, 1):.1f} ms, "
            f"{len(self.watch.failures)} failures; bare echo p99 {share(control, 0.99):.1f}, "
            f"worst {share(control, 1):.1f} ms; load {self.load:.1f}"
        )
        memory = f"{self.watch.before:.0f} MB, at most {self.watch.peak:.0f}"
        memory += f" ({self.watch.grown:+.1f}); server's CPU {self.watch.cpu:.1f} s"
        lines = [
            f"{held} {self.title}",
            f"       {self.found['seconds']:.0f} s; {seen}{'; ' + most if most else ''}",
            user,
            f"       memory {memory}",
        ]
        return "\n".join([*lines, *(f"       BROKEN: {what}" for what in self.broken)])


class Siege:
    """`chilly serve` with the real engine.

    Args:
        folder: media and state lie below it.
        settings: environment variables besides the defaults.
        warm: start it faster, by a fork.
    """

    def __init__(
        self, folder: Path, settings: dict[str, str] | None = None, *, warm: bool = False
    ) -> None:
        self._folder = folder
        self._server = Backend(
            folder, {"CHILLY_MIN_FREE_SPACE": "1000000", "CHILLY_LOG_LEVEL": "warning",
                     "CHILLY_SEED_RATIO": "1.0", **(settings or {})},
            warm=warm,
        )  # fmt: skip

    @property
    def port(self) -> int:
        """Of the API."""
        return int(urlsplit(self._server.url).port or 0)

    async def __aenter__(self) -> Self:
        make_film(self._folder / "media" / "film.mkv", _FILM)
        await self._server.__aenter__()
        await self._server.start(_DEAD, id="asked")
        made = await self._server.http.post(
            "/torrents/create", json={"path": "film.mkv", "id": "film"}
        )
        assert made.status_code == 200, made.text
        await self._server.wait("film")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._server.__aexit__(kind, error, trace)

    async def warm_up(self, attacks: bool = True) -> None:
        """Everything that is loaded or filled once is loaded and filled."""
        for path in ("/health", "/downloads", "/openapi.json", "/docs", "/download/status/asked"):
            for _ in range(50):
                assert (await self._server.http.get(path)).status_code == 200
        for name, facts in _WARM.items() if attacks else ():
            await self._attack(name, facts)

    async def stand(self, row: Row, facts: dict[str, Any], settle: float = _SETTLE) -> Verdict:
        """Let the attack run beside the user, who asks for some seconds before and after, too."""
        path = "/download/status/asked"
        async with watching(self.port, self._server.pid, path) as seen:
            await asyncio.sleep(settle)
            found = await self._attack(row.attack, facts)
            load = os.getloadavg()[0]
            await asyncio.sleep(settle)
        return Verdict(row.title.format(**facts), seen, found, load, broken(row, seen, found))

    async def _attack(self, name: str, facts: dict[str, Any]) -> dict[str, Any]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "lab.siege.attacks", name, str(self.port),
            json.dumps({**facts, "job": "asked", "film": "film"}), cwd=_ROOT, stdout=PIPE,
        )  # fmt: skip
        try:
            said, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode == 0, f"the attack {name} broke"
        result: dict[str, Any] = json.loads(said)
        return result

    async def complaints(self) -> str:
        """Errors in the server's log."""
        lines = [json.loads(line) for line in self._server.log().splitlines() if line[:1] == "{"]
        bad = [line for line in lines if line.get("level") in ("error", "critical")]
        return "; ".join(str(line) for line in bad[:5])


_WARM: dict[str, dict[str, Any]] = {
    "large_heads": {"connections": 30, "at_once": 8},
    "forwarded": {"requests": 2000},
    "odd_ranges": {"requests": 50},
    "streams": {"streams": 100, "at_once": 50, "hold": 0.1},
}


def broken(row: Row, seen: Watch, found: dict[str, Any]) -> list[str]:
    """What did not hold; times not, they depend on the machine: `p99` tells."""
    wrong = [f"the user got {what}" for what in sorted(set(seen.failures))]
    wrong += [f"{name} was seen" for name in row.never if found["seen"].get(name)]
    values = {**found["seen"], **found["most"]}
    wrong += [
        f"{name}: {values[name]} > {most}"
        for name, most in row.most.items()
        if values.get(name, 0) > most
    ]
    if seen.grown > row.grows:
        wrong.append(f"memory grew by {seen.grown:.1f} MB > {row.grows:.0f}")
    if seen.peak > MEMORY_MB:
        wrong.append(f"memory was {seen.peak:.0f} MB > {MEMORY_MB:.0f}")
    if (p99 := share(seen.took, 0.99)) > row.p99 + share(seen.control, 0.99):
        wrong.append(f"p99 {p99:.0f} ms > {row.p99:.0f}")
    return wrong
