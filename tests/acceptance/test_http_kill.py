"""A film behind a link, served by nginx: after a kill it goes on; a dead torrent is left for it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.acceptance.backend import Backend
from tests.peers.available import require
from tests.peers.process import free_port
from tests.peers.torrents import make_film, sha256_of

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]
MIB = 1 << 20
NOBODY = "magnet:?xt=urn:btih:c12fe1c06bba254a9dc9f519b335aa7c1367a88a&dn=Nobody"
_CONFIG = """\
daemon off; {user} pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 1;
events {{ }}
http {{
    log_format told '$request_uri $http_range $status $body_bytes_sent';
    access_log {folder}/access.log told; client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port}; root {folder}/files; limit_rate 3m;
        location /quick/ {{ alias {folder}/files/; limit_rate 0; }}
        location /plain/ {{ alias {folder}/files/; max_ranges 0; limit_rate 0; }}
        location /closed/ {{
            alias {folder}/files/; limit_rate 0;
            auth_basic films; auth_basic_user_file {folder}/users;
        }}
    }}
}}
"""


@asynccontextmanager
async def nginx(folder: Path) -> AsyncIterator[str]:
    """Serves `folder/files` until the end: its address."""
    require("nginx")
    (folder / "files").mkdir(parents=True)
    digest = hashlib.sha1(b"s3cret").digest()  # what nginx reads as {SHA}

    (folder / "users").write_text(f"ada:{{SHA}}{base64.b64encode(digest).decode()}\n")
    port = free_port()
    user = "user root root;" if os.geteuid() == 0 else ""  # else its workers may read nothing
    (folder / "nginx.conf").write_text(_CONFIG.format(folder=folder, port=port, user=user))
    process = await asyncio.create_subprocess_exec(
        "nginx", "-c", folder / "nginx.conf", "-p", folder, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                break
            except ConnectionError:
                await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


def sent(folder: Path) -> int:
    """Bytes of bodies that nginx sent."""
    lines = (folder / "access.log").read_text().splitlines()
    return sum(int(line.rpartition(" ")[2]) for line in lines if re.search(r" 20[06] ", line))


async def test_a_film_behind_a_link_goes_on_after_a_kill_where_it_was(tmp_path: Path) -> None:
    async with nginx(tmp_path / "nginx") as url:
        film = tmp_path / "nginx/files/film.mkv"
        make_film(film, 16 * MIB)
        ours, folder = tmp_path / "ours", tmp_path / "nginx"
        async with Backend(ours, warm=True) as server:
            await server.start(f"{url}/film.mkv", id="a", sourceType="http")
            await server.until("a", lambda e: e["progress"]["bytesDownloaded"] > 5 * MIB)
            await server.kill()
        async with Backend(ours, warm=True) as server:
            job = await server.wait("a")
            part = {"Range": f"bytes={MIB}-{MIB + 99}"}
            streamed = await server.http.get("/stream/a/0", headers=part)
        assert (job["status"], job["path"]) == ("completed", "film.mkv")
        assert sha256_of(tmp_path / "ours/media/film.mkv") == sha256_of(film)
        assert streamed.content == film.read_bytes()[MIB : MIB + 100]
        assert sent(folder) < 16 * MIB + 9 * MIB


async def test_a_torrent_that_nobody_has_is_left_for_a_link_with_credentials(
    tmp_path: Path,
) -> None:
    quick = {"CHILLY_SOURCE_PATIENCE": "1", "CHILLY_SOURCE_TRIES": "1"}
    async with nginx(tmp_path / "nginx") as url:
        film = tmp_path / "nginx/files/film.mkv"
        make_film(film, MIB)
        closed = f"{url}/closed/film.mkv"
        async with Backend(tmp_path / "ours", quick, warm=True) as server:
            await server.start(f"{url}/closed/other.mkv", id="b", sourceType="http")
            refused = await server.wait("b")
            link = closed.replace("//", "//ada:s3cret@")
            candidates = [{"sourceType": "http", "sourceUrn": link}]
            await server.start(NOBODY, id="a", candidates=candidates)
            job = await server.wait("a")
            told = server.log()
        assert refused["status"] == "failed"
        assert "wants credentials" in refused["error"]["message"]
        assert (job["status"], job["activeSource"]["sourceUrn"]) == ("completed", closed)
        assert sha256_of(tmp_path / "ours/media" / job["path"]) == sha256_of(film)
        assert "s3cret" not in told
