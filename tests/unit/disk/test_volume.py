"""The media folder's volume: its room, its troubles, and whether it is the one we know."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from chilly_movies.disk.volume import MARK, MediaVolume, disk_error
from chilly_movies.errors import DiskError, DiskFull
from chilly_movies.names import INCOMPLETE
from chilly_movies.runtime.state_folder import StateFolder

pytestmark = pytest.mark.anyio


@pytest.fixture
def media(tmp_path: Path) -> Path:
    return tmp_path / "media"


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    return StateFolder(tmp_path / "state")


def claim_another_disk(state: StateFolder) -> None:
    """Let it be remembered that the folder was on another disk."""
    memory = state.media_root
    memory.write_text(json.dumps({**json.loads(memory.read_text()), "device": 1}))


async def test_a_new_folder_is_made_and_marked_and_its_room_is_that_of_the_disk(
    media: Path, state: StateFolder
) -> None:
    volume = MediaVolume(media, state)
    assert not volume.is_remembered
    room = await volume.measure()
    found = os.statvfs(media)
    assert room.problem is None
    assert abs(room.free - found.f_bavail * found.f_frsize) < 10**9
    assert (media / INCOMPLETE / MARK).exists()
    assert MediaVolume(media, state).is_remembered


def test_an_emptied_folder_on_the_same_disk_is_taken_and_marked_again(
    media: Path, state: StateFolder
) -> None:
    volume = MediaVolume(media, state)
    volume.measure_now()
    (media / INCOMPLETE / MARK).unlink()
    assert volume.measure_now().problem is None
    assert MediaVolume(media, state).measure_now().problem is None
    assert (media / INCOMPLETE / MARK).exists()


def test_a_bare_mount_point_is_refused_and_nothing_is_written_to_it(
    media: Path, state: StateFolder
) -> None:
    MediaVolume(media, state).measure_now()
    claim_another_disk(state)
    (media / INCOMPLETE / MARK).unlink()
    (media / INCOMPLETE).rmdir()
    problem = MediaVolume(media, state).measure_now().problem
    assert problem is not None
    assert "seems not to be mounted" in problem
    assert list(media.iterdir()) == []


def test_a_missing_folder_on_an_unmounted_disk_is_not_made_again(
    media: Path, state: StateFolder
) -> None:
    MediaVolume(media, state).measure_now()
    claim_another_disk(state)
    (media / INCOMPLETE / MARK).unlink()
    (media / INCOMPLETE).rmdir()
    media.rmdir()
    assert MediaVolume(media, state).measure_now().problem is not None
    assert not media.exists()


def test_a_mark_made_by_hand_makes_a_folder_the_right_one(media: Path, state: StateFolder) -> None:
    MediaVolume(media, state).measure_now()
    claim_another_disk(state)
    assert MediaVolume(media, state).measure_now().problem is None
    assert MediaVolume(media, state).is_remembered


def test_another_media_folder_is_the_users_choice(
    tmp_path: Path, media: Path, state: StateFolder
) -> None:
    MediaVolume(media, state).measure_now()
    claim_another_disk(state)
    other = MediaVolume(tmp_path / "other", state)
    assert not other.is_remembered
    assert other.measure_now().problem is None


def test_a_file_in_the_folders_place_is_a_problem(media: Path, state: StateFolder) -> None:
    media.write_text("not a folder")
    assert MediaVolume(media, state).measure_now().problem == (
        "The media folder cannot be used: Not a directory."
    )


OTHER_KINDS = [f'{{"path": {path}, "device": 1, "mounted": true}}' for path in ("5", '"a\\u0000"')]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"path": 1}', *OTHER_KINDS])
def test_a_damaged_memory_is_no_memory(media: Path, state: StateFolder, text: str) -> None:
    state.make()
    state.media_root.write_text(text)
    volume = MediaVolume(media, state)
    assert not volume.is_remembered
    assert volume.remembered is None
    assert volume.measure_now().problem is None


async def test_what_a_job_holds_is_what_its_files_take_up_on_the_disk(
    media: Path, state: StateFolder
) -> None:
    volume = MediaVolume(media, state)
    assert await volume.held("k") == 0
    folder = media / INCOMPLETE / "k" / "film"
    folder.mkdir(parents=True)
    (folder / "full").write_bytes(b"x" * 200_000)
    with (folder / "hole").open("wb") as hole:
        hole.truncate(10**9)
    assert 200_000 <= await volume.held("k") < 10**6


@pytest.mark.parametrize(
    ("code", "kind"),
    [(errno.ENOSPC, DiskFull), (errno.EDQUOT, DiskFull), (errno.EIO, DiskError), (None, DiskError)],
)
def test_a_full_disk_is_told_from_other_trouble(code: int | None, kind: type[DiskError]) -> None:
    assert type(disk_error(code, "No.")) is kind
