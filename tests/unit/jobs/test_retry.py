"""Trying again: how long to wait, when to stop, and what is never repeated."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chilly_movies import errors
from chilly_movies.errors import MetadataUnavailable, SourceRejected, SourceUnavailable
from chilly_movies.jobs.retry import Patience, RetryPolicy, next_delay, patience_with, retry_call

pytestmark = pytest.mark.anyio

POLICY = RetryPolicy(max_attempts=4, base=1.0, cap=5.0)

policies = st.builds(
    lambda base, extra: RetryPolicy(base=base, cap=base + extra),
    st.floats(0, 1e6),
    st.floats(0, 1e6),
)
fractions = st.floats(0, 1, exclude_max=True)


class Hinting(MetadataUnavailable):
    """Says when to come back."""

    def __init__(self, retry_after: object) -> None:
        super().__init__("busy")
        self.retry_after = retry_after


class Flaky:
    """Raises the given errors one after another, then returns "done"."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors: Iterator[BaseException] = iter(errors)
        self.calls = 0
        self.called = asyncio.Event()

    async def __call__(self) -> str:
        self.calls += 1
        self.called.set()
        for error in self.errors:
            raise error
        return "done"


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What would have been waited for; nothing really waits."""
    asked: list[float] = []
    yield_once = asyncio.sleep

    async def sleep(delay: float) -> None:
        asked.append(delay)
        await yield_once(0)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return asked


async def attempt(
    call: Callable[[], Awaitable[str]],
    *,
    policy: RetryPolicy = POLICY,
    rand: float = 0.5,
    now: Callable[[], float] = lambda: 0.0,
) -> str:
    return await retry_call(call, policy=policy, rand=lambda: rand, clock=now)


# Jobs


@pytest.mark.parametrize(
    ("kind", "patience"),
    [
        (errors.DiskError, Patience.UNTIL_WELL),
        (errors.DiskFull, Patience.UNTIL_WELL),
        (errors.OutOfDescriptors, Patience.UNTIL_WELL),
        (errors.StoreError, Patience.UNTIL_WELL),
        (errors.SourceUnavailable, Patience.LONG),
        (errors.EngineError, Patience.ENDLESS),
        (errors.EngineRestarts, Patience.AT_ONCE),
        (errors.NoMetadata, Patience.LONG),
        (errors.SourceNotFound, Patience.BOUNDED),
        (errors.DriverCrashed, Patience.BOUNDED),
        (errors.SourceRejected, Patience.NONE),
        (errors.FilmDamaged, Patience.NONE),
        (errors.IllegalTransition, Patience.NONE),
        (errors.MetadataUnavailable, Patience.NONE),  # may help again, but not to a download
    ],
)
def test_how_often_a_job_is_tried_again_depends_on_what_is_at_fault(
    kind: type[errors.ChillyError], patience: Patience
) -> None:
    assert patience_with(kind("It went wrong.")) is patience


@given(st.integers(-5, 10_000), policies, fractions)
def test_a_delay_is_between_half_and_all_of_the_capped_exponential(
    attempt: int, policy: RetryPolicy, fraction: float
) -> None:
    full = min(Fraction(policy.cap), Fraction(policy.base) * 2 ** (max(attempt, 1) - 1))
    delay = next_delay(attempt, policy, lambda: fraction)
    assert float(full / 2) <= delay <= float(full)


@given(st.integers(1, 2000), policies, fractions)
def test_a_later_attempt_never_waits_less(
    attempt: int, policy: RetryPolicy, fraction: float
) -> None:
    delays = [next_delay(n, policy, lambda: fraction) for n in (attempt, attempt + 1)]
    assert delays == sorted(delays)


def test_the_default_doubles_from_five_seconds_to_a_quarter_of_an_hour() -> None:
    delays = [next_delay(n, RetryPolicy(), lambda: 1.0) for n in (1, 2, 3, 8, 9, 10**9)]
    assert delays == [5, 10, 20, 640, 900, 900]


def test_less_patience_is_had_with_a_source_if_there_is_another_and_endless_with_ourselves() -> (
    None
):
    def patience(error: errors.ChillyError) -> Patience:
        return patience_with(error, has_another=True)

    dead = (errors.SourceUnavailable("x"), errors.NoMetadata("x"))
    assert {patience(error) for error in dead} == {Patience.SHORT}
    assert patience(errors.SourceNotFound("x")) is Patience.NONE
    assert patience(SourceUnavailable("x", is_final=True)) is Patience.NONE
    ours = (SourceUnavailable("x", is_ours=True), errors.EngineError("x"))
    assert {patience(error) for error in ours} == {Patience.ENDLESS}
    assert patience_with(ours[0]) is Patience.ENDLESS


def test_patience_says_how_often_a_job_is_tried_in_all() -> None:
    policy = RetryPolicy(max_attempts=7, long_attempts=70, short_attempts=3)
    assert [policy.attempts(patience) for patience in Patience] == [
        1,
        7,
        70,
        3,
        math.inf,
        math.inf,
        math.inf,
    ]
    assert RetryPolicy(long_attempts=math.inf).attempts(Patience.LONG) == math.inf


def test_by_default_nobody_is_asked_for_metadata_much_longer_than_a_day() -> None:
    tries = RetryPolicy().attempts(Patience.LONG)
    waits = sum(next_delay(n, RetryPolicy(), lambda: 0.5) for n in range(1, int(tries)))
    assert 16 * 3600 < waits + 120 * tries < 32 * 3600


@pytest.mark.parametrize("attempts", [0, -1, math.nan])
def test_patience_without_a_try_is_refused(attempts: float) -> None:
    with pytest.raises(ValueError, match="must be"):
        RetryPolicy(long_attempts=attempts)


@pytest.mark.parametrize(
    ("attempts", "base", "cap"),
    [(0, 1, 2), (1, -1, 2), (1, 3, 2), (1, math.nan, 2), (1, 1, math.inf)],
)
def test_a_policy_that_makes_no_sense_is_refused(attempts: int, base: float, cap: float) -> None:
    with pytest.raises(ValueError, match="must be"):
        RetryPolicy(max_attempts=attempts, base=base, cap=cap)


# Calls


async def test_a_call_that_succeeds_is_made_once(waits: list[float]) -> None:
    call = Flaky()
    assert await attempt(call) == "done"
    assert (call.calls, waits) == (1, [])


async def test_waits_double_between_attempts_up_to_the_cap(waits: list[float]) -> None:
    call = Flaky(*[SourceUnavailable("down")] * 4)
    policy = RetryPolicy(max_attempts=5, base=1.0, cap=3.0)
    assert await attempt(call, policy=policy, rand=1.0) == "done"
    assert waits == [1.0, 2.0, 3.0, 3.0]


async def test_the_last_error_comes_out_unchanged_after_the_last_attempt(
    waits: list[float],
) -> None:
    errors = [SourceUnavailable(str(n)) for n in range(9)]
    call = Flaky(*errors)
    with pytest.raises(SourceUnavailable) as caught:
        await attempt(call)
    assert caught.value is errors[3]
    assert (call.calls, len(waits)) == (4, 3)


@pytest.mark.parametrize("error", [SourceRejected("no"), ValueError("bug"), OSError("foreign")])
async def test_an_error_that_is_not_retryable_is_not_repeated(
    waits: list[float], error: Exception
) -> None:
    call = Flaky(error)
    with pytest.raises(type(error)) as caught:
        await attempt(call)
    assert caught.value is error
    assert (call.calls, waits) == (1, [])


@pytest.mark.parametrize(("hint", "waited"), [(0, 0.0), (7, 7.0), (29.5, 29.5), (-3, 0.0)])
async def test_a_hint_replaces_the_backoff(waits: list[float], hint: float, waited: float) -> None:
    assert await attempt(Flaky(Hinting(hint))) == "done"
    assert waits == [waited]


@pytest.mark.parametrize("hint", [None, math.nan, "7", True])
async def test_a_hint_that_makes_no_sense_is_ignored(waits: list[float], hint: object) -> None:
    assert await attempt(Flaky(Hinting(hint)), rand=1.0) == "done"
    assert waits == [1.0]


@pytest.mark.parametrize("hint", [30.1, 3600, math.inf])
async def test_a_hint_that_is_too_long_is_not_waited_for(waits: list[float], hint: float) -> None:
    call = Flaky(Hinting(hint))
    with pytest.raises(Hinting):
        await attempt(call)
    assert (call.calls, waits) == (1, [])


async def test_a_hint_of_just_the_longest_wait_is_waited_for(waits: list[float]) -> None:
    assert await attempt(Flaky(Hinting(30.0))) == "done"
    assert waits == [30.0]


async def test_no_wait_begins_that_would_end_after_the_time_is_up(waits: list[float]) -> None:
    # The first attempt begins at 100 and 45 s are allowed: 125 + 20 just fits, 125.1 + 20 does not.
    clock = iter([100.0, 124.9, 125.0, 125.1])
    call = Flaky(*[Hinting(20)] * 9)
    with pytest.raises(Hinting):
        await attempt(call, policy=RetryPolicy(max_attempts=9), now=lambda: next(clock))
    assert (call.calls, waits) == (3, [20.0, 20.0])


async def test_the_time_limit_holds_for_the_usual_backoff_too(waits: list[float]) -> None:
    clock = iter([0.0, 44.5])
    with pytest.raises(SourceUnavailable):
        await attempt(Flaky(SourceUnavailable("slow")), rand=1.0, now=lambda: next(clock))
    assert waits == []


async def test_cancelling_during_a_call_ends_it_at_once() -> None:
    started = asyncio.Event()

    async def hang() -> str:
        started.set()
        await asyncio.Event().wait()
        return "never"

    task = asyncio.create_task(retry_call(hang, policy=POLICY))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_cancelling_during_a_wait_ends_it_at_once() -> None:
    call = Flaky(*[Hinting(29)] * 9)
    task = asyncio.create_task(retry_call(call, policy=POLICY))
    await call.called.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert call.calls == 1
