"""Event streams over a real connection: nothing is missed, nobody is waited for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import httpx2
import pytest
from starlette.requests import Request

from chilly_movies.api.routes import events as sse
from chilly_movies.api.wire import listener
from chilly_movies.api.wire.schemas import EventOut
from chilly_movies.jobs.models import Status
from chilly_movies.mock import MockDownloader
from tests.contract.rig import SCRIPT, Pace, Rig, reach
from tests.contract.web import SECRET, Live, listening, serving
from tests.doubles import GatedStore, idle, until

pytestmark = pytest.mark.anyio


class Show:
    """A served mock downloader whose time we hold."""

    def __init__(self) -> None:
        self.pace = Pace()
        self.pace.hold()
        self.downloader = MockDownloader(SCRIPT, tick=1.0, sleep=self.pace.sleep)
        self.live: Live

    @property
    def url(self) -> str:
        return self.live.url

    async def start(self, job_id: str) -> None:
        await self.downloader.start(id=job_id, source_urn=f"https://films.example/{job_id}")


@pytest.fixture
async def show() -> AsyncIterator[Show]:
    show = Show()
    async with show.downloader, serving(show.downloader) as show.live:
        yield show
        show.pace.flow()


def names(messages: list[dict[str, Any]]) -> list[str]:
    return [message["event"] for message in messages]


async def test_a_listener_gets_a_snapshot_of_every_job_and_then_changes(show: Show) -> None:
    for job_id in "ab":
        await show.start(job_id)
        await reach(show.downloader, job_id, Status.ACTIVE)
    async with listening(show.url) as stream:
        first = [await stream.next() for _ in "ab"]
        assert [(m["id"], m["event"], m["status"]) for m in first] == [
            ("a", "snapshot", "active"), ("b", "snapshot", "active"),
        ]  # fmt: skip
        await show.downloader.pause("a")
        change = (await stream.until("paused"))[-1]
        assert (change["id"], change["status"]) == ("a", "paused")


async def test_every_message_is_what_the_contract_says(show: Show) -> None:
    async with listening(show.url) as stream:
        await until_listening(stream)
        await show.start("a")
        show.pace.flow()
        for message in await stream.until("completed"):
            EventOut.model_validate_json(json.dumps(message))
            always = {"seq", "event", "id", "status", "progress", "labels"}
            assert always <= set(message) <= always | {"error", "reason", "name"}


async def until_listening(stream: Any) -> None:
    """Read the comment that says the snapshot is over."""
    async with asyncio.timeout(10):
        while await anext(stream.lines) != ": listening":
            pass


async def test_state_changes_have_rising_numbers_and_figures_repeat_the_newest(show: Show) -> None:
    async with listening(show.url) as stream:
        await until_listening(stream)
        for job_id in "abcd":
            await show.start(job_id)
        show.pace.flow()
        seen = [message for _ in "abcd" for message in await stream.until("completed")]
    stored = {change.seq: change for change in await show.downloader.changes_since(0)}
    assert [message["seq"] for message in seen] == stream.ids == sorted(stream.ids)
    last = 0
    for message in seen:
        change = stored[message["seq"]]
        is_new = message["seq"] > last
        assert is_new == (message["event"] != "progress" or change.event == "progress")
        if is_new:
            assert (message["id"], message["event"]) == (change.id, change.event)
        last = message["seq"]
    assert stream.ids[-1] == max(stored)


async def test_a_number_that_figures_repeated_brings_every_later_state_change(show: Show) -> None:
    await show.start("a")
    show.pace.hold(after=3)
    show.pace.flow()
    show.pace.hold(after=3)
    async with listening(show.url) as stream:
        await stream.until("progress")
        last = stream.ids[-1]
    await show.downloader.pause("a")
    await show.downloader.resume("a")
    await show.downloader.pause("a")
    later = await show.downloader.changes_since(last)
    async with listening(show.url, headers={"last-event-id": str(last)}) as stream:
        seen = [await stream.next() for _ in later]
    assert [(m["seq"], m["event"]) for m in seen] == [(c.seq, c.event) for c in later]
    assert names(seen)[-1] == "paused"


async def test_a_listener_of_one_job_gets_its_history_and_no_other_job(show: Show) -> None:
    await show.start("a")
    await show.start("b")
    await show.downloader.pause("b")
    await show.downloader.resume("b")
    await reach(show.downloader, "b", Status.ACTIVE)
    async with listening(show.url, "/events/b") as stream:
        seen = await stream.until("snapshot")
        await show.downloader.cancel("a")
        await show.downloader.cancel("b")
        seen += await stream.until("canceled")
    assert {message["id"] for message in seen} == {"b"}
    durable = [n for n in names(seen) if n not in ("progress", "started")]
    assert durable == ["queued", "paused", "resumed", "snapshot", "canceled"]
    assert stream.ids == sorted(stream.ids)


async def test_a_job_does_not_get_the_history_of_a_removed_one_that_had_its_id(show: Show) -> None:
    await show.start("a")
    await reach(show.downloader, "a", Status.ACTIVE)
    await show.downloader.remove("a")
    await show.downloader.start(id="a", source_urn="https://films.example/other")
    await reach(show.downloader, "a", Status.ACTIVE)
    async with listening(show.url, "/events/a") as stream:
        found = await stream.until("snapshot")
    assert names(found)[:2] == ["queued", "started"]
    assert "removed" not in names(found)


async def test_an_error_is_told_with_its_code(show: Show) -> None:
    await show.downloader.start(id="a", source_urn="mock:?fail=source_rejected&failAt=0")
    show.pace.flow()
    await show.downloader.wait("a")
    async with listening(show.url, "/events/a") as stream:
        failed = (await stream.until("error"))[-1]
    assert failed["error"]["code"] == "source_rejected"
    assert failed["status"] == "failed"


async def test_what_was_missed_is_replayed_and_nothing_twice(show: Show) -> None:
    await show.start("a")
    async with listening(show.url, "/events/a") as stream:
        await stream.until("snapshot")
        last = stream.ids[-1]
    await show.downloader.pause("a")
    await show.downloader.resume("a")
    await show.downloader.pause("a")
    for path, headers in [
        ("/events", {"last-event-id": str(last)}),
        (f"/events?lastEventId={last}", {}),
        ("/events/a", {"last-event-id": str(last)}),
    ]:
        async with listening(show.url, path, headers=headers) as stream:
            seen = await stream.until("paused") + await stream.until("paused")
            durable = [name for name in names(seen) if name not in ("started", "progress")]
            assert durable == ["paused", "resumed", "paused"]
            assert all(number > last for number in stream.ids)
            assert stream.ids == sorted(set(stream.ids))


@pytest.mark.parametrize("last", ["", "x", "-1", "1.5", "99999999999999999999", "٣", "1e3",
                                  "999999999"])  # fmt: skip
async def test_a_number_that_is_none_of_ours_begins_with_the_snapshot(
    show: Show, last: str
) -> None:
    await show.start("a")
    async with listening(show.url, "/events", params={"lastEventId": last}) as stream:
        assert (await stream.next())["event"] == "snapshot"


async def test_the_header_wins_over_the_query(show: Show) -> None:
    await show.start("a")
    headers = {"last-event-id": "0"}
    async with listening(show.url, "/events?lastEventId=999999", headers=headers) as stream:
        assert (await stream.next())["event"] == "queued"


async def test_a_removed_job_is_told_and_then_not_found(show: Show) -> None:
    await show.start("a")
    async with listening(show.url, "/events/a") as stream:
        await stream.until("snapshot")
        await show.downloader.remove("a")
        assert names(await stream.until("removed"))[-1] == "removed"
    async with listening(show.url, "/events", headers={"last-event-id": "0"}) as stream:
        assert names(await stream.until("removed"))[-1] == "removed"


async def test_many_state_changes_are_replayed_in_full(show: Show) -> None:
    await show.downloader.open()
    await show.start("a")
    for _ in range(600):
        await show.downloader.pause("a")
        await show.downloader.resume("a")
    async with listening(show.url, "/events", headers={"last-event-id": "0"}) as stream:
        seen = [message for _ in range(600) for message in await stream.until("paused")]
    assert len(seen) > 1000
    assert stream.ids == sorted(set(stream.ids))


async def test_no_state_change_is_missed_over_a_restart(rig: Rig) -> None:
    rig.pace.hold()
    downloader = rig.make()
    async with serving(downloader) as live:
        await rig.add("a")
        await reach(downloader, "a", Status.ACTIVE)
        async with listening(live.url) as stream:
            await stream.until("snapshot")
        last = stream.ids[-1]
        await downloader.pause("a")
    downloader = await rig.restart()
    await downloader.cancel("a")
    await rig.add("b")
    async with serving(downloader) as live:
        headers = {"last-event-id": str(last)}
        async with listening(live.url, headers=headers) as stream:
            seen = [await stream.next() for _ in range(3)]
            stored = await downloader.changes_since(last)
    assert [message["seq"] for message in seen] == [change.seq for change in stored][:3]
    assert names(seen) == ["paused", "canceled", "queued"]


async def test_a_quiet_stream_is_kept_awake(show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "HEARTBEAT", 0.02)
    async with listening(show.url) as stream, asyncio.timeout(10):
        beats = 0
        while beats < 3:
            beats += await anext(stream.lines) == ": still here"


async def test_streams_end_when_the_server_stops(show: Show) -> None:
    async with listening(show.url) as one, listening(show.url) as other:
        await until_listening(one)
        await until_listening(other)
        async with asyncio.timeout(4):
            await show.live.stop()
        for stream in (one, other):
            with pytest.raises(StopAsyncIteration):
                await stream.next()


async def test_streams_end_when_the_downloader_ends_them(show: Show) -> None:
    async with listening(show.url) as stream:
        await until_listening(stream)
        show.downloader.end_events()
        with pytest.raises(StopAsyncIteration):
            await stream.next()


async def test_a_listener_that_leaves_is_forgotten(show: Show) -> None:
    async with listening(show.url) as stream:
        await until_listening(stream)
        assert len(show.downloader._bus._subscriptions) == 1
    await until(lambda: not show.downloader._bus._subscriptions)


async def test_streams_need_the_key(show: Show) -> None:
    async with serving(show.downloader, api_secret=SECRET) as live:
        with pytest.raises(AssertionError):
            async with listening(live.url):
                pass
        async with listening(live.url, f"/events?api_key={SECRET}") as stream:
            await until_listening(stream)


# --- below the connection: readers that do not read, stores that are slow -----------------------


class Reader:
    """An ASGI connection that takes what it is sent, or does not."""

    def __init__(self, *, reads: bool = True) -> None:
        self.reads = reads
        self.sent: list[dict[str, Any]] = []
        self._never = asyncio.Event()

    async def send(self, message: Any) -> None:
        self.sent.append(message)
        if not self.reads and message["type"] == "http.response.body":
            await self._never.wait()

    async def receive(self) -> dict[str, Any]:
        await self._never.wait()
        raise AssertionError

    def has(self, event: str) -> bool:
        """Whether a message of this event was sent."""
        sent = b"".join(message.get("body", b"") for message in self.sent)
        return f'"event":"{event}"'.encode() in sent


class Late(Reader):
    """A connection whose beginning takes so long that a job is paused meanwhile."""

    def __init__(self, downloader: Any) -> None:
        super().__init__()
        self._downloader = downloader

    async def send(self, message: Any) -> None:
        """See `Reader`."""
        if message["type"] == "http.response.start":
            await self._downloader.pause("a")
        await super().send(message)


async def connect(downloader: Any, reader: Reader, last: str = "") -> asyncio.Task[None]:
    app = type("App", (), {"state": type("State", (), {"downloader": downloader})})
    headers = [(b"last-event-id", last.encode())]
    scope = {"type": "http", "path": "/events", "headers": headers, "query_string": b"", "app": app,
             "path_params": {}, "method": "GET"}  # fmt: skip
    response = await sse.stream_events(Request(scope))
    return asyncio.create_task(response(scope, reader.receive, reader.send))


async def test_a_reader_that_does_not_read_is_dropped_and_the_others_hear_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sse, "PATIENCE", 0.05)
    async with MockDownloader(SCRIPT, sleep=Pace().sleep) as downloader:
        stuck, fine = Reader(reads=False), Reader()
        tasks = [await connect(downloader, reader) for reader in (stuck, fine)]
        await idle()
        await downloader.start(id="a", source_urn="x")
        await downloader.wait("a")
        async with asyncio.timeout(10):
            await tasks[0]
        assert not tasks[1].done()
        await until(partial(fine.has, "completed"))
        assert len(downloader._bus._subscriptions) == 1
        downloader.end_events()
        await tasks[1]


async def test_a_reader_that_overflows_gets_an_end_so_that_it_comes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with MockDownloader(SCRIPT, max_active=0) as downloader:
        reader = Reader()
        task = await connect(downloader, reader)
        await idle()
        [subscription] = downloader._bus._subscriptions
        monkeypatch.setattr(subscription, "_size", -1)
        await downloader.start(id="a", source_urn="x")
        async with asyncio.timeout(10):
            await task
        assert reader.sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}


async def test_a_change_that_is_being_stored_when_a_listener_comes_is_told_to_it(rig: Rig) -> None:
    store = GatedStore()
    downloader = rig.make(store=store)
    await rig.bring(Status.ACTIVE)
    store.holding = True
    verb = asyncio.create_task(downloader.pause("a"))
    await idle()
    readers = [Reader() for _ in range(2)]
    tasks = [await connect(downloader, reader) for reader in readers]
    await idle()
    await store.held[0].release()
    await verb
    for reader in readers:
        await until(partial(reader.has, "paused"))
    downloader.end_events()
    await asyncio.gather(*tasks)


@pytest.mark.parametrize(("last", "expected"), [("1", b'event":"paused'), ("", b"snapshot")])
async def test_a_change_told_while_the_stream_begins_is_sent_once(
    last: str, expected: bytes
) -> None:
    async with MockDownloader(SCRIPT, max_active=0) as downloader:
        await downloader.start(id="a", source_urn="x")
        reader = Late(downloader)
        task = await connect(downloader, reader, last)
        await until(lambda: any(b": listening" in m.get("body", b"") for m in reader.sent))
        downloader.end_events()
        await task
        bodies = [message.get("body", b"") for message in reader.sent]
        [told] = [body for body in bodies if b'"status":"paused"' in body]
        assert expected in told


async def test_a_signed_link_opens_one_stream_of_events_without_the_key() -> None:
    downloader = MockDownloader(SCRIPT, tick=0.0)
    async with downloader, serving(downloader, api_secret=SECRET) as live:
        for job_id in "ab":
            await downloader.start(id=job_id, source_urn=f"https://films.example/{job_id}")
        links = {}
        async with httpx2.AsyncClient(base_url=live.url, headers={"x-api-key": SECRET}) as web:
            for path in ("/events", "/events/a"):
                links[path] = (await web.get("/links", params={"path": path})).json()["url"]
        for path, link in links.items():
            async with listening(live.url, link) as stream:
                assert (await stream.next())["id"] == "a", path
        async with httpx2.AsyncClient(base_url=live.url) as web:
            for other in ("/events", "/events/b", "/downloads"):
                signed = links["/events/a"].partition("?")[2]
                answer = await web.get(f"{other}?{signed}")
                assert answer.status_code == 401
