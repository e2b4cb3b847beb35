"""The installed program as a process of its own, and a client that knows nothing of our code."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2

from tests.warm import CHILLY as PROGRAM
from tests.warm import WarmProcess, start_warm

CHILLY = Path(sys.executable).parent / "chilly"
_LONGEST = 1 << 20
"""Bytes of a line."""
_READY_WITHIN = 100.0
_SILENCE = 240.0
"""Seconds a stream may say nothing: a server may have been put to sleep."""
CANARIES = {
    "CHILLY_TMDB_API_KEY": "canary0in0every0run0c3d1",
    "CHILLY_TMDB_BEARER_TOKEN": "canary.in.every.run.81fe",
}
"""Secrets that every server of every test has; none may ever say one."""
_QUIET = {
    **CANARIES,
    "CHILLY_TMDB_BASE_URL": "http://127.0.0.1:9/3",
    "CHILLY_TORRENT_PORT": "0",
    "CHILLY_INTERFACE": "127.0.0.1",
    "CHILLY_DHT": "false",
    "CHILLY_WEBTORRENT": "false",
    "CHILLY_ALLOW_PRIVATE_ADDRESSES": "true",
    "CHILLY_SEED_RATIO": "0",
    "CHILLY_LOG_FORMAT": "json",
}


def clean_environment(folder: Path, settings: Mapping[str, str] | None = None) -> dict[str, str]:
    """An environment in which only the given settings count, all paths below the folder."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("CHILLY_") and name != "API_SECRET"
    }
    paths = {
        "CHILLY_MEDIA_ROOT": str(folder / "media"),
        "CHILLY_STATE_DIR": str(folder / "state"),
        "CHILLY_CONFIG": str(folder / "chilly.toml"),
    }
    return {**kept, **_QUIET, **paths, "CHILLY_PORT": "0", **(settings or {})}


Process = asyncio.subprocess.Process | WarmProcess


async def start_chilly(
    words: Sequence[str], environment: Mapping[str, str], folder: Path, *, warm: bool = True
) -> Process:
    """Start the program with pipes to all it reads, says and complains of.

    Args:
        words: of the command line.
        environment: all of it.
        folder: where it runs.
        warm: by a fork (`tests.warm`); otherwise as users do.
    """
    if warm:
        return await start_warm(
            PROGRAM, words, environment, folder, None, listens=True, limit=_LONGEST
        )
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        CHILLY, *words, env=environment, cwd=folder,
        stdin=pipe, stdout=pipe, stderr=pipe, limit=_LONGEST,
    )  # fmt: skip


class Backend:
    """`chilly serve` on a free port. Started again in the same folder it goes on.

    Args:
        folder: media and state lie below it.
        settings: environment variables.
        arguments: further words of the command line.
        program: what is started, another version's say.
        warm: start it faster, by a fork (`warm.py`).
    """

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, str] | None = None,
        *arguments: str,
        program: Path = CHILLY,
        warm: bool = False,
    ) -> None:
        self._folder = folder
        self._program = program
        self._environment = clean_environment(folder, settings)
        self._arguments = arguments
        # what is preloaded is loaded with the program, which a fork is not
        self._warm = warm and "LD_PRELOAD" not in self._environment
        self._process: Process | None = None
        self._log = folder / "server.log"
        self.url = ""
        self.http = httpx2.AsyncClient()

    @property
    def media(self) -> Path:
        """Where its films go."""
        return self._folder / "media"

    @property
    def pid(self) -> int:
        """The server's process."""
        assert self._process is not None
        return self._process.pid

    async def __aenter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "chilly.toml").touch()
        words = ("serve", *self._arguments)
        with self._log.open("ab") as log:
            if self._warm:
                self._process = await start_warm(
                    PROGRAM, words, self._environment, self._folder, log.fileno()
                )
            else:
                self._process = await asyncio.create_subprocess_exec(
                    self._program, *words, env=self._environment, cwd=self._folder,
                    stdout=asyncio.subprocess.PIPE, stderr=log, start_new_session=True,
                )  # fmt: skip
        try:
            self.url = await asyncio.wait_for(self._address(), _READY_WITHIN)
        except BaseException:
            await self.kill()
            raise
        self.http = httpx2.AsyncClient(base_url=self.url, timeout=30.0, trust_env=False)
        return self

    async def _address(self) -> str:
        """The address it says it serves."""
        assert self._process is not None
        assert self._process.stdout is not None
        said = b""
        async for line in self._process.stdout:
            said += line
            if match := re.search(rb"http://[\w.\[\]:-]+:\d+", line):
                return match[0].decode()
        raise AssertionError(f"the server ended: {said.decode()} {self.log()}")

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            await self.stop()
        finally:
            await self.kill()
        self._told_no_secret()

    def _told_no_secret(self) -> None:
        """Whatever was tested: what it logged has none of the secrets it was given."""
        names = ("API_SECRET", "CHILLY_API_KEYS", *CANARIES)
        given = [self._environment[name] for name in names if self._environment.get(name)]
        log = self.log()
        told = [s for secrets in given for s in secrets.split(",") if s.rpartition(":")[2] in log]
        assert not told, f"the log tells secrets: {told}"

    async def stop(self, within: float = 15.0) -> int:
        """SIGTERM; the exit code."""
        return await self.end(signal.SIGTERM, within)

    async def end(self, number: signal.Signals | None = None, within: float = 30.0) -> int:
        """Send the signal, None = somebody did already; the exit code."""
        assert self._process is not None
        if self._process.returncode is None and number is not None:
            self._process.send_signal(number)
        code = await asyncio.wait_for(self._process.wait(), within)
        await self.http.aclose()
        return code

    async def died(self, within: float = 60.0) -> int:
        """Wait until it ended by itself; the exit code."""
        assert self._process is not None
        return await asyncio.wait_for(self._process.wait(), within)

    async def kill(self) -> None:
        """SIGKILL, like a crash, with calls in the air."""
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()
        await self.http.aclose()

    def log(self) -> str:
        """Everything it logged so far."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    # --- the API as a front end uses it -----------------------------------------------------

    async def start(self, urn: str, **members: Any) -> dict[str, Any]:
        """POST /download/start with a torrent source."""
        body = {"sourceType": "torrent", "sourceUrn": urn, **members}
        return await self.verb("start", body)

    async def verb(self, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """POST /download/<name>; must succeed."""
        answer = await self.http.post(f"/download/{name}", json=body)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def job(self, job_id: str) -> dict[str, Any]:
        """GET /downloads/<id>; must succeed."""
        answer = await self.http.get(f"/downloads/{job_id}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    @asynccontextmanager
    async def listen(
        self, path: str, last_id: int | None = None
    ) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        """The events of a stream: each `data` with its `id:` added as `_id`."""
        headers = {} if last_id is None else {"Last-Event-ID": str(last_id)}
        async with self.http.stream("GET", path, headers=headers, timeout=_SILENCE) as answer:
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("text/event-stream")
            yield _messages(answer.aiter_lines())

    async def wait(self, job_id: str, within: float = 60.0) -> dict[str, Any]:
        """The job once it is completed, failed or canceled."""
        await self.until(job_id, lambda event: event["status"] in _FINAL, within)
        return await self.job(job_id)

    async def until(self, job_id: str, wanted: Any, within: float = 60.0) -> dict[str, Any]:
        """The first event of the job's stream that is as wanted."""
        async with asyncio.timeout(within), self.listen(f"/events/{job_id}") as events:
            async for event in events:
                if wanted(event):
                    return event
        raise AssertionError("the event stream ended")


_FINAL = ("completed", "failed", "canceled")


async def _messages(lines: AsyncIterator[str]) -> AsyncIterator[dict[str, Any]]:
    number: int | None = None
    async for line in lines:
        if line.startswith("id:"):
            number = int(line[3:])
        elif line.startswith("data:"):
            yield {**json.loads(line[5:]), "_id": number}
            number = None
