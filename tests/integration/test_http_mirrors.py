"""One film from several places: each has its own segments and patience, and none is believed."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import subprocess
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from chilly_movies import Status
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.jobs.models import Job
from tests.doubles import until
from tests.integration.http_rig import WITHIN, fetch, fetching
from tests.integration.odd_origins import Origin, Serve, Wire, origin
from tests.peers.available import require

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]
MIB = 1 << 20
FILM = hashlib.shake_256(b"film").digest(6 * MIB)
PIECE = 256 * 1024
SHA256 = hashlib.sha256(FILM).hexdigest()


def wrong_at(place: int) -> bytes:
    """The film with one wrong byte."""
    return FILM[:place] + bytes([FILM[place] ^ 1]) + FILM[place + 1 :]


def good(film: bytes = FILM, etag: str = "a", *, pause: float = 0.002) -> Serve:
    """A server with ranges that is slow enough for others to have their share."""

    async def serve(wire: Wire) -> None:
        start, end = wire.span(film)
        where = f"Content-Range: bytes {start}-{end - 1}/{len(film)}"
        head = (f"Content-Length: {end - start}", "Accept-Ranges: bytes", f'ETag: "{etag}"')
        if wire.first is None:
            await wire.raw("200 OK", *head)
        else:
            await wire.raw("206 Partial Content", where, *head)
        for at in range(start, end, 65536):
            await wire.send(film[at : min(end, at + 65536)])
            await asyncio.sleep(pause)

    return serve


async def refuses(wire: Wire) -> None:
    await wire.say("500 Internal Server Error")


class Places:
    """Servers that end with the test, and a downloader."""

    def __init__(self, stack: AsyncExitStack, downloader: Downloader) -> None:
        self._stack = stack
        self.downloader = downloader
        self.reasons: list[str] = []

    async def serve(self, *serves: Serve) -> list[Origin]:
        return [await self._stack.enter_async_context(origin(one)) for one in serves]

    async def fetch(self, url: str, mirrors: Sequence[Origin] = (), **wishes: Any) -> Job:
        """Fetch the film and note what is said meanwhile."""
        if mirrors:
            wishes["mirrors"] = [{"sourceUrn": one.url} for one in mirrors]
        self.downloader.on("progress", self._note)
        return await fetch(self.downloader, url, **wishes)

    def _note(self, job: Job) -> None:
        if job.reason and job.reason not in self.reasons:
            self.reasons.append(job.reason)


@pytest.fixture
async def places(tmp_path: Path, anyio_backend: str) -> Any:
    async with AsyncExitStack() as stack:
        yield Places(stack, await stack.enter_async_context(fetching(tmp_path / "media")))


def is_right(tmp_path: Path, job: Job) -> bool:
    found = (tmp_path / "media" / str(job.path)).read_bytes()
    return job.status is Status.COMPLETED and found == FILM


def document(
    urls: Sequence[str], *, pieces: bool = True, more: str = "", size: int = len(FILM)
) -> bytes:
    """A metalink of the film (RFC 5854)."""
    blocks = [FILM[at : at + PIECE] for at in range(0, len(FILM), PIECE)]
    hashes = "".join(f"<hash>{hashlib.sha256(block).hexdigest()}</hash>" for block in blocks)
    said = f"<pieces length='{PIECE}' type='sha-256'>{hashes}</pieces>" if pieces else ""
    links = "".join(f"<url priority='{n}'>{url}</url>" for n, url in enumerate(urls, 1))
    return (
        f"<metalink xmlns='urn:ietf:params:xml:ns:metalink'><file name='film.mkv'>"
        f"<size>{size}</size><hash type='sha-256'>{SHA256}</hash>{said}{links}</file>{more}"
        "</metalink>"
    ).encode()


def metalink(of: Callable[[], bytes]) -> Serve:
    """A server of a metalink."""

    async def serve(wire: Wire) -> None:
        await wire.say("200 OK", "Content-Type: application/metalink4+xml", body=of())

    return serve


# --- mirrors ------------------------------------------------------------------------------------


async def test_a_film_comes_from_all_its_places_at_once(places: Places, tmp_path: Path) -> None:
    one, two, three = await places.serve(
        good(pause=0.02), good(etag="b", pause=0.02), good(etag="c", pause=0.02)
    )
    job = await places.fetch(one.url, [two, three])
    assert is_right(tmp_path, job)
    assert min(one.sent, two.sent, three.sent) > 128 * 1024
    assert one.sent + two.sent + three.sent < len(FILM) + 3 * MIB


async def test_a_film_whose_source_dies_at_40_percent_comes_from_its_mirror(
    places: Places, tmp_path: Path
) -> None:
    async def dies(wire: Wire) -> None:
        if wire.origin.sent > 0.4 * len(FILM):
            await refuses(wire)
        else:
            await wire.part_cut(int(0.2 * len(FILM)), 'ETag: "a"', film=FILM)

    one, two = await places.serve(dies, good(etag="b", pause=0.01))
    job = await places.fetch(one.url, [two])
    assert is_right(tmp_path, job)
    assert job.attempts == 0


async def test_mirrors_are_asked_and_left_while_a_film_arrives(
    places: Places, tmp_path: Path
) -> None:
    one, two = await places.serve(good(pause=0.05), good(etag="b", pause=0.01))
    fetching = asyncio.create_task(places.fetch(one.url))
    await until(lambda: one.sent >= MIB)
    assert two.requests == 0
    await places.downloader.adjust("a", mirrors=[{"sourceUrn": two.url}])
    await until(lambda: two.sent >= MIB)
    await places.downloader.adjust("a", mirrors=[])
    asked = two.requests
    assert is_right(tmp_path, await fetching)
    assert two.requests <= asked + 1


async def test_a_film_whose_source_never_answers_comes_from_its_mirror(
    places: Places, tmp_path: Path
) -> None:
    one, two = await places.serve(refuses, good())
    assert is_right(tmp_path, await places.fetch(one.url, [two]))


async def test_a_mirror_of_another_length_is_dropped_alone(places: Places, tmp_path: Path) -> None:
    one, longer, two = await places.serve(
        good(pause=0.02), good(FILM + b"x"), good(etag="b", pause=0.02)
    )
    job = await places.fetch(one.url, [longer, two])
    assert is_right(tmp_path, job)
    assert two.sent > 0
    assert any("another size" in reason for reason in places.reasons), places.reasons


async def test_a_mirror_with_another_film_is_dropped_before_a_byte_of_it_counts(
    places: Places, tmp_path: Path
) -> None:
    one, other = await places.serve(good(pause=0.02), good(FILM[::-1], "b"))
    job = await places.fetch(one.url, [other])
    assert is_right(tmp_path, job)
    assert other.sent < MIB
    assert any("other bytes" in reason for reason in places.reasons), places.reasons


async def test_a_mirror_with_one_wrong_byte_is_found_by_the_checksum_and_dropped_alone(
    places: Places, tmp_path: Path
) -> None:
    serves = [good(pause=0.01), good(wrong_at(4 * MIB + 7), "b"), good(etag="c")]
    one, liar, two = await places.serve(*serves)
    job = await places.fetch(one.url, [liar, two], checksum=f"sha256:{SHA256}")
    assert is_right(tmp_path, job)
    assert any("other bytes" in reason for reason in places.reasons) or liar.sent < 4 * MIB


async def test_bytes_that_no_place_has_right_are_never_completed(
    places: Places, tmp_path: Path
) -> None:
    one, two = await places.serve(good(wrong_at(9)), good(wrong_at(5 * MIB), "b"))
    job = await places.fetch(one.url, [two], checksum=f"sha256:{SHA256}")
    assert job.status is Status.FAILED
    assert job.error is not None
    assert "sha256" in job.error.message


# --- metalinks ----------------------------------------------------------------------------------


async def test_a_metalink_becomes_its_film_from_all_places_it_names(
    places: Places, tmp_path: Path
) -> None:
    one, two, dead = await places.serve(good(), good(etag="b"), refuses)
    (meta,) = await places.serve(metalink(lambda: document([dead.url, one.url, two.url])))
    job = await places.fetch(meta.url.replace("film.mkv", "anything"))
    assert is_right(tmp_path, job)
    assert job.path == "film.mkv"
    assert min(one.sent, two.sent) > 0
    assert meta.requests == 1


async def test_a_piece_that_is_wrong_costs_its_place_and_is_fetched_elsewhere(
    places: Places, tmp_path: Path
) -> None:
    liar, one, two = await places.serve(
        good(wrong_at(9), "x", pause=0.01), good(pause=0.02), good(etag="b", pause=0.02)
    )
    (meta,) = await places.serve(metalink(lambda: document([liar.url, one.url, two.url])))
    job = await places.fetch(meta.url)
    assert is_right(tmp_path, job)
    assert one.sent + two.sent + liar.sent < len(FILM) + 4 * MIB
    assert any("wrong" in reason for reason in places.reasons), places.reasons


async def test_a_metalink_whose_places_all_lie_fails_and_nothing_is_published(
    places: Places, tmp_path: Path
) -> None:
    one, two = await places.serve(good(wrong_at(5 * MIB)), good(wrong_at(5 * MIB), "b"))
    (meta,) = await places.serve(metalink(lambda: document([one.url, two.url])))
    job = await places.fetch(meta.url)
    assert job.status is Status.FAILED
    assert job.error is not None
    assert "wrong" in job.error.message
    assert not (tmp_path / "media" / "film.mkv").exists()


async def test_a_metalink_without_pieces_has_its_checksum_compared(
    places: Places, tmp_path: Path
) -> None:
    one, liar = await places.serve(good(), good(wrong_at(3 * MIB), "b"))
    (meta,) = await places.serve(metalink(lambda: document([liar.url, one.url], pieces=False)))
    assert is_right(tmp_path, await places.fetch(meta.url))


@pytest.mark.parametrize(("more", "says"), [
    ("<file name='two.mkv'><url>http://a.example/two.mkv</url></file>", r"2 files"),
    ("<file", "broken"),
    ("<file name='../two.mkv'/>", "leads out"),
])  # fmt: skip
async def test_a_metalink_that_cannot_be_taken_is_refused_in_one_sentence(
    places: Places, more: str, says: str
) -> None:
    (one,) = await places.serve(good())
    (meta,) = await places.serve(metalink(lambda: document([one.url], more=more)))
    job = await places.fetch(meta.url)
    assert job.status is Status.FAILED
    assert job.error is not None
    assert says in job.error.message
    assert job.error.code == "source_rejected"
    assert one.sent == 0


async def test_a_film_that_goes_on_after_a_stop_reads_its_metalink_again(
    places: Places, tmp_path: Path
) -> None:
    one, two = await places.serve(good(pause=0.02), good(etag="b", pause=0.02))
    (meta,) = await places.serve(metalink(lambda: document([one.url, two.url])))
    wish = {"sourceType": "http", "sourceUrn": meta.url}
    await places.downloader.start(wish, id="a")
    async with asyncio.timeout(WITHIN), places.downloader.listen("a") as changes:
        while (await places.downloader.status("a")).progress.percent < 30:
            await anext(changes)
    await places.downloader.pause("a")
    before = one.sent + two.sent
    await places.downloader.resume("a")
    async with asyncio.timeout(WITHIN):
        job = await places.downloader.wait("a")
    assert is_right(tmp_path, job)
    assert one.sent + two.sent < len(FILM) + 2 * MIB
    assert one.sent + two.sent - before < len(FILM)


async def test_mirrors_that_headers_name_are_asked_if_there_is_a_digest(
    places: Places, tmp_path: Path
) -> None:
    (two,) = await places.serve(good(etag="b"))
    digest = base64.b64encode(hashlib.sha256(FILM).digest()).decode()

    def naming(*more: str) -> Serve:
        async def serve(wire: Wire) -> None:
            if wire.number == 1:
                await wire.part_cut(MIB, f"Link: <{two.url}>; rel=duplicate", *more, film=FILM)
            else:
                await good()(wire)

        return serve

    one, none = await places.serve(naming(f"Digest: SHA-256={digest}"), naming())
    assert is_right(tmp_path, await places.fetch(one.url, id="a"))
    asked = two.requests
    assert asked > 0
    assert (await places.fetch(none.url, id="b")).status is Status.COMPLETED
    assert two.requests == asked


async def test_aria2_reads_the_same_document(tmp_path: Path) -> None:
    require("aria2")
    async with origin(good(pause=0)) as one:
        (tmp_path / "film.meta4").write_bytes(document([one.url]))
        words = (
            "aria2c",
            "-q",
            "--no-conf",
            "-d",
            str(tmp_path),
            "-M",
            str(tmp_path / "film.meta4"),
        )
        done = await asyncio.to_thread(subprocess.run, words, timeout=20, check=False)
    assert done.returncode == 0
    assert (tmp_path / "film.mkv").read_bytes() == FILM
