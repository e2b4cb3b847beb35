"""A listener of events writes what it hears to a connection, without a task while that keeps up."""

from __future__ import annotations

import asyncio

import pytest

from chilly_movies.api.wire import listener as listeners
from chilly_movies.api.wire.listener import Listener
from chilly_movies.jobs.bus import EventBus
from chilly_movies.jobs.events import Change
from tests.doubles import idle, make_job, until

pytestmark = pytest.mark.anyio


class Wire:
    """A connection that takes what it is given, or is full."""

    def __init__(self) -> None:
        self.taken = b""
        self.ended = ""
        self._room = asyncio.Event()
        self._room.set()

    def fill(self) -> None:
        self._room.clear()

    def empty(self) -> None:
        self._room.set()

    def write(self, chunk: bytes) -> bool:
        if self._room.is_set():
            self.taken += chunk
        return self._room.is_set()

    async def drain(self) -> None:
        await self._room.wait()

    def close(self) -> None:
        self.ended = self.ended or "closed"

    def abort(self) -> None:
        self.ended = self.ended or "aborted"

    def seqs(self) -> list[int]:
        """The numbers of the messages in its chunks."""
        found, rest = [], self.taken
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            data, rest = rest[: int(size, 16)], rest[int(size, 16) + 2 :]
            found += [int(line[4:]) for line in data.split(b"\n") if line.startswith(b"id: ")]
        return found


def listening(bus: EventBus, sent: int = 0) -> tuple[Listener, Wire]:
    listener, wire = Listener(bus.subscribe(), sent), Wire()
    listener.begin(wire)
    return listener, wire


def tell(bus: EventBus, *seqs: int) -> None:
    for seq in seqs:
        bus.publish(Change.of(seq, "paused", make_job()))


async def test_what_waited_comes_first_what_was_sent_already_not_again() -> None:
    bus = EventBus()
    listener, wire = Listener(bus.subscribe(), 2), Wire()
    tell(bus, 1, 2, 3, 4)
    listener.begin(wire)
    await until(lambda: wire.seqs() == [3, 4])
    tell(bus, 4, 5)
    assert wire.seqs() == [3, 4, 5]
    listener.left()


async def test_while_the_connection_keeps_up_nothing_waits_and_no_task_runs() -> None:
    bus = EventBus()
    listener, wire = listening(bus)
    await idle()
    before = len(asyncio.all_tasks())
    tell(bus, 1, 2)
    assert wire.seqs() == [1, 2]
    assert len(asyncio.all_tasks()) == before
    listener.left()


async def test_a_full_connection_gets_all_in_order_once_it_takes_something_again() -> None:
    bus = EventBus()
    listener, wire = listening(bus)
    await idle()
    tell(bus, 1)
    wire.fill()
    tell(bus, 2, 3)
    await idle()
    assert wire.seqs() == [1]
    wire.empty()
    tell(bus, 4)
    await until(lambda: wire.seqs() == [1, 2, 3, 4])
    tell(bus, 5)
    assert wire.seqs() == [1, 2, 3, 4, 5]
    listener.left()


async def test_one_who_does_not_read_for_too_long_is_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listeners, "PATIENCE", 0.02)
    bus = EventBus()
    listener, wire = listening(bus)
    await idle()
    wire.fill()
    tell(bus, 1)
    await until(lambda: wire.ended == "aborted")
    listener.left()
    assert not bus._subscriptions


async def test_one_who_does_not_even_read_a_heartbeat_is_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listeners, "PATIENCE", 0.02)
    monkeypatch.setattr(listeners, "HEARTBEAT", 0.02)
    listener, wire = listening(EventBus())
    await until(lambda: b": still here\n\n" in wire.taken)
    wire.fill()
    await until(lambda: wire.ended == "aborted")
    listener.left()


async def test_at_the_end_what_waits_is_written_and_the_answer_ends_properly() -> None:
    bus = EventBus()
    listener, wire = listening(bus)
    await idle()
    wire.fill()
    tell(bus, 1)
    bus.close()
    wire.empty()
    await until(lambda: wire.ended)
    assert wire.ended == "closed"
    assert wire.taken.endswith(b"\r\n0\r\n\r\n")
    wire.taken = wire.taken.removesuffix(b"0\r\n\r\n")
    assert wire.seqs() == [1]
    listener.left()


async def test_one_who_lets_too_much_pile_up_gets_an_end_so_that_it_comes_back() -> None:
    bus = EventBus()
    listener, wire = Listener(bus.subscribe(size=2), 0), Wire()
    listener.begin(wire)
    await idle()
    wire.fill()
    tell(bus, 1, 2, 3)
    wire.empty()
    await until(lambda: wire.ended)
    assert wire.taken == b"0\r\n\r\n"
    listener.left()


async def test_one_who_left_hears_nothing_and_all_who_wait_for_that_are_told_once() -> None:
    bus = EventBus()
    listener, wire = listening(bus)
    told: list[str] = []
    listener.afterwards(lambda: told.append("gate"))
    listener.afterwards(lambda: told.append("log"))
    await idle()
    wire.fill()
    tell(bus, 1)
    await idle()
    listener.left()
    listener.left()
    wire.empty()
    await until(lambda: not any(t.get_name() == "slow listener" for t in asyncio.all_tasks()))
    tell(bus, 2)
    assert (told, wire.taken, wire.ended) == (["gate", "log"], b"", "")
    assert not bus._subscriptions


async def test_one_who_left_before_it_began_hears_nothing() -> None:
    bus = EventBus()
    listener, wire = Listener(bus.subscribe(), 0), Wire()
    tell(bus, 1)
    before = len(asyncio.all_tasks())
    listener.left()
    listener.begin(wire)
    await idle()
    assert (wire.taken, len(asyncio.all_tasks())) == (b"", before)
