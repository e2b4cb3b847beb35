"""Names of releases with what they say: those of `hard.txt`, written by hand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from chilly_movies.library.recognition import Recognition
from chilly_movies.library.recognition.text import plain


@dataclass(frozen=True)
class Named:
    """A name, and what it says."""

    name: str
    kind: str | None
    title: str | None
    year: int | None = None
    season: int | None = None
    episodes: tuple[int, ...] = ()
    absolute: tuple[int, ...] = ()

    def title_right(self, found: Recognition) -> bool:
        return plain(found.title or "") == plain(self.title or "") and found.year == self.year

    def numbers_right(self, found: Recognition) -> bool:
        return (found.season, found.episodes, found.absolute) == (
            self.season,
            self.episodes,
            self.absolute,
        )


def hard(path: str | Path = Path(__file__).parent / "hard.txt") -> Iterator[Named]:
    """Yields those that were written by hand."""
    for line in Path(path).read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            name, _, right = line.partition(" => ")
            kind, title, *rest = (part.strip() for part in right.split("|"))
            year, season, episodes, absolute = [*rest, "-", "-", "-", "-"][:4]
            yield Named(
                name,
                None if kind == "?" else kind,
                None if title == "-" else title,
                None if year == "-" else int(year),
                None if season == "-" else int(season),
                numbers(episodes),
                numbers(absolute),
            )


def numbers(text: str) -> tuple[int, ...]:
    """`1,3-5` as numbers."""
    if text == "-":
        return ()
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found.extend(range(int(first), int(last or first) + 1))
    return tuple(found)


def said(one: Named | Recognition) -> str:
    """Title and numbers in a line."""
    return f"{one.title!r} {one.year} {one.season} {one.episodes} {one.absolute}"


@dataclass
class Rates:
    """How much of a corpus was right."""

    names: int = 0
    titles: int = 0
    numbers: int = 0
    kinds: int = 0
    sure: int = 0
    wrong_but_sure: int = 0


def judge(pairs: Iterable[tuple[Named, Recognition]]) -> tuple[Rates, list[str]]:
    """Counts what is right, and says what is not."""
    rates, failures = Rates(), []
    for right, found in pairs:
        title, number = right.title_right(found), right.numbers_right(found)
        rates.names += 1
        rates.titles += title
        rates.numbers += number
        rates.kinds += found.kind == right.kind
        rates.sure += found.sure
        rates.wrong_but_sure += found.sure and not (title and number)
        if not (title and number):
            failures.append(
                f"{'SURE ' if found.sure else ''}{right.name}\n"
                f"  is {said(right)}\n  read {said(found)} {' '.join(found.doubts)}"
            )
    return rates, failures
