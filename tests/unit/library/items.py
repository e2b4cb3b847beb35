"""Items of tests, in few words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from chilly_movies.catalogue.titles import TitleKind, TitleRef
from chilly_movies.library.models import FileRole, Item, ItemEpisode, ItemFacts, ItemFile

_THEN = datetime(2026, 11, 30, tzinfo=UTC)


def film(title: str, year: int | None = None, *files: ItemFile, **more: Any) -> Item:
    return _item(TitleKind.MOVIE, title, year, files or (main(0, "film.mkv"),), **more)


def series(title: str, year: int | None = None, *files: ItemFile, **more: Any) -> Item:
    return _item(TitleKind.TV, title, year, files, **more)


def _item(
    kind: TitleKind,
    title: str,
    year: int | None,
    files: Sequence[ItemFile],
    *,
    id: str = "lib-aaaaaaaaaaaaaaaaaaaaaaaaaa",  # noqa: A002
    ref: str | None = None,
    episodes: Sequence[ItemEpisode] = (),
    **facts: Any,
) -> Item:
    return Item(
        id, kind, title, _THEN, _THEN, year=year, ref=None if ref is None else TitleRef.read(ref),
        facts=ItemFacts(**facts), files=tuple(files), episodes=tuple(episodes),
    )  # fmt: skip


def main(index: int, path: str, **more: Any) -> ItemFile:
    return ItemFile(index, path, **{"size": 1, **more})


def episode(index: int, season: int, *numbers: int, **more: Any) -> ItemFile:
    path = more.pop("path", f"show/{season}/{'-'.join(map(str, numbers))} {index}.mkv")
    return main(index, path, season=season, episodes=numbers, **more)


def subtitle(index: int, path: str, language: str | None, *flags: str, **more: Any) -> ItemFile:
    return main(index, path, role=FileRole.SUBTITLE, language=language, flags=flags, **more)


def extra(index: int, path: str, **more: Any) -> ItemFile:
    return main(index, path, role=FileRole.EXTRA, **more)
