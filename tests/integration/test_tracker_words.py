"""What trackers say reaches the user: of the best of our addresses, in one plain line."""

from __future__ import annotations

from pathlib import Path

import pytest

from chilly_movies import Job
from tests.integration.engine import running, until
from tests.integration.web_answers import Asked, http, refusing_udp_tracker, web_answers
from tests.peers.torrents import make_film, make_torrent

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

NOBODY = b"d8:intervali1800e5:peers0:e"
LONG = b"y" * 250_000


def failure(text: bytes) -> bytes:
    return b"d14:failure reason%d:%be" % (len(text), text)


def torrent_with(tmp_path: Path, trackers: list[str]) -> bytes:
    film = tmp_path / "source" / "film.mkv"
    make_film(film, 40_000)
    return make_torrent(film, tmp_path / "film.torrent", trackers=trackers).path.read_bytes()


async def reason(folder: Path, torrent: bytes, wanted: str, **engine: object) -> str:
    """The reason as soon as it has these words."""

    def says(job: Job) -> bool:
        return wanted in (job.reason or "")

    async with running(folder, **engine) as downloader:
        await downloader.start(id="a", torrent=torrent)
        job = await until(downloader, "a", says)
    assert job.reason is not None
    return job.reason


async def test_a_tracker_that_one_of_our_addresses_reaches_has_answered(tmp_path: Path) -> None:
    def answer(asked: Asked) -> bytes:
        good = asked.peer == "127.0.0.1"
        return http("200 OK", NOBODY) if good else http("503 Service Unavailable")

    async with web_answers(answer) as web:
        torrent = torrent_with(tmp_path, [f"{web.url}/announce"])
        two = {"listen_interfaces": "127.0.0.1:0,127.0.0.3:0"}
        async with running(tmp_path, extra=two) as downloader:
            await downloader.start(id="a", torrent=torrent)
            await web.until_asked("/announce", 2)
            job = await until(
                downloader, "a", lambda job: "1 tracker answered" in (job.reason or "")
            )
            assert job.reason == "no peers found yet: 1 tracker answered, 0 peers"
            await downloader.pause("a")
            await downloader.resume("a")
            await web.until_asked("/announce", 4)
            job = await until(
                downloader, "a", lambda job: "1 tracker answered" in (job.reason or "")
            )
            assert job.reason == "no peers found yet: 1 tracker answered, 0 peers"


async def test_a_tracker_that_none_of_our_addresses_reaches_failed(tmp_path: Path) -> None:
    async with web_answers(lambda _: http("200 OK", failure(b"gone away"))) as web:
        two = {"listen_interfaces": "127.0.0.1:0,127.0.0.3:0"}
        torrent = torrent_with(tmp_path, [f"{web.url}/announce"])
        assert ": gone away)" in await reason(tmp_path, torrent, "1 tracker failed", extra=two)


async def test_a_warning_is_told_with_the_answer_it_came_with(tmp_path: Path) -> None:
    warned = NOBODY[:-1] + b"15:warning message22:Torrent not registerede"
    async with web_answers(lambda _: http("200 OK", warned)) as web:
        torrent = torrent_with(tmp_path, [f"{web.url}/announce"])
        assert await reason(tmp_path, torrent, "1 tracker answered") == (
            "no peers found yet: 1 tracker answered (Torrent not registered), 0 peers"
        )


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (LONG, "y" * 199 + "…"),
        (b"\x1b[2J\x07gone\r\nsecond line\x9b", "[2J gone second line"),
        ("weg \u202e\u2066da".encode(), "weg da"),
        ("nicht registriert: f\xfcr dich".encode(), "nicht registriert: f\xfcr dich"),
    ],
    ids=["long", "control", "direction", "plain"],
)  # fmt: skip
async def test_a_strangers_words_are_one_short_line(tmp_path: Path, said: bytes, told: str) -> None:
    for number, body in enumerate((failure(said), warning(said))):
        async with web_answers(lambda _, body=body: http("200 OK", body)) as web:  # type: ignore[misc]
            torrent = torrent_with(tmp_path, [f"{web.url}/announce"])
            found = await reason(tmp_path / str(number), torrent, "1 tracker")
            assert found.replace("\ufffd", "").count(f"{told})") == 1
            assert found.isprintable()
            assert len(found) < 300


def warning(text: bytes) -> bytes:
    return NOBODY[:-1] + b"15:warning message%d:%be" % (len(text), text)


async def test_a_refusal_of_a_udp_tracker_is_told_as_one(tmp_path: Path) -> None:
    async with refusing_udp_tracker() as url:
        found = await reason(tmp_path, torrent_with(tmp_path, [url]), "1 tracker failed")
    assert found.endswith(f"1 tracker failed ({url.removesuffix('/announce')}: it refused)")
