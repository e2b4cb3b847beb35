"""The props of `chilly demo`: a film, a process that seeds it, and the backend as a process."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from chilly_movies.cli.exits import CommandFailed, Exit
from chilly_movies.names import INCOMPLETE

_OURS = {"media", "state"}
_READY_WITHIN = 60.0
_GONE_WITHIN = 15.0


def sha256_of(path: Path) -> str:
    """Returns the SHA-256 of a file in hex.

    Raises:
        CommandFailed: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CommandFailed(f"The film {path} cannot be read: {error.strerror}.") from None


def empty(folder: Path) -> None:
    """Makes the demo's folder anew. One that holds anything else is left alone.

    Raises:
        CommandFailed: it holds what no demo made, or cannot be used.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        foreign = sorted(entry.name for entry in folder.iterdir() if entry.name not in _OURS)
        if foreign:
            raise CommandFailed(
                f"{folder} holds '{foreign[0]}', which no demo made; choose another --folder.",
                Exit.USAGE,
            )
        for name in _OURS & {entry.name for entry in folder.iterdir()}:
            shutil.rmtree(folder / name)
    except (OSError, ValueError) as error:  # ValueError: what no name may hold
        reason = getattr(error, "strerror", None) or "this is no name of a folder"
        raise CommandFailed(f"The folder {folder} cannot be used: {reason}.", Exit.USAGE) from None


def tidy(folder: Path, *, keep: bool) -> None:
    """Deletes everything, or everything but the film."""
    shutil.rmtree(folder / "state", ignore_errors=True)
    if keep:
        shutil.rmtree(folder / "media" / INCOMPLETE, ignore_errors=True)
        return
    shutil.rmtree(folder / "media", ignore_errors=True)
    with suppress(OSError):
        folder.rmdir()


class Prop:
    """A process of ours that says one JSON line when it is ready."""

    def __init__(self, process: Process, log: Path) -> None:
        self._process = process
        self._log = log

    async def ready(self) -> dict[str, Any]:
        """Waits for the line.

        Raises:
            CommandFailed: the process ended, or took too long.
        """
        line = b""
        if self._process.stdout is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(_READY_WITHIN):
                    line = await self._process.stdout.readline()
        if not line:
            lines = self._log.read_text(errors="replace").strip().splitlines()
            last = lines[-1] if lines else "it said nothing."
            raise CommandFailed(f"A process of the demo did not start: {last}")
        said: dict[str, Any] = json.loads(line)
        return said


def seeder(film: Path, announce: str, upload_limit: int) -> AbstractAsyncContextManager[Prop]:
    """Starts a process that offers the film at so many bytes a second; it says the magnet link."""
    module = "chilly_movies.drivers.torrent.making.seeder"
    options = [f"--announce={announce}", f"--upload-limit={upload_limit}"]
    arguments = [module, *options, "--", str(film)]
    return _process(arguments, os.environ, film.parent / "seeder.log")


def backend(folder: Path, log: Path) -> AbstractAsyncContextManager[Prop]:
    """`chilly serve` on a free port, with folders of its own and loopback only; it says its URL."""
    arguments = ["chilly_movies", "serve", "--json", "--stop-with-stdin"]
    config = log.with_name("empty.toml")
    config.touch()
    ours = {
        "MEDIA_ROOT": str(folder / "media"), "STATE_DIR": str(folder / "state"),
        "CONFIG": str(config), "HOST": "localhost", "PORT": "0",
        "TORRENT_PORT": "0", "INTERFACE": "127.0.0.1", "ALLOW_PRIVATE_ADDRESSES": "true",
        "DHT": "false", "LSD": "false", "UPNP": "false", "WEBTORRENT": "false",
        "STUN_SERVER": "", "SEED_RATIO": "0", "LOG_LEVEL": "warning",
    }  # fmt: skip
    environment = {  # the user's, without the user's settings
        name: value
        for name, value in os.environ.items()
        if not name.startswith("CHILLY_") and name.upper() != "API_SECRET"
    }
    environment |= {f"CHILLY_{name}": value for name, value in ours.items()}
    return _process(arguments, environment, log)


@asynccontextmanager
async def _process(
    module: list[str], environment: Mapping[str, str], log: Path
) -> AsyncIterator[Prop]:
    """A Python module as a process that ends with its standard input, so never outlives us."""
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            *module,
            stdin=PIPE,
            stdout=PIPE,
            stderr=errors,
            env=environment,
            start_new_session=True,
        )
    try:
        yield Prop(process, log)
    finally:
        await _end(process)


async def _end(process: Process) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(_GONE_WITHIN):
            await process.wait()
    except TimeoutError:
        pass
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
