"""Real players on real films that arrive at 1.2 times their bitrate: ffmpeg and Chromium."""

from __future__ import annotations

import asyncio
import http.server
import json
import os
import shutil
import signal
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.backend import Backend
from tests.films import Films, count_frames
from tests.integration.engine import magnet_to
from tests.peers.available import require
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.torrents import make_torrent

pytestmark = pytest.mark.anyio
Told = asyncio.Future[dict[str, Any]]
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-extensions",
    "--disable-sync", "--no-proxy-server", "--mute-audio", "--log-level=3",
    "--autoplay-policy=no-user-gesture-required", "--disable-renderer-backgrounding",
)  # fmt: skip
PAGE = """<!doctype html><title>player</title><video muted preload=auto></video><script>
const video = document.querySelector('video'), seen = []
const tell = (what) => fetch('/told', {method: 'POST', body: JSON.stringify(what)})
for (const name of ['error', 'stalled', 'waiting', 'seeked', 'playing', 'ended'])
  video.addEventListener(name, () => seen.push(name))
const until = (holds, what) => new Promise((resolve, reject) => {
  const began = Date.now()
  const look = () => {
    if (video.error) reject(`error ${video.error.code} ${video.error.message} while ${what}`)
    else if (holds()) resolve()
    else if (Date.now() - began > 40000) reject(`too long at ${video.currentTime} while ${what}`)
    else setTimeout(look, 20)
  }
  look()
})
const seekTo = async (time, what) => {
  video.currentTime = time
  await until(() => !video.seeking && video.currentTime >= time + 1 && video.readyState > 2, what)
}
(async () => {
  try {
    await fetch('/begin', {method: 'POST', body: '{}'})
    video.src = new URLSearchParams(location.search).get('film')
    await video.play()
    await until(() => video.currentTime > 0.5, 'beginning')
    await fetch('/plays', {method: 'POST', body: '{}'})
    await until(() => video.currentTime > 2, 'playing on')
    await seekTo(video.duration * 0.8, 'ahead')
    await seekTo(video.duration * 0.1, 'back')
    await tell({done: true, seen, duration: video.duration, width: video.videoWidth})
  } catch (error) { await tell({done: false, error: String(error), seen}) }
})()
</script>"""


@pytest.fixture
def films(tmp_path_factory: pytest.TempPathFactory) -> Films:
    return Films(tmp_path_factory.getbasetemp().parent / "films")


@asynccontextmanager
async def arriving(
    folder: Path, film: Path, seconds: int
) -> AsyncIterator[tuple[Backend, str, str]]:
    """A server to which a film can come at 1.2 times its bitrate, its address and its magnet."""
    torrent = make_torrent(film, folder / "film.torrent", piece_size=64 * 1024)
    async with LibtorrentPeer() as seeder, Backend(folder, warm=True) as ours:
        await seeder.seed(torrent.path, torrent.folder)
        await seeder.set_upload_limit(int(1.2 * torrent.size / seconds))
        yield ours, f"{ours.url}/stream/a", magnet_to(torrent, seeder.port)


@pytest.mark.parametrize("kind", ["mp4-first", "mp4-last", "mkv"])
async def test_ffmpeg_decodes_every_picture_while_the_film_arrives(
    tmp_path: Path, films: Films, kind: str
) -> None:
    require("ffmpeg")
    seconds = 4
    film = films.mkv(seconds=seconds) if kind == "mkv" else films.mp4(
        seconds=seconds, moov="last" if kind == "mp4-last" else "first")  # fmt: skip
    async with arriving(tmp_path, film, seconds) as (ours, address, magnet):
        await ours.start(magnet, id="a")
        counting = asyncio.create_task(asyncio.to_thread(count_frames, address))
        early = await ours.until("a", lambda event: event["progress"]["bytesDownloaded"] > 0)
        assert early["progress"]["percent"] < 100
        assert await counting == 25 * seconds


@contextmanager
def page(on: Callable[[str], Coroutine[Any, Any, None]]) -> Iterator[tuple[str, Told]]:
    """A page with a player, and what it tells in the end; it waits for `on` at each step."""
    loop = asyncio.get_running_loop()
    told: Told = loop.create_future()

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

        def do_GET(self) -> None:
            self._answer(PAGE.encode() if self.path.startswith("/?") else b"")

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if self.path == "/told":
                loop.call_soon_threadsafe(partial(_resolve, told, body))
            else:
                asyncio.run_coroutine_threadsafe(on(self.path), loop).result(30)
            self._answer(b"")

        def _answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://localhost:{server.server_port}", told
        server.shutdown()
        thread.join()


def _resolve(told: asyncio.Future[dict[str, Any]], body: dict[str, Any]) -> None:
    if not told.done():
        told.set_result(body)


@asynccontextmanager
async def chromium(profile: Path, address: str) -> AsyncIterator[None]:
    """A headless browser on this page, ended with all its processes."""
    browser = await asyncio.create_subprocess_exec(
        "chromium", *FLAGS, f"--user-data-dir={profile}", address, start_new_session=True,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield
    finally:
        os.killpg(browser.pid, signal.SIGKILL)
        await browser.wait()
        shutil.rmtree(profile, ignore_errors=True)


@pytest.mark.parametrize("moov", ["first", "last"])
async def test_chromium_plays_and_seeks_in_a_film_that_arrives(
    tmp_path: Path, films: Films, moov: str
) -> None:
    require("chromium", "ffmpeg")
    seconds = 12
    film = films.mp4(seconds=seconds, kbits=800, moov=moov)  # type: ignore[arg-type]
    percent: list[float] = []
    async with arriving(tmp_path, film, seconds) as (ours, address, magnet):

        async def on(step: str) -> None:
            if step == "/begin":
                await ours.start(magnet, id="a")
            else:
                percent.append((await ours.job("a"))["progress"]["percent"])

        with page(on) as (site, told):
            async with chromium(tmp_path / "profile", f"{site}/?film={address}"):
                answer = await asyncio.wait_for(told, 60)
        job = await ours.job("a")
    assert answer["done"], answer
    assert percent[0] < 100  # it played before it was there
    assert "error" not in answer["seen"]
    assert answer["width"] == 320
    assert abs(answer["duration"] - seconds) < 1
    assert job["startedAt"]
