"""What all drivers share is enough for a second one, and nothing of it is the torrent driver's."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from chilly_movies.errors import SourceUnavailable
from chilly_movies.jobs.models import Source, SourceType
from chilly_movies.jobs.ports import Driver
from chilly_movies.net.policy import NetworkConfig, NetworkPolicy
from tests.contract.driver_suite import Bench, DriverSuite, accepted, run_until_complete
from tests.contract.http_file_driver import HttpFileDriver

pytestmark = pytest.mark.anyio
FILMS = {"/one.mkv": bytes(range(251)) * 6000, "/two.mkv": bytes(range(1, 252)) * 6000}
SMALL = b"small"
HOSTILE = (
    "..%2f..%2fx.mkv", "%2fetc%2fpasswd", "con.mkv", "a%00b%0a.mkv", "%e2%80%aex.mkv",
    "x" * 300 + ".mkv", ".incomplete",
)  # fmt: skip
_HEAD = re.compile(rb"GET (\S+) HTTP/1\.1\r\n.*\r\nrange: bytes=(\d+)-\r\n", re.DOTALL | re.I)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send the part of a film that was asked for, and hang up."""
    found = _HEAD.match(await reader.readuntil(b"\r\n\r\n"))
    assert found is not None
    film, begin = FILMS.get(found[1].decode(), SMALL), int(found[2])
    status = "206 Partial Content" if begin < len(film) else "416 Range Not Satisfiable"
    where = f"{begin}-{len(film) - 1}" if begin < len(film) else "*"
    writer.write(
        f"HTTP/1.1 {status}\r\nContent-Range: bytes {where}/{len(film)}\r\n"
        f"Content-Length: {len(film[begin:])}\r\nConnection: close\r\n\r\n".encode()
    )
    try:
        writer.write(film[begin:])
        await writer.drain()
        writer.close()
        await writer.wait_closed()
    except ConnectionError:
        writer.transport.abort()  # the run was closed


@asynccontextmanager
async def films_served() -> AsyncIterator[str]:
    """Where a server of two films listens, and of a small one under every other name."""
    server = await asyncio.start_server(_answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.fixture
async def server() -> AsyncIterator[str]:
    """The same for a test."""
    async with films_served() as address:
        yield address


class HttpBench:
    """A driver for plain files; the disk survives it.

    Args:
        root: the media root.
        server: where the films are.
        kind: the name of the driver, and the scheme of its links.
        make: the driver.
        **network: settings of the network.
    """

    seeds = False

    def __init__(
        self,
        root: Path,
        server: str,
        kind: str = SourceType.HTTP,
        make: Callable[[Path, NetworkPolicy], Driver] = HttpFileDriver,
        **network: Any,
    ) -> None:
        server = server.replace("http", kind)
        one, two = (Source(kind, server + name) for name in FILMS)
        self.sources: tuple[Source, Source] = (one, two)
        self.broken: tuple[Source, ...] = tuple(
            Source(kind, urn)
            for urn in ("nonsense", "ftp://x.example/a.mkv", f"{kind}:///a.mkv", f"{server}/")
        )
        self.films = (FILMS["/one.mkv"], FILMS["/two.mkv"])
        self.hostile = tuple(Source(kind, f"{server}/{name}") for name in HOSTILE)
        self.media_root: Path | None = root
        self._policy = NetworkPolicy(NetworkConfig(**{"allow_private_addresses": True, **network}))
        self._make = partial(make, root, self._policy)
        self.driver: Driver = self._make()

    async def restart(self) -> None:
        """See `Bench`."""
        await self.driver.aclose()
        self.driver = self._make()


@pytest.fixture
async def bench(anyio_backend: str, tmp_path: Path, server: str) -> AsyncIterator[Bench]:
    made = HttpBench(tmp_path / "media", server)
    yield made
    await made.driver.aclose()


class TestHttpFileDriver(DriverSuite):
    """The suite of all drivers."""


@pytest.mark.parametrize("network", ["block_list", "interface", "allow_private_addresses"])
async def test_the_policy_of_the_network_holds_for_it(
    tmp_path: Path, server: str, network: str
) -> None:
    blocked = tmp_path / "block.txt"
    blocked.write_text("127.0.0.0/8\n")
    setting: dict[str, Any] = {
        "block_list": blocked,
        "interface": "nowhere0",
        "allow_private_addresses": False,
    }
    more: dict[str, Any] = {network: setting[network]}
    bench = HttpBench(tmp_path / "media", server, **more)
    with pytest.raises(SourceUnavailable):
        await run_until_complete(bench.driver, accepted(bench))
    await bench.driver.aclose()


_ALONE = """
import asyncio, sys
from pathlib import Path
from chilly_movies.jobs.models import Source, SourceType
from tests.contract.driver_suite import accepted, run_until_complete
from tests.contract.test_http_file_driver import HttpBench

async def main(root, server):
    bench = HttpBench(Path(root), server)
    job, _ = await run_until_complete(bench.driver, accepted(bench))
    await bench.driver.aclose()
    print(job.path)

asyncio.run(main(*sys.argv[1:]))
print([name for name in sys.modules if "torrent." in name or name.endswith("torrent")])
"""


async def test_a_film_is_fetched_without_the_torrent_driver_and_its_engine(
    tmp_path: Path, server: str
) -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _ALONE, tmp_path / "media", server, stdout=subprocess.PIPE
    )
    out, _ = await child.communicate()
    assert out.decode().split("\n") == ["one.mkv", "[]", ""]
    assert (tmp_path / "media/one.mkv").read_bytes() == FILMS["/one.mkv"]
