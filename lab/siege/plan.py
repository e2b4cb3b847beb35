"""Which attacks there are, how large each is, and what must hold of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

P99_MS = 100.0
MEMORY_MB = 300.0


@dataclass(frozen=True, slots=True)
class Row:
    """One attack.

    Attributes:
        attack: its function in `attacks`.
        title: for the table; `{name}` stands for a number of it.
        full: its numbers in a siege.
        small: its numbers in the tests of every day.
        grows: MB of memory it may cost.
        p99: ms that 99 of 100 of the user's answers may take.
        most: what may at most be seen, by the names the attack gives it.
        never: what may not be seen.
        settings: what the server is started with besides the defaults.
    """

    attack: str
    title: str
    full: dict[str, Any]
    small: dict[str, Any]
    grows: float = MEMORY_MB
    p99: float = P99_MS
    most: dict[str, float] = field(default_factory=dict)
    never: tuple[str, ...] = ("500", "502", "silent", "no connection")
    settings: dict[str, str] = field(default_factory=dict)


ROWS = (
    Row("slowloris", "slowloris: {connections} connections, a byte at a time",
        {"connections": 1000, "seconds": 30, "pause": 1.0},
        {"connections": 600, "seconds": 2, "pause": 0.5}),
    Row("endless_heads", "heads of 100 MB on {connections} connections",
        {"connections": 40, "at_once": 8, "bytes": 100_000_000},
        {"connections": 4, "at_once": 4, "bytes": 20_000_000},
        grows=16, most={"KiB that got away": 10_000}),
    Row("endless_bodies", "bodies of 1 GB, with length and in chunks, {connections} connections",
        {"connections": 34, "at_once": 8, "bytes": 10**9},
        {"connections": 4, "at_once": 4, "bytes": 20_000_000}, grows=16),
    Row("many_bodies", "{rounds} times {connections} bodies of 1 MB at once and 2 of 400 MB (A10)",
        {"connections": 200, "rounds": 3}, {"connections": 60, "rounds": 1}, grows=16),
    Row("streams", "{streams} event streams, one in ten does not read",
        {"streams": 10_000, "at_once": 100, "hold": 5},
        {"streams": 700, "at_once": 50, "hold": 0.5}, most={"200": 128}),
    Row("stalled", "{half} half-open, {idle} idle, {slow} slow bodies (A12)",
        {"half": 300, "idle": 50, "slow": 20}, {"half": 30, "idle": 5, "slow": 4},
        p99=50, most={"s until the last was closed": 10}),
    Row("large_heads", "heads of 1 MB, of 5,000 fields, addresses of 70 kB, {connections} (A13)",
        {"connections": 3000, "at_once": 8}, {"connections": 30, "at_once": 8}, grows=2),
    Row("forwarded", "{requests} calls that lie about X-Forwarded-For (A9)",
        {"requests": 100_000}, {"requests": 500}, grows=1, never=("500", "good client: 429")),
    Row("odd_ranges", "{requests} odd Range fields, 6,000 ranges in one (A38)",
        {"requests": 1000}, {"requests": 100}, grows=16, most={"ms for 99 of 100": 50}),
    Row("pipelines", "{connections} connections that send 20,000 calls and read nothing",
        {"connections": 100, "hold": 5}, {"connections": 10, "hold": 0.5}, grows=32),
    Row("torrents", "torrents that are to blow the parser up, {rounds} times (A20)",
        {"rounds": 5, "whole": True}, {"rounds": 1, "whole": False}, grows=64,
        never=("500", "502", "silent", "no connection", "not as wanted"),
        settings={"CHILLY_RATE_LIMIT_START": "9999/second", "CHILLY_METADATA_TIMEOUT": "5"}),
    Row("listeners", "{streams} event streams where 500 may be, one in ten does not read (A38)",
        {"streams": 600, "at_once": 50, "changes": 1000},
        {"streams": 600, "at_once": 50, "changes": 20}, grows=32, most={"200": 500},
        settings={"CHILLY_MAX_STREAMS": "500", "CHILLY_RATE_LIMIT_CANCEL": "99999/second"}),
)  # fmt: skip
