"""Each command says what is wrong with its server, key or link, and what to type."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.acceptance.backend import Backend
from tests.acceptance.test_command_line import (
    assert_sentence,
    chilly,
    engine,
    environment,
    mock_server,
)
from tests.peers.process import free_port

pytestmark = pytest.mark.anyio
ADMIN, READ = "a-key-that-may-all", "a-key-that-may-read"


async def test_a_key_that_is_missing_wrong_or_weak_is_said_with_what_to_type(
    tmp_path: Path,
) -> None:
    keys = {"API_SECRET": ADMIN, "CHILLY_API_KEYS": f"read:{READ}"}
    async with mock_server(tmp_path, **keys) as (_, env):
        url = f"localhost:{env['CHILLY_PORT']}"  # the scheme may be left out
        bare = environment(tmp_path, CHILLY_SERVER=url)
        for command in (["list"], ["watch"], ["pause", "1", "2"], ["play", "x", "--print"]):
            missing = await chilly(*command, env=bare)
            assert_sentence(missing, 1, "wants an API key", "--key KEY", "API_SECRET")
        wrong = await chilly("list", "--key", "no-key-of-this-one", env=bare)
        assert_sentence(wrong, 1, "does not know this API key", "--key KEY")
        assert "no-key-of-this-one" not in wrong.err
        weak = await chilly("pause", "1", "--key", READ, env=bare)
        assert_sentence(weak, 1, "the scope 'control'", "--key KEY")
        right = await chilly("list", "--key", READ, "--json", env=bare)
        assert (right.code, right.json) == (0, [])
        named = {**environment(tmp_path), "API_SECRET": ADMIN}
        assert (await chilly("list", "--server", url, "--json", env=named)).json == []


async def test_a_server_elsewhere_that_does_not_answer_is_said_with_the_cause(
    tmp_path: Path,
) -> None:
    port = free_port()
    env = environment(tmp_path, CHILLY_SERVER=f"http://127.0.0.2:{port}")
    assert_sentence(await chilly("list", env=env), 4, f"http://127.0.0.2:{port}", "refused")
    assert_sentence(await chilly("play", "x", "--print", env=env), 4, f"http://127.0.0.2:{port}")


def make_certificate(folder: Path) -> None:
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
             "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
             "subjectAltName=DNS:localhost", "-keyout", "key.pem", "-out", "own.pem"]  # fmt: skip
    subprocess.run(words, cwd=folder, check=True, capture_output=True, timeout=30)


@asynccontextmanager
async def self_signed(folder: Path) -> AsyncIterator[int]:
    """A server whose certificate nobody vouches for; its port."""
    make_certificate(folder)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "own.pem", folder / "key.pem")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = b'{"items": [], "nextCursor": null, "total": 0}'
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "localhost", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_a_certificate_that_is_not_trusted_is_said_and_how_to_trust_it(
    tmp_path: Path,
) -> None:
    async with self_signed(tmp_path) as port:
        url, env = f"https://localhost:{port}", environment(tmp_path)
        said = await chilly("list", "--server", url, env=env)
        assert_sentence(said, 1, f"The certificate of {url} is not trusted", "SSL_CERT_FILE")
        assert "self-signed" in said.err
        trusting = {**env, "SSL_CERT_FILE": str(tmp_path / "own.pem")}
        assert (await chilly("list", "--server", url, "--json", env=trusting)).json == []
        got = await chilly("get", f"{url}/film.torrent", "--json", env=engine(tmp_path))
        assert got.code == 1
        assert f"localhost:{port} does not answer (its certificate is not trusted:" in got.err


async def test_get_gives_a_dead_link_up_and_says_why(tmp_path: Path) -> None:
    port = free_port()
    got = await chilly("get", f"http://127.0.0.1:{port}/film.torrent", env=engine(tmp_path))
    assert got.code == 1
    assert "will be tried again in " in got.out
    assert got.err.endswith(
        f"The link's server 127.0.0.1:{port} does not answer (Connection refused). "
        "Tried 3 times; type it again later.\n"
    )


async def test_a_kind_of_source_that_is_not_there_is_said_beside_those_that_are(
    tmp_path: Path,
) -> None:
    async with Backend(tmp_path, warm=True) as ours:
        env = environment(tmp_path, CHILLY_SERVER=ours.url)
        said = await chilly("add", "https://films.example/x", "--type", "disc", env=env)
        assert_sentence(said, 1, "no driver for the source type 'disc'; it has: ", "torrent")


async def test_an_unknown_command_is_said_without_a_cut_list(tmp_path: Path) -> None:
    said = await chilly("serv", env=environment(tmp_path))
    assert_sentence(said, 2, "serv", "'chilly --help' shows what there is")
    assert "Available commands" not in said.err
    assert "..." not in said.err
