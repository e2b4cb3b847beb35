"""Media facts of real films, whole and in parts, and of files made to do harm."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import pytest

from chilly_movies.errors import JobNotFound
from chilly_movies.jobs.models import Status
from chilly_movies.jobs.ports import FileReader
from chilly_movies.media.mediainfo import MediaInfoProbe, read_facts
from chilly_movies.media.mock import FACTS, MockMediaProbe
from chilly_movies.media.sandbox import ChildFailed, Sandbox
from chilly_movies.watching.browsers import plays_in_browsers
from chilly_movies.watching.facts import FactsState, MediaFactsCache
from chilly_movies.watching.tracks import AudioTrack, MediaFacts, Probed, TextTrack, VideoTrack
from tests.films import Films
from tests.readers import FakeJobFiles, PartReader

pytestmark = pytest.mark.anyio

PICTURE = VideoTrack("H.264", 320, 180, 25.0, 8)


async def facts_of(path: Path, *there: range) -> Probed:
    reader = PartReader(path.read_bytes(), *there)
    probed = await MediaInfoProbe().probe(reader)
    assert sum(length for _, length in reader.asked) < 1_000_000
    return probed


async def test_an_mp4_says_all_of_itself_wherever_its_index_lies(films: Films) -> None:
    for moov in ("first", "last", "fragments"):
        facts = (await facts_of(films.mp4(moov=moov))).facts
        assert facts is not None
        assert (facts.container, facts.audio) == ("MP4", (AudioTrack("AAC", None, 1),))
        assert facts.video is not None
        assert (facts.video.codec, facts.video.width, facts.video.height) == ("H.264", 320, 180)
        assert facts.duration == pytest.approx(6, abs=0.1)
        assert facts.bitrate == pytest.approx(films.mp4(moov=moov).stat().st_size * 8 / 6, rel=0.05)
        assert plays_in_browsers(facts)[0]


async def test_an_mkv_tells_languages_subtitles_and_chapters(films: Films) -> None:
    facts = (await facts_of(films.mkv())).facts
    assert facts is not None
    assert (facts.container, facts.video, facts.chapters) == ("Matroska", PICTURE, 2)
    assert facts.audio == (AudioTrack("AAC", "en", 1), AudioTrack("AAC", "fr", 1))
    assert facts.subtitles == (
        TextTrack(4, "SRT", "en"), TextTrack(5, "ASS", "de", "Signs", forced=True),
    )  # fmt: skip


async def test_webm_and_foreign_codecs_are_named_as_people_do(films: Films) -> None:
    webm = (await facts_of(films.webm())).facts
    assert webm is not None
    assert plays_in_browsers(webm) == (True, "Plays in browsers: WebM with VP8 and Opus.")
    video = ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none"]
    hevc = (await facts_of(films.mp4(seconds=1, video=video, audio=["-c:a", "ac3"]))).facts
    assert hevc is not None
    assert hevc.video is not None
    assert (hevc.video.codec, hevc.audio[0].codec) == ("H.265", "AC-3")
    assert not plays_in_browsers(hevc)[0]


async def test_hdr_is_seen(films: Films) -> None:
    video = ["-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le", "-x265-params",
             "log-level=none:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc"]  # fmt: skip
    facts = (await facts_of(films.mp4(seconds=1, video=video))).facts
    assert facts is not None
    assert facts.video is not None
    assert (facts.video.hdr, facts.video.bit_depth) == ("HDR10", 10)


async def test_the_head_is_enough_for_mkv_and_for_mp4_with_its_index_first(films: Films) -> None:
    for path in (films.mkv(), films.mp4()):
        probed = await facts_of(path, range(100_000))
        whole = await facts_of(path)
        assert probed.facts == whole.facts


async def test_an_mp4_with_its_index_last_says_where_the_missing_part_lies(films: Films) -> None:
    path = films.mp4(moov="last")
    size, index = path.stat().st_size, path.read_bytes().index(b"moov") - 4
    assert await facts_of(path, range(100_000)) == Probed(None, index)
    probed = await facts_of(path, range(100_000), range(index, size))
    assert probed.facts == (await facts_of(path)).facts


async def test_what_is_no_film_gives_no_facts_and_no_error() -> None:
    noise = random.Random(1)
    for data in (b"", b"\0" * 100_000, noise.randbytes(100_000), b"PK\3\4" + noise.randbytes(9000)):
        assert (await MediaInfoProbe().probe(PartReader(data))).facts is None


async def test_damaged_films_never_raise(films: Films) -> None:
    noise = random.Random(2)
    for path in (films.mp4(), films.mkv()):
        for _ in range(4):
            data = bytearray(path.read_bytes()[:200_000])
            for _ in range(200):
                data[noise.randrange(5000)] = noise.randrange(256)
            await MediaInfoProbe().probe(PartReader(bytes(data)))


def children() -> set[str]:
    """The processes we started and have not waited for, ended ones among them."""
    stats = [
        stat.read_text().rpartition(")")[2].split() for stat in Path("/proc").glob("[0-9]*/stat")
    ]
    return {fields[0] for fields in stats if int(fields[1]) == os.getpid()}


async def test_a_child_that_hangs_or_eats_memory_is_ended_and_leaves_no_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    package = tmp_path / "pymediainfo"
    package.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    before = children()
    for body in ("while True: pass", "[0] * 10**9", "import os; os.abort()"):
        (package / "__init__.py").write_text(body)
        with pytest.raises(ChildFailed):
            await Sandbox(seconds=1.0).run(PartReader(b"x"), "facts")
    assert children() == before


async def test_a_child_gets_neither_our_secrets_nor_our_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    package = tmp_path / "pymediainfo"
    package.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("API_SECRET", "correct-horse-battery-staple")
    (package / "__init__.py").write_text(
        "import os\nassert 'API_SECRET' not in os.environ\n"
        f"try:\n    open({str(tmp_path / 'written')!r}, 'wb', 0).write(b'x')\n"
        "except OSError:\n    raise SystemError('as it should be')\n"
    )
    with pytest.raises(ChildFailed, match="SystemError: as it should be"):
        await Sandbox().run(PartReader(b"x"), "facts")


class Counting(MediaInfoProbe):
    """Counts how often it looks."""

    looks = 0

    async def probe(self, reader: FileReader) -> Probed:
        self.looks += 1
        return await super().probe(reader)


async def test_the_desk_looks_once_and_again_only_when_the_missing_byte_is_there(
    films: Films,
) -> None:
    data = films.mp4(moov="last").read_bytes()
    reader = PartReader(data, range(100_000))
    job_files, probe = FakeJobFiles({"Film/film.mp4": reader, "Film/read me.txt": b"x"}), Counting()
    cache = MediaFactsCache(job_files, probe)
    for _ in range(3):
        [told] = await cache.of_job("a", patience=20)
        assert (told.state, told.facts) == (FactsState.WAITING, None)
    assert probe.looks == 1
    reader.there = [range(len(data))]
    for _ in range(3):
        [told] = await cache.of_job("a", patience=20)
        assert told.state == FactsState.KNOWN
        assert told.facts == cache.known(job_files.job, 0) == await cache.of_file("a", 0)
    assert probe.looks == 2
    await cache.aclose()


async def test_the_desk_never_starts_or_wakes_a_job_by_looking() -> None:
    job_files = FakeJobFiles({"a.mkv": b"x"})
    for status in (Status.QUEUED, Status.PAUSED, Status.FAILED, Status.CANCELED):
        job_files.become(status)
        [told] = await MediaFactsCache(job_files, MockMediaProbe()).of_job("a")
        assert (told.state, job_files.opened) == (FactsState.WAITING, 0)


async def test_the_desk_tells_unreadable_files_from_those_that_have_not_begun() -> None:
    job_files = FakeJobFiles(
        {"a.mkv": PartReader(b"x" * 5000), "b.mkv": PartReader(b"x" * 5000, range(0))}
    )
    told = await MediaFactsCache(job_files, MediaInfoProbe()).of_job("a", patience=20)
    assert [one.state for one in told] == [FactsState.UNREADABLE, FactsState.WAITING]


async def test_the_desk_answers_at_once_when_a_look_takes_long() -> None:
    gate = asyncio.Event()

    class Slow(MockMediaProbe):
        async def probe(self, reader: FileReader) -> Probed:
            await gate.wait()
            return await super().probe(reader)

    cache = MediaFactsCache(FakeJobFiles({"a.mkv": PartReader(b"x")}), Slow())
    [told] = await cache.of_job("a", patience=0.01)
    assert told.state == FactsState.WAITING
    gate.set()
    assert await cache.of_file("a", 0) == FACTS
    with pytest.raises(JobNotFound):
        await cache.of_job("b")


async def test_facts_that_lie_about_types_are_dropped() -> None:
    answer = (
        b'{"media":{"track":[{"@type":"General","Format":"MPEG-4","Duration":"1e999"},'
        b'{"@type":"Video","Format":["x"],"Width":"-1","FrameRate":"nan","Title":{}},'
        b'{"@type":"Audio","Format":"AAC\\n<b>","Language":"\\"><script>"}]}}'
    )
    assert read_facts(answer, 5) == MediaFacts(
        "MP4", video=VideoTrack("unknown"), audio=(AudioTrack("AAC<b>"),)
    )
