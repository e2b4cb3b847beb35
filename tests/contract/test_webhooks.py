"""Webhooks: other programs are told of every stored change, in order, until they take it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
import structlog

from chilly_movies.api.policy import KeyScope
from chilly_movies.app import AssembledDownloader, Parts, Tools, create_app
from chilly_movies.drivers.mock.driver import MockDriver
from chilly_movies.jobs.models import SourceType
from chilly_movies.jobs.retry import RetryPolicy
from chilly_movies.net.policy import NetworkConfig, NetworkPolicy
from chilly_movies.notices.signing import signed
from chilly_movies.notices.webhooks import WebhookParts
from chilly_movies.storage.memory import MemoryJobStore, MemoryResumeStore, MemoryWebhookStore
from chilly_movies.storage.opened import Stores, open_all
from tests.contract.web import SECRET as KEY
from tests.contract.web import problem
from tests.doubles import until

pytestmark = pytest.mark.anyio
SECRET = "whsec_" + base64.b64encode(b"k" * 24).decode()
SOON = RetryPolicy(base=0.01, cap=0.05)


@dataclass
class Receiver:
    """A server that takes deliveries, or does not.

    Attributes:
        answers: the status of its next answers; then it is 200.
        got: header fields and body of each request, whatever was answered.
    """

    port: int = 0
    answers: list[int] = field(default_factory=list)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    _server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/films?token=hush-hush-hush"

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def leave(self) -> None:
        """Be away: whoever comes is refused."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):  # it is cut off when the server ends
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            pairs = [line.split(": ", 1) for line in head[1:] if line]
            fields = {name.lower(): value for name, value in pairs}
            body = await reader.readexactly(int(fields["content-length"]))
            self.got.append((fields, body))
            status = self.answers.pop(0) if self.answers else 200
            where = b"Location: http://127.0.0.1:1/\r\n" if status == 307 else b""
            writer.write(b"HTTP/1.1 %d x\r\n%bContent-Length: 0\r\n\r\n" % (status, where))
            await writer.drain()
        writer.close()

    @property
    def seqs(self) -> list[int]:
        """The numbers of the changes that came, each once, in order of their first coming."""
        return list(dict.fromkeys(event["seq"] for event in self.events))

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body)["event"] for _, body in self.got]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    await receiver.listen()
    yield receiver
    await receiver.leave()


def in_memory() -> Stores:
    resume = MemoryResumeStore()
    return Stores(MemoryJobStore(resume), resume, None, MemoryWebhookStore())


@asynccontextmanager
async def serving(
    stores: Stores, *, private: bool = True, **settings: Any
) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of a server that plays scripts, over these stores."""
    network = NetworkPolicy(NetworkConfig(allow_private_addresses=private))
    driver = MockDriver(resume_store=stores.resume, tick=0.01)
    parts = Parts(
        drivers=dict.fromkeys(SourceType, driver),
        jobs=stores.jobs, resume=stores.resume, cursors=stores.cursors, max_active=0,
        tools=Tools(topics={"webhooks": WebhookParts(stores.webhooks, network.post, SOON)}),
    )  # fmt: skip
    downloader = AssembledDownloader(parts)
    transport = httpx2.ASGITransport(create_app(downloader, **settings))
    async with (
        downloader,
        httpx2.AsyncClient(transport=transport, base_url="http://localhost:3000") as web,
    ):
        yield web


async def add(web: httpx2.AsyncClient, receiver: Receiver, *events: str) -> str:
    body = {"address": receiver.url, "events": list(events), "secret": SECRET}
    answer = await web.post("/webhooks", json=body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


async def change(web: httpx2.AsyncClient, job_id: str = "a", times: int = 1) -> None:
    """Three stored changes for each time."""
    for _ in range(times):
        body = {"id": job_id, "sourceUrn": f"mock:?name={job_id}", "sourceType": "http"}
        await web.post("/download/start", json=body)
        await web.post("/download/pause", json={"id": job_id})
        await web.delete(f"/downloads/{job_id}")


async def caught_up(web: httpx2.AsyncClient, behind: set[int]) -> None:
    """Waits until the webhooks are so far behind: what arrived may not be noted yet."""
    async with asyncio.timeout(10):
        while True:
            followers = (await web.get("/health")).json()["followers"]
            if {one["behind"] for one in followers} == behind:
                return
            await asyncio.sleep(0.001)  # nothing above waits for anything


async def test_every_stored_change_is_delivered_in_order_as_event_streams_tell_it(
    receiver: Receiver,
) -> None:
    async with serving(in_memory()) as web:
        await change(web)
        await add(web, receiver)
        await change(web, times=5)
        await until(lambda: len(receiver.got) == 20)
    assert [event["event"] for event in receiver.events] == (
        ["queued", "paused", "canceled", "removed"] * 5
    )
    assert receiver.seqs == list(range(5, 25)), "it is told of changes from now on"
    assert receiver.events[1]["id"] == "a"
    assert receiver.events[1]["status"] == "paused"
    assert receiver.events[1]["progress"]["percent"] == 0


async def test_a_delivery_is_signed_as_standard_webhooks_says(receiver: Receiver) -> None:
    async with serving(in_memory()) as web:
        await add(web, receiver)
        await change(web)
        await until(lambda: receiver.got)
    head, body = receiver.got[0]
    content = f"{head['webhook-id']}.{head['webhook-timestamp']}.".encode() + body
    mac = base64.b64encode(hmac.new(b"k" * 24, content, hashlib.sha256).digest()).decode()
    assert head["webhook-signature"] == f"v1,{mac}"
    assert json.loads(body)["deliveryId"] == head["webhook-id"]
    assert head["content-type"] == "application/json"


def test_the_signature_is_the_one_of_the_standards_own_example() -> None:
    head = signed(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert head["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_a_webhook_hears_of_the_events_it_wants_alone(receiver: Receiver) -> None:
    async with serving(in_memory()) as web:
        await add(web, receiver, "paused", "removed")
        await change(web, times=3)
        await until(lambda: len(receiver.got) == 6)
        health = (await web.get("/health")).json()
        await until(lambda: True)
    assert [event["event"] for event in receiver.events] == ["paused", "removed"] * 3
    assert [one["name"][:8] for one in health["followers"]] == ["webhook-"]


async def test_what_is_not_taken_is_tried_again_under_its_id_before_what_comes_after(
    receiver: Receiver,
) -> None:
    receiver.answers = [500, 307, 404, 200, 503]
    async with serving(in_memory()) as web:
        hook = await add(web, receiver)
        await change(web)
        await until(lambda: len(receiver.got) == 8)
        await until(lambda: True)
        log = (await web.get(f"/webhooks/{hook}")).json()["deliveries"]
    assert [event["seq"] for event in receiver.events] == [1, 1, 1, 1, 2, 2, 3, 4]
    ids = [head["webhook-id"] for head, _ in receiver.got]
    assert len(set(ids)) == 4
    assert [(one["seq"], one["attempts"], one["delivered"], one["status"]) for one in log[-2:]] == [
        (2, 2, True, 200), (1, 4, True, 200),
    ]  # fmt: skip


async def test_a_receiver_that_is_away_gets_all_when_it_is_back_and_holds_up_no_other(
    receiver: Receiver,
) -> None:
    away = Receiver()
    await away.listen()
    await away.leave()
    async with serving(in_memory()) as web:
        hook = await add(web, away)
        await add(web, receiver)
        await change(web, times=10)
        await until(lambda: len(receiver.got) == 40)
        [failed] = (await web.get(f"/webhooks/{hook}")).json()["deliveries"]
        assert (failed["delivered"], failed["status"], failed["seq"]) == (False, None, 1)
        assert "does not answer" in failed["error"]
        await caught_up(web, {0, 40})
        await away.listen()
        await until(lambda: len(away.got) == 40)
    await away.leave()
    assert [body for _, body in away.got] != []
    assert away.seqs == receiver.seqs == list(range(1, 41))


async def test_deliveries_go_on_after_a_restart_from_where_they_were(
    receiver: Receiver, tmp_path: Path
) -> None:
    async with serving(open_all(tmp_path / "chilly.db")) as web:
        hook = await add(web, receiver, "paused")
        await change(web, times=2)
        await until(lambda: len(receiver.got) == 2)
        await receiver.leave()
        await change(web, times=2)
    await receiver.listen()
    async with serving(open_all(tmp_path / "chilly.db")) as web:
        [known] = (await web.get("/webhooks")).json()["webhooks"]
        assert (known["id"], known["address"], known["events"]) == (hook, receiver.url, ["paused"])
        await until(lambda: len(receiver.seqs) == 4)
        answer = await web.delete(f"/webhooks/{hook}")
        assert answer.status_code == 204
        await change(web)
    assert receiver.seqs == [2, 6, 10, 14]
    async with serving(open_all(tmp_path / "chilly.db")) as web:
        assert (await web.get("/webhooks")).json() == {"webhooks": []}
        problem(await web.get(f"/webhooks/{hook}"), 404, "webhook_not_found")
        problem(await web.delete(f"/webhooks/{hook}"), 404, "webhook_not_found")


async def test_the_log_of_a_webhook_is_bounded(receiver: Receiver, tmp_path: Path) -> None:
    async with serving(open_all(tmp_path / "chilly.db")) as web:
        hook = await add(web, receiver)
        await change(web, times=15)
        await until(lambda: len(receiver.got) == 60)
        async with asyncio.timeout(10):
            while True:
                log = (await web.get(f"/webhooks/{hook}")).json()["deliveries"]
                if log[0]["seq"] == 60:
                    break
    assert [one["seq"] for one in log] == list(range(60, 10, -1))


async def test_the_secret_is_shown_nowhere(receiver: Receiver) -> None:
    receiver.answers = [500, 500]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    with structlog.testing.capture_logs() as logs:
        async with serving(in_memory()) as web:
            hook = await add(web, receiver)
            await change(web)
            await until(lambda: len(receiver.got) == 6)
            shown = (await web.get("/webhooks")).text + (await web.get(f"/webhooks/{hook}")).text
    assert SECRET not in shown
    assert SECRET not in str(logs)
    assert "hush-hush" not in str(logs), "an address may hold a token"
    assert [line for line in logs if line["event"] == "a follower tries again"]


async def test_an_address_we_must_not_reach_is_not_reached(receiver: Receiver) -> None:
    async with serving(in_memory(), private=False) as web:
        hook = await add(web, receiver)
        await change(web)

        async def refused() -> str:
            deliveries = (await web.get(f"/webhooks/{hook}")).json()["deliveries"]
            return str(deliveries[0]["error"]) if deliveries else ""

        async with asyncio.timeout(10):
            while not (error := await refused()):  # noqa: ASYNC110 (there is no event to wait for)
                await asyncio.sleep(0.001)
    assert "private address" in error
    assert receiver.got == []


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ({"address": "ftp://receiver.example/"}, "address"),
        ({"address": "https://"}, "address"),
        ({"address": "https://me:pw@receiver.example/"}, "address"),
        ({"address": "https://receiver.example:99999/"}, "address"),
        ({"events": ["stream"]}, "events.0"),
        ({"secret": "short"}, "secret"),
        ({"secret": "with a space in it!"}, "secret"),
        ({"secret": "whsec_no-base64-at-all"}, "secret"),
    ],
)
async def test_a_webhook_that_cannot_be_is_refused(wrong: dict[str, Any], name: str) -> None:
    body = {"address": "https://receiver.example/", "events": ["completed"], "secret": SECRET}
    async with serving(in_memory()) as web:
        problem(await web.post("/webhooks", json=body | wrong), 422, "invalid_request", field=name)
        assert (await web.get("/webhooks")).json() == {"webhooks": []}


async def test_there_is_a_most_of_webhooks(receiver: Receiver) -> None:
    async with serving(in_memory()) as web:
        for _ in range(20):
            await add(web, receiver)
        body = {"address": receiver.url, "secret": SECRET}
        problem(await web.post("/webhooks", json=body), 422, "invalid_request")


async def test_webhooks_want_an_admin_key(receiver: Receiver) -> None:
    keys = tuple((scope.name * 8, scope) for scope in KeyScope)
    async with serving(in_memory(), api_secret=KEY, keys=keys) as web:
        for scope in (KeyScope.READ, KeyScope.CONTROL):
            head = {"x-api-key": scope.name * 8}
            for answer in (
                await web.get("/webhooks", headers=head),
                await web.delete(f"/webhooks/{'0' * 32}", headers=head),
                await web.post("/webhooks", headers=head, json={}),
            ):
                problem(answer, 403, "forbidden_scope")
        assert (await web.get("/webhooks", headers={"x-api-key": KEY})).status_code == 200
