"""Watch folders: how they are written, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from chilly_movies.disk.roots import Roots
from chilly_movies.errors import SettingsError
from chilly_movies.inbox.inbox import watch_folders
from chilly_movies.inbox.settings import InboxSettings, Watch, read_watches
from chilly_movies.settings import load_settings


def test_a_watch_folder_has_a_rule_and_labels() -> None:
    assert read_watches(["drop", "drop/kids; delete; category=kids;quality=1080p"]) == (
        Watch("drop"),
        Watch("drop/kids", "delete", {"category": "kids", "quality": "1080p"}),
    )


@pytest.mark.parametrize(
    "texts",
    [
        ["/srv/drop"],
        ["~/drop"],
        [""],
        ["drop;burn"],
        ["drop/../x"],
        ["drop;a b=c"],
        ["a", "a;move"],
    ],
)
def test_what_cannot_be_a_watch_folder_is_refused(texts: list[str]) -> None:
    with pytest.raises(ValueError, match=r"must look like|after a folder|twice"):
        read_watches(texts)


def test_a_malformed_setting_ends_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHILLY_WATCH", "drop;burn")
    with pytest.raises(
        SettingsError, match="The setting CHILLY_WATCH is malformed: after a folder"
    ):
        load_settings()


def test_a_watch_folder_in_no_root_ends_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"CHILLY_WATCH cannot be watched: .*CHILLY_ROOTS"):
        watch_folders(InboxSettings(watch=("drop",)), Roots({}), tmp_path)
