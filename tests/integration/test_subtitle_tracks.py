"""Subtitles inside films that other programs wrote in their own way."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import pytest

from chilly_movies.media.matroska import track_to_vtt
from chilly_movies.media.mp4 import track_to_vtt as track_of_mp4
from chilly_movies.media.subtitles import SandboxConverter
from tests.films import run_ffmpeg
from tests.readers import FakeJobFiles, PartReader, subtitles_of

pytestmark = pytest.mark.anyio

CLUSTER, CUES, TAGS = 0x1F43B675, 0x1C53BB6B, 0x1254C367
BOTH = "00:00:01.000 --> 00:00:02.000\nOne\n\n00:00:03.000 --> 00:00:04.000\nTwo\n"


def ebml(name: int, *content: bytes, unknown: bool = False) -> bytes:
    """One element; its size takes eight bytes, or is not said."""
    body = b"".join(content)
    size = b"\x01" + b"\xff" * 7 if unknown else (2**56 + len(body)).to_bytes(8, "big")
    return name.to_bytes((name.bit_length() + 7) // 8, "big") + size + body


def number(value: int) -> bytes:
    return value.to_bytes(8, "big")


def entry(codec: bytes, track: int = 1, private: bytes = b"") -> bytes:
    more = ebml(0x63A2, private) if private else b""
    return ebml(0x1654AE6B, ebml(
        0xAE, ebml(0xD7, number(track)), ebml(0x83, b"\x11"), ebml(0x86, codec), more
    ))  # fmt: skip


def group(text: bytes, at: int = 0, track: bytes = b"\x81", *more: bytes) -> bytes:
    block = track + struct.pack(">h", at) + b"\0" + text
    return ebml(0xA0, ebml(0xA1, block), ebml(0x9B, number(1000)), *more)


def cluster(at: int, *blocks: bytes, unknown: bool = False) -> bytes:
    return ebml(CLUSTER, ebml(0xE7, number(at)), *blocks, unknown=unknown)


def film(codec: bytes, *parts: bytes, unknown: bool = False, **track: int | bytes) -> bytes:
    head = entry(codec, **track)  # type: ignore[arg-type]
    return ebml(0x1A45DFA3) + ebml(0x18538067, head, *parts, unknown=unknown)


def vtt(data: bytes, track: int = 1) -> str:
    text, complete = track_to_vtt(io.BytesIO(data), track)
    assert complete
    return text.removeprefix("WEBVTT\n\n")


@pytest.mark.parametrize("unknown", [True, False])
@pytest.mark.parametrize("after", [b"", ebml(TAGS, ebml(0xEC, b"x")), ebml(CUES)])
def test_all_clusters_are_read_whether_their_sizes_are_known_or_not(
    unknown: bool, after: bytes
) -> None:
    parts = [
        cluster(1000, group(b"One"), unknown=unknown), cluster(3000, group(b"Two"), unknown=True),
        after, cluster(3000),
    ]  # fmt: skip
    assert vtt(film(b"S_TEXT/UTF8", *parts, unknown=unknown)) == BOTH


def index(*named: tuple[int, int, int]) -> bytes:
    """Cues: time, place of the cluster, place in it."""
    return ebml(CUES, *(
        ebml(0xBB, ebml(0xB3, number(when)), ebml(
            0xB7, ebml(0xF7, number(1)), ebml(0xF1, number(place)), ebml(0xF0, number(relative)),
            ebml(0xB2, number(1000)),
        )) for when, place, relative in named
    ))  # fmt: skip


@pytest.mark.parametrize("padding", [0, 400_000])
@pytest.mark.parametrize("named", [1, 2])
async def test_subtitles_that_the_index_does_not_name_are_shown(padding: int, named: int) -> None:
    first, head = group(b"One"), entry(b"S_TEXT/UTF8")
    second = group(b"Two", 2000)
    time = len(ebml(0xE7, number(0)))
    places = [(1000, len(head), time), (3000, len(head), time + len(first))]
    void = ebml(0xEC, bytes(padding))
    third = [group(b"Three", 4000)] if named == 2 else []
    data = film(
        b"S_TEXT/UTF8", cluster(1000, first, second, *third, void), index(*places[:named])
    )  # fmt: skip
    more = "\n00:00:05.000 --> 00:00:06.000\nThree\n" if third else ""
    assert vtt(data) == BOTH + more
    reader = PartReader(data)
    cues = await SandboxConverter().embedded(reader, 1)
    assert (cues.vtt, cues.complete) == (f"WEBVTT\n\n{BOTH}{more}", True)


@pytest.mark.parametrize(
    ("track", "coded"), [(127, b"\xff"), (200, b"\x40\xc8"), (20000, b"\x20N ")]
)
def test_tracks_of_any_number_are_read(track: int, coded: bytes) -> None:
    data = film(b"S_TEXT/UTF8", cluster(1000, group(b"One", 0, coded)), track=track)
    assert vtt(data, track) == BOTH[:34]


def test_what_a_block_of_a_film_says_is_kept() -> None:
    assert "\nRoom\n101\n" in vtt(film(b"S_TEXT/UTF8", cluster(1000, group(b"Room\n101"))))
    lines = vtt(film(b"S_TEXT/UTF8", cluster(1000, group(b"a --> <b> {c}"))))
    assert "\na --&gt; <b> {c}</b>\n" in lines


@pytest.mark.parametrize("field", [b"&H00FFFFFF&", b"20px", b" 20", b""])
def test_a_bad_field_in_the_head_of_an_ass_track_costs_nothing_else(field: bytes) -> None:
    head = b"[V4+ Styles]\nFormat: Name, Fontsize, Bold\nStyle: Default, " + field + b", 0\n"
    line = b"0,0,Default,,0,0,0,,{\\i1}One{\\i0}, two"
    data = film(b"S_TEXT/ASS", cluster(1000, group(line)), private=head)
    assert "\n<i>One</i>, two\n" in vtt(data)


WEBM = b"D_WEBVTT/SUBTITLES"


@pytest.mark.parametrize(
    ("codec", "block"),
    [
        (b"S_TEXT/WEBVTT", group(b"Tom &amp; <i>Jerry</i>\n101")),
        (WEBM, group(b"id\nalign:start\nTom &amp; <i>Jerry</i>\n101")),
        (WEBM, group(b"\n\nTom &amp; <i>Jerry</i>\n101")),
        (b"D_WEBVTT/CAPTIONS", group(b"\n\nTom &amp; <i>Jerry</i>\n101")),
    ],
)
def test_webvtt_in_films_is_read(codec: bytes, block: bytes) -> None:
    made = vtt(film(codec, cluster(1000, block)))
    assert made == "00:00:01.000 --> 00:00:02.000\nTom &amp; <i>Jerry</i>\n101\n"


def test_where_webvtt_in_films_stands_is_kept() -> None:
    beside = ebml(0x75A1, ebml(0xA6, ebml(0xA5, b"line:0\nid\n")))
    for codec, block in (
        (WEBM, group(b"\nline:0\nx")), (b"S_TEXT/WEBVTT", group(b"x", 0, b"\x81", beside)),
    ):  # fmt: skip
        assert vtt(film(codec, cluster(1000, block))).endswith(" line:10%\nx\n")


@pytest.mark.parametrize("ending", ["mkv", "webm"])
async def test_webvtt_in_films_of_ffmpeg_is_listed_and_served(ending: str, tmp_path: Path) -> None:
    written = tmp_path / "a.vtt"
    written.write_text(f"WEBVTT\n\n{BOTH}")
    path = tmp_path / f"Film.{ending}"
    run_ffmpeg(
        "-f", "lavfi", "-i", "testsrc2=size=64x64:rate=5:duration=5", "-i", str(written),
        "-c:v", "libvpx", "-deadline", "realtime", "-c:s", "webvtt", str(path),
    )  # fmt: skip
    job_files = FakeJobFiles({f"Film.{ending}": path})
    subtitles = subtitles_of(job_files)
    [one] = await subtitles.of_job("a")
    assert one.format == "webvtt"
    assert (await subtitles.cues("a", one.n)).vtt == f"WEBVTT\n\n{BOTH}"


def box(kind: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def mp4(edits: list[tuple[int, int]], durations: list[int], text: bytes = b"\0\3One") -> bytes:
    """A film of one text track in milliseconds, whose samples are a gap and a text by turns."""
    samples = [b"\0\0" if place % 2 == 0 else text for place in range(len(durations))]
    media = box(b"mdat", *samples)
    elst = struct.pack(">II", 0, len(edits)) + b"".join(
        struct.pack(">Iii", length, start, 0x10000) for length, start in edits
    )
    count = struct.pack(">II", 0, len(samples))
    table = box(
        b"stbl", box(b"stsd", bytes(8), box(b"tx3g")),
        box(b"stts", count, *(struct.pack(">II", 1, length) for length in durations)),
        box(b"stsz", bytes(8), struct.pack(">I", len(samples)),
            *(struct.pack(">I", len(one)) for one in samples)),
        box(b"stco", struct.pack(">III", 0, 1, 8)),
        box(b"stsc", struct.pack(">IIIII", 0, 1, 1, len(samples), 1)),
    )  # fmt: skip
    track = box(
        b"trak", box(b"tkhd", bytes(12), struct.pack(">I", 1)),
        box(b"edts", box(b"elst", elst)) if edits else b"",
        box(b"mdia", box(b"mdhd", bytes(12), struct.pack(">I", 1000)),
            box(b"hdlr", bytes(8), b"sbtl"), box(b"minf", table)),
    )  # fmt: skip
    return media + box(b"moov", box(b"mvhd", bytes(12), struct.pack(">I", 1000)), track)


@pytest.mark.parametrize(
    ("edits", "times"),
    [
        ([], ["00:00:03.000 --> 00:00:04.000"]),
        ([(2500, 2000)], ["00:00:01.000 --> 00:00:02.000"]),
        ([(500, -1), (2500, 2000)], ["00:00:01.500 --> 00:00:02.500"]),
        ([(500, -1)], ["00:00:03.500 --> 00:00:04.500"]),
        ([(500, -1), (0, 0)], ["00:00:03.500 --> 00:00:04.500"]),
        ([(1500, 2000)], ["00:00:01.000 --> 00:00:01.500"]), ([(1000, 5000)], []),
        ([(1000, 3000), (1000, 3000)],
         ["00:00:00.000 --> 00:00:01.000", "00:00:01.000 --> 00:00:02.000"]),
    ],
)  # fmt: skip
def test_an_edit_list_says_when_texts_of_mp4_are_shown(
    edits: list[tuple[int, int]], times: list[str]
) -> None:
    data = mp4(edits, [3000, 1000])
    try:
        made, _ = track_of_mp4(io.BytesIO(data), 1)
    except ValueError:  # all of it was cut out
        made = ""
    assert [line for line in made.splitlines() if "-->" in line] == times
