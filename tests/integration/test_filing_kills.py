"""A process that files is killed at each step; another one ends what it began."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path, PurePosixPath

import pytest

from chilly_movies.disk.roots import Root, RootedPath
from chilly_movies.disk.tree import DiskTree
from chilly_movies.library.filing import Filer
from chilly_movies.library.models import Item, ItemFile
from chilly_movies.library.naming import Naming
from chilly_movies.runtime.failpoints import VARIABLE
from chilly_movies.storage.library.store import SqliteLibraryStore
from tests.unit.library.items import film, main

STEPS = ["filing.intended", "filing.put@2", "filing.replaced", "filing.taken@2"]


def item_of(title: str = "Faust") -> Item:
    files = [main(n, f"{n}.mkv", part=n + 1, size=4) for n in range(2)]
    return film(title, 1926, *files)


@asynccontextmanager
async def filing_in(folder: Path) -> AsyncIterator[tuple[Filer, SqliteLibraryStore]]:
    store = SqliteLibraryStore(folder / "library.db")
    await store.open()
    media = Root("media", folder / "media", folder / "media")

    def source(file: ItemFile) -> RootedPath:
        return RootedPath(media, PurePosixPath(file.path).parts)

    try:
        yield Filer(DiskTree(folder / "tree"), Naming(), store, source), store
    finally:
        await store.aclose()


async def file_and_undo(folder: Path) -> None:
    """What the process that is killed does."""
    async with filing_in(folder) as (filer, _):
        await filer.file(await filer.plan(item_of()))
        await filer.undo(item_of().id, item_of())


def killed_here() -> None:
    asyncio.run(file_and_undo(Path(sys.argv[1])))


@pytest.mark.parametrize("step", STEPS)
async def test_a_kill_9_at_any_step_leaves_a_film_filed_once_or_not_at_all(
    tmp_path: Path, step: str
) -> None:
    for folder in ("media", "tree"):
        (tmp_path / folder).mkdir()
    for number in range(2):
        (tmp_path / f"media/{number}.mkv").write_text(f"no {number}")
    code = "from tests.integration.test_filing_kills import killed_here; killed_here()"
    killed = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, tmp_path, cwd=Path(__file__).parents[2],
        env={**os.environ, VARIABLE: f"{step}:exit"},
    )  # fmt: skip
    assert await killed.wait() == -signal.SIGKILL

    async def get(_: str) -> Item:
        return item_of()

    async with filing_in(tmp_path) as (filer, store):
        assert await filer.recover(get) == (item_of().id,)
        filing = await store.filing(item_of().id)
        places = set() if filing is None else {file.place for file in filing.files}
        there = {path for path in (tmp_path / "tree").rglob("*") if path.is_file()}
        assert {str(path.relative_to(tmp_path / "tree")) for path in there} == places
        assert bool(places) == (step in ("filing.put@2", "filing.replaced"))
        assert await filer.undo(item_of().id, item_of()) == ()
    assert [*(tmp_path / "tree").iterdir()] == []
    assert {path.stat().st_nlink for path in (tmp_path / "media").iterdir()} == {1}
