"""nginx as the origin of films: with ranges or without, as fast as one connection may be."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.peers.process import free_port

_CONFIG = """daemon off; worker_processes 1; {user} pid {folder}/pid; error_log {folder}/log;
events {{ worker_connections 512; }}
http {{ sendfile on; tcp_nopush on; access_log off; default_type application/octet-stream;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  limit_conn_zone $server_port zone=all:64k;
  server {{ listen 127.0.0.1:{port}; root {root}; {server}
    location /slow/ {{ alias {root}/; limit_rate {rate}; }}
    location /plain/ {{ alias {root}/; max_ranges 0; }}
    location /one/ {{ alias {root}/; limit_conn all 1; }}
    location /gzip/ {{ alias {root}/; gzip on; gzip_types *; }}
  }} }}
"""


@dataclass(frozen=True, slots=True)
class Nginx:
    """One that runs.

    Attributes:
        url: of its root; below `slow/` a connection has the limited rate, below `plain/` there are
            no ranges, below `one/` there is one connection at a time, `gzip/` compresses.
        pid: its process.
    """

    url: str
    pid: int


@asynccontextmanager
async def nginx(root: Path, *, rate: int = 6_000_000, server: str = "") -> AsyncIterator[Nginx]:
    """Serves a folder until the end.

    Args:
        root: the folder.
        rate: bytes a second that one connection may have below `slow/`.
        server: further lines of the server.
    """
    with tempfile.TemporaryDirectory(prefix="chilly-nginx-") as folder:
        port, user = free_port(), "user root;" if os.geteuid() == 0 else ""
        config = Path(folder) / "conf"
        config.write_text(
            _CONFIG.format(folder=folder, port=port, root=root, user=user, rate=rate, server=server)
        )
        process = await asyncio.create_subprocess_exec(
            "nginx", "-p", folder, "-c", str(config), "-e", f"{folder}/log"
        )
        try:
            async with asyncio.timeout(10):
                while not _listens(port):  # noqa: ASYNC110 (it tells nobody that it is up)
                    await asyncio.sleep(0.02)
            yield Nginx(f"http://127.0.0.1:{port}", process.pid)
        finally:
            process.terminate()
            await process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
