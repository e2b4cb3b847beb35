"""What a page makes of yt-dlp: it reaches no private address, starts nothing, writes nowhere."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from chilly_movies.drivers.ytdlp.driver import YtdlpDriver
from chilly_movies.drivers.ytdlp.proxy import JudgingProxy
from chilly_movies.errors import InvalidSource, SourceRejected
from chilly_movies.jobs.models import Source, SourceType
from chilly_movies.net.outbound import Outbound
from chilly_movies.net.policy import NetworkConfig, NetworkPolicy
from chilly_movies.net.proxies import Proxy
from chilly_movies.net.tunnels import connect
from tests.page_set import PageSet, page_set
from tests.peers.proxy_server import ProxyServer
from tests.security.private_links import PRIVATE_LINKS, answering

pytestmark = pytest.mark.anyio


@pytest.fixture
async def canary() -> AsyncIterator[PageSet]:
    async with page_set({"/": b"the secret of the house"}) as pages:
        yield pages


@asynccontextmanager
async def way_out(**network: object) -> AsyncIterator[JudgingProxy]:
    policy = NetworkPolicy(NetworkConfig(**network))  # type: ignore[arg-type]
    async with JudgingProxy(policy, policy.limiter.share()) as proxy:
        yield proxy


async def ask(proxy: JudgingProxy, request: str, token: str | None = None) -> bytes:
    """What the proxy answers to a request."""
    parts = urlsplit(proxy.url)
    pair = f"chilly:{parts.password if token is None else token}"
    said = base64.b64encode(pair.encode()).decode()
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        writer.write(f"{request}\r\nProxy-Authorization: Basic {said}\r\n\r\n".encode())
        async with asyncio.timeout(10):
            return await reader.read()
    finally:
        writer.transport.abort()


@pytest.mark.parametrize("name", PRIVATE_LINKS)
async def test_no_spelling_of_a_private_address_is_reached(
    name: str, canary: PageSet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answering(monkeypatch)
    port = urlsplit(canary.url).port
    link = PRIVATE_LINKS[name].format(port=port)
    place = link.partition("://")[2].partition("/")[0].rpartition("@")[2]
    async with way_out() as proxy:
        answers = [
            await ask(proxy, f"GET {link} HTTP/1.1"),
            await ask(proxy, f"CONNECT {place} HTTP/1.1"),
        ]
    assert all(answer.split(b" ")[1] in (b"400", b"403", b"502") for answer in answers), answers
    assert canary.asked == []
    if not link.lower().startswith("http"):
        with pytest.raises(InvalidSource):
            YtdlpDriver(tmp_path, proxy._policy).identify(Source(SourceType.YOUTUBE, link))


async def test_only_its_child_may_use_the_proxy_and_never_for_our_own_server(
    canary: PageSet,
) -> None:
    port = urlsplit(canary.url).port
    link = f"GET {canary.url}/ HTTP/1.1"
    async with way_out(allow_private_addresses=True) as proxy:
        assert (await ask(proxy, link, "guessed")).startswith(b"HTTP/1.1 407")
        assert (await ask(proxy, "nonsense")).startswith(b"HTTP/1.1 400")
        assert canary.asked == []
        assert (await ask(proxy, link)).endswith(b"the secret of the house")
        assert "roxy" not in canary.asked[0].head
    async with way_out(allow_private_addresses=True, own_ports={port}) as proxy:
        assert (await ask(proxy, link)).startswith(b"HTTP/1.1 403")
        assert isinstance(proxy.refused, SourceRejected)
    assert len(canary.asked) == 1


@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_the_users_proxy_is_gone_through(scheme: str, canary: PageSet) -> None:
    server = ProxyServer({"films.example": "127.0.0.1"}, "mara", "pw")
    port = urlsplit(canary.url).port or 0
    async with server.listening("127.0.0.1") as listens:
        way = Outbound(Proxy(scheme, "127.0.0.1", listens, "mara", "pw"))  # type: ignore[arg-type]
        reader, writer = await connect(way, "films.example", port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert (await reader.read()).endswith(b"the secret of the house")
        writer.transport.abort()
        wrong = Outbound(Proxy(scheme, "127.0.0.1", listens, "mara", "no"))  # type: ignore[arg-type]
        with pytest.raises(OSError, match="proxy"):
            await connect(wrong, "films.example", port)
    assert server.asked == [f"films.example:{port}"]


_TRIES = """
import json, os, socket, subprocess, sys
from chilly_movies.drivers.ytdlp.enclosure import enclose
proxy, other = map(int, sys.argv[1:3])
outside = sys.argv[3]
enclose(proxy)

def connect(port):
    socket.create_connection(("127.0.0.1", port)).close()

def modules():
    for name in ("requests", "websockets", "curl_cffi", "urllib3"):
        try:
            __import__(name)
        except ImportError:
            continue
        return
    raise PermissionError

tries = {
    "another port": lambda: connect(other),
    "a name": lambda: socket.getaddrinfo("films.example", 80),
    "a datagram": lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", other)),
    "a program": lambda: subprocess.run(["touch", outside]),
    "a shell": lambda: subprocess.run("touch " + outside, shell=True),
    "os.system": lambda: os.system("touch " + outside),
    "exec": lambda: os.execv("/bin/true", ["true"]),
    "spawn": lambda: os.posix_spawn("/bin/true", ["true"], {}),
    "ffmpeg on the net": lambda: subprocess.run(["ffmpeg", "-i", "http://127.0.0.1/", "x.mp4"]),
    "another file": lambda: open(outside, "w"),
    "its parent folder": lambda: open("../film.mp4", "ab"),
    "network code in C": modules,
}
refused = []
for name, act in tries.items():
    try:
        act()
    except PermissionError:
        refused.append(name)
connect(proxy)
open("film.mp4", "w").close()
subprocess.run(["ffmpeg", "-version"], stdout=subprocess.DEVNULL, check=True)
print(json.dumps([sorted(set(tries) - set(refused)), len(tries)]))
"""


async def test_the_child_can_reach_its_proxy_and_its_folder_and_nothing_else(
    canary: PageSet, tmp_path: Path
) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    port = urlsplit(canary.url).port
    async with page_set() as other:
        words = ["-c", _TRIES, str(port), str(urlsplit(other.url).port), str(outside)]
        child = await asyncio.create_subprocess_exec(
            sys.executable, *words, cwd=inside, stdout=subprocess.PIPE,
            env={name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ},
        )  # fmt: skip
        said, _ = await child.communicate()
        assert json.loads(said) == [[], 12]
        assert not outside.exists()
        assert [path.name for path in tmp_path.iterdir()] == ["inside"]
