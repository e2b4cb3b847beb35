"""One download limit for all: fair, exact over time, without polling; time is skipped here."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from chilly_movies.net.limiter import Rates, Share, SpeedLimiter

MB = 1_000_000
CHUNK = 16_384


class _Skipping(selectors.SelectSelector):
    """Waits for nothing: its time is at once where the next timer is due."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        self.now += timeout or 0.0
        return super().select(0)


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.skipping = _Skipping()
        super().__init__(self.skipping)

    def time(self) -> float:
        return self.skipping.now


def simulated(work: Callable[[SpeedLimiter], Coroutine[Any, Any, None]], limit: int = MB) -> None:
    """Runs a scene in a loop whose time needs none."""

    async def scene() -> None:
        await work(SpeedLimiter(Rates(limit), asyncio.get_running_loop().time))

    with asyncio.Runner(loop_factory=_Loop) as runner:
        runner.run(scene())


class Fetcher:
    """Fetches with some tasks at once, each a chunk after the other, as fast as it may."""

    def __init__(self, share: Share, tasks: int = 1, chunk: int = CHUNK, pace: float = 0) -> None:
        self.got = 0
        self._share, self._chunk, self._pace = share, chunk, pace
        self._tasks = [asyncio.ensure_future(self._fetch()) for _ in range(tasks)]

    async def _fetch(self) -> None:
        while True:
            await asyncio.sleep(self._chunk / self._pace if self._pace else 0.0001)
            await self._share.take(self._chunk)
            self.got += self._chunk

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._share.close()


class Engine:
    """Fetches as much as it was granted and as its peers give, and tells so once a second."""

    def __init__(self, limiter: SpeedLimiter, peers: float, jobs: int = 1) -> None:
        self.got, self._limiter, self._peers, self._jobs = 0, limiter, peers, jobs
        self.task = asyncio.ensure_future(self._run())

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(1)
            came = int(min(self._limiter.engine_rates.download, self._peers))
            self.got += came
            self._limiter.settle(came, self._jobs if came else 0)


def test_without_a_limit_asking_waits_for_nothing() -> None:
    async def scene(limiter: SpeedLimiter) -> None:
        with limiter.share() as share, pytest.raises(StopIteration):
            share.take(10**9).send(None)

    simulated(scene, limit=0)


def test_shares_are_alike_whatever_their_tasks_and_chunks_and_their_sum_is_the_limit() -> None:
    async def scene(limiter: SpeedLimiter) -> None:
        few = Fetcher(limiter.share(), chunk=1000)
        many = Fetcher(limiter.share(), tasks=16, chunk=100_000)
        await asyncio.sleep(20)
        assert few.got + many.got == pytest.approx(20 * MB, rel=0.03)
        assert few.got == pytest.approx(many.got, rel=0.12)
        await few.stop()
        before = many.got
        await asyncio.sleep(10)
        assert many.got - before == pytest.approx(10 * MB, rel=0.03)
        await many.stop()

    simulated(scene)


def test_after_a_pause_at_most_a_quarter_of_a_second_comes_at_once() -> None:
    async def scene(limiter: SpeedLimiter) -> None:
        loop = asyncio.get_running_loop()
        with limiter.share() as share:
            await share.take(1)
            await asyncio.sleep(100)
            began, got = loop.time(), 0
            while loop.time() == began:
                await share.take(1000)
                got += 1000
            assert got <= 0.25 * MB + 2000

    simulated(scene)


def test_waiters_that_are_cancelled_cost_the_others_nothing() -> None:
    async def scene(limiter: SpeedLimiter) -> None:
        fetcher = Fetcher(limiter.share())
        with limiter.share() as share:
            for _ in range(20):
                storm = [asyncio.ensure_future(share.take(MB)) for _ in range(50)]
                await asyncio.sleep(0.05)
                waiting = [task for task in storm if not task.done()]
                for task in waiting:
                    task.cancel()
                await asyncio.gather(*waiting, return_exceptions=True)
                assert len(storm) - len(waiting) <= 1
        begun, loop = fetcher.got, asyncio.get_running_loop()
        await asyncio.sleep(30 - loop.time())
        assert fetcher.got - begun == pytest.approx(29 * MB - 20 * 0.05 * MB, rel=0.06)
        await fetcher.stop()

    simulated(scene)


def test_another_limit_holds_at_once_also_for_those_that_wait() -> None:
    async def scene(limiter: SpeedLimiter) -> None:
        loop = asyncio.get_running_loop()
        with limiter.share() as share:
            await share.take(10 * MB)
            waits = asyncio.ensure_future(share.take(1))
            await asyncio.sleep(0.1)
            limiter.set(Rates(100 * MB))
            await waits
            assert loop.time() < 1.2
            limiter.set(Rates(1))
            await share.take(5)
            waits = asyncio.ensure_future(share.take(1))
            await asyncio.sleep(0.5)
            assert not waits.done()
            limiter.set(Rates(0))
            await waits
            assert loop.time() < 2

    simulated(scene)


def test_a_job_has_its_own_limit_and_the_others_have_what_it_leaves() -> None:
    async def scene(limiter: SpeedLimiter) -> None:
        limited, other = Fetcher(limiter.share(100_000), tasks=4), Fetcher(limiter.share())
        await asyncio.sleep(20)
        assert limited.got == pytest.approx(2 * MB, rel=0.05)
        assert limited.got + other.got == pytest.approx(20 * MB, rel=0.03)
        limited._share.limit = 300_000
        before = limited.got
        await asyncio.sleep(20)
        assert limited.got - before == pytest.approx(6 * MB, rel=0.05)
        await limited.stop()
        await other.stop()

    simulated(scene)


def test_what_came_without_asking_is_paid_off_by_those_that_ask() -> None:
    async def scene(limiter: SpeedLimiter) -> None:
        fetcher, child = Fetcher(limiter.share()), limiter.share()
        for _ in range(20):
            await asyncio.sleep(1)
            child.count(300_000)
        assert fetcher.got == pytest.approx(14 * MB, rel=0.05)
        assert child.rate == pytest.approx(MB / 2, rel=0.01)
        await fetcher.stop()
        child.close()

    simulated(scene)


@pytest.mark.parametrize(
    ("peers", "pace", "jobs", "engine", "share"),
    [
        (9 * MB, 0, 1, 0.5, 0.5), (9 * MB, 0, 3, 0.75, 0.25),  # fair by jobs
        (0.1 * MB, 0, 1, 0.1, 0.9), (9 * MB, 100_000, 1, 0.88, 0.1),  # what one leaves
    ],
)  # fmt: skip
def test_an_engine_and_the_others_share_the_limit_by_jobs_and_none_leaves_any_unused(
    peers: float, pace: float, jobs: int, engine: float, share: float
) -> None:
    async def scene(limiter: SpeedLimiter) -> None:
        theirs = Engine(limiter, peers, jobs)
        await asyncio.sleep(5)
        ours = Fetcher(limiter.share(), tasks=4, pace=pace / 4)
        await asyncio.sleep(10)
        before = theirs.got, ours.got
        await asyncio.sleep(40)
        rates = (theirs.got - before[0]) / 40 / MB, (ours.got - before[1]) / 40 / MB
        assert sum(rates) == pytest.approx(1.0, abs=0.05)
        assert rates == pytest.approx((engine, share), abs=0.05)
        await ours.stop()
        await asyncio.sleep(3)
        assert limiter.engine_rates == limiter.rates
        theirs.task.cancel()

    simulated(scene)
