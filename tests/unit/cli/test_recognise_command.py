"""`chilly recognise`: names alone, no server, no network."""

from __future__ import annotations

import json

import pytest

from chilly_movies.cli import main


def test_it_prints_a_line_of_json_for_each_name_in_order(
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = [
        "[Grp] One Piece - 1015 (1080p).mkv",
        "The.Matrix.1999.720p.BluRay",
        "Lost.S01E02E03",
        "-",
    ]
    assert main(["recognise", "--json", "--", *names]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["name"] for line in lines] == names
    assert list(lines[0]) == [
        "name", "mediaType", "title", "year", "season", "episodes", "absolute", "quality",
        "confidence", "sure",
    ]  # fmt: skip
    assert lines[0]["absolute"] == [1015]
    assert lines[1] == {
        "name": names[1], "mediaType": "movie", "title": "The Matrix", "year": 1999,
        "season": None, "episodes": [], "absolute": [], "quality": "720p", "confidence": 0.97,
        "sure": True,
    }  # fmt: skip
    assert (lines[2]["mediaType"], lines[2]["season"], lines[2]["episodes"]) == ("tv", 1, [2, 3])
    assert (lines[3]["mediaType"], lines[3]["title"], lines[3]["sure"]) == (None, None, False)


def test_people_get_a_sentence_for_each_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recognise", "Lost.S01E02.720p", "Metropolis", "[]"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "Lost.S01E02.720p: Lost, season 1, episode 2, 720p",
        "Metropolis: Metropolis (not sure)",
        "[]: nothing was recognised",
    ]
