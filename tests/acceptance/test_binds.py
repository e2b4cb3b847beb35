"""Where the API listens, and that nobody else gets in there without a secret (A6).

`CHILLY_ALL_BINDS=1` starts every address with every secret, a part of that in CI.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
from contextlib import suppress
from pathlib import Path

import pytest

from tests.acceptance.backend import CHILLY, Backend, clean_environment

pytestmark = pytest.mark.anyio

LOOPBACK = ("0100007F", "00000000000000000000000001000000")
"""127.0.0.1 and ::1 as the system writes them."""
_KEY = "sixteen-bytes-xx"
_SECRETS: dict[str, dict[str, str]] = {
    "none": {},
    "15 bytes": {"API_SECRET": "fifteen-bytes-x"},
    "16 bytes": {"API_SECRET": _KEY},
    "a key": {"CHILLY_API_KEYS": f"read:{_KEY}"},
}
_BINDS = {
    "localhost": set(LOOPBACK),
    "127.0.0.1": {LOOPBACK[0]},
    "::1": {LOOPBACK[1]},
    "0.0.0.0": {"00000000"},
    "::": {"0" * 32},
}
"""Each address with what must be listened on."""
_INET6 = Path("/proc/net/if_inet6")
if not _INET6.exists() or "0" * 31 + "1" not in _INET6.read_text():  # a machine without IPv6
    _BINDS = {host: {LOOPBACK[0]} if host == "localhost" else at
              for host, at in _BINDS.items() if ":" not in host}  # fmt: skip
_IN_CI = {("localhost", "none"), ("0.0.0.0", "16 bytes")}
_ALL_BINDS = os.environ.get("CHILLY_ALL_BINDS") == "1"
_STARTS = [
    (host, secret)
    for host, secret in itertools.product(_BINDS, _SECRETS)
    if (host not in ("0.0.0.0", "::") or secret in ("16 bytes", "a key"))
    and (_ALL_BINDS or (host, secret) in _IN_CI)
]


def listeners(port: int) -> set[str]:
    """The addresses on which somebody listens on this TCP port."""
    found = set()
    for table in ("tcp", "tcp6"):
        path = Path("/proc/net") / table
        for line in path.read_text().splitlines()[1:] if path.exists() else ():
            _, local, _, state, *_ = line.split()
            host, _, at = local.rpartition(":")
            if state == "0A" and int(at, 16) == port:
                found.add(host)
    return found


Listening = set[tuple[str, str, int]]


def sockets_of(pid: int) -> Listening:
    """Protocol, address and port of all that this process can be reached at."""
    mine, found = set(), set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):  # closed meanwhile
            mine.add(str(link.readlink()))
    for table, state in (("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")):
        path = Path(f"/proc/{pid}/net") / table
        for line in path.read_text().splitlines()[1:] if path.exists() else ():
            fields = line.split()
            host, _, port = fields[1].rpartition(":")
            if fields[3] == state and f"socket:[{fields[9]}]" in mine:
                found.add((table[:3], host, int(port, 16)))
    return found


async def test_by_default_only_loopback_is_listened_on(tmp_path: Path) -> None:
    async with Backend(tmp_path, warm=True) as ours:
        port = int(ours.url.rsplit(":", 1)[1])
        assert listeners(port)
        assert listeners(port) <= set(LOOPBACK)


async def test_the_table_of_listeners_tells_a_wide_one() -> None:
    with socket.create_server(("127.0.0.2", 0)) as other:
        assert not listeners(other.getsockname()[1]) <= set(LOOPBACK)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
@pytest.mark.parametrize("secret", ["", "fifteen-bytes-x"])
async def test_a_wide_bind_without_a_long_secret_ends_at_once(
    tmp_path: Path, host: str, secret: str
) -> None:
    environment = clean_environment(tmp_path, {"CHILLY_HOST": host, "API_SECRET": secret})
    (tmp_path / "chilly.toml").touch()
    process = await asyncio.create_subprocess_exec(
        CHILLY, "serve", env=environment, cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 2
    assert b"is not loopback and needs an API_SECRET of at least 16 bytes" in said.replace(
        b"\n", b" "
    )
    assert not secret or secret.encode() not in said
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(("host", "secret"), _STARTS)
async def test_with_each_address_and_secret_only_the_promised_sockets_are_there(
    tmp_path: Path, host: str, secret: str
) -> None:
    async with Backend(tmp_path, {"CHILLY_HOST": host, **_SECRETS[secret]}, warm=True) as ours:
        port = int(ours.url.rsplit(":", 1)[1])
        api = {("tcp", address, port) for address in _BINDS[host]}
        assert sockets_of(ours.pid) == api
        # the engine comes with its first torrent, and listens where CHILLY_INTERFACE says
        key = _SECRETS[secret].get("API_SECRET", "")
        ours.http.headers.update({"X-API-Key": key, "Host": "localhost"})
        if secret != "a key":  # that one may only read
            await ours.start("magnet:?xt=urn:btih:" + "a" * 40, id="a")
            more = await _further(ours, api)
            assert {(kind, address) for kind, address, _ in more} <= {
                ("tcp", LOOPBACK[0]), ("udp", LOOPBACK[0]),
            }  # fmt: skip
            assert len({port for _, _, port in more}) == 1


async def _further(ours: Backend, known: Listening) -> Listening:
    """What else it listens on, once there is something."""
    async with asyncio.timeout(20):
        while not (more := sockets_of(ours.pid) - known):  # noqa: ASYNC110 (nothing tells)
            await asyncio.sleep(0.05)
    return more


async def test_a_start_that_is_refused_loads_neither_the_engine_nor_the_server(
    tmp_path: Path,
) -> None:
    more = {"CHILLY_HOST": "0.0.0.0", "PYTHONPROFILEIMPORTTIME": "1"}
    (tmp_path / "chilly.toml").touch()
    process = await asyncio.create_subprocess_exec(
        CHILLY, "serve", env=clean_environment(tmp_path, more), cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await asyncio.wait_for(process.communicate(), 30)
    loaded = {line.rpartition(b"|")[2].strip() for line in said.splitlines() if b"|" in line}
    assert process.returncode == 2
    assert b"chilly_movies.settings" in loaded
    assert not loaded & {b"libtorrent", b"uvicorn", b"fastapi", b"sqlalchemy"}
