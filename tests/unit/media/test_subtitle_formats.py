"""The format of subtitles is what they are written in, not what their name says."""

from __future__ import annotations

import pytest

from chilly_movies.media.convert import to_vtt
from tests.films import ASS

HELLO = "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\nHello\nyou\n"
SUBVIEWER = (
    "[INFORMATION]\n[TITLE]x\n[END INFORMATION]\n[SUBTITLE]\n[COLF]&HFFFFFF,[STYLE]bd\n"
    "00:00:01.00,00:00:02.00\nHello[BR]you\n\n"
)
ENDINGS = [".srt", ".ass", ".ssa", ".vtt", ".sub"]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    "text",
    [
        "1\n00:00:01,000 --> 00:00:02,000\nHello\nyou\n",
        "WEBVTT\n\n00:01.000 --> 00:02.000\nHello\nyou\n",
        "[Events]\nDialogue: 0,0:00:01.00,0:00:02.00,Default,,0,0,0,,Hello\\Nyou\n",
        "{25}{50}Hello|you\n", "{1}{1}25.000\n{25}{50}Hello|you\n", "[10][20]Hello|you\n",
        "00:00:01.00,00:00:02.00\nHello[br]you\n", "00:00:01:Hello|you\n00:00:02:\n",
        SUBVIEWER,
    ],
)  # fmt: skip
def test_the_content_says_the_format(text: str, ending: str) -> None:
    assert to_vtt(text.encode(), ending, "en", 25.0) == HELLO
    assert to_vtt(text.replace("\n", "\r\n").encode("utf-16"), ending, "", 25.0) == HELLO


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("text", ["Hello", "[Script Info]\nTitle: x\n", "WEBVTT\n\n00 --> 1\nx"])
def test_text_without_any_subtitle_is_unreadable_and_not_empty(text: str, ending: str) -> None:
    with pytest.raises(ValueError, match="no subtitles"):
        to_vtt(text.encode(), ending, "")
    assert to_vtt(b"", ending, "") == to_vtt(b"WEBVTT\n", ending, "") == "WEBVTT\n"


def test_the_rate_of_a_microdvd_file_goes_before_the_films_and_before_the_usual_one() -> None:
    own, none = b"{1}{1}25.000\n{250}{500}Hello\n", b"{250}{500}Hello\n"
    assert "00:00:10.000 --> 00:00:20.000" in to_vtt(own, ".sub", "", 23.976)
    assert "00:00:10.000 --> 00:00:20.000" in to_vtt(none, ".sub", "", 25)
    assert "00:00:10.427 --> 00:00:20.854" in to_vtt(none, ".sub", "")
    assert "25.000\n" not in to_vtt(own, ".sub", "").split("\n", 3)[3]


def test_a_microdvd_line_without_an_end_lasts_until_the_next() -> None:
    made = to_vtt(b"{24}{}Hello\n{48}{}{y:i}you\n", ".sub", "", 24)
    assert "01.000 --> 00:00:02.000\nHello\n" in made
    assert "02.000 --> 00:00:05.000\n<i>you</i>\n" in made


STYLE = next(line for line in ASS.splitlines() if line.startswith("Style:"))
FIRST = "Dialogue: 0,0:00:00.50,0:00:02.00,Default,,0,0,0,,Guten Abend."


@pytest.mark.parametrize(
    ("what", "instead"),
    [
        ("&H00FFFFFF", "&H00FFFFFF&"), (",20,", ",20px,"), ("Arial,20", "Arial,"), ("1,2,2,2", "x"),
        (STYLE, STYLE.replace(",", ", ")), (STYLE, "Style:"), ("&H000000FF", ""), (STYLE, ""),
        (FIRST, FIRST + "\nDialogue: 0,0:00:0x.00,0:00:02.00,Default,,0,0,0,,lost"),
        (FIRST, FIRST + "\nDialogue: 0,0:00:01.00\nDialogue:"), ("[Script Info]\n", ""),
    ],
)  # fmt: skip
def test_a_field_of_ass_that_is_none_costs_nothing_else(what: str, instead: str) -> None:
    assert what in ASS
    assert to_vtt(ASS.replace(what, instead, 1).encode(), ".ass", "de") == to_vtt(
        ASS.encode(), ".ass", "de"
    )


def test_the_format_lines_of_ass_say_the_order_of_fields() -> None:
    made = to_vtt(
        b"[V4+ Styles]\nFormat: Bold, Name, Italic\nStyle: 0, Default, -1\n[Events]\n"
        b"Format: Start, End, Style, Text\nDialogue: 0:00:01.00,0:00:02.00,Default,Hello, you\n",
        ".ass", "",
    )  # fmt: skip
    assert made == "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\n<i>Hello, you</i>\n"


@pytest.mark.parametrize(
    ("styles", "alignment", "top"),
    [("V4+", 8, True), ("V4+", 2, False), ("V4+", 5, False), ("V4", 6, True), ("V4", 2, False),
     ("V4", 9, False)],
)  # fmt: skip
def test_the_alignment_of_a_style_puts_its_lines_to_the_top(
    styles: str, alignment: int, top: bool
) -> None:
    made = to_vtt(
        f"[{styles} Styles]\nFormat: Name, Alignment\nStyle: Default,{alignment}\n[Events]\n"
        "Dialogue: 0,0:00:01.00,0:00:02.00,Default,,0,0,0,,x\n"
        "Dialogue: 0,0:00:03.00,0:00:04.00,Default,,0,0,0,,{\\an2}y\n".encode(), ".ass", "",
    )  # fmt: skip
    assert ("02.000 line:10%\nx" in made) is top
    assert "04.000\ny" in made


def test_ass_keeps_what_stands_beside_its_markup() -> None:
    made = to_vtt(
        b"[Events]\nDialogue: 0,0:00:01.00,0:00:02.00,D,,0,0,0,,"
        b"{note}{\\b1\\bord2\\blur3}a{\\b0} \\{b\\} {open <i>\n", ".ass", "",
    )  # fmt: skip
    assert "\n<b>a</b> {b} {open &lt;i&gt;\n" in made
