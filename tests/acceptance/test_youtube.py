"""Films on web pages through a real server: processes and bytes are counted where they are."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.backend import Backend
from tests.doubles import until
from tests.page_set import PageSet, page_set

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]
MIB = 1 << 20
SLACK = 256 * 1024
"""Bytes that may be on their way when a job is paused: buffers of sockets."""


@pytest.fixture
async def pages() -> AsyncIterator[PageSet]:
    async with page_set() as pages:
        yield pages


def film(seed: int, size: int = 3 * MIB) -> bytes:
    return (seed.to_bytes(4, "big") * 64 + os.urandom(768)) * (size // 1024)


def children(server: int) -> list[int]:
    """The processes that read pages for a server, and what these started."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            command = (stat.parent / "cmdline").read_text()
        except OSError:
            continue
        if parent == server and "ytdlp.child" in command:
            found.append(int(stat.parent.name))
    return found


async def begin(ours: Backend, job_id: str, link: str, **more: Any) -> None:
    await ours.verb("start", {"id": job_id, "sourceType": "youtube", "sourceUrn": link, **more})


def reached(size: int) -> Any:
    return lambda event: event["progress"]["bytesDownloaded"] >= size


async def test_a_page_is_downloaded_watched_meanwhile_paused_resumed_and_canceled(
    tmp_path: Path, pages: PageSet
) -> None:
    content = film(1)
    link = pages.add_film("film", content, "A film / of one's own")
    pages.stops["/film.mp4"] = MIB
    async with Backend(tmp_path, warm=True) as ours:
        secret = {"headers": {"X-Key": "argv0canary"}}
        await begin(ours, "a", link, videoQuality="1080", **secret)
        event = await ours.until("a", reached(MIB - SLACK))
        assert event["progress"]["bytesTotal"] == len(content)
        assert event["progress"]["phase"] == "downloading"
        [child] = children(ours.pid)
        for file in ("cmdline", "environ"):
            assert "argv0canary" not in Path(f"/proc/{child}/{file}").read_text()
        part = await ours.http.get("/stream/a/0", headers={"Range": "bytes=1000-500000"})
        assert (part.status_code, part.content) == (206, content[1000:500001])

        await ours.verb("pause", {"id": "a"})
        assert children(ours.pid) == []
        [before] = pages.of("/film.mp4")
        pages.stops.clear()
        pages.go.set()
        await ours.verb("resume", {"id": "a"})
        job = await ours.wait("a")
        after = pages.of("/film.mp4")[-1]
        assert MIB - SLACK <= after.begin <= before.sent
        assert pages.sent("/film.mp4") <= len(content) + 2 * SLACK
        assert job["path"] == "A film _ of one's own.mp4"
        assert (ours.media / job["path"]).read_bytes() == content

        pages.go.clear()
        pages.stops["/other.mp4"] = MIB
        await begin(ours, "b", pages.add_film("other", content).replace("html", "mp4"))
        await ours.until("b", reached(MIB - SLACK))
        [child] = children(ours.pid)
        await ours.verb("cancel", {"id": "b"})
        assert children(ours.pid) == []
        assert not Path(f"/proc/{child}").exists()
        assert not [path for path in (ours.media / ".incomplete").iterdir() if path.is_dir()]


async def test_a_killed_server_leaves_no_process_and_goes_on_where_it_was(
    tmp_path: Path, pages: PageSet
) -> None:
    content = film(2)
    link = pages.add_film("film", content).replace("html", "mp4")
    pages.stops["/film.mp4"] = 2 * MIB
    async with Backend(tmp_path, warm=True) as ours:
        await begin(ours, "a", link)
        await ours.until("a", reached(2 * MIB - SLACK))
        [child] = children(ours.pid)
        os.kill(ours.pid, signal.SIGKILL)
        await ours.died()
        await until(lambda: not Path(f"/proc/{child}").exists())
    pages.go.set()
    async with Backend(tmp_path, warm=True) as ours:
        job = await ours.wait("a")
        assert (ours.media / job["path"]).read_bytes() == content
    assert pages.of("/film.mp4")[-1].begin >= 2 * MIB - SLACK


async def test_a_stopped_server_ends_its_children_and_a_failure_is_told_in_words(
    tmp_path: Path, pages: PageSet
) -> None:
    pages.stops["/film.mp4"] = MIB
    link = pages.add_film("film", film(3)).replace("html", "mp4")
    pages.holds["/empty.html"] = b"<html><title>Nothing</title></html>"
    async with Backend(tmp_path, warm=True) as ours:
        await begin(ours, "a", link)
        await begin(ours, "b", f"{pages.url}/empty.html")
        job = await ours.wait("b")
        assert (job["status"], job["error"]["code"]) == ("failed", "source_rejected")
        assert "No film was found" in job["error"]["message"]
        await ours.until("a", reached(MIB - SLACK))
        [child] = children(ours.pid)
        async with asyncio.timeout(10):
            await ours.stop()
        assert not Path(f"/proc/{child}").exists()
