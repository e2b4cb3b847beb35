"""The driver for films on web pages: what every driver promises, and what only this one does."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chilly_movies.drivers.ytdlp.driver import YtdlpDriver
from chilly_movies.drivers.ytdlp.looking import Looked, look
from chilly_movies.errors import FileNotFound, NotReadable, SourceRejected, SourceUnavailable
from chilly_movies.jobs.models import Job, Phase, Report, Source, SourceType
from chilly_movies.jobs.options import Options
from chilly_movies.jobs.secrets import Secret
from chilly_movies.net.policy import NetworkConfig, NetworkPolicy
from tests.contract.driver_suite import (
    Bench,
    DriverSuite,
    accepted,
    after,
    run_some,
    run_until_complete,
)
from tests.films import Films, count_frames, run_ffmpeg
from tests.page_set import PageSet, page_set
from tests.ytdlp_child import start_children_warm

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("ytdlp")]
ONE, TWO = (bytes(range(begin, 251 + begin)) * 6000 for begin in (0, 1))
OPEN = {"allow_private_addresses": True}


@pytest.fixture(autouse=True)
def _quick_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    start_children_warm(monkeypatch)


@pytest.fixture
async def pages() -> AsyncIterator[PageSet]:
    async with page_set() as pages:
        yield pages


class PageBench:
    """A driver for pages of a site; the disk survives it."""

    seeds = False
    films = (ONE, TWO)

    def __init__(self, root: Path, pages: PageSet, **network: Any) -> None:
        self.media_root = root
        self.sources: tuple[Source, Source] = (
            page(pages.add_film("one", ONE).replace("html", "mp4")),
            page(pages.add_film("two", TWO).replace("html", "mp4")),
        )
        self.hostile = tuple(
            page(pages.add_film(f"hostile{number}", b"film" * 1000, title))
            for number, title in enumerate(("../../x", "n" * 300, "con", ".bash\u202egpj.rc\x01"))
        )
        self.broken = tuple(
            map(
                page,
                ("nonsense", "file:///etc/passwd", "ftp://x.example/a", "http://", "http://a.b/ c"),
            )
        )
        self.policy = NetworkPolicy(NetworkConfig(**{**OPEN, **network}))
        self.driver: Any = YtdlpDriver(root, self.policy)

    async def restart(self) -> None:
        """See `Bench`."""
        await self.driver.aclose()
        self.driver = YtdlpDriver(self.media_root, self.policy)


def page(link: str, **secret: Any) -> Source:
    return Source(SourceType.YOUTUBE, link, secret=Secret(**secret) if secret else None)


@pytest.fixture
async def bench(anyio_backend: str, tmp_path: Path, pages: PageSet) -> AsyncIterator[Bench]:
    pages.rate = 20_000_000
    made = PageBench(tmp_path / "media", pages)
    yield made
    await made.driver.aclose()


class TestYtdlpDriver(DriverSuite):
    """The suite of all drivers."""


# --- what the source does -----------------------------------------------------------------------


async def held_at(bench: Any, pages: PageSet, size: int) -> tuple[Job, Any]:
    """A job of which at least so many bytes are there, and its open run."""
    pages.stops["/one.mp4"] = size
    job = accepted(bench)
    reports = bench.driver.run(job)
    async for report in reports:
        job = after(job, report)
        if report.progress.bytes_downloaded >= size - 128 * 1024:
            return job, reports
    raise AssertionError("it ended")


async def test_a_film_that_changed_at_its_source_begins_anew_and_is_never_two_films_in_one(
    bench: Bench, pages: PageSet, tmp_path: Path
) -> None:
    job, reports = await held_at(bench, pages, 512 * 1024)
    reader = await bench.driver.open_file(job, 0)
    first = await reader.read(0, 100)
    await reports.aclose()
    pages.stops.clear()
    pages.holds["/one.mp4"], pages.tags["/one.mp4"] = TWO, '"other"'
    job, seen = await run_until_complete(bench.driver, job)
    assert [report.reason for report in seen if report.anew] == [
        "the film changed at its source, so it is fetched from the beginning"
    ]
    assert (tmp_path / "media" / str(job.path)).read_bytes() == TWO
    assert first == ONE[:100]
    with pytest.raises(FileNotFound):
        await reader.read(200, 100)
    await reader.aclose()
    assert [asked.begin for asked in pages.of("/one.mp4") if "If-Range: " in asked.head] == [0]


async def test_a_page_without_a_film_is_refused_in_words(bench: Bench, pages: PageSet) -> None:
    pages.holds |= {"/empty.html": b"<html><title>x</title></html>", "/gone.html": 404}
    pages.holds["/film.bin"] = b"\x7fELF" * 1000
    for path, says in (("empty.html", "No film was found"), ("film.bin", "No film was found")):
        with pytest.raises(SourceRejected, match=says):
            await run_until_complete(bench.driver, at(bench, f"{pages.url}/{path}"))
    with pytest.raises(Exception, match="no such page"):
        await run_until_complete(bench.driver, at(bench, f"{pages.url}/gone.html"))


def at(bench: Bench, link: str, options: Options | None = None, **secret: Any) -> Job:
    """A job for a link."""
    job = replace(accepted(bench), source=page(link, **secret))
    return replace(job, options=options or job.options)


async def test_what_a_server_is_told_in_confidence_no_other_server_hears(
    bench: Bench, pages: PageSet
) -> None:
    async with page_set({"/far.mp4": ONE}) as far:
        far.url = far.url.replace("127.0.0.1", "localhost")  # cookies are a host's, not a port's
        pages.holds["/near.html"] = f'<video src="{far.url}/far.mp4"></video>'.encode()
        pages.holds["/away.html"] = f"{far.url}/away.html"
        pages.holds["/moved.html"] = "/near.html"
        far.holds["/away.html"] = b'<video src="far.mp4"></video>'
        secret: dict[str, Any] = {
            "username": "mara", "password": "pw0canary", "cookies": (("sid", "cookie0canary"),),
            "headers": (("X-Key", "header0canary"),),
        }  # fmt: skip
        for number, path in enumerate(("moved.html", "away.html")):
            job = replace(at(bench, f"{pages.url}/{path}", **secret), key=f"secret-{number}")
            await run_until_complete(bench.driver, job)
        near_heads = [asked.head for asked in pages.asked]
        for said in ("cookie0canary", "header0canary", "Basic bWFyYTpwdzBjYW5hcnk="):
            assert all(said in head for head in near_heads), said
            assert not [asked.head for asked in far.asked if said in asked.head], said
        assert len(far.asked) >= 3


# --- films in parts -----------------------------------------------------------------------------


@pytest.fixture
def parts(films: Films, tmp_path: Path) -> Path:
    """An HLS master playlist with sound apart, and English subtitles."""
    folder, film = tmp_path / "parts", films.mp4(seconds=4)
    folder.mkdir()
    for name, stream in (("picture", "0:v"), ("sound", "0:a")):
        run_ffmpeg(
            "-i", str(film), "-map", stream, "-c", "copy", "-f", "hls", "-hls_time", "1",
            "-hls_playlist_type", "vod", str(folder / f"{name}.m3u8"),
        )  # fmt: skip
    (folder / "film.m3u8").write_text(
        "#EXTM3U\n"
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="English",DEFAULT=YES,URI="sound.m3u8"\n'
        '#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="s",NAME="English",LANGUAGE="en",URI="words.m3u8"\n'
        '#EXT-X-STREAM-INF:BANDWIDTH=700000,CODECS="avc1.42c00d,mp4a.40.2",RESOLUTION=320x180,'
        'AUDIO="a",SUBTITLES="s"\npicture.m3u8\n'
    )
    (folder / "words.m3u8").write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXTINF:4,\nwords.vtt\n"
        "#EXT-X-ENDLIST\n"
    )
    (folder / "words.vtt").write_text("WEBVTT\n\n00:01.000 --> 00:02.000\nGood evening.\n")
    return folder


async def test_picture_and_sound_become_one_film_with_subtitles_beside_it(
    bench: Bench, pages: PageSet, parts: Path, tmp_path: Path
) -> None:
    pages.add_folder(parts)
    options = Options(video_quality="720", subtitles="en,fr", folder="Films")
    job = at(bench, f"{pages.url}/film.m3u8", options)
    seen: list[Report] = []
    refused = 0
    async with aclosing(bench.driver.run(job)) as reports:
        async for report in reports:
            seen.append(report)
            job = after(job, report)
            if report.progress.phase is Phase.DOWNLOADING and not refused:
                refused += 1
                with pytest.raises(NotReadable, match="when it is complete"):
                    await bench.driver.open_file(job, 0)
    assert refused
    assert any("joined" in (report.reason or "") for report in seen)
    assert Phase.POST_PROCESSING in [report.progress.phase for report in seen]
    downloading = [r for r in seen if r.progress.phase is Phase.DOWNLOADING and r.needs]
    assert all((r.needs or 0) >= (r.progress.bytes_total or 0) for r in downloading)
    root = tmp_path / "media"
    assert [Path(file.path).name for file in job.files] == ["film.mp4", "film.en.vtt"]
    assert streams_of(root / job.files[0].path) == ["audio", "video"]
    assert "Good evening." in (root / job.files[1].path).read_text()
    assert str(job.path) == "Films/film"
    assert not [path for path in (root / ".incomplete").iterdir() if path.is_dir()]


async def test_a_film_of_fragments_goes_on_with_each_of_them_once(
    bench: Bench, pages: PageSet, parts: Path, tmp_path: Path
) -> None:
    pages.add_folder(parts)
    pages.rate = 400_000
    job = at(bench, f"{pages.url}/film.m3u8")
    job, _ = await run_some(bench.driver, job)
    staging = tmp_path / "media/.incomplete" / job.key
    async with aclosing(bench.driver.run(job)) as reports:
        async for _ in reports:
            grown = [path for path in staging.glob("*.part") if path.stat().st_size]
            if grown and (staging / ".fragments.json").exists():
                break
    with grown[0].open("ab") as part:  # a fragment that was not counted before a crash
        part.write(b"half a fragment")
    pages.rate = 0
    asked = len(pages.asked)
    job, _ = await run_until_complete(bench.driver, job)
    assert count_frames(tmp_path / "media" / str(job.path)) == 100
    again = [asked.path for asked in pages.asked[asked:] if asked.path.endswith(".ts")]
    assert 0 < len(again) < 2 * 4 + 1


def streams_of(film: Path) -> list[str]:
    command = ["ffprobe", "-v", "error", "-show_entries", "stream=codec_type", "-of", "json"]
    done = subprocess.run([*command, str(film)], capture_output=True, check=True)
    return sorted(stream["codec_type"] for stream in json.loads(done.stdout)["streams"])


async def test_sound_alone_is_what_audio_asks_for(
    bench: Bench, pages: PageSet, films: Films, tmp_path: Path
) -> None:
    link = pages.add_film("song", films.mp4(seconds=2).read_bytes())
    job, _ = await run_until_complete(bench.driver, at(bench, link, Options(video_quality="audio")))
    assert streams_of(tmp_path / "media" / job.files[0].path) == ["audio"]


# --- the network --------------------------------------------------------------------------------


@pytest.mark.parametrize("network", ["block_list", "interface", "allow_private_addresses"])
async def test_the_policy_of_the_network_holds_for_it(
    tmp_path: Path, pages: PageSet, network: str
) -> None:
    blocked = tmp_path / "block.txt"
    blocked.write_text("127.0.0.0/8\n")
    setting = {"block_list": blocked, "interface": "nowhere0", "allow_private_addresses": False}
    bench = PageBench(tmp_path / "media", pages, **{network: setting[network]})
    with pytest.raises((SourceUnavailable, SourceRejected)) as refused:
        await run_until_complete(bench.driver, accepted(bench))
    assert "blocked" in str(refused.value) or "nowhere0" in str(refused.value)
    assert pages.asked == []


async def test_the_limits_of_a_job_hold_for_it_and_can_be_changed(
    bench: Bench, pages: PageSet
) -> None:
    pages.rate = 0
    loop = asyncio.get_running_loop()
    job, began = at(bench, f"{pages.url}/one.html", Options(download_limit=2_000_000)), loop.time()
    _, seen = await run_until_complete(bench.driver, job)
    assert loop.time() - began > 0.6 * len(ONE) / 2_000_000
    assert any(report.progress.download_speed for report in seen)


async def test_a_page_is_looked_at_without_downloading_it(bench: Any, pages: PageSet) -> None:
    link = pages.add_film("seen", ONE, "A film")
    assert await look(bench.policy, page(link)) == Looked("A film", None, 1)
    assert pages.sent("/seen.mp4") < len(ONE)


async def test_nothing_is_downloaded_twice_when_a_crash_came_before_publishing(
    bench: Any, pages: PageSet, tmp_path: Path
) -> None:
    job = accepted(bench)
    async with aclosing(bench.driver.run(job)) as reports:
        async for report in reports:
            job = after(job, report)
            if report.path is not None:
                break  # it was told where the film goes, and did not go there
    asked = len(pages.asked)
    await bench.restart()
    job, _ = await run_until_complete(bench.driver, job)
    assert len(pages.asked) == asked
    assert (tmp_path / "media" / str(job.path)).read_bytes() == ONE
