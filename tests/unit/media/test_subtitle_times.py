"""Times and cues of SRT and WebVTT as people write them."""

from __future__ import annotations

import re

import pytest

from chilly_movies.media.convert import to_vtt

SHOWN = "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\n"


def vtt(text: str, ending: str = ".srt") -> str:
    return to_vtt(text.encode(), ending, "en")


@pytest.mark.parametrize(
    ("line", "start", "end"),
    [
        ("00:00:01 --> 00:00:02", "00:00:01.000", "00:00:02.000"),
        ("00: 00: 01, 000 --> 00: 00: 02, 000", "00:00:01.000", "00:00:02.000"),
        ("-00:00:01,000 --> 00:00:02,000", "00:00:00.000", "00:00:02.000"),
        ("100:00:01,000 --> 100:00:02,000", "100:00:01.000", "100:00:02.000"),
        ("0:0:1,5-->0:0:2.25", "00:00:01.500", "00:00:02.250"),
        ("00:01,000 --> 00:02", "00:00:01.000", "00:00:02.000"),
        ("00:00:01:000 -> 00:00:02:000", "00:00:01.000", "00:00:02.000"),
        ("  00:00:01,000 --> 00:00:02,000  X1:10 X2:20", "00:00:01.000", "00:00:02.000"),
    ],
)
def test_times_of_srt_are_read_as_people_write_them(line: str, start: str, end: str) -> None:
    assert vtt(f"1\n{line}\nHello\n") == f"WEBVTT\n\n{start} --> {end}\nHello\n"


@pytest.mark.parametrize(
    "line",
    ["00:00:03,000 --> 00:00:04x,000", "O0:00:03,000 --> 00:00:04,000", "00:00:03,000 -->", "-->"],
)
def test_a_line_of_times_that_is_none_loses_its_own_cue_alone(line: str) -> None:
    made = vtt(
        "1\n00:00:01,000 --> 00:00:02,000\nOne\n\n"
        f"2\n{line}\nTwo\n\n3\n00:00:05,000 --> 00:00:06,000\nThree\n"
    )
    assert made == f"{SHOWN}One\n\n00:00:05.000 --> 00:00:06.000\nThree\n"
    head = "WEBVTT\n\n00:01.000 --> 00:02.000\nOne\n\n"
    made = vtt(f"{head}{line}\nTwo\n\n00:05.000 --> 00:06.000\nThree\n", ".vtt")
    assert made == f"{SHOWN}One\n\n00:00:05.000 --> 00:00:06.000\nThree\n"


@pytest.mark.parametrize(
    "rest", ["", "\n", "\n\n2\n00:00:03,000 --> 00:00:04,000\nTwo", "\n\n102\n00:00:03 --> x\n"]
)
def test_digits_at_the_end_of_a_cue_are_text(rest: str) -> None:
    made = vtt(f"1\n00:00:01,000 --> 00:00:02,000\nThe room is\n101{rest}")
    assert made.startswith(f"{SHOWN}The room is\n101\n")
    assert "\n2\n" not in made
    assert "102" not in made
    made = vtt(f"WEBVTT\n\n00:01.000 --> 00:02.000\nThe room is\n101{rest}", ".vtt")
    assert made.startswith(f"{SHOWN}The room is\n101\n")


def test_numbers_are_no_text_where_no_blank_line_stands_before_them() -> None:
    made = vtt("1\n00:00:01 --> 00:00:02\nOne\n2\n00:00:03 --> 00:00:04\nTwo\n")
    assert re.findall(r"^\w+$", made, re.MULTILINE) == ["WEBVTT", "One", "Two"]


def test_line_breaks_that_were_converted_twice_are_one() -> None:
    made = vtt("1\r\r\n0:00:01 --> 0:00:02\r\r\nOne\r\r\n\r\r\n2\r\r\n0:00:03 --> 0:00:04\r\r\nTwo")
    assert made == f"{SHOWN}One\n\n00:00:03.000 --> 00:00:04.000\nTwo\n"


def test_a_text_with_an_arrow_is_text() -> None:
    assert "from a --&gt; b" in vtt("1\n00:00:01 --> 00:00:02\nfrom a --> b\n")
