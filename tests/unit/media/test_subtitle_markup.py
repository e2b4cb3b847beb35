"""Markup in subtitles: what is none stays text."""

from __future__ import annotations

import pytest

from chilly_movies.media.convert import to_vtt


def body(text: str, ending: str = ".srt") -> str:
    head = "WEBVTT\n\n00:01.000 --> 00:02.000\n" if ending == ".vtt" else "1\n0:00:01 --> 0:00:02\n"
    lines = to_vtt(f"{head}{text}\n".encode(), ending, "en").split("\n", 3)
    return f"{lines[2].partition('000 --> 00:00:02.000')[2]}|{lines[3]}".strip("|\n ")


@pytest.mark.parametrize("ending", [".srt", ".vtt"])
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<<Bonjour>> dit-il", "&lt;&lt;Bonjour&gt;&gt; dit-il"),
        ("if a < b and c > d", "if a &lt; b and c &gt; d"),
        ("x <b and c> y", "x &lt;b and c&gt; y"),
        ("if (x) { return; }", "if (x) { return; }"), (r"C:\New \Nb \h", r"C:\New \Nb \h"),
        ("<foo>bar</foo>", "&lt;foo&gt;bar&lt;/foo&gt;"), ("I <3 you", "I &lt;3 you"),
        ("<I>it</I> <b.c>b</b>", "<i>it</i> <b>b</b>"),
        ('<font color="red">red</font>', "red"), ("<v Bob>hi</v> <c.x>c</c>", "hi c"),
        ("a<00:00:01.500>b", "ab"), ("<ruby>x<rt>y</rt></ruby>", "xy"), ("<s>x</s>", "x"),
        ("o\u00f9\u00a0?", "o\u00f9\u00a0?"),
    ],
)  # fmt: skip
def test_only_known_tags_are_markup(text: str, shown: str, ending: str) -> None:
    assert body(text, ending) == shown


def test_braces_are_markup_in_srt_only_with_a_backslash_and_in_webvtt_never() -> None:
    assert body(r"{\i1}x{\i0}y {z}") == "<i>x</i>y {z}"
    assert body(r"{\i1}x", ".vtt") == r"{\i1}x"


def test_entities_of_webvtt_are_signs_and_no_markup() -> None:
    assert body("Tom &amp; Jerry &lt;i&gt;", ".vtt") == "Tom &amp; Jerry &lt;i&gt;"


@pytest.mark.parametrize("text", [r"{\an8}x", r"{\a6}x", r"{\a5}x", r"{\an7}x"])
def test_a_line_at_the_top_stays_there(text: str) -> None:
    assert body(text) == "line:10%|x"
    assert body(text.replace("n8", "n2").replace("n7", "n1").replace("a6", "a2").replace(
        "a5", "a1")) == "x"  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "top"),
    [("line:0", True), ("line:10%", True), ("align:start line:1,start", True), ("line:85%", False),
     ("line:-1", False), ("align:start", False)],
)  # fmt: skip
def test_where_a_cue_of_webvtt_stands_is_kept(settings: str, top: bool) -> None:
    made = to_vtt(f"WEBVTT\n\n00:01.000 --> 00:02.000 {settings}\nx\n".encode(), ".vtt", "")
    assert ("line:10%" in made) is top
