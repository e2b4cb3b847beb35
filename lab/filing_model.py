"""Random sequences of filing, undoing, renaming, deleting, full disks and kills against a model.

`python -m lab.filing_model --runs 10000 --seed 1` prints one line; a run that breaks a promise is
printed with its seed and steps. `--undo 500` files that many items and takes all out again.

What must hold after each step: no film is lost (its bytes are somewhere unless the user deleted
every name of it), and no file of somebody else is touched. After a recovery: what the journal says
stands in the tree, nothing else of ours does, and nothing is left that was made ready.
"""

from __future__ import annotations

import argparse
import asyncio
import errno
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any
from unittest.mock import patch

from chilly_movies.catalogue.titles import TitleKind
from chilly_movies.disk.roots import Root, RootedPath
from chilly_movies.disk.tree import DiskTree
from chilly_movies.errors import ChillyError
from chilly_movies.library.filing import Filer
from chilly_movies.library.models import FileRole, Filing, How, Item, ItemFile
from chilly_movies.library.naming import Naming
from chilly_movies.library.templates import NamingStyle
from chilly_movies.storage.library.memory import MemoryLibraryStore

THEN = datetime(2026, 11, 30, tzinfo=UTC)
TITLES = ["Nosferatu", "NOSFERATU", "Faust", "Metropolis: II", "Ähm", "M", "CON"]
STEPS_IN_A_RUN = 12


class KilledError(BaseException):
    """The process ends here."""


class FaultyTree(DiskTree):
    """A tree that a kill or a full disk hits at its n-th call, before or after it is done."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.left = -1
        self.fault: Callable[[], BaseException] = KilledError
        self.after = False

    def _now(self, work: Callable[[], Any]) -> Any:
        self.left -= 1
        if self.left == 0 and not self.after:
            raise self.fault()
        found = work()
        if self.left == 0:
            raise self.fault()
        return found

    def stage(self, *args: Any, **more: Any) -> Any:
        return self._now(lambda: super(FaultyTree, self).stage(*args, **more))

    def put(self, *args: Any, **more: Any) -> None:
        self._now(lambda: super(FaultyTree, self).put(*args, **more))

    def remove(self, *args: Any, **more: Any) -> Any:
        return self._now(lambda: super(FaultyTree, self).remove(*args, **more))

    def clear(self, *args: Any, **more: Any) -> None:
        self._now(lambda: super(FaultyTree, self).clear(*args, **more))


class NoLinks(FaultyTree):
    """The same on a file system without links: everything is copied."""

    def stage(self, key: str, number: int, source: Any, **more: Any) -> Any:
        if not isinstance(source, bytes):
            with copying_only():
                return super().stage(key, number, source, **more)
        return super().stage(key, number, source, **more)


@contextmanager
def copying_only() -> Iterator[None]:
    with patch("chilly_movies.disk.tree.goes", lambda *_: False):
        yield


class Run:
    """One world, and what should be true of it."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.chance = chance
        self.media, self.root = folder / "media", folder / "tree"
        self.media.mkdir()
        self.root.mkdir()
        self.journal = MemoryLibraryStore()
        kind = NoLinks if chance.random() < 0.3 else FaultyTree
        self.tree = kind(self.root)
        self.items: dict[str, Item] = {}
        self.films: dict[bytes, Path] = {}
        self.foreign: dict[Path, tuple[int, bytes]] = {}
        self.steps: list[str] = []
        self.number = 0
        self.restart()
        for _ in range(2):
            self.new_item()

    def restart(self) -> None:
        media = Root("media", self.media, self.media)

        def source(file: ItemFile) -> RootedPath:
            return RootedPath(media, PurePosixPath(file.path).parts)

        self.tree.left = -1
        self.filer = Filer(self.tree, Naming(NamingStyle.KODI), self.journal, source)

    # --- what the user and the program do ---------------------------------------------------

    def new_item(self) -> None:
        self.number += 1
        files = []
        for index in range(self.chance.randint(1, 3)):
            path = f"{self.number}/{index}.mkv"
            data = f"film {self.number} {index} ".encode() * 9
            target = self.media / path
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(data)
            self.films[data] = target
            files.append(ItemFile(index, path, len(data), part=index + 1, role=FileRole.MAIN))
        item = Item(
            f"lib-{self.number}", TitleKind.MOVIE, self.chance.choice(TITLES), THEN, THEN,
            year=1922, files=tuple(files),
        )  # fmt: skip
        self.items[item.id] = item

    async def step(self) -> None:
        name = self.chance.choice(
            ["file"] * 5 + ["undo"] * 3 + ["rename", "moved", "delete", "foreign", "edit", "new"]
        )
        item = self.items[self.chance.choice([*self.items])]
        fault = self.chance.choice(["", "", "", "kill", "kill", "full"])
        self.tree.left = self.chance.randint(1, 12) if fault else -1
        self.tree.after = self.chance.random() < 0.5
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.tree.fault = KilledError if fault == "kill" else lambda: full
        self.steps.append(f"{name} {item.id} {fault}{self.tree.left if fault else ''}")
        try:
            await getattr(self, f"do_{name}")(item)
        except (ChillyError, KilledError):
            self.restart()
            await self.filer.recover(self.get)
        self.tree.left = -1

    async def get(self, item_id: str) -> Item | None:
        return self.items.get(item_id)

    async def do_file(self, item: Item) -> None:
        early = {0: "http://127.0.0.1/x"} if self.chance.random() < 0.2 else {}
        plan = await self.filer.plan(item, early=early)
        if self.chance.random() < 0.2 and plan.files:
            self.put_foreign(self.root / self.chance.choice(plan.files).place)
        await self.filer.file(plan)

    async def do_undo(self, item: Item) -> None:
        await self.filer.undo(item.id, item)

    async def do_rename(self, item: Item) -> None:
        self.items[item.id] = replace(item, title=self.chance.choice(TITLES))
        await self.do_file(self.items[item.id])

    async def do_moved(self, item: Item) -> None:
        """The job's film is moved in the media folder."""
        file = self.chance.choice(item.files)
        path = f"moved {self.number} {len(self.steps)}.mkv"
        if not (self.media / file.path).exists():
            return
        (self.media / file.path).rename(self.media / path)
        files = tuple(replace(one, path=path) if one is file else one for one in item.files)
        self.items[item.id] = replace(item, files=files)

    async def do_delete(self, item: Item) -> None:
        """The user deletes the original; the film is gone only if it is not filed."""
        path = self.media / self.chance.choice(item.files).path
        if path.exists():
            data = path.read_bytes()
            path.unlink()
            if not any(one.read_bytes() == data for one in self.all_files()):
                self.films.pop(data, None)

    async def do_foreign(self, item: Item) -> None:
        places = Naming(NamingStyle.KODI).places(item)
        self.put_foreign(self.root / self.chance.choice([*places.values()]))

    async def do_edit(self, item: Item) -> None:
        """The user writes an NFO of ours anew: it is the user's own then."""
        filing = await self.journal.filing(item.id)
        for file in () if filing is None else filing.files:
            path = self.root / file.place
            if file.index is None and path.exists() and path not in self.foreign:
                path.write_bytes(b"edited %d" % len(self.steps))
                self.foreign[path] = path.stat().st_ino, path.read_bytes()
                return

    async def do_new(self, item: Item) -> None:
        self.new_item()

    def put_foreign(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_bytes(b"mine " + path.name.encode())
            self.foreign[path] = path.stat().st_ino, path.read_bytes()

    # --- what must hold ---------------------------------------------------------------------

    def all_files(self) -> Iterator[Path]:
        for folder in (self.media, self.root):
            yield from (path for path in folder.rglob("*") if path.is_file())

    async def check(self) -> None:
        there = {path: path.read_bytes() for path in self.all_files()}
        for data, path in self.films.items():
            assert data in there.values(), f"a film is lost: {path}"
        for path, (inode, data) in self.foreign.items():
            assert there.get(path) == data, f"somebody else's file was touched: {path}"
            assert path.stat().st_ino == inode, f"somebody else's file was replaced: {path}"
        filings = [f for f in [await self.journal.filing(i) for i in self.items] if f is not None]
        ours = [(filing, file) for filing in filings for file in filing.files]
        places = [self.root / file.place for _, file in ours]
        assert len(set(places)) == len(places), "two files have one place"
        in_tree = {path for path in there if path.is_relative_to(self.root)}
        odd = in_tree - {*places, *self.foreign}
        assert not odd, f"in the tree and in no journal: {odd}"
        for filing, file in ours:
            self.check_file(filing, file.index, self.root / file.place, there)

    def check_file(
        self, filing: Filing, index: int | None, path: Path, there: dict[Path, bytes]
    ) -> None:
        if path in self.foreign:
            return
        assert path in there, f"it is filed and not there: {path}"
        if index is not None:
            number = filing.item_id.removeprefix("lib-")
            assert there[path] == f"film {number} {index} ".encode() * 9, f"another film: {path}"

    async def end(self) -> None:
        """Undoes all; only what has no original any more, and what is somebody's, stays."""
        for item in self.items.values():
            await self.filer.undo(item.id, item)
            filing = await self.journal.filing(item.id)
            for file in () if filing is None else filing.files:
                original = next(one for one in item.files if one.index == file.index)
                path = self.media / original.path
                same = file.how is not How.HARDLINK or not (
                    path.exists() and path.samefile(self.root / file.place)
                )
                assert not path.exists() or not same, f"it stays though it could go: {file.place}"
        await self.check()


async def one_run(seed: int) -> None:
    folder = Path(tempfile.mkdtemp(prefix="filing-", dir="/dev/shm" if fast() else None))
    run: Run | None = None
    try:
        run = Run(folder, random.Random(seed))
        descriptors = open_descriptors()
        for _ in range(STEPS_IN_A_RUN):
            await run.step()
            await run.check()
        await run.end()
        assert open_descriptors() <= descriptors + 1, "descriptors are left open"
    except BaseException:
        print(f"seed {seed}: {run.steps if run else ''}", file=sys.stderr)
        raise
    finally:
        shutil.rmtree(folder)


def open_descriptors() -> int:
    return len([*Path("/proc/self/fd").iterdir()])


def fast() -> bool:
    return Path("/dev/shm").is_dir()


async def undo_many(count: int, seed: int = 1) -> str:
    """Files many items in a tree that has files already, undoes all, and compares everything."""
    folder = Path(tempfile.mkdtemp(prefix="filing-", dir="/dev/shm" if fast() else None))
    try:
        run = Run(folder, random.Random(seed))
        while len(run.items) < count:
            run.new_item()
        for item in [*run.items.values()][::7]:
            await run.do_foreign(item)
        before = seen(run)
        for item in run.items.values():
            await run.filer.file(await run.filer.plan(item))
        filed = sum(1 for path in run.root.rglob("*") if path.is_file()) - len(run.foreign)
        await run.check()
        for item in run.items.values():
            assert await run.filer.undo(item.id, item) == ()
        assert seen(run) == before, "the tree is not what it was"
    finally:
        shutil.rmtree(folder)
    return f"{count} filings, {filed} files in the tree; undone: every file, inode and link count"


def seen(run: Run) -> dict[str, tuple[int, int, bytes]]:
    found = {}
    for top in (run.media, run.root):
        for path in top.rglob("*"):
            status = path.stat()
            is_file = path.is_file()
            links = status.st_nlink if is_file else 0
            found[str(path)] = (status.st_ino, links, path.read_bytes() if is_file else b"")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--undo", type=int, default=0)
    wanted = parser.parse_args()
    began = time.monotonic()
    if wanted.undo:
        print(asyncio.run(undo_many(wanted.undo, wanted.seed)))
    else:

        async def all_runs() -> None:
            for seed in range(wanted.seed, wanted.seed + wanted.runs):
                await one_run(seed)

        asyncio.run(all_runs())
        print(f"{wanted.runs} sequences of {STEPS_IN_A_RUN} steps: no film lost, nothing touched")
    print(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
