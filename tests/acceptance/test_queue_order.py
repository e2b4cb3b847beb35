"""The queue over HTTP: five clients move fifty jobs at once, and the server is killed."""

from __future__ import annotations

import asyncio
import os
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.acceptance.backend import Backend
from tests.doubles import until

pytestmark = pytest.mark.anyio

JOBS, CLIENTS = 50, 5
MOVES = int(os.environ.get("CHILLY_MOVES", "8"))
"""Of each client in each round."""
ROUNDS = int(os.environ.get("CHILLY_ROUNDS", "1"))
"""How often the server is killed."""
NAMES = [f"job-{number:02}" for number in range(JOBS)]
SETTINGS = {"CHILLY_RATE_LIMIT_START": "1000/minute"}


class Follower:
    """A list that is kept by the events alone, as docs/api.md tells front ends to keep it."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.last: int | None = None
        self.moves = 0

    def hear(self, event: dict[str, Any]) -> None:
        """Take one event."""
        self.last = event["_id"] or self.last
        if event["event"] in ("snapshot", "queued", "paused") and event["id"] not in self.order:
            self.order.append(event["id"])
        elif event["event"] == "placed":
            before = event["placed"]["before"]
            self.order.remove(event["id"])
            at = len(self.order) if before is None else self.order.index(before)
            self.order.insert(at, event["id"])
            self.moves += 1


async def follow(backend: Backend, follower: Follower) -> None:
    """Follow until the server goes."""
    with suppress(httpx2.TransportError):
        async with backend.listen("/events", follower.last) as events:
            async for event in events:
                follower.hear(event)


async def move_about(backend: Backend, seed: int) -> None:
    """One client: jobs go anywhere, until the server goes."""
    draw = random.Random(seed)
    with suppress(httpx2.TransportError):
        for _ in range(MOVES):
            one, other = draw.sample(NAMES, 2)
            to = draw.choice(["top", "bottom", "up", "down", ""])
            answer = await backend.http.post(
                f"/downloads/{one}/position", json={"to": to} if to else {"before": other}
            )
            assert answer.status_code == 200, answer.text
            assert 1 <= answer.json()["position"] <= JOBS


async def order_of(backend: Backend) -> list[str]:
    """The ids in the order of the list; the positions are 1 to 50 in it."""
    jobs = (await backend.http.get("/downloads", params={"limit": 500})).json()["items"]
    assert [job["position"] for job in jobs] == [*range(1, JOBS + 1)]
    assert sorted(job["id"] for job in jobs) == NAMES
    return [job["id"] for job in jobs]


async def is_heard(follower: Follower, order: list[str]) -> bool:
    """Whether the events told so far lead to this order; those on their way are waited for."""
    with suppress(TimeoutError):
        await until(lambda: follower.order == order)
    return follower.order == order


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """A state folder with fifty jobs that were held at their start."""
    async with Backend(tmp_path, SETTINGS, warm=True) as backend:
        links = [f"magnet:?xt=urn:btih:{number:040x}" for number in range(1, JOBS + 1)]
        starts = [
            backend.start(link, id=name, held=True) for link, name in zip(links, NAMES, strict=True)
        ]
        assert {job["status"] for job in await asyncio.gather(*starts)} == {"paused"}
        await backend.kill()
    return tmp_path


async def test_positions_stay_a_permutation_and_the_order_outlives_every_kill(folder: Path) -> None:
    follower = Follower()
    for round_ in range(ROUNDS):
        async with Backend(folder, SETTINGS, warm=True) as backend:
            following = asyncio.create_task(follow(backend, follower))
            seeds = range(CLIENTS * round_, CLIENTS * (round_ + 1))
            await asyncio.gather(*(move_about(backend, seed) for seed in seeds))
            order = await order_of(backend)
            assert await is_heard(follower, order), "the events tell of another order"
            follower.moves = 0
            moving = [asyncio.create_task(move_about(backend, -seed)) for seed in seeds]
            await until(lambda: follower.moves >= MOVES)  # in the middle of it
            await backend.kill()
            await asyncio.gather(following, *moving)
        async with Backend(folder, SETTINGS, warm=True) as backend:
            following = asyncio.create_task(follow(backend, follower))
            order = await order_of(backend)
            assert await is_heard(follower, order), "what was missed leads to another order"
            await backend.kill()
            await following
        async with Backend(folder, SETTINGS, warm=True) as backend:
            assert await order_of(backend) == order, "the order after a restart is another"
            await backend.kill()
