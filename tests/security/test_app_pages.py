"""A page with a scheme of its own in a real Chromium, as in Electron, Tauri or an extension.

Chromium alone knows no `app:`, so the page is an extension's: its origin `chrome-extension://...`
is a custom scheme to the browser and to us, and without host permissions it is bound by CORS like
a page. `app://chilly` itself is tried by its Origin header in `test_api_security`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.acceptance.backend import Backend
from tests.films import Films
from tests.peers.available import require
from tests.security.evil.browser import chromium

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

PAGE = Path(__file__).parent / "app_page"
ORIGIN = "chrome-extension://" + "".join(
    chr(ord("a") + int(digit, 16)) for digit in hashlib.sha256(bytes(PAGE)).hexdigest()[:32]
)
"""The browser makes the id of an extension without a key of its folder."""
_WITHIN = 100.0


@asynccontextmanager
async def with_film(folder: Path, films: Films, origins: str) -> AsyncIterator[Backend]:
    """A server that has one film, the job `film`."""
    media = folder / "media"
    media.mkdir(parents=True)
    (media / "film.mp4").write_bytes(films.mp4(seconds=1).read_bytes())
    async with Backend(folder, {"CHILLY_ALLOWED_ORIGINS": origins}, warm=True) as ours:
        answer = await ours.http.post("/torrents/create", json={"path": "film.mp4", "id": "film"})
        assert answer.status_code == 200, answer.text
        await ours.wait("film")
        yield ours


_OPENER = """\
<!doctype html><script>
const page = %s + location.search
const go = () => fetch(page).then(() => { location = page }, () => setTimeout(go, 100))
go()
</script>"""
"""A page that leads to the app's, once the browser has loaded the extension."""


@asynccontextmanager
async def site() -> AsyncIterator[tuple[str, asyncio.Future[dict[str, Any]]]]:
    """A server that leads to the page, and takes what it found."""
    found: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
        except asyncio.IncompleteReadError:  # a browser connects ahead, and may not need it
            writer.close()
            return
        body = (_OPENER % json.dumps(f"{ORIGIN}/page.html")).encode()
        if head.startswith(b"post"):
            length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
            found.set_result(json.loads(await reader.readexactly(length)))
        fields = f"content-type: text/html\r\ncontent-length: {len(body)}\r\nconnection: close"
        writer.write(f"HTTP/1.1 200 OK\r\n{fields}\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", found
    finally:
        server.close()


async def test_a_page_with_a_scheme_of_its_own_reads_acts_listens_and_watches_once_it_is_named(
    tmp_path: Path, films: Films
) -> None:
    require("chromium")
    async with (
        with_film(tmp_path / "open", films, ORIGIN) as named,
        with_film(tmp_path / "closed", films, "app://chilly") as other,
        site() as (address, found),
    ):
        query = urlencode({"open": named.url, "closed": other.url, "report": address})
        page = f"{address}?{query}"
        async with chromium(tmp_path / "profile", page, extension=PAGE):
            said = await asyncio.wait_for(found, _WITHIN)
    assert said["origin"] == ORIGIN
    unnamed = said["open"].pop("video")
    assert said["open"] == {
        "fetch": 1, "fetch with a body": "film", "EventSource": "film", "video crossorigin": 320,
    }  # fmt: skip
    for what in (unnamed, *said["closed"].values()):  # a player without `crossorigin` has no origin
        assert str(what).startswith("failed"), said
