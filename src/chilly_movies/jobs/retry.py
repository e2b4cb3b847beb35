"""When to try again: right away for one call, later for a whole job.

Both use the same rule. The wait doubles with each failure up to a cap, and a random part of up
to one half is taken off, so that many callers who failed together do not come back together.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TypeVar

import structlog

from chilly_movies.errors import (
    ChillyError,
    DiskError,
    DownloadError,
    EngineError,
    EngineRestarts,
    SourceNotFound,
    SourceUnavailable,
    StoreError,
)
from chilly_movies.jobs.settings import JobSettings
from chilly_movies.jobs.source_rules import SourceRules

T = TypeVar("T")
log = structlog.get_logger(__name__)


class Patience(Enum):
    """What becomes of a job whose attempt ended in an error."""

    NONE = auto()
    """It fails: trying again would not change it."""
    BOUNDED = auto()
    """It is tried so many times, then it fails: the source or the driver is at fault."""
    LONG = auto()
    """The same with many more tries: the source may come back, or there is nothing to find."""
    SHORT = auto()
    """It is tried a few times, then the next source is taken."""
    ENDLESS = auto()
    """It is tried as long as it is wanted, ever more rarely: something of ours is at fault."""
    AT_ONCE = auto()
    """It goes on at once, and that counts as no attempt: neither job nor source is at fault."""
    UNTIL_WELL = auto()
    """It goes on when the disk or the database is well again; that counts as no attempt."""


def patience_with(error: ChillyError, *, has_another: bool = False) -> Patience:
    """How often a job is tried again after this error.

    Args:
        error: what ended the attempt.
        has_another: the job has another source that may be tried.
    """
    if isinstance(error, DiskError | StoreError):
        return Patience.UNTIL_WELL
    if isinstance(error, EngineRestarts):
        return Patience.AT_ONCE
    if isinstance(error, EngineError):
        return Patience.ENDLESS
    if isinstance(error, SourceNotFound) and has_another:
        return Patience.NONE
    if isinstance(error, SourceUnavailable):
        return _with_source(error, has_another=has_another)
    if isinstance(error, DownloadError) and error.retryable:
        return Patience.SHORT if has_another else Patience.BOUNDED
    return Patience.NONE


def _with_source(error: SourceUnavailable, *, has_another: bool) -> Patience:
    if error.is_ours:
        return Patience.ENDLESS
    if error.is_final:
        return Patience.NONE
    return Patience.SHORT if has_another else Patience.LONG


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how patiently to try. The defaults are meant for jobs.

    Attributes:
        max_attempts: tries in all, the first one included; at least 1.
        long_attempts: the same where patience is `LONG`. By default a day of them, more or less,
            if each takes two minutes.
        short_attempts: the same where it is `SHORT`.
        rules: when a source is given up for the next one though it did not fail.
        base: seconds of the first wait before jitter.
        cap: seconds no wait exceeds.

    Raises:
        ValueError: the values contradict each other.
    """

    max_attempts: int = 5
    long_attempts: float = 100
    short_attempts: int = 5
    rules: SourceRules = field(default_factory=SourceRules)
    base: float = 5.0
    cap: float = 900.0

    def __post_init__(self) -> None:
        if self.max_attempts < 1 or not self.long_attempts >= 1:
            raise ValueError("max_attempts and long_attempts must be at least 1")
        if not (0 <= self.base <= self.cap and math.isfinite(self.cap)):
            raise ValueError("base and cap must be finite, and 0 <= base <= cap")

    def attempts(self, patience: Patience) -> float:
        """How often a job is tried in all, `inf` = without end."""
        return {
            Patience.NONE: 1,
            Patience.BOUNDED: self.max_attempts,
            Patience.LONG: self.long_attempts,
            Patience.SHORT: self.short_attempts,
        }.get(patience, math.inf)


def policy_of(settings: JobSettings) -> RetryPolicy:
    """How often and how patiently jobs are tried, as the user set it."""
    return RetryPolicy(
        long_attempts=settings.metadata_tries or math.inf,
        short_attempts=settings.source_tries,
        rules=SourceRules(
            settings.source_patience, settings.source_slow, settings.source_min_speed
        ),
    )


CALL_POLICY = RetryPolicy(max_attempts=3, base=0.5, cap=5.0)
"""The default for a single call somebody is waiting for."""


def next_delay(attempt: int, policy: RetryPolicy, rand: Callable[[], float]) -> float:
    """How long to wait after a failure.

    Args:
        attempt: which try just failed, counted from 1; anything smaller counts as 1.
        policy: base and cap.
        rand: returns a number in [0, 1), like `random.random`.

    Returns:
        Seconds, between one half of min(cap, base * 2 ** (attempt - 1)) and all of it.
    """
    try:
        full = min(policy.cap, math.ldexp(policy.base, max(attempt, 1) - 1))
    except OverflowError:
        full = policy.cap
    return full * (0.5 + 0.5 * rand())


async def retry_call(
    call: Callable[[], Awaitable[T]],
    *,
    policy: RetryPolicy = CALL_POLICY,
    total: float = 45.0,
    longest_hint: float = 30.0,
    rand: Callable[[], float] = random.random,
    clock: Callable[[], float] = time.monotonic,
) -> T:
    """Call until it succeeds, fails for good or the patience is used up.

    Only a `ChillyError` whose `retryable` is True is tried again. If the error has an attribute
    `retry_after` (seconds), that is how long to wait instead of backing off. Cancelling ends it
    at once, whether a call or a wait is going on.

    Args:
        call: starts a fresh attempt each time; it bounds its own duration.
        policy: attempts and backoff.
        total: no wait begins that would end more than so many seconds after the first attempt
            began.
        longest_hint: a larger `retry_after` is not waited for.
        rand: for the jitter.
        clock: seconds that only grow.

    Returns:
        What `call` returned.

    Raises:
        Exception: the last error of `call`, unchanged.
    """
    deadline, failures = clock() + total, 0
    while True:
        try:
            return await call()
        except ChillyError as error:
            failures += 1
            hint = hint_of(error)
            delay = next_delay(failures, policy, rand) if hint is None else hint
            if not error.retryable or failures >= policy.max_attempts:
                raise
            if (hint is not None and hint > longest_hint) or clock() + delay > deadline:
                raise
            log.warning("a call is made again", error=type(error).__name__, seconds=round(delay, 1))
        await asyncio.sleep(delay)


def hint_of(error: ChillyError) -> float | None:
    """Seconds that the other side asks to wait, None if it says nothing that makes sense."""
    hint = getattr(error, "retry_after", None)
    if isinstance(hint, bool) or not isinstance(hint, int | float) or math.isnan(hint):
        return None
    return max(0.0, float(hint))
