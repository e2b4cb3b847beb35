"""`chilly demo`: a real film arrives through the API, on this machine alone."""

from __future__ import annotations

import asyncio
import signal
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from chilly_movies.cli import render, stage
from chilly_movies.cli.boards import LineBoard, board_for
from chilly_movies.cli.demo_film import make_film
from chilly_movies.cli.exits import CommandFailed, Exit
from chilly_movies.cli.output import Output
from chilly_movies.cli.running import run

if TYPE_CHECKING:
    from chilly_movies.client import ApiClient

_JOB = "demo"
_MIB = 1024 * 1024
_SECONDS = 3
"""How long the film is to take, by the seeder's upload limit."""
_PAUSE_AT = 40.0
_PAUSE = 1.0
_TIME_LIMIT = 180.0
_Flag = Parameter(negative="", show_default=False)


def demo(
    *,
    size_mib: int = 64,
    folder: Path = Path(".demo"),
    keep: Annotated[bool, _Flag] = False,
    json: Annotated[bool, _Flag] = False,
) -> int:
    """Show that it works: a film arrives through the API, without the internet.

    A tracker and a seeder of our own offer a film; the backend downloads it as a front end would
    ask it to, is paused and resumed on the way, and every byte is compared. At a terminal it then
    serves the film until Ctrl-C, to be watched.

    Args:
        size_mib: Size of the film in MiB.
        folder: Where it arrives; emptied first, and removed at the end.
        keep: Leave the film there.
        json: Say only the result, as one JSON document.
    """
    if not 1 <= size_mib <= 100_000:
        raise CommandFailed("--size-mib takes 1 to 100000.", Exit.USAGE)
    out = Output(as_json=json)
    folder = folder.absolute()
    stage.empty(folder)
    try:
        result = run(_Demo(out, folder, size_mib).work())
    finally:
        stage.tidy(folder, keep=keep)
    if keep:
        out.say(f"The film lies at {result['path']}")
    else:
        out.say(
            f"The film lay at {result['path']} and is removed again; "
            "'chilly demo --keep' leaves it there."
        )
    out.document({"ok": True, **result, "kept": keep})
    return Exit.DONE


@dataclass(slots=True)
class _Demo:
    """One run of it."""

    out: Output
    folder: Path
    mib: int
    film: str = ""
    step: int = 0

    async def work(self) -> dict[str, Any]:
        """All steps.

        Raises:
            CommandFailed: something did not hold.
        """
        from chilly_movies.client import ClientError

        try:
            async with asyncio.timeout(_TIME_LIMIT) as limit:
                return await self._steps(limit)
        except TimeoutError:
            raise CommandFailed(f"The demo was not done in {_TIME_LIMIT:.0f} s.") from None
        except ClientError as error:
            raise CommandFailed(f"The backend refused: {error}") from None

    async def _steps(self, limit: asyncio.Timeout) -> dict[str, Any]:
        from chilly_movies.client import ApiClient

        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="chilly-demo-") as temporary:
            log = Path(temporary) / "backend.log"
            # started first: it gets ready while the film is made
            async with stage.backend(self.folder, log) as backend:
                film = await make_film(Path(temporary), self.mib)
                self.film = film.name
                self._say(f"Made a film of {render.size(self.mib * _MIB)}: {film.name}")
                async with self._swarm(film) as magnet:
                    url = (await backend.ready())["url"]
                    path, seconds = await self._arrive(url, magnet)
                result = await self._compare(film, path, seconds)
                result["totalSeconds"] = round(time.monotonic() - began, 3)
                address = f"{url}/stream/{_JOB}/0"
                async with ApiClient(url) as api:
                    await api.first_bytes(address)  # as a browser or player asks
                total = f"all of this took {result['totalSeconds']:.1f} s"
                self._say(f"It plays at {address}; {total}.")
                if self.out.is_live:
                    limit.reschedule(None)
                    await self._serve()
        return result

    async def _compare(self, film: Path, path: Path, seconds: float) -> dict[str, Any]:
        """Compares what arrived with what was sent; returns the figures of the download."""
        digest = await asyncio.to_thread(stage.sha256_of, film)
        if await asyncio.to_thread(stage.sha256_of, path) != digest:
            raise CommandFailed("The film that arrived is not the film that was sent.")
        speed = int(self.mib * _MIB / seconds)
        self._say(f"The film is complete and equal to the original: sha256 {digest[:16]}...")
        self._say(
            f"It took {seconds:.1f} s to download, at {render.speed(speed)} "
            "(the seeder gives no more)."
        )
        return {
            "path": str(path),
            "sha256": digest,
            "bytes": self.mib * _MIB,
            "downloadSeconds": round(seconds, 3),
            "bytesPerSecond": speed,
        }

    async def _serve(self) -> None:
        """Keeps the backend running until Ctrl-C, so that the film can be watched."""
        player = "a browser" if self.film.endswith(".mp4") else "VLC or mpv"
        self.out.say(f"Open that address in {player}. Ctrl-C ends the demo.")
        interrupted = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, interrupted.set)
        try:
            await interrupted.wait()
        finally:
            loop.remove_signal_handler(signal.SIGINT)

    @asynccontextmanager
    async def _swarm(self, film: Path) -> AsyncIterator[str]:
        from chilly_movies.tracker.http import run_tracker

        limit = self.mib * _MIB // _SECONDS
        async with run_tracker() as announce, stage.seeder(film, announce, limit) as seeder:
            magnet = (await seeder.ready())["magnet"]
            self._say(f"Our own tracker listens on {announce}")
            self._say(f"A second process seeds the film at {render.speed(limit)}.")
            yield magnet

    async def _arrive(self, url: str, magnet: str) -> tuple[Path, float]:
        """Has the backend download the film, and pauses it once on the way.

        Returns:
            where the film lies, and the seconds it took without the pause.

        Raises:
            CommandFailed: the download ended, or could not be paused.
        """
        from chilly_movies.client import ApiClient

        board = board_for(self.out) if self.out.is_live else LineBoard(self.out, interval=0.5)
        async with ApiClient(url) as api:
            self._say(f"The backend, a process of its own, serves {url}")
            await api.start(magnet, id=_JOB)
            self._say("POST /download/start with the film's magnet link; its events say:")
            began, held = time.monotonic(), 0.0
            with board:
                async with aclosing(api.events(_JOB)) as events:
                    async for event in events:
                        board.show({**event, "name": self.film}, event["event"])
                        if event["status"] == "completed":
                            break
                        if event["status"] in ("failed", "canceled"):
                            raise CommandFailed(f"The download ended: {render.figures(event)}.")
                        held += await self._maybe_pause(api, event, held)
            if not held:
                raise CommandFailed("The film was there before it could be paused.")
            seconds = time.monotonic() - began - held
            return self.folder / "media" / str((await api.detail(_JOB))["path"]), seconds

    async def _maybe_pause(self, api: ApiClient, event: dict[str, Any], held: float) -> float:
        """Pause in the middle, and resume after a while; the seconds nothing moved."""
        if held:
            return 0.0
        if event["status"] == "active" and event["progress"]["percent"] >= _PAUSE_AT:
            await api.pause(_JOB)
            return 0.0
        if event["event"] != "paused":
            return 0.0
        began = time.monotonic()
        before = await api.status(_JOB)
        await asyncio.sleep(_PAUSE)
        after = await api.status(_JOB)
        here = after["progress"]["bytesDownloaded"]
        if after["status"] != "paused" or here != before["progress"]["bytesDownloaded"]:
            raise CommandFailed("The download moved although it was paused.")
        self._say(f"POST /download/pause: for {_PAUSE:.0f} s nothing moved; now /download/resume.")
        await api.resume(_JOB)
        return time.monotonic() - began

    def _say(self, text: str) -> None:
        self.step += 1
        self.out.say(f"{self.step:2}. {text}")
