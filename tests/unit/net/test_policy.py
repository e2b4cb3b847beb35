"""One network policy for all drivers: each is told of changes, and whom nobody may talk to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chilly_movies.errors import SourceRejected
from chilly_movies.net.policy import NetworkConfig, NetworkPolicy

pytestmark = pytest.mark.anyio


class Engine:
    """A subscriber that notes what it hears."""

    def __init__(self) -> None:
        self.told = asyncio.Event()
        self.network: list[str] = []

    def network_changed(self) -> None:
        """See `policy.Subscriber`."""
        self.network.append("changed")

    async def lists_changed(self) -> None:
        """See `policy.Subscriber`."""
        self.told.set()


@pytest.fixture
async def server() -> AsyncIterator[str]:
    """Where a server listens that redirects from /away and has 3,000,000 bytes else."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readuntil(b"\r\n\r\n")
        body = b"x" * 3_000_000
        if b"/away" in asked.splitlines()[0]:
            head, body = b"302 Found\r\nLocation: elsewhere:there", b""
        else:
            head = b"200 OK"
        writer.write(b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (head, len(body), body))
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_all_subscribers_are_told_that_a_list_changed_and_none_who_left(
    tmp_path: Path,
) -> None:
    block = tmp_path / "block.txt"
    block.write_text("203.0.113.0/24\n")
    policy = NetworkPolicy(NetworkConfig(block_list=block))
    await policy.prepare()
    one, other, gone = engines = (Engine(), Engine(), Engine())
    for engine in engines:
        policy.subscribe(engine)
    await policy.unsubscribe(gone)
    assert policy.lets("198.51.100.1")
    block.write_text("198.51.100.0/24\n")
    policy.read_lists()
    async with asyncio.timeout(10):
        await one.told.wait()
        await other.told.wait()
    assert not policy.lets("198.51.100.1")
    assert policy.lets("203.0.113.1")
    assert not gone.told.is_set()
    for engine in engines:
        await policy.unsubscribe(engine)
    assert {task.get_name() for task in asyncio.all_tasks()}.isdisjoint({"list-watch"})


async def test_without_its_interface_all_is_halted_with_and_without_subscribers() -> None:
    policy, engine = NetworkPolicy(NetworkConfig(interface="nowhere0")), Engine()
    why = "the interface nowhere0 is not there, so nothing is sent until it is back"
    assert policy.halted == why
    policy.subscribe(engine)
    assert policy.halted == why
    assert engine.network == []  # how things are it asks itself
    await policy.unsubscribe(engine)


async def test_an_answer_is_bounded_and_the_sentence_says_of_what(server: str) -> None:
    policy = NetworkPolicy(NetworkConfig(allow_private_addresses=True))
    assert len(await policy.get(f"{server}/it", limit=3_000_000, what="a feed")) == 3_000_000
    with pytest.raises(SourceRejected, match="more than the 2 MiB a feed may have"):
        await policy.get(f"{server}/it", limit=2 * 1024**2, what="a feed")


async def test_an_address_the_caller_takes_is_returned_and_another_is_refused(server: str) -> None:
    policy = NetworkPolicy(NetworkConfig(allow_private_addresses=True))
    found = await policy.get(
        f"{server}/away", limit=1, what="a feed", stops=lambda url: url.startswith("elsewhere:")
    )
    assert found == "elsewhere:there"
    with pytest.raises(SourceRejected, match="must begin with http"):
        await policy.get(f"{server}/away", limit=1, what="a feed")


async def test_nobody_on_a_list_is_asked_although_private_addresses_are_allowed(
    tmp_path: Path, server: str
) -> None:
    block = tmp_path / "block.txt"
    block.write_text("127.0.0.0/8\n")
    policy = NetworkPolicy(NetworkConfig(allow_private_addresses=True, block_list=block))
    with pytest.raises(SourceRejected, match="blocked"):
        await policy.get(f"{server}/it", limit=3_000_000, what="a feed")


async def test_a_private_address_is_not_asked(server: str) -> None:
    with pytest.raises(SourceRejected, match="leads to a private address"):
        await NetworkPolicy(NetworkConfig()).get(f"{server}/it", limit=1, what="a feed")
