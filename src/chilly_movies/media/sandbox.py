"""Runs a task of `child.py` on a file and hands it the bytes it asks for, within bounds."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from dataclasses import dataclass

from chilly_movies.jobs.ports import FileReader
from chilly_movies.media.child import ANSWER, DONE, FAILED, QUESTION, READ

_MAX_ANSWER = 16 * 1024 * 1024
_MAX_CHUNK = 1024 * 1024
_VARIABLES = ("PATH", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "SYSTEMROOT", "LANG", "LC_ALL")
"""What Python needs to find itself, and no setting or secret."""


class ChildFailed(Exception):
    """The file made the child fail, crash, or exceed what it may use."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a task gave.

    Attributes:
        body: its result.
        missing: the first place that was asked for and has not arrived, None if none was.
    """

    body: bytes
    missing: int | None = None


class Sandbox:
    """Runs tasks, a few at a time.

    Args:
        at_once: how many children there are at most.
        seconds: how long one may take.
        max_read: how many bytes of the file one may ask for.
        max_asks: how many times it may ask.
    """

    def __init__(
        self,
        *,
        at_once: int = 2,
        seconds: float = 20.0,
        max_read: int = 256 * 1024 * 1024,
        max_asks: int = 200_000,
    ) -> None:
        self._turns = asyncio.Semaphore(at_once)
        self._seconds = seconds
        self._max_read = max_read
        self._max_asks = max_asks

    async def run(self, reader: FileReader, task: str, *words: str) -> Outcome:
        """Do a task on what has arrived of a file; never waits for more to arrive.

        Args:
            reader: the file.
            task: a name in `child.TASKS`.
            *words: what the task needs besides.

        Raises:
            ChildFailed: see there.
        """
        async with self._turns:
            child = await _start(task, str(reader.size), *words)
            try:
                async with asyncio.timeout(self._seconds):
                    return await self._serve(child, reader)
            except TimeoutError:
                raise ChildFailed("it took too long") from None
            except (asyncio.IncompleteReadError, ConnectionError):
                raise ChildFailed("it crashed or used too much") from None
            finally:
                with suppress(ProcessLookupError):
                    child.kill()
                if child.stdin is not None:
                    child.stdin.close()
                await child.wait()

    async def _serve(self, child: Process, reader: FileReader) -> Outcome:
        assert child.stdin is not None  # noqa: S101 (for the type checker)
        assert child.stdout is not None  # noqa: S101
        missing: int | None = None
        given = 0
        for _ in range(self._max_asks):
            question = await child.stdout.readexactly(QUESTION.size)
            kind, offset, length = QUESTION.unpack(question)
            if kind != READ:
                if length > _MAX_ANSWER or kind not in (DONE, FAILED):
                    raise ChildFailed("it says too much")
                body = await child.stdout.readexactly(length)
                if kind == FAILED:
                    raise ChildFailed(body.decode(errors="replace"))
                return Outcome(body, missing)
            there = min(reader.available(offset), length, _MAX_CHUNK)
            if there <= 0 and missing is None:
                missing = offset
            data = bytes(await reader.read(offset, there)) if there > 0 else b""
            given += len(data)
            if given > self._max_read:
                break
            child.stdin.write(ANSWER.pack(len(data)) + data)
            await child.stdin.drain()
        raise ChildFailed("it wants to read too much")


async def _start(*words: str) -> Process:
    try:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "chilly_movies.media.child",
            *words,
            stdin=PIPE,
            stdout=PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
            env={name: os.environ[name] for name in _VARIABLES if name in os.environ},
            cwd="/",
        )
    except (OSError, ValueError):  # no process to be had, or words none can be given
        raise ChildFailed("it cannot be started") from None
