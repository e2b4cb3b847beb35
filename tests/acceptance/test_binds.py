"""Where the API listens, and that nobody else gets in there without a secret (A6)."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from tests.acceptance.backend import CHILLY, Backend, clean_environment

pytestmark = pytest.mark.anyio

LOOPBACK = ("0100007F", "00000000000000000000000001000000")
"""127.0.0.1 and ::1 as the system writes them."""


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


async def test_by_default_only_loopback_is_listened_on(tmp_path: Path) -> None:
    async with Backend(tmp_path) as ours:
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
