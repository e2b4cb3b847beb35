"""What a library of 1,000, 10,000 and 100,000 items costs: searches, lists, export, import.

The store alone, warm, with one client; the file is real. The titles are made of words as unevenly
spread as those of a language: some are in every tenth title, most in a few. One item of eight is a
series of ten to forty episodes. While an import runs, a job of another database changes its state
a hundred times a second, as it would in the same server.

    python -m benchmarks.library [--items 1000 10000 100000] [--searches 500] [--cpu]
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import accumulate, islice
from pathlib import Path
from typing import Final

from chilly_movies.catalogue.titles import TitleKind, TitleRef
from chilly_movies.jobs.events import Change
from chilly_movies.jobs.models import Job, Source, SourceType
from chilly_movies.library.exchange import bring, export
from chilly_movies.library.models import (
    Item,
    ItemEpisode,
    ItemFacts,
    ItemFile,
    ItemState,
    Position,
)
from chilly_movies.library.ports import LibraryQuery, Sorting
from chilly_movies.storage.jobs import open_stores
from chilly_movies.storage.library.store import SqliteLibraryStore

_START: Final = datetime(2026, 1, 1, tzinfo=UTC)
_GENRES: Final = ("Drama", "Comedy", "Horror", "Western", "Documentary", "Science Fiction")
_PLOT: Final = "Two people meet where neither of them should be, and only one of them leaves. " * 4
BOUNDS: Final = {
    "search": 15.0, "typos": 40.0, "list": 15.0, "filter": 15.0, "state change": 50.0,
    "export": 20_000.0, "import": 40_000.0,
}  # fmt: skip
"""Milliseconds; those of searches, lists and changes at the 99th percentile."""


class Words:
    """Made-up words of a language, a few of them frequent.

    Args:
        chance: where they come from.
        count: how many there are.
    """

    def __init__(self, chance: random.Random, count: int = 20_000) -> None:
        consonants, vowels = "bcdfghklmnprstvw", "aeiou"
        made: dict[str, None] = {}
        while len(made) < count:
            size = chance.randint(1, 4)
            word = "".join(chance.choice(consonants) + chance.choice(vowels) for _ in range(size))
            made[word + chance.choice(("", "n", "r", "s", "x"))] = None
        self.all = ["the", "of", "and", "a", *made]
        self._weights = [*accumulate(1 / (rank + 3) for rank in range(len(self.all)))]
        self._chance = chance

    def some(self, count: int) -> list[str]:
        """Words as often as they are in titles."""
        return self._chance.choices(self.all, cum_weights=self._weights, k=count)


def make_items(count: int, seed: int = 1) -> Iterator[Item]:
    """Films and series."""
    chance = random.Random(seed)
    words = Words(chance)
    for number in range(count):
        size = chance.choice((1, 2, 2, 3, 3, 4, 5))
        title = " ".join(words.some(size)).title()
        kind = TitleKind.TV if chance.random() < 0.125 else TitleKind.MOVIE
        episodes = range(1, 1 + chance.randint(10, 40)) if kind is TitleKind.TV else ()
        cast = tuple(" ".join(words.some(2)).title() for _ in range(chance.randint(3, 8)))
        yield Item(
            id=f"lib-{base64.b32encode(chance.randbytes(17))[:26].decode().lower()}",
            kind=kind,
            title=title,
            added_at=_START + timedelta(minutes=number),
            changed_at=_START + timedelta(minutes=number),
            year=chance.randint(1900, 2026) if chance.random() < 0.95 else None,
            ref=TitleRef("tmdb", f"{kind}:{number}"),
            state=chance.choice((ItemState.FILED, ItemState.FILED, ItemState.MATCHED)),
            favourite=chance.random() < 0.02,
            facts=ItemFacts(
                overview=_PLOT,
                runtime=chance.randint(60, 180),
                rating=round(chance.uniform(1, 10), 1),
                genres=tuple(chance.sample(_GENRES, 2)),
                cast=cast,
                external_ids={"imdb": f"tt{number:07}"},
            ),
            files=tuple(
                ItemFile(n, f"{title}/{n}.mkv", 2**30, f"job-{number}", n, season=1, episodes=(n,))
                for n in episodes or (0,)
            ),
            episodes=tuple(ItemEpisode(1, n, f"Episode {n}", runtime=45) for n in episodes),
        )


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing that was measured, in milliseconds."""

    name: str
    items: int
    times: tuple[float, ...]

    @property
    def p99(self) -> float:
        """The 99th percentile; of a single time that one."""
        return sorted(self.times)[-1 - len(self.times) // 100]

    def line(self) -> str:
        """For people."""
        bound = BOUNDS[self.name]
        middle = sorted(self.times)[len(self.times) // 2]
        verdict = "" if self.p99 < bound else "  ABOVE"
        return (
            f"{self.items:>9,} {self.name:<14} {len(self.times):>5} times  "
            f"p50 {middle:>10,.1f} ms  p99 {self.p99:>10,.1f} ms  bound {bound:>8,.0f}{verdict}"
        )


class Clock:
    """Measures milliseconds.

    Args:
        cpu: of work of this process instead of time: for a machine that others use, too.
    """

    def __init__(self, *, cpu: bool) -> None:
        self._now = time.process_time if cpu else time.perf_counter

    async def of(self, call: Awaitable[object]) -> float:
        """What it takes to wait for something."""
        began = self._now()
        await call
        return (self._now() - began) * 1000


def searches(names: list[str], chance: random.Random, *, typos: bool) -> Iterator[LibraryQuery]:
    """What somebody types: words of a title, the last one perhaps begun; or with a wrong letter."""
    while True:
        words = chance.choice(names).split()
        if typos:
            long = [word for word in words if len(word) > 4]
            if not long:
                continue
            word = chance.choice(long)
            at = chance.randrange(1, len(word) - 1)
            words = [word[:at] + "q" + word[at + 1 :]]
        else:
            words = words[: chance.randint(1, 3)]
            words[-1] = words[-1][: max(2, chance.randint(2, 8))]
        yield LibraryQuery(text=" ".join(words))


async def lists(
    store: SqliteLibraryStore, chance: random.Random, number: int, *, filtered: bool
) -> AsyncIterator[LibraryQuery]:
    """Pages in all orders, from the first one on."""
    for _ in range(-(-number // 4)):
        query = LibraryQuery(sort=chance.choice([*Sorting]), descending=chance.random() < 0.5)
        if filtered:
            query = replace(
                query,
                kind=chance.choice((None, *TitleKind)),
                genre=chance.choice((None, *_GENRES)),
                favourite=chance.choice((None, None, True)),
                seen=chance.choice((None, None, False, True)),
            )
        for _ in range(4):
            yield query
            page = await store.page(query)
            if page.next is None:
                break
            query = replace(query, after=page.next)


async def changes(clock: Clock, folder: Path, done: asyncio.Event) -> tuple[float, ...]:
    """How long a job's state changes take, until it is done."""
    jobs, _ = open_stores(folder / "chilly.db")
    await jobs.load()
    now = datetime.now(UTC)
    job = Job("a", "key", Source(SourceType.HTTP, "https://a.example/"), 0, now, now)
    await jobs.add(job, Change.of(0, "queued", job))
    times: list[float] = []
    while not done.is_set():
        times.append(await clock.of(jobs.record(job, Change.of(0, "paused", job))))
        await asyncio.sleep(0.01)
    await jobs.aclose()
    return tuple(times)


async def read(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while chunk := await asyncio.to_thread(file.read, 1 << 16):
            yield chunk


async def write(store: SqliteLibraryStore, file: Path) -> None:
    with file.open("wb") as target:
        async for chunk in export(store):
            target.write(chunk)


async def moved(store: SqliteLibraryStore, clock: Clock, folder: Path, count: int) -> list[Figure]:
    """An export and an import of it into an empty library, beside a server that has a job."""
    file = folder / "export.jsonl"
    exported = await clock.of(write(store, file))
    done, other = asyncio.Event(), SqliteLibraryStore(folder / "other.db")
    watching = asyncio.create_task(changes(clock, folder, done))
    await other.open()
    bringing = asyncio.create_task(bring(other, read(file)))
    imported = await clock.of(bringing)
    done.set()
    if (await bringing).items != count:
        raise SystemExit("not all items were imported")
    await other.aclose()
    return [
        Figure("export", count, (exported,)),
        Figure("import", count, (imported,)),
        Figure("state change", count, await watching),
    ]


async def filled(folder: Path, count: int) -> tuple[SqliteLibraryStore, list[str]]:
    """A library, and the titles of some of its items; a hundred of them were watched."""
    store, items, names = SqliteLibraryStore(folder / "library.db"), make_items(count), list[str]()
    chance = random.Random(2)
    while some := [*islice(items, 500)]:
        await store.put(some)
        names += [item.title for item in some[:: max(1, count // 10_000)]]
        for item in some[:: max(1, count // 100)]:
            for file in item.files[:2]:
                seen = chance.random() < 0.5
                at = _START + timedelta(seconds=chance.randrange(10**6))
                await store.put_position(Position(item.id, "default", file.index, 60, seen, at))
    return store, names


async def measure(folder: Path, count: int, number: int, clock: Clock) -> AsyncIterator[Figure]:
    """All figures of a library of one size."""
    chance = random.Random(3)
    store, names = await filled(folder, count)
    for name, typos in (("search", False), ("typos", True)):
        asked = searches(names, chance, typos=typos)
        queries = [next(asked) for _ in range(number)]
        for query in queries[:20]:
            await store.page(replace(query, limit=1))
        times = [await clock.of(store.page(query)) for query in queries]
        yield Figure(name, count, tuple(times))
    for name, filtered in (("list", False), ("filter", True)):
        times = []
        async for query in lists(store, chance, number, filtered=filtered):
            times.append(await clock.of(store.page(query)))
        yield Figure(name, count, tuple(times))
    for figure in await moved(store, clock, folder, count):
        yield figure
    await store.aclose()


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--searches", type=int, default=500)
    parser.add_argument("--cpu", action="store_true", help="CPU time, not time")
    asked = parser.parse_args()
    clock, above = Clock(cpu=asked.cpu), 0
    for count in asked.items:
        with tempfile.TemporaryDirectory(prefix="library-") as folder:
            async for figure in measure(Path(folder), count, asked.searches, clock):
                print(figure.line(), flush=True)
                above += figure.p99 >= BOUNDS[figure.name] and count <= 100_000
            size = (Path(folder) / "library.db").stat().st_size
            print(f"{count:>9,} the file has {size / 2**20:,.0f} MiB", flush=True)
    return 1 if above else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
