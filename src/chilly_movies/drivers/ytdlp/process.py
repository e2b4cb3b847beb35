"""Starts a child process that reads a page, hears what it says, and ends it with all it started."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from chilly_movies.drivers.ytdlp import words
from chilly_movies.errors import DriverCrashed
from chilly_movies.jobs.models import Source
from chilly_movies.jobs.options import DEFAULTS, Options
from chilly_movies.jobs.secrets import Secret
from chilly_movies.runtime.tasks import begin, to_the_end

_GRACE = 2.0
"""Seconds a child has to close its files; the program gives its jobs four to end."""
_LONGEST_LINE = 1024 * 1024
_VARIABLES = ("PATH", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "SYSTEMROOT", "LANG", "LC_ALL")
"""What Python needs to find itself, and no setting or secret."""
_OURS = {"YTDLP_NO_PLUGINS": "1", "TMPDIR": ".", "DENO_DIR": ".deno"}
INSTALL = "pip install 'chilly-movies[ytdlp]'"


def is_installed() -> bool:
    """Whether yt-dlp is there; it is not loaded, as it is large."""
    return find_spec("yt_dlp") is not None


class Child:
    """A running child process.

    Args:
        process: its process, which leads a group of its own.
    """

    def __init__(self, process: Process) -> None:
        self._process = process

    async def hear(self, within: float) -> words.AnyWord | None:
        """The next thing it says, None if it says nothing for so many seconds.

        Raises:
            DriverCrashed: it ended, or says what nobody understands.
        """
        assert self._process.stdout is not None  # noqa: S101 (for the type checker)
        try:
            async with asyncio.timeout(within):
                line = await self._process.stdout.readline()
            return words.read(line) if line else await self._ended()
        except TimeoutError:
            return None
        except ValueError:
            raise DriverCrashed("yt-dlp's process said something unexpected.") from None

    async def _ended(self) -> words.AnyWord:
        code = await self._process.wait()
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        raise DriverCrashed(f"yt-dlp's process ended unexpectedly ({how}).")

    async def end(self) -> None:
        """Ask it to end, and then see to it; ffmpeg is of its group. Idempotent."""
        if self._process.returncode is None:
            self._signal(signal.SIGTERM)
            with suppress(TimeoutError):
                async with asyncio.timeout(_GRACE):
                    await self._process.communicate()
        self._signal(signal.SIGKILL)
        await self._process.communicate()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


@asynccontextmanager
async def started(folder: Path, wish: Mapping[str, object]) -> AsyncIterator[Child]:
    """A child that works in a folder; at the end it and all it started are gone.

    Args:
        folder: its current one.
        wish: what `page.take` is told.

    Raises:
        OSError: there is no process to be had.
    """
    process = await _started_to_the_end(folder)
    child = Child(process)
    try:
        assert process.stdin is not None  # noqa: S101 (for the type checker)
        process.stdin.write(json.dumps(wish).encode() + b"\n")
        with suppress(ConnectionError):  # it ended: hearing it tells why
            await process.stdin.drain()
        yield child
    finally:
        await to_the_end(child.end())


async def _started_to_the_end(folder: Path) -> Process:
    """The process; one whose start was cancelled ends before anybody hears of that."""
    starting = begin(start(folder))
    try:
        return await to_the_end(starting)
    except asyncio.CancelledError:
        if not starting.cancelled() and starting.exception() is None:
            await to_the_end(Child(starting.result()).end())
        raise


def wish_of(
    source: Source, proxy: str, options: Options = DEFAULTS, *, looks: bool = False
) -> dict[str, object]:
    """What a child is told: on its standard input, where no other process can read it.

    Args:
        source: the page, and what its server is told.
        proxy: the only way out.
        options: what is asked of the job.
        looks: only look what there is.
    """
    secret = source.secret or Secret()
    headers = replace(secret, cookies=()).as_headers()
    return {
        "link": source.urn,
        "proxy": proxy,
        "quality": options.video_quality,
        "subtitles": [part for part in options.subtitles.split(",") if part],
        "looks": looks,
        "secret": {
            "username": secret.username,
            "password": secret.password,
            "cookies": secret.cookies,
            "headers": [*headers.items()],
        },
    }


async def start(folder: Path) -> Process:
    """The process, which waits for its wish."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        "chilly_movies.drivers.ytdlp.child",
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,
        limit=_LONGEST_LINE,
        start_new_session=True,
        env={**{n: os.environ[n] for n in _VARIABLES if n in os.environ}, **_OURS},
        cwd=folder,
    )
