"""The child process of `drivers/ytdlp` started by fork: loading yt-dlp is most of a start."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from yt_dlp import YoutubeDL  # type: ignore[import-untyped]

from chilly_movies.drivers.ytdlp import child, page, process
from tests.warm import start_warm

if TYPE_CHECKING:
    from asyncio.subprocess import Process

    import pytest


def warm_up() -> None:
    """Let yt-dlp load and compute here, where all children are forked from, what it does once."""
    page.joins()
    with YoutubeDL({"quiet": True, "cachedir": False}, auto_init="no_verbose_header") as reader:
        for extractor in reader._ies.values():
            extractor.suitable("http://films.example")
            list(extractor.extract_from_webpage(reader, "http://films.example", "<html></html>"))


if __name__ != "__main__" and sys.argv[0].endswith("warm.py"):
    warm_up()


class _Told:
    """What a child is told, as a stream."""

    def __init__(self, pipe: Any) -> None:
        self._pipe = pipe

    def write(self, data: bytes) -> None:
        """Tell it."""
        self._pipe.write(data)

    async def drain(self) -> None:
        """It is told at once."""

    def close(self) -> None:
        """Tell it no more."""
        self._pipe.close()


def start_children_warm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the driver start its children by a fork."""

    async def start(folder: Path) -> Process:
        where = folder.resolve()  # a descriptor of ours means nothing to the process that forks
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            environment = {"PATH": os.environ["PATH"], "TMPDIR": ".", "YTDLP_NO_PLUGINS": "1"}
            started = await start_warm(
                __name__, (), environment, where, nowhere, listens=True, limit=1 << 20
            )
        finally:
            os.close(nowhere)
        told = cast("Any", started)
        told.stdin = _Told(started.stdin)
        return cast("Process", started)

    monkeypatch.setattr(process, "start", start)


main = child.main
