"""What the driver says before it does anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from chilly_movies.drivers.ytdlp import driver
from chilly_movies.drivers.ytdlp.driver import YtdlpDriver
from chilly_movies.drivers.ytdlp.staged import film_name
from chilly_movies.errors import InvalidRequest, SourceRejected, UnsupportedSource
from chilly_movies.jobs.models import Source, SourceType
from chilly_movies.jobs.options import check_languages
from chilly_movies.net.policy import NetworkConfig, NetworkPolicy


def test_without_the_extra_a_start_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = Source(SourceType.YOUTUBE, "https://films.example/1")
    ours = YtdlpDriver(tmp_path, NetworkPolicy(NetworkConfig()))
    assert ours.identify(page).identities
    monkeypatch.setattr(driver, "is_installed", lambda: False)
    with pytest.raises(UnsupportedSource, match=r"pip install 'chilly-movies\[ytdlp\]'") as refused:
        ours.identify(page)
    assert refused.value.status_hint == 422


@pytest.mark.parametrize(
    ("title", "suffix", "name"),
    [
        ("A film", "mp4", "A film.mp4"), (None, "webm", "film.webm"), ("", "mp4", "film.mp4"),
        ("../../etc/x", "mp4", "_._.._etc_x.mp4"), ("n" * 300, "mp4", "n" * 196 + ".mp4"),
    ],
)  # fmt: skip
def test_a_title_becomes_a_harmless_name(title: str | None, suffix: str, name: str) -> None:
    assert film_name(title, suffix) == name


def test_a_program_is_no_film() -> None:
    with pytest.raises(SourceRejected):
        film_name("film", "exe")


@pytest.mark.parametrize("text", ["en,", "..", "en/de", "all", ".*", "-en", "en_US", "e"])
def test_what_is_no_language_is_refused(text: str) -> None:
    assert check_languages("en,pt-BR,zh-Hans-CN") == "en,pt-BR,zh-Hans-CN"
    if text != "all":  # which could be the name of a language
        with pytest.raises(InvalidRequest):
            check_languages(text)
