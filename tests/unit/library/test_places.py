"""What the library moves and deletes: the files of one item, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from chilly_movies.disk.roots import Roots
from chilly_movies.errors import ChillyError
from chilly_movies.library.models import ItemFile
from chilly_movies.library.places import Places

pytestmark = pytest.mark.anyio


@pytest.fixture
def media(tmp_path: Path) -> Path:
    """A media folder with two films of jobs; beside it a root with one, and a folder of neither."""
    for path in ("media/Film/a.mkv", "media/b.mkv", "films/c.mkv", "private/d.mkv"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(path)
    return tmp_path / "media"


@pytest.fixture
def places(media: Path) -> Places:
    return Places(media, Roots({"films": media.parent / "films"}))


def of_a_job(path: str) -> ItemFile:
    return ItemFile(0, path, 1, job_id="a", job_file=0)


def all_below(folder: Path) -> dict[str, str]:
    """Every file with what is in it."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text() for path in files}


async def test_files_go_to_the_bin_of_their_own_folder_and_all_others_stay(
    media: Path, places: Places
) -> None:
    await places.to_bin([of_a_job("Film/a.mkv"), ItemFile(1, "films/c.mkv", 1)], "lib-x")
    assert all_below(media.parent) == {
        "media/.bin/lib-x/Film/a.mkv": "media/Film/a.mkv",
        "films/.bin/lib-x/c.mkv": "films/c.mkv",
        "media/b.mkv": "media/b.mkv",
        "private/d.mkv": "private/d.mkv",
    }


async def test_the_bin_keeps_an_earlier_file_of_the_same_name(media: Path, places: Places) -> None:
    await places.to_bin([of_a_job("b.mkv")], "lib-x")
    (media / "b.mkv").write_text("a later one")
    await places.to_bin([of_a_job("b.mkv")], "lib-x")
    assert all_below(media / ".bin") == {
        "lib-x/b.mkv": "media/b.mkv", "lib-x/2 b.mkv": "a later one",
    }  # fmt: skip


async def test_deleting_takes_the_named_files_alone_and_passes_over_what_is_gone(
    media: Path, places: Places
) -> None:
    gone = [of_a_job("Film/gone.mkv"), of_a_job("Nowhere/gone.mkv")]
    await places.delete([*gone, of_a_job("Film/a.mkv"), ItemFile(1, "films/c.mkv", 1)])
    assert all_below(media.parent) == {
        "media/b.mkv": "media/b.mkv",
        "private/d.mkv": "private/d.mkv",
    }


@pytest.mark.parametrize("doing", ["bin", "delete"])
@pytest.mark.parametrize(
    "file",
    [
        of_a_job("../private/d.mkv"), of_a_job("Film/../../private/d.mkv"), of_a_job("link/d.mkv"),
        of_a_job("/private/d.mkv"), of_a_job(""), ItemFile(0, "films/../private/d.mkv", 1),
        ItemFile(0, "films/link/d.mkv", 1), ItemFile(0, "private/d.mkv", 1),
    ],
    ids=lambda file: f"{file.job_id}:{file.path}",
)  # fmt: skip
async def test_a_path_that_leads_out_is_refused_and_nothing_changes(
    media: Path, places: Places, file: ItemFile, doing: str
) -> None:
    for folder in (media, media.parent / "films"):
        (folder / "link").symlink_to(media.parent / "private")
    before = all_below(media.parent)
    with pytest.raises(ChillyError):
        await (places.delete([file]) if doing == "delete" else places.to_bin([file], "lib-x"))
    assert all_below(media.parent) == before
