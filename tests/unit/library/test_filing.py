"""Filing into a real folder, and out of it again."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from chilly_movies.disk import tree as tree_module
from chilly_movies.disk.copying import CopyStoppedError
from chilly_movies.disk.roots import Root, RootedPath
from chilly_movies.disk.tree import DiskTree
from chilly_movies.errors import DiskError, DiskFull, FileNotFound
from chilly_movies.library.filing import Filer, with_filing
from chilly_movies.library.models import FilingState, How, Item, ItemFile, ItemState
from chilly_movies.library.naming import Naming
from chilly_movies.library.templates import NamingStyle
from chilly_movies.runtime import failpoints
from chilly_movies.storage.library.memory import MemoryLibraryStore
from tests.unit.library.items import episode, film, main, series, subtitle

PNG = b"\x89PNG\r\n\x1a\n and so on"
FILM = "Movies/Nosferatu (1922)/Nosferatu (1922)"


class World:
    """A media folder with films, an empty tree, and who files."""

    def __init__(self, media: Path, tree: Path) -> None:
        self.media, self.tree = media, tree
        self.journal = MemoryLibraryStore()
        media.mkdir()
        tree.mkdir(exist_ok=True)
        self.filer = self.another()

    def another(self, tree: DiskTree | None = None) -> Filer:
        """Who files after a restart."""
        root = Root("media", self.media, self.media)

        def source(file: ItemFile) -> RootedPath:
            return RootedPath(root, PurePosixPath(file.path).parts)

        naming = Naming(NamingStyle.KODI)
        return Filer(tree or DiskTree(self.tree), naming, self.journal, source)

    def bring(self, item: Item) -> Item:
        """Puts bytes where the files of an item lie."""
        files = []
        for file in item.files:
            path = self.media / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(f"{item.title} {file.path}".encode() * 100)
            files.append(replace(file, size=path.stat().st_size))
        return replace(item, files=tuple(files))

    async def file(self, item: Item, **more: Any) -> Item:
        """Files an item as planned, and says how it is then."""
        filing = await self.filer.file(await self.filer.plan(item, **more))
        assert filing.state is FilingState.FILED
        return with_filing(item, filing)

    def holds(self) -> dict[str, bytes | None]:
        """All that is in the tree; None = a folder."""
        return {
            str(path.relative_to(self.tree)): path.read_bytes() if path.is_file() else None
            for path in sorted(self.tree.rglob("*"))
        }

    def seen(self) -> dict[str, tuple[int, int, bytes]]:
        """Every file of both folders: its inode, its names, its bytes."""
        return {
            str(path): (path.stat().st_ino, path.stat().st_nlink, path.read_bytes())
            for folder in (self.media, self.tree)
            for path in folder.rglob("*")
            if path.is_file()
        } | {str(path): (0, 0, b"") for path in self.tree.rglob("*") if path.is_dir()}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "media", tmp_path / "tree")


@pytest.fixture
def apart(tmp_path: Path) -> Iterator[World]:
    """A world whose tree is on another disk."""
    shm = Path("/dev/shm")
    if not shm.is_dir() or shm.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system")
    tree = shm / f"chilly-tree-{os.getpid()}-{tmp_path.name}"
    yield World(tmp_path / "media", tree)
    for path in sorted(tree.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    tree.rmdir()


def nosferatu(*files: ItemFile, **more: Any) -> Item:
    return film("Nosferatu", 1922, *(files or (main(0, "n/nosferatu.mkv"),)), **more)


async def test_a_film_is_filed_as_a_second_name_with_nfo_and_picture_and_undone(
    world: World,
) -> None:
    item = world.bring(nosferatu(main(0, "n/n.mkv"), subtitle(1, "n/n.de.srt", "de", "forced")))
    before = world.seen()
    item = await world.file(item, pictures={"poster": PNG, "still": PNG, "backdrop": b"no picture"})
    assert item.state is ItemState.FILED
    assert [(file.filed, file.how) for file in item.files] == [
        (f"{FILM}.mkv", How.HARDLINK),
        (f"{FILM}.de.forced.srt", How.HARDLINK),
    ]
    assert [name for name, data in world.holds().items() if data is not None] == [
        f"{FILM}.de.forced.srt", f"{FILM}.mkv", f"{FILM}.nfo", "Movies/Nosferatu (1922)/poster.png",
    ]  # fmt: skip
    assert (world.media / "n/n.mkv").samefile(world.tree / f"{FILM}.mkv")
    assert await world.filer.undo(item.id, item) == ()
    assert world.seen() == before
    assert await world.journal.filing(item.id) is None
    assert with_filing(item, None).files[0].filed is None


async def test_a_film_on_another_disk_is_copied_with_its_times_and_undone(apart: World) -> None:
    item = apart.bring(nosferatu())
    os.utime(apart.media / "n/nosferatu.mkv", ns=(1, 10**18))
    before = apart.seen()
    plan = await apart.filer.plan(item)
    assert [file.how for file in plan.files if file.index == 0] == [How.COPY]
    item = await apart.file(item)
    copied = apart.tree / f"{FILM}.mkv"
    assert copied.read_bytes() == (apart.media / "n/nosferatu.mkv").read_bytes()
    assert copied.stat().st_mtime_ns == 10**18
    assert await apart.filer.undo(item.id, item) == ()
    assert apart.seen() == before


async def test_a_plan_changes_nothing_and_names_what_collides(world: World) -> None:
    item = world.bring(nosferatu())
    foreign = world.tree / "Movies/NOSFERATU (1922)/x.txt"
    foreign.parent.mkdir(parents=True)
    foreign.write_text("mine")
    before = world.seen()
    plan = await world.filer.plan(item)
    assert plan.collisions == (f"{FILM}.mkv",)
    assert plan.files[0].place == "Movies/Nosferatu (1922) (2)/Nosferatu (1922) (2).mkv"
    assert world.seen() == before
    item = await world.file(item)
    await world.filer.undo(item.id, item)
    assert world.seen() == before


async def test_files_of_somebody_else_in_the_folder_stay_as_they_are(world: World) -> None:
    item = world.bring(nosferatu())
    folder = world.tree / "Movies/Nosferatu (1922)"
    folder.mkdir(parents=True)
    for name in ("poster.png", "Nosferatu (1922).nfo", "notes.txt"):
        (folder / name).write_text("mine")
    before = world.seen()
    item = await world.file(item, pictures={"poster": PNG})
    assert (folder / "poster.png").read_text() == (folder / "Nosferatu (1922).nfo").read_text()
    assert (folder / "Nosferatu (1922).mkv").is_file()
    await world.filer.undo(item.id, item)
    assert world.seen() == before


async def test_what_was_changed_since_and_what_is_the_last_name_stay(world: World) -> None:
    item = await world.file(world.bring(nosferatu()))
    (world.tree / f"{FILM}.nfo").write_text("better")
    (world.media / "n/nosferatu.mkv").unlink()
    assert await world.filer.undo(item.id, item) == (f"{FILM}.mkv", f"{FILM}.nfo")
    kept = await world.journal.filing(item.id)
    assert kept is not None
    assert [file.place for file in kept.files] == [f"{FILM}.mkv"]
    assert (world.tree / f"{FILM}.nfo").read_text() == "better"


async def test_a_copy_whose_original_is_gone_stays(apart: World) -> None:
    item = await apart.file(apart.bring(nosferatu()))
    (apart.media / "n/nosferatu.mkv").unlink()
    assert await apart.filer.undo(item.id, item) == (f"{FILM}.mkv",)
    assert (apart.tree / f"{FILM}.mkv").is_file()


async def test_another_title_moves_what_is_filed_even_if_the_original_is_gone(world: World) -> None:
    item = await world.file(world.bring(nosferatu()))
    inode = (world.tree / f"{FILM}.mkv").stat().st_ino
    (world.media / "n/nosferatu.mkv").unlink()
    item = await world.file(replace(item, title="Nosferatu, a Symphony"))
    names = [name for name, data in world.holds().items() if data is not None]
    folder = "Movies/Nosferatu, a Symphony (1922)/Nosferatu, a Symphony (1922)"
    assert names == [f"{folder}.mkv", f"{folder}.nfo"]
    assert (world.tree / f"{folder}.mkv").stat().st_ino == inode
    assert "Movies/Nosferatu (1922)" not in world.holds()


async def test_a_series_grows_and_what_stands_is_left_alone(world: World) -> None:
    show = world.bring(series("Robin Hood", 1955, episode(0, 1, 1), episode(1, 1, 2)))
    show = await world.file(show)
    first = world.tree / (show.files[0].filed or "")
    changed = first.stat().st_ctime_ns
    new = world.bring(series("Robin Hood", 1955, episode(2, 2, 1)))
    more = await world.file(replace(show, files=(*show.files, *new.files)))
    assert first.stat().st_ctime_ns == changed
    assert [file.filed is not None for file in more.files] == [True, True, True]
    await world.filer.undo(more.id, more)
    assert world.holds() == {}


async def test_a_link_stands_there_before_the_end_and_the_film_after(world: World) -> None:
    item = world.bring(nosferatu())
    link = "http://127.0.0.1:3000/stream/x?sig=1"
    early = await world.file(item, early={0: link})
    assert early.state is not ItemState.FILED
    assert world.holds()[f"{FILM}.strm"] == link.encode() + b"\n"
    assert f"{FILM}.mkv" not in world.holds()
    item = await world.file(item)
    assert item.state is ItemState.FILED
    assert f"{FILM}.strm" not in world.holds()
    assert f"{FILM}.mkv" in world.holds()


async def test_a_picture_that_cannot_be_had_again_stays(world: World) -> None:
    item = await world.file(world.bring(nosferatu()), pictures={"poster": PNG})
    await world.file(item)
    assert world.holds()["Movies/Nosferatu (1922)/poster.png"] == PNG
    await world.filer.undo(item.id, item)
    assert world.holds() == {}


async def test_filing_twice_is_filing_once(world: World) -> None:
    item = await world.file(world.bring(nosferatu()))
    once = set(world.holds())
    links = (world.media / "n/nosferatu.mkv").stat().st_nlink
    plan = await world.filer.plan(item)
    assert (plan.removed, plan.collisions, plan.files[0].how) == ((), (), None)
    await world.file(item)
    assert set(world.holds()) == once
    assert (world.media / "n/nosferatu.mkv").stat().st_nlink == links == 2


async def test_a_film_that_is_gone_leaves_the_tree_as_it_was(world: World) -> None:
    item = world.bring(nosferatu(main(0, "n/a.mkv", part=1), main(1, "n/b.mkv", part=2)))
    before = world.seen()
    plan = await world.filer.plan(item)
    (world.media / "n/b.mkv").rename(world.media / "n/c.mkv")
    with pytest.raises(FileNotFound):
        await world.filer.file(plan)
    (world.media / "n/c.mkv").rename(world.media / "n/b.mkv")
    assert world.seen() == before
    assert await world.journal.filing(item.id) is None


class FullTree(DiskTree):
    """A tree whose disk is full from the second file on."""

    def stage(self, key: str, number: int, *args: Any, **more: Any) -> Any:
        if number == 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().stage(key, number, *args, **more)


async def test_a_full_disk_leaves_the_tree_as_it_was(world: World) -> None:
    item = world.bring(nosferatu())
    before = world.seen()
    filer = world.another(FullTree(world.tree))
    with pytest.raises(DiskFull):
        await filer.file(await filer.plan(item))
    assert world.seen() == before


async def test_a_name_that_is_taken_meanwhile_is_not_replaced(world: World) -> None:
    item = world.bring(nosferatu())
    plan = await world.filer.plan(item)
    for end in (".mkv", ".nfo"):
        taken = world.tree / f"{FILM}{end}"
        taken.parent.mkdir(parents=True, exist_ok=True)
        taken.write_text("mine")
    filing = await world.filer.file(plan)
    assert [file.place for file in filing.files] == [f"{FILM} (2).mkv", f"{FILM} (2).nfo"]
    assert {(world.tree / f"{FILM}{end}").read_text() for end in (".mkv", ".nfo")} == {"mine"}


async def test_no_link_leads_out_of_the_tree(world: World, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (world.tree / "Movies").symlink_to(outside)
    item = world.bring(nosferatu())
    with pytest.raises(DiskError, match="symbolic link"):
        await world.file(item)
    assert [*outside.iterdir()] == []


async def test_nothing_is_made_where_the_root_is_not_there(world: World) -> None:
    item = world.bring(nosferatu())
    world.tree.rmdir()
    with pytest.raises(DiskError, match="not there"):
        await world.file(item)
    assert not world.tree.exists()


def test_a_copy_is_stopped_when_nobody_waits_for_it(tmp_path: Path) -> None:
    source, target = tmp_path / "s", tmp_path / "t"
    target.mkdir()
    source.write_bytes(b"x")
    stop = threading.Event()
    stop.set()
    place = RootedPath(Root("s", tmp_path, tmp_path), ("s",))
    handle = os.open(target, os.O_RDONLY)
    try:
        with pytest.raises(CopyStoppedError):
            tree_module._copied(place, Path("x"), handle, stop.is_set)
    finally:
        os.close(handle)


def test_the_bin_keeps_what_is_put_there(tmp_path: Path) -> None:
    tree = DiskTree(tmp_path)
    for _ in range(2):
        (tmp_path / "a").mkdir(exist_ok=True)
        (tmp_path / "a/film.mkv").write_text("film")
        assert tree.remove(PurePosixPath("a/film.mkv"), None, to_bin=True) is None
    assert [*(tmp_path / "a").iterdir()] == []
    kept = sorted(path.name for path in (tmp_path / ".chilly/.bin/a").iterdir())
    assert kept == ["2 film.mkv", "film.mkv"]


class Killed(BaseException):
    """The process ends here."""


POINTS = ["intended", "staged", "put", "replaced", "undoing", "taken"]


@pytest.fixture
def kill_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None, int], None]:
    def arm(point: str | None, time: int = 1) -> None:
        left = time

        def reach(name: str) -> None:
            nonlocal left
            left -= name == f"filing.{point}"
            if name == f"filing.{point}" and left == 0:
                raise Killed

        monkeypatch.setattr(failpoints, "reach", reach)

    return arm


@pytest.fixture(params=[(point, time) for point in POINTS for time in (1, 2, 4)])
def moment(request: pytest.FixtureRequest) -> tuple[str, int]:
    found: tuple[str, int] = request.param
    return found


async def test_a_kill_at_any_step_leaves_a_film_filed_once_or_not_at_all(
    world: World, kill_at: Callable[[str | None, int], None], moment: tuple[str, int]
) -> None:
    item = world.bring(nosferatu(main(0, "n/a.mkv", part=1), main(1, "n/b.mkv", part=2)))
    before = world.seen()
    await world.file(item)
    filed = set(world.holds())
    renamed = replace(item, title="Nosferatu II")
    kill_at(*moment)
    try:
        if moment[0] in ("undoing", "taken"):
            await world.filer.undo(item.id, item)
        else:
            await world.file(renamed)
    except Killed:
        pass
    kill_at(None, 0)
    world.filer = world.another()

    async def get(_: str) -> Item:
        return item

    await world.filer.recover(get)
    filing = await world.journal.filing(item.id)
    places = set() if filing is None else {file.place for file in filing.files}
    assert {name for name, data in world.holds().items() if data is not None} == places
    if moment == ("intended", 1):
        assert set(world.holds()) == filed
    assert {path.stat().st_nlink for path in world.media.rglob("*.mkv")} == {2 if places else 1}
    await world.filer.undo(item.id, item)
    assert world.seen() == before
