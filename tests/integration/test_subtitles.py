"""Subtitles of real films, and of files made to do harm, as WebVTT."""

from __future__ import annotations

import io
import random
import re
import struct
import zlib
from contextlib import suppress
from pathlib import Path

import pytest

from chilly_movies.errors import NotArrived, SubtitleNotFound, SubtitleUnreadable
from chilly_movies.jobs.models import Status
from chilly_movies.media.convert import decode, to_vtt
from chilly_movies.media.ebml import Missing
from chilly_movies.media.matroska import track_to_vtt
from chilly_movies.media.mp4 import track_to_vtt as track_of_mp4
from chilly_movies.media.subtitles import SandboxConverter
from tests.films import ASS, SRT, Films, Moov, run_ffmpeg
from tests.readers import FakeJobFiles, PartReader, subtitles_of

pytestmark = pytest.mark.anyio

ENGLISH = (
    "WEBVTT\n\n00:00:00.500 --> 00:00:02.000\nGood evening.\n\n"
    "00:00:02.500 --> 00:00:04.000\n<i>Nobody</i> is here.\nReally &amp; truly.\n"
)
GERMAN = (
    "WEBVTT\n\n00:00:00.500 --> 00:00:02.000\nGuten Abend.\n\n"
    "00:00:02.500 --> 00:00:04.000\n<i>Niemand</i> ist hier.\nWirklich.\n"
)
LINE = "Ça alors, où êtes-vous ? Zażółć gęślą. Привет! 你好"


def without_times(vtt: str) -> list[str]:
    return [line for line in vtt.splitlines() if "-->" not in line]


async def test_sidecars_and_tracks_are_listed_and_served(films: Films) -> None:
    job_files = FakeJobFiles({
        "Film/Film.mkv": films.mkv(),
        "Film/Film.en.srt": SRT.encode(),
        "Film/Subs/2_German.ass": ASS.encode(),
        "Film/Film.idx": b"x", "Film/Film.sub": b"\0\0\1\xba", "Film/read me.txt": b"x",
    })  # fmt: skip
    subtitles = subtitles_of(job_files)
    told = await subtitles.of_job("a")
    assert [(one.n, one.label, one.language, str(one.source), one.film) for one in told] == [
        ("1", "English", "en", "sidecar", 0), ("2", "German", "de", "sidecar", 0),
        ("0-4", "English", "en", "embedded", 0), ("0-5", "German (forced)", "de", "embedded", 0),
    ]  # fmt: skip
    assert (await subtitles.cues("a", "1")).vtt == ENGLISH
    assert (await subtitles.cues("a", "2")).vtt == GERMAN
    for n, text in (("0-4", ENGLISH), ("0-5", GERMAN)):
        cues = await subtitles.cues("a", n)
        assert cues.complete
        assert without_times(cues.vtt) == without_times(text)
    opened = job_files.opened
    await subtitles.cues("a", "0-4")
    assert job_files.opened == opened


async def test_a_number_that_is_not_listed_is_not_found(films: Films) -> None:
    job_files = FakeJobFiles(
        {"Film.mkv": films.mkv(), "Film.srt": b"x", "c.txt": b"1\n" + SRT.encode()}
    )
    subtitles = subtitles_of(job_files)
    for n in ("", "9", "0", "2", "0-1", "0-9", "1-4", "-1", "0-", "x", "1" * 30, "0-4\n", "０"):
        with pytest.raises(SubtitleNotFound):
            await subtitles.cues("a", n)


async def test_a_track_is_taken_out_of_a_film_by_its_index_without_reading_the_film(
    films: Films,
) -> None:
    for cues_first in (False, True):
        data = films.mkv(seconds=10, kbits=8000, cues_first=cues_first).read_bytes()
        reader = PartReader(data)
        cues = await SandboxConverter().embedded(reader, 4)
        assert without_times(cues.vtt) == without_times(ENGLISH)
        assert sum(length for _, length in reader.asked) < 100_000 < len(data) / 100


@pytest.mark.parametrize("moov", ["first", "last"])
async def test_a_track_is_taken_out_of_an_mp4_by_its_index(films: Films, moov: Moov) -> None:
    path = films.mp4(seconds=10, kbits=4000, moov=moov, subtitles=True)
    reader = PartReader(data := path.read_bytes())
    subtitles = subtitles_of(job_files := FakeJobFiles({"Film.mp4": reader}))
    [one] = await subtitles.of_job("a")
    assert (one.language, one.format, one.source) == ("en", "timed text", "embedded")
    reader.asked.clear()
    vtt = (await subtitles.cues("a", one.n)).vtt
    assert vtt == ENGLISH.replace("<i>", "").replace("</i>", "")
    assert sum(length for _, length in reader.asked) < 200_000 < len(data) / 10
    head = data.index(b"Good evening.") + 100
    index = data.index(b"moov") - 4
    job_files.readers[0] = PartReader(data, range(max(head, 0)), range(index, len(data)))
    part = await SandboxConverter().embedded(job_files.readers[0], int(one.n.split("-")[1]))
    assert "Good evening." in part.vtt


async def test_films_in_fragments_and_broken_mp4_films_are_refused(films: Films) -> None:
    noise, data = random.Random(4), films.mp4(subtitles=True).read_bytes()
    fragments = films.mp4(moov="fragments", subtitles=True).read_bytes()
    with pytest.raises(ValueError, match="no texts"):
        track_of_mp4(io.BytesIO(fragments), 3)
    for _ in range(300):
        broken = bytearray(data)
        for _ in range(3):
            broken[noise.randrange(5000)] = noise.randrange(256)
        with suppress(ValueError, struct.error):
            track_of_mp4(io.BytesIO(bytes(broken)), 3)


async def test_of_a_film_that_still_arrives_one_gets_the_subtitles_that_are_there(
    films: Films,
) -> None:
    data = films.mkv().read_bytes()
    middle = data.index(b"Good evening.") + 2000
    for there in ([range(middle)], [range(middle), range(len(data) - 20_000, len(data))]):
        cues = await SandboxConverter().embedded(PartReader(data, *there), 4)
        assert "Good evening." in cues.vtt
        assert "Nobody" not in cues.vtt
        assert not cues.complete


async def test_a_film_without_an_index_is_gone_through(films: Films) -> None:
    whole = films.mkv().read_bytes()
    data = whole[: whole.rindex(b"\x1c\x53\xbb\x6b")]  # the cues are its end
    cues = await SandboxConverter().embedded(PartReader(data), 5)
    assert without_times(cues.vtt) == without_times(GERMAN)


async def test_times_are_those_that_ffmpeg_reads(films: Films, tmp_path: Path) -> None:
    run_ffmpeg("-i", str(films.mkv()), "-map", "0:s:0", str(tmp_path / "theirs.srt"))
    theirs = (tmp_path / "theirs.srt").read_bytes()
    ours = (await SandboxConverter().embedded(PartReader(films.mkv().read_bytes()), 4)).vtt
    assert ours == to_vtt(theirs, ".srt", "en")


def ebml(name: int, *content: bytes) -> bytes:
    """One element; its size takes eight bytes."""
    body = b"".join(content)
    return name.to_bytes((name.bit_length() + 7) // 8, "big") + (2**56 + len(body)).to_bytes(
        8, "big"
    ) + body  # fmt: skip


def little_mkv(
    *, packing: bytes = b"", block: bytes = b"Hello", unknown_size: bool = False
) -> bytes:
    """A film of nothing but one subtitle."""
    encodings = ebml(0x6D80, ebml(0x6240, ebml(0x5034, packing))) if packing else b""
    entry = ebml(
        0xAE, ebml(0xD7, b"\1"), ebml(0x83, b"\x11"), ebml(0x86, b"S_TEXT/UTF8"), encodings
    )
    group = ebml(0xA0, ebml(0xA1, b"\x81\x00\x64\x00" + block), ebml(0x9B, b"\x03\xe8"))
    cluster = ebml(0x1F43B675, ebml(0xE7, b"\x03\x84"), group)
    if unknown_size:
        cluster = cluster[:4] + b"\x01" + b"\xff" * 7 + cluster[12:]
    return ebml(0x1A45DFA3) + ebml(0x18538067, ebml(0x1654AE6B, entry), cluster)


@pytest.mark.parametrize(
    "film",
    [
        little_mkv(), little_mkv(unknown_size=True),
        little_mkv(packing=ebml(0x4254, b"\0"), block=zlib.compress(b"Hello")),
        little_mkv(packing=ebml(0x4254, b"\3") + ebml(0x4255, b"He"), block=b"llo"),
    ],
    ids=["plain", "live", "zlib", "stripped"],
)  # fmt: skip
def test_texts_are_unpacked_however_the_writer_packed_them(film: bytes) -> None:
    vtt = "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\nHello\n"
    assert track_to_vtt(io.BytesIO(film), 1) == (vtt, True)


def test_texts_that_unpack_without_end_and_broken_films_are_bounded() -> None:
    bomb = little_mkv(packing=ebml(0x4254, b"\0"), block=zlib.compress(b"x " * (1 << 24)))
    assert len(track_to_vtt(io.BytesIO(bomb), 1)[0]) < 10_000
    noise, film = random.Random(3), little_mkv()
    for _ in range(300):
        broken = bytearray(film)
        broken[noise.randrange(len(film))] = noise.randrange(256)
        with suppress(ValueError, Missing):
            track_to_vtt(io.BytesIO(bytes(broken)), 1)


@pytest.mark.parametrize(
    ("text", "charset", "language"),
    [
        (LINE, "utf-8", ""), (LINE, "utf-8-sig", ""), (LINE, "utf-16", ""),
        (LINE, "utf-16-le", ""), (LINE, "utf-16-be", ""), ("Où êtes-vous, élève ?", "cp1252", "fr"),
        ("Zażółć gęślą jaźń", "cp1250", "pl"), ("Привет, мир", "cp1251", "ru"),
        ("Привет, мир. Как дела?", "cp1251", ""), ("你好，世界。", "gb18030", "zh"),
        ("這是一個測試。", "big5", "zh-Hant"), ("Καλημέρα κόσμε", "cp1253", "el"),
    ],
)  # fmt: skip
def test_the_charset_is_found(text: str, charset: str, language: str) -> None:
    srt = f"1\n00:00:01,000 --> 00:00:02,000\n{text}\n"
    vtt = to_vtt(srt.encode(charset), ".srt", language)
    assert vtt == f"WEBVTT\n\n00:00:01.000 --> 00:00:02.000\n{text}\n"
    assert decode(b"\xff\xfe\x00", language)


HOSTILE = [
    "<script>alert(1)</script>", '<img src=x onerror="alert(1)">', "<i onclick=alert(1)>x</i>",
    "< script>x</ script>", "<<b>script>alert(1)<</b>/script>", "&lt;script&gt;x", "a --> b",
    "<c.x><v Bob>hi</v></c>", "{\\i1}<iframe>{\\i0}", "x\x00<scr\x00ipt>y", "\u202e<b/onload=x>",
    "<i", "</i></i>", "<ruby>x<rt>y", "<00:00:01.000>x", "NOTE x", "STYLE\n::cue{}", "WEBVTT",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("ending", [".srt", ".vtt", ".ass", ".sub"])
def test_hostile_text_ends_up_as_text(text: str, ending: str) -> None:
    made = {
        ".srt": f"1\n00:00:01,000 --> 00:00:02,000\nbefore {text}\n\n"
                "2\n00:00:03,000 --> 00:00:04,000\nafter\n",
        ".vtt": f"WEBVTT\n\n00:01.000 --> 00:02.000\nbefore {text}\n\n"
                "00:03.000 --> 00:04.000\nafter\n",
        ".ass": f"{ASS.split('Dialogue')[0]}Dialogue: 0,0:00:01.00,0:00:02.00,Default,,0,0,0,,"
                f"before {text}\nDialogue: 0,0:00:03.00,0:00:04.00,Default,,0,0,0,,after\n",
        ".sub": "{24}{48}before " + text.replace("\n", "|") + "\n{72}{96}after\n",
    }[ending]  # fmt: skip
    vtt = to_vtt(made.encode(), ending, "en")
    times, *more = re.findall(r"^\d\d:\d\d:\d\d\.\d{3} --> .*$", vtt, re.MULTILINE)
    assert len(more) == 1, vtt
    assert times.startswith("00:00:01.0")
    assert not re.search(r"<(?!/?[ibu]>)", vtt)
    assert "\0" not in vtt
    assert len([line for line in vtt.splitlines() if "-->" in line]) == 2
    assert vtt.endswith("after\n")
    for tag in "ibu":
        assert vtt.count(f"<{tag}>") == vtt.count(f"</{tag}>")


def test_styles_positions_and_drawings_of_ass_become_what_webvtt_can_say() -> None:
    lines = (
        r"{\an8}Top", r"{\b1}bold{\b0} {\u1}under{\u0}", r"{\p1}m 0 0 l 1 1{\p0}", r"a\Nb\hc",
    )  # fmt: skip
    head = ASS.split("Dialogue")[0]
    made = head + "".join(
        f"Dialogue: 0,0:00:0{n}.00,0:00:0{n}.50,Default,,0,0,0,,{line}\n"
        for n, line in enumerate(lines)
    )
    made += "Comment: 0,0:00:08.00,0:00:09.00,Default,,0,0,0,,hidden\n"
    assert to_vtt(made.encode(), ".ass", "en") == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:00.500 line:10%\nTop\n\n"
        "00:00:01.000 --> 00:00:01.500\n<b>bold</b> <u>under</u>\n\n"
        "00:00:03.000 --> 00:00:03.500\na\nb c\n"
    )


@pytest.mark.parametrize(
    "data",
    [b"", b"\0" * 5000 + b"\xff" * 5000, b"1\n2\n3\n" * 1000 + b"{" * 100_000],
)
async def test_what_is_no_subtitles_is_unreadable_or_empty(data: bytes) -> None:
    subtitles = subtitles_of(FakeJobFiles({"a.srt": data, "a.ass": data, "a.sub": data}))
    for n in "012":
        with suppress(SubtitleUnreadable):
            assert (await subtitles.cues("a", n)).vtt == "WEBVTT\n"


async def test_subtitles_made_to_cost_time_or_space_are_ended() -> None:
    tags = b"{\\i1}{\\i0}" * 400_000
    head = ASS.split("Dialogue")[0].encode()
    cue = b"Dialogue: 0,0:00:01.00,0:00:02.00,Default,,0,0,0,," + tags + b"\n"
    vtt = (await SandboxConverter().sidecar(
        PartReader(head + cue), ending=".ass", language=None, fps=None
    )).vtt  # fmt: skip
    assert len(vtt) < 10_000
    with pytest.raises(SubtitleUnreadable, match="too large"):
        await subtitles_of(FakeJobFiles({"a.srt": PartReader(b"x" * (9 << 20))})).cues("a", "0")


async def test_a_sidecar_is_waited_for_only_while_its_job_runs() -> None:
    class Arriving(PartReader):
        async def read(self, offset: int, length: int) -> bytes:
            self.there = [range(self.size)]
            return await super().read(offset, length)

    job_files = FakeJobFiles({"a.srt": Arriving(SRT.encode(), range(0))})
    with pytest.raises(NotArrived):
        await subtitles_of(job_files).cues("a", "0")
    job_files.become(Status.ACTIVE)
    assert (await subtitles_of(job_files).cues("a", "0")).vtt == ENGLISH
