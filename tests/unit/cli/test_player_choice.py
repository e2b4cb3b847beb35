"""What players are started with."""

from __future__ import annotations

from pathlib import Path

import pytest

from chilly_movies.cli.exits import CommandFailed, Exit
from chilly_movies.cli.output import clean
from chilly_movies.cli.players import Show, command, find_player

URL = "http://localhost:3000/stream/a/0?expires=1&sig=x"
SUBTITLES = ("http://localhost:3000/subtitles/a/1.vtt", "http://localhost:3000/subtitles/a/2.vtt")


def install(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)


def test_the_first_known_player_that_is_installed_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_player(None) is None
    install(tmp_path, "ffplay", "vlc", "other")
    assert find_player(None) == [str(tmp_path / "vlc"), "vlc"]
    assert find_player("ffplay") == [str(tmp_path / "ffplay"), "ffplay"]
    assert find_player(str(tmp_path / "other")) == [str(tmp_path / "other"), "other"]
    with pytest.raises(CommandFailed, match="mpv is not installed") as refused:
        find_player("mpv")
    assert refused.value.code is Exit.USAGE


def test_each_player_is_told_the_address_the_title_and_the_subtitles_its_own_way() -> None:
    show = Show(URL, "Film", SUBTITLES)
    assert command(["/bin/mpv", "mpv"], show) == [
        "/bin/mpv", "--force-media-title=Film", f"--sub-file={SUBTITLES[0]}",
        f"--sub-file={SUBTITLES[1]}", "--", URL,
    ]  # fmt: skip
    assert command(["/bin/vlc", "vlc"], show) == [
        "/bin/vlc", "--play-and-exit", "--meta-title=Film",
        f"--input-slave={SUBTITLES[0]}#{SUBTITLES[1]}", URL,
    ]  # fmt: skip
    assert command(["/bin/x", "x"], show) == ["/bin/x", URL]


@pytest.mark.parametrize("title", ["--script=evil.lua", "-x", "$(id)", "`id`; rm", "a\nb", '"'])
@pytest.mark.parametrize("player", ["mpv", "vlc", "iina", "ffplay", "celluloid", "unknown"])
def test_no_title_becomes_a_word_of_its_own(player: str, title: str) -> None:
    words = command([f"/bin/{player}", player], Show(URL, title, SUBTITLES))
    behind = words[words.index("-window_title") + 1] if "-window_title" in words else ""
    assert [word for word in words if word == title] == []
    assert behind in ("", clean(title) + " ")
    assert words[-1] == URL
