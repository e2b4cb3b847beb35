"""Behind nginx with TLS, below a path, as deploy/nginx.conf has it: docs, playlists, events."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from websockets.asyncio.client import connect

from chilly_movies.tracker.http import Tracker, serve_tracker
from tests.acceptance.backend import Backend
from tests.films import Films, count_frames
from tests.peers.available import require
from tests.peers.devtools import page
from tests.peers.process import free_port

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

KEY = "correct-horse-battery-staple"
SHIPPED = Path(__file__).parents[2] / "deploy" / "nginx.conf"
_REST = """\
daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log warn; events {{ }}
http {{
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {server}
}}
"""


@dataclass(frozen=True)
class Site:
    """The server as the world sees it.

    Attributes:
        url: with the path.
        ours: the server behind it.
        log: what nginx wrote of all requests.
    """

    url: str
    ours: Backend
    log: Path


def shipped(port: int, behind: str, tracker: str, folder: Path) -> str:
    """The configuration that we ship, with the addresses and files of this test."""
    text = SHIPPED.read_text()
    for ours, here in (
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("films.example;", "localhost;"),
        ("/etc/ssl/films.example", f"{folder}/tls"),
        ("/var/log/nginx/films.log", f"{folder}/access.log"),
        ("http://127.0.0.1:3000/", f"{behind}/"),
        ("http://127.0.0.1:8000/", tracker.removesuffix("announce")),
    ):
        assert ours in text
        text = text.replace(ours, here)
    return text


def make_certificate(folder: Path) -> None:
    words = (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    )
    files = "-keyout tls.key -out tls.pem"
    subprocess.run(
        ["openssl", *words.split(), *files.split()], cwd=folder, check=True, capture_output=True
    )


@asynccontextmanager
async def nginx(folder: Path, server: str) -> AsyncIterator[None]:
    """Serves until the end, with a certificate that nobody has signed."""
    folder.mkdir()
    make_certificate(folder)
    config = folder / "nginx.conf"
    config.write_text(_REST.format(folder=folder, server=server))
    process = await asyncio.create_subprocess_exec(
        "nginx", "-c", str(config), "-p", str(folder), stderr=asyncio.subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def site(folder: Path) -> AsyncIterator[Site]:
    port = free_port()
    settings = {
        "API_SECRET": KEY,
        "CHILLY_PUBLIC_URL": f"https://localhost:{port}/films",
        "CHILLY_TRUSTED_PROXIES": "127.0.0.1",
    }
    place = folder / "nginx"
    async with (
        Backend(folder / "ours", settings, warm=True) as ours,
        serve_tracker(Tracker(), proxies=["127.0.0.1"]) as tracker,
        nginx(place, shipped(port, ours.url, tracker, place)),
    ):
        ours.http.headers["x-api-key"] = KEY
        yield Site(settings["CHILLY_PUBLIC_URL"], ours, place / "access.log")


async def share(site: Site, film: Path) -> None:
    """Puts a film into the media folder, as a finished job `a`."""
    (site.ours.media / "Film.mp4").write_bytes(film.read_bytes())
    answer = await site.ours.http.post(
        "/torrents/create", json={"path": "Film.mp4", "id": "a", "seed": True}
    )
    assert answer.status_code == 200, answer.text
    await site.ours.wait("a")


_AS_PLAYLIST = ("-f", "hls", "-allowed_segment_extensions", "ALL", "-extension_picky", "0")
"""ffmpeg by itself takes only HLS for playlists, and addresses only with an ending."""
_TRY_IT_OUT = """
  const seen = async (what, within = document) => {
    for (let i = 0; i < 1000; i++) {
      const found = within.querySelector(what)
      if (found) return found
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    throw new Error(`there is no ${what}`)
  }
  ;(await seen('.authorize')).click()
  const input = await seen('.auth-container input')
  Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(input, '%(key)s')
  input.dispatchEvent(new Event('input', { bubbles: true }))
  ;(await seen('.auth-btn-wrapper .authorize')).click()
  ;(await seen('.auth-btn-wrapper .btn-done')).click()
  const block = await seen('[id$=-%(operation)s]')
  ;(await seen('.opblock-summary-control', block)).click()
  ;(await seen('.try-out__btn', block)).click()
  ;(await seen('.execute', block)).click()
  const status = await seen('.live-responses-table tr.response .response-col_status', block)
  return [block.querySelector('.request-url pre').innerText.trim(), status.innerText.trim()]
"""
_LISTEN = """
  const headers = { 'x-api-key': '%(key)s' }
  const link = await (await fetch('links?path=/events', { headers })).json()
  const first = (address) => new Promise((resolve, reject) => {
    const source = new EventSource(address)
    source.onmessage = (event) => { source.close(); resolve(JSON.parse(event.data).id) }
    source.onerror = () => reject(new Error(`no events at ${address}`))
  })
  const type = { ...headers, 'content-type': 'application/json' }
  const body = '{"id": "nobody"}'
  const posted = await fetch('download/pause', { method: 'POST', headers: type, body })
  return [await first(link.href), await first('events?api_key=%(key)s'), posted.status]
"""


async def announce(site: Site) -> None:
    """Announces by HTTP from two addresses, and by WebSocket from a third."""
    url = site.url.replace("/films", "/tracker/announce")
    answers = []
    for host, port in (("127.0.0.5", 5), ("127.0.0.6", 6)):
        plain = httpx2.AsyncHTTPTransport(verify=False, local_address=host)
        query = f"info_hash={'h' * 20}&peer_id={str(port) * 20}&port={port}&left=1"
        async with httpx2.AsyncClient(transport=plain) as client:
            answers.append((await client.get(f"{url}?{query}")).content)
    assert socket.inet_aton("127.0.0.5") + b"\0\5" in answers[1]
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    hello = {"action": "announce", "info_hash": "h" * 20, "peer_id": "q" * 20, "left": 1}
    async with connect(url.replace("https", "wss"), ssl=trusting, proxy=None) as browser:
        await browser.send(json.dumps(hello))
        assert json.loads(await browser.recv())["incomplete"] == 3


async def test_docs_playlists_and_events_are_right_below_a_path_of_nginx_with_tls(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    require("nginx", "chromium", "ffmpeg")
    film = Films(tmp_path_factory.getbasetemp().parent / "films").mp4(seconds=2, moov="first")
    async with site(tmp_path) as made:
        await share(made, film)
        async with httpx2.AsyncClient(verify=False, trust_env=False) as client:
            start = await client.get(f"{made.url}/", follow_redirects=True)
            assert str(start.url) == f"{made.url}/docs"
            client.headers["x-api-key"] = KEY
            playlist = (await client.get(f"{made.url}/links?path=/stream/a.m3u8")).json()["href"]
            del client.headers["x-api-key"]
            link = (await client.get(playlist)).text.splitlines()[-1]
        assert playlist.startswith(f"{made.url}/stream/a.m3u8?expires=")
        assert link.startswith(f"{made.url}/stream/a/0?expires=")
        assert await asyncio.to_thread(count_frames, playlist, *_AS_PLAYLIST) == 50
        flags = ("--ignore-certificate-errors",)
        async with page(tmp_path / "profile", f"{made.url}/docs", *flags) as docs:
            script = _TRY_IT_OUT % {"key": KEY, "operation": "listJobs"}
            url, status = await docs.run(script)
            assert url.startswith(f"{made.url}/downloads")
            assert status.startswith("200")
            assert await docs.run(_LISTEN % {"key": KEY}) == ["a", "a", 404]
        await announce(made)
        written = made.log.read_text()
        assert "GET /films/events 200" in written
        assert KEY not in written + made.ours.log()
        assert "sig=" not in written
