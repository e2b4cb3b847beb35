"""Files behind links, from a server on loopback: parts, resume, changes, readers, secrets."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import re
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from chilly_movies.drivers.http import requests
from chilly_movies.drivers.http.driver import HttpDriver
from chilly_movies.drivers.http.hosts import Patience
from chilly_movies.drivers.http.settings import HttpSourceSettings
from chilly_movies.errors import (
    DownloadError,
    FileNotFound,
    FilmDamaged,
    SourceNotFound,
    SourceRejected,
    SourceUnavailable,
)
from chilly_movies.jobs import events as e
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.jobs.lifecycle import apply
from chilly_movies.jobs.models import FurtherSource, Job, Phase, Report, Source, SourceType, Status
from chilly_movies.jobs.options import Options
from chilly_movies.jobs.retry import RetryPolicy
from chilly_movies.jobs.secrets import Secret
from chilly_movies.net.policy import NetworkConfig, NetworkPolicy
from chilly_movies.net.proxies import Proxy
from chilly_movies.storage.memory import MemoryJobStore, MemoryResumeStore
from tests.contract.driver_suite import after, run_until_complete
from tests.doubles import NOON, make_job, until
from tests.integration.file_origin import ERROR, FileOrigin, Served, file_origin, redirect
from tests.peers.proxy_server import ProxyServer
from tests.peers.torrents import make_film

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]
MIB = 1 << 20
QUICK = Patience(silence=0.3, connect=2.0, tries=2, pause=0.01, longest_pause=0.02)


@dataclass
class Rig:
    """The driver, a server, and where films go."""

    origin: FileOrigin
    root: Path
    resume: MemoryResumeStore
    driver: HttpDriver

    async def restart(self) -> None:
        await self.driver.aclose()
        self.driver = driver_at(self.root, self.resume)

    def job(self, link: str, key: str = "a", **more: Any) -> Job:
        """A job that was started."""
        secret = more.pop("secret", None)
        source = Source(SourceType.HTTP, link, secret=secret)
        facts = self.driver.identify(source)
        job = make_job(key, source=source, identities=facts.identities, name=facts.name, **more)
        return apply(job, e.Started(), NOON)

    async def complete(self, job: Job) -> tuple[Job, list[Report]]:
        job, seen = await run_until_complete(self.driver, job)
        assert job.path is not None
        return job, seen

    async def run_some(self, job: Job) -> Job:
        """Run a job until more than 1 MiB of it is there; at most 3 MiB come."""
        self.origin.hold_after = self.origin.sent + 5 * MIB // 2
        job, _ = await self.run_to(job, lambda r: r.progress.bytes_downloaded > MIB)
        self.origin.hold_after = None
        return job

    async def run_to(self, job: Job, wanted: Callable[[Report], object]) -> tuple[Job, Report]:
        """Run a job until a report is as wanted."""
        async with aclosing(self.driver.run(job)) as reports:
            async for report in reports:
                job = after(job, report)
                if wanted(report):
                    return job, report
        raise AssertionError("no report was so")

    async def fails(self, job: Job) -> DownloadError:
        with pytest.raises(DownloadError) as failed:
            await run_until_complete(self.driver, job)
        assert job.path is None
        return failed.value

    def content(self, job: Job) -> bytes:
        return (self.root / (job.path or "")).read_bytes()


def driver_at(root: Path, resume: MemoryResumeStore | None = None, **network: Any) -> HttpDriver:
    policy = NetworkPolicy(NetworkConfig(allow_private_addresses=True, **network))
    store = MemoryResumeStore() if resume is None else resume
    return HttpDriver(root, store, policy, HttpSourceSettings(), QUICK)


@pytest.fixture
async def rig(anyio_backend: str, tmp_path: Path) -> AsyncIterator[Rig]:
    async with file_origin() as origin:
        resume, root = MemoryResumeStore(), tmp_path / "media"
        made = Rig(origin, root, resume, driver_at(root, resume))
        yield made
        await made.driver.aclose()


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("source") / "film.mkv"
    make_film(path, 8 * MIB)
    return path.read_bytes()


# --- parts ----------------------------------------------------------------------------------


async def test_a_file_comes_over_several_connections_each_byte_once(rig: Rig, film: bytes) -> None:
    link = rig.origin.serve("/film.mkv", film, rate=4 * MIB)
    job, seen = await rig.complete(rig.job(link))
    assert rig.content(job) == film
    assert 2 < rig.origin.most_open <= 8
    figures = seen[-2].figures
    assert figures is not None
    assert figures.downloaded - figures.wasted == len(film)
    assert figures.wasted < len(film) // 2  # of parts that were divided while they came


async def test_of_a_server_without_ranges_there_is_one_connection(rig: Rig, film: bytes) -> None:
    link = rig.origin.serve("/film.mkv", film, ranges=False)
    job, seen = await rig.complete(rig.job(link))
    assert rig.content(job) == film
    assert (rig.origin.most_open, len(rig.origin.asked)) == (1, 1)
    [note] = [report.facts.note for report in seen if report.facts]
    assert note == "its server sends the file only from the beginning on"


@pytest.mark.parametrize("packed", [False, True])
async def test_a_file_of_unknown_size_is_taken_to_its_end(rig: Rig, packed: bool) -> None:
    body = bytes(range(256)) * 3000
    more = {"Content-Encoding": "gzip"} if packed else {}
    sent = gzip.compress(body) if packed else body
    link = rig.origin.serve("/film.mkv", sent, ranges=False, chunked=not packed, headers=more)
    job, _ = await rig.complete(rig.job(link))
    assert rig.content(job) == body
    assert [file.size for file in job.files] == [len(body)]


async def test_an_empty_file_is_a_file(rig: Rig) -> None:
    job, _ = await rig.complete(rig.job(rig.origin.serve("/empty.srt", b"")))
    assert rig.content(job) == b""


async def test_connections_that_break_cost_only_what_did_not_come(rig: Rig, film: bytes) -> None:
    link = rig.origin.serve("/film.mkv", film, cut_after=MIB)
    job, _ = await rig.complete(rig.job(link))
    assert rig.content(job) == film
    assert rig.origin.sent < 1.5 * len(film)


# --- names and places -----------------------------------------------------------------------


async def test_the_server_names_the_file_and_no_name_leads_out(rig: Rig) -> None:
    disposition = "attachment; filename=\"../..\"; filename*=UTF-8''..%2F%C3%A4.mkv"
    named = {"Content-Disposition": disposition}
    link = rig.origin.serve("/get", b"film", headers=named)
    job, _ = await rig.complete(rig.job(link))
    assert (job.path, job.name, rig.content(job)) == ("ä.mkv", "ä.mkv", b"film")


async def test_a_second_film_of_one_name_replaces_nothing(rig: Rig) -> None:
    first, _ = await rig.complete(rig.job(rig.origin.serve("/a/film.mkv", b"one")))
    second, _ = await rig.complete(rig.job(rig.origin.serve("/b/film.mkv", b"two"), "b"))
    assert (first.path, second.path) == ("film.mkv", "film (2).mkv")
    assert (rig.content(first), rig.content(second)) == (b"one", b"two")


# --- going on -------------------------------------------------------------------------------


@pytest.mark.parametrize("known", [{"etag": '"1"'}, {"etag": None, "modified": "Mon, 1 Jan"}])
async def test_after_a_restart_only_the_rest_is_fetched(
    rig: Rig, film: bytes, known: dict[str, Any]
) -> None:
    link = rig.origin.serve("/film.mkv", film, rate=8 * MIB, **known)
    job = await rig.run_some(rig.job(link))
    await rig.restart()
    rig.origin.sent = 0
    rig.origin.asked.clear()
    rig.origin.files["/film.mkv"].rate = 0
    job, seen = await rig.complete(job)
    assert rig.content(job) == film
    condition = f"If-Range: {known['etag'] or known['modified']}"
    assert condition in rig.origin.asked[0].head
    figures = seen[-2].figures
    assert figures is not None
    assert figures.downloaded < len(film)


async def test_without_tag_and_date_some_bytes_have_to_be_the_same(rig: Rig, film: bytes) -> None:
    link = rig.origin.serve("/film.mkv", film, rate=8 * MIB, etag=None)
    for key, body in (("a", film), ("b", film[::-1])):
        rig.origin.files["/film.mkv"] = Served(film, None, rate=8 * MIB)
        job = await rig.run_some(rig.job(link, key))
        rig.origin.files["/film.mkv"] = Served(body, None)
        job, seen = await rig.complete(job)
        assert rig.content(job) == body
        assert any(report.anew for report in seen) == (key == "b")


@pytest.mark.parametrize("ranges", [True, False])
async def test_a_file_that_changed_at_its_source_is_fetched_anew(
    rig: Rig, film: bytes, *, ranges: bool
) -> None:
    link = rig.origin.serve("/film.mkv", film, rate=8 * MIB)
    job = await rig.run_some(rig.job(link))
    reader = await rig.driver.open_file(job, 0)
    other = film[::-1]
    rig.origin.files["/film.mkv"] = Served(other, '"2"', ranges=ranges)
    job, seen = await rig.complete(job)
    assert rig.content(job) == other
    [anew] = [report for report in seen if report.anew]
    assert anew.reason == "the file changed at its source, so it is fetched anew from its beginning"
    with pytest.raises(FileNotFound, match="changed at its source"):
        await reader.read(0, 10)
    await reader.aclose()


async def test_what_changes_in_the_middle_of_a_run_is_never_mixed(rig: Rig, film: bytes) -> None:
    link = rig.origin.serve("/film.mkv", film, rate=4 * MIB, cut_after=MIB)
    job, other, changed = rig.job(link), film[::-1], False
    async with aclosing(rig.driver.run(job)) as reports:
        async for report in reports:
            job = after(job, report)
            if report.progress.bytes_downloaded > 2 * MIB and not changed:
                rig.origin.files["/film.mkv"] = Served(other, '"2"')
                changed = True
            if job.status is Status.COMPLETED:
                break
    assert rig.content(job) == other


async def test_new_data_at_the_source_counts_a_generation_and_is_told(
    rig: Rig, film: bytes
) -> None:
    soon = RetryPolicy(base=0.05)
    downloader = Downloader({SourceType.HTTP: rig.driver}, MemoryJobStore(), retry=soon)
    link, other = rig.origin.serve("/film.mkv", film), film[::-1]
    rig.origin.hold_after = 3 * MIB
    await downloader.start(id="a", source_type="http", source_urn=link)
    async with downloader.listen("a") as changes:
        async for change in changes:
            if change.progress.bytes_downloaded > MIB:
                break
    rig.origin.files["/film.mkv"], rig.origin.hold_after = Served(other, '"2"'), None
    job = await downloader.wait("a")
    told = [change for change in await downloader.changes_since(0) if change.event == "source"]
    await downloader.aclose()
    assert (job.status, job.generation, rig.content(job)) == (Status.COMPLETED, 1, other)
    assert "changed at its source" in str(told[0].news)


@pytest.mark.parametrize("is_right", [True, False])
async def test_the_checksum_of_a_candidate_is_compared_too(rig: Rig, *, is_right: bool) -> None:
    body, source = b"film" * 1000, Source(SourceType.TORRENT, "magnet:?xt=urn:btih:" + "1" * 40)
    digest = hashlib.sha256(body if is_right else b"").hexdigest()
    job = rig.job(rig.origin.serve("/film.mkv", body), options=Options(checksum="md5:" + "0" * 32))
    further = FurtherSource(job.source, f"sha256:{digest}")
    job = replace(job, source=source, candidates=(further,), active_source=job.source).as_run
    if is_right:
        job, _ = await rig.complete(job)
        assert rig.content(job) == body
    else:
        assert "does not have the sha256" in str(await rig.fails(job))


# --- what it should be ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sha256", "sha1", "md5"])
async def test_a_checksum_is_compared_before_the_film_is_published(rig: Rig, kind: str) -> None:
    body = b"film" * 1000
    link, right = rig.origin.serve("/film.mkv", body), hashlib.new(kind, body).hexdigest()
    wrong = rig.job(link, options=Options(checksum=f"{kind}:{'0' * len(right)}"))
    error = await rig.fails(wrong)
    assert isinstance(error, SourceRejected)
    assert f"does not have the {kind}" in str(error)
    job, _ = await rig.complete(rig.job(link, options=Options(checksum=f"{kind}:{right}")))
    assert rig.content(job) == body
    job = replace(job, seeding=False)
    [*_, last] = [report async for report in rig.driver.run(job, check=True)]
    assert last.reason == f"every byte was checked: the {kind} is right"
    (rig.root / "film.mkv").write_bytes(body[::-1])
    with pytest.raises(FilmDamaged, match=kind):
        [report async for report in rig.driver.run(job, check=True)]
    mended = replace(job, status=Status.ACTIVE)
    job, _ = await rig.complete(mended)
    assert (job.path, rig.content(job)) == ("film.mkv", body)


async def test_without_a_checksum_a_film_that_was_written_to_is_told(rig: Rig) -> None:
    job, _ = await rig.complete(rig.job(rig.origin.serve("/film.mkv", b"film" * 1000)))
    [report] = [report async for report in rig.driver.run(job, check=True)]
    assert report.reason == "it has the right size and was not written to; it has no checksum"
    (rig.root / "film.mkv").write_bytes(b"mlif" * 1000)
    with pytest.raises(FilmDamaged, match="was written to"):
        [report async for report in rig.driver.run(job, check=True)]


@pytest.mark.parametrize(
    ("served", "kind", "says"),
    [
        (ERROR % b"401 Unauthorized", SourceRejected, "wants credentials.*401.*username"),
        (ERROR % b"403 Forbidden", SourceRejected, "wants credentials.*403"),
        (ERROR % b"404 Not Found", SourceNotFound, "no such file.*404"),
        (ERROR % b"410 Gone", SourceRejected, "file no more.*410"),
        (ERROR % b"503 Busy", SourceUnavailable, "answered 503"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>", SourceRejected, "to a page"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfilm", SourceUnavailable, "5 bytes early"),
        (ERROR % b"302 Found\r\nLocation: http://[::1", SourceRejected, "no usable address"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % 2**63, SourceRejected, "any disk"),
        (b"SSH-2.0\r\n", SourceUnavailable, "does not answer"),
        (b"", SourceUnavailable, "does not answer"),
    ],
)
async def test_an_answer_without_a_film_is_told_in_one_sentence(
    rig: Rig, served: bytes, kind: type[DownloadError], says: str
) -> None:
    rig.origin.files["/film.mkv"] = Served(raw=served)
    error = await rig.fails(rig.job(rig.origin.link("/film.mkv")))
    assert type(error) is kind
    assert re.search(says, str(error)), str(error)


async def test_a_server_that_wants_to_be_left_alone_is(rig: Rig) -> None:
    busy = b"HTTP/1.1 503 Busy\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n"
    rig.origin.files["/film.mkv"] = Served(raw=busy)
    error = await rig.fails(rig.job(rig.origin.link("/film.mkv")))
    assert isinstance(error, SourceUnavailable)
    assert error.retry_after == 120
    assert len(rig.origin.asked) == 1


async def test_a_server_that_falls_silent_is_given_up(rig: Rig, film: bytes) -> None:
    gate = asyncio.Event()
    link = rig.origin.serve("/film.mkv", film, gate=gate, ranges=False)
    job = rig.job(link)
    with pytest.raises(SourceUnavailable, match=r"sent nothing for 0\.3 s"):
        await run_until_complete(rig.driver, job)
    gate.set()


@pytest.mark.parametrize("packed", [False, True])
async def test_a_file_of_unknown_size_that_always_ends_early_is_given_up(
    rig: Rig, film: bytes, *, packed: bool
) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
    body = gzip.compress(film[: 2 * MIB])[:MIB] + bytes(100) if packed else film[:MIB]
    head += b"Content-Encoding: gzip\r\n" if packed else b""
    end = b"\r\n0\r\n\r\n" if packed else b""
    raw = b"%s\r\n%x\r\n%s%s" % (head, len(body), body, end)
    rig.origin.files["/film.mkv"] = Served(raw=raw)
    error = await rig.fails(rig.job(rig.origin.link("/film.mkv")))
    assert isinstance(error, SourceRejected | SourceUnavailable)
    assert len(rig.origin.asked) <= 4


async def test_a_run_that_is_closed_when_all_has_come_begins_with_all(
    rig: Rig, film: bytes
) -> None:
    job = rig.job(rig.origin.serve("/film.mkv", film))
    whole = lambda r: r.progress.bytes_downloaded == len(film)  # noqa: E731
    job, _ = await rig.run_to(job, lambda r: r.facts)
    job, _ = await rig.run_to(job, whole)
    rig.origin.asked.clear()
    job, _ = await rig.complete(job)
    assert rig.content(job) == film
    assert rig.origin.asked == []


async def test_a_redirect_loop_ends(rig: Rig) -> None:
    rig.origin.files["/film.mkv"] = redirect("/film.mkv")
    error = await rig.fails(rig.job(rig.origin.link("/film.mkv")))
    assert str(error) == "The link redirects more than 10 times."


async def test_a_program_is_fetched_only_if_that_is_wanted(rig: Rig) -> None:
    link = rig.origin.serve("/film.mkv.exe", b"MZ")
    assert "allowExecutables" in str(await rig.fails(rig.job(link)))
    wanted = rig.job(link, options=Options(allow_executables=True))
    job, _ = await rig.complete(wanted)
    assert job.path == "film.mkv.exe"


# --- secrets --------------------------------------------------------------------------------

SECRET = Secret("ada", "s3cret", (("sid", "1f"),), (("X-Token", "t0k"),))
TOLD = ("Authorization: Basic YWRhOnMzY3JldA==", "Cookie: sid=1f", "X-Token: t0k")


@pytest.mark.parametrize(("host", "is_told"), [("127.0.0.1", True), ("localhost", False)])
async def test_a_secret_is_told_to_its_own_server_only(
    rig: Rig, host: str, *, is_told: bool
) -> None:
    rig.origin.serve("/film.mkv", b"film")
    rig.origin.files["/get"] = redirect(rig.origin.link("/film.mkv", host))
    job, _ = await rig.complete(rig.job(rig.origin.link("/get"), secret=SECRET))
    first, second = (asked.head for asked in rig.origin.asked)
    assert all(line in first for line in TOLD)
    assert [line in second for line in TOLD] == [is_told] * 3
    assert rig.content(job) == b"film"


async def test_the_policy_of_the_network_holds_for_each_redirect(rig: Rig) -> None:
    policy = NetworkPolicy(NetworkConfig())
    driver = HttpDriver(rig.root, rig.resume, policy, HttpSourceSettings(), QUICK)
    with pytest.raises(SourceRejected, match="private address"):
        await run_until_complete(driver, rig.job(rig.origin.serve("/film.mkv", b"film")))
    assert rig.origin.asked == []
    await driver.aclose()


@pytest.mark.parametrize("scheme", ["socks5", "http"])
async def test_everything_goes_through_the_proxy_and_it_resolves_names(
    tmp_path: Path, film: bytes, scheme: Any
) -> None:
    proxy = ProxyServer({"films.example": "127.0.0.1"}, "ada", "s3cret")
    async with file_origin() as origin, proxy.listening("127.0.0.1") as port:
        origin.serve("/film.mkv", film)
        through = Proxy(scheme, "127.0.0.1", port, "ada", "s3cret")
        rig = Rig(origin, tmp_path, MemoryResumeStore(), driver_at(tmp_path, proxy=through))
        job, _ = await rig.complete(rig.job(origin.link("/film.mkv", "films.example")))
        assert rig.content(job) == film
        assert set(proxy.asked) == {f"films.example:{origin.port}"}
        assert "s3cret" not in "".join(asked.head for asked in origin.asked)
        await rig.driver.aclose()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=us"
    more = "-addext subjectAltName=DNS:localhost -keyout key.pem -out tls.pem"
    command = ["openssl", *words.split(), *more.split()]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


@pytest.mark.parametrize("scheme", [None, "socks5", "http"])
async def test_a_file_comes_over_tls_too_straight_and_through_a_proxy(
    tmp_path: Path, film: bytes, certificate: Path, monkeypatch: pytest.MonkeyPatch, scheme: Any
) -> None:
    trusting = ssl.create_default_context(cafile=certificate / "tls.pem")
    monkeypatch.setattr(requests, "trust", lambda: trusting)
    tls, proxy = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ProxyServer()
    tls.load_cert_chain(certificate / "tls.pem", certificate / "key.pem")
    async with file_origin(tls=tls) as origin, proxy.listening("127.0.0.1") as port:
        origin.serve("/film.mkv", film, rate=16 * MIB)
        network: dict[str, Any] = {}
        if scheme is not None:
            network = {"proxy": Proxy(scheme, "127.0.0.1", port)}
        rig = Rig(origin, tmp_path, MemoryResumeStore(), driver_at(tmp_path, **network))
        link = origin.link("/film.mkv", "localhost").replace("http:", "https:")
        job, _ = await rig.complete(rig.job(link))
        assert rig.content(job) == film
        assert len(origin.asked) > 1
        assert bool(proxy.asked) == (scheme is not None)
        await rig.driver.aclose()


async def test_a_bound_interface_and_ipv6_reach_the_server(tmp_path: Path) -> None:
    async with file_origin("::1") as origin:
        origin.serve("/film.mkv", b"film")
        driver = driver_at(tmp_path, interface="::1")
        rig = Rig(origin, tmp_path, MemoryResumeStore(), driver)
        job, _ = await rig.complete(rig.job(origin.link("/film.mkv", "[::1]")))
        assert rig.content(job) == b"film"
        assert f"Host: [::1]:{origin.port}" in origin.asked[0].head
        await driver.aclose()
    rig.driver = driver_at(tmp_path, interface="nowhere0")
    assert isinstance(await rig.fails(rig.job(origin.link("/x.mkv"), "b")), SourceUnavailable)
    await rig.driver.aclose()


# --- reading --------------------------------------------------------------------------------


async def test_a_reader_who_jumps_gets_its_bytes_at_once(rig: Rig, film: bytes) -> None:
    link = rig.origin.serve("/film.mkv", film, rate=MIB)
    job, place = rig.job(link), len(film) * 6 // 10
    loop = asyncio.get_running_loop()
    async with aclosing(rig.driver.run(job)) as reports:
        async for report in reports:
            job = after(job, report)
            if report.progress.bytes_downloaded:
                break
        reader = await rig.driver.open_file(job, 0)
        running = asyncio.ensure_future(_drain(reports))
        began = loop.time()
        data = await reader.read(place, 65536)
        seconds = loop.time() - began
        assert film[place : place + len(data)] == data
        assert any(asked.begin == place for asked in rig.origin.asked)
        assert seconds < 2.0  # in order it would be 4.8 s
        running.cancel()
        await asyncio.wait([running])
        await reader.aclose()


async def _drain(reports: Any) -> None:
    async for _ in reports:
        pass


async def test_a_reader_of_a_job_that_stopped_gets_what_is_there_and_goes_on_with_the_next_run(
    rig: Rig, film: bytes
) -> None:
    link = rig.origin.serve("/film.mkv", film, rate=4 * MIB)
    job = await rig.run_some(rig.job(link))
    await rig.restart()
    reader = await rig.driver.open_file(job, 0)
    [standing] = await rig.driver.files(job)
    assert MIB <= standing.done < len(film)
    assert reader.available(0) > 0
    assert await reader.read(0, 1000) == film[:1000]
    reading = asyncio.ensure_future(reader.read(len(film) - 10, 10))
    rig.origin.files["/film.mkv"].rate = 0
    job, _ = await rig.complete(job)
    assert await reading == film[-10:]
    assert reader.available(0) == len(film)
    await reader.aclose()


async def test_a_limit_that_is_lowered_while_it_runs_holds(rig: Rig, film: bytes) -> None:
    job, loop = (
        rig.job(rig.origin.serve("/film.mkv", film, rate=16 * MIB)),
        asyncio.get_running_loop(),
    )
    limited = replace(job, options=Options(download_limit=2 * MIB))
    began = loop.time()
    async with aclosing(rig.driver.run(limited)) as reports:
        async for report in reports:
            job = after(job, report)
            if loop.time() - began > 1.0:
                break
    assert report.progress.bytes_downloaded < 5 * MIB
    async with aclosing(rig.driver.run(limited)) as reports:
        async for report in reports:
            job = after(job, report)
            await rig.driver.adjust(replace(job, options=Options(download_limit=0)))
            if job.status is Status.COMPLETED:
                break
    assert loop.time() - began < 4.0
    assert rig.content(job) == film


async def test_removing_deletes_what_came_and_the_film_only_if_that_is_wanted(
    rig: Rig, film: bytes
) -> None:
    link = rig.origin.serve("/film.mkv", film, rate=4 * MIB)
    job = await rig.run_some(rig.job(link))
    await rig.driver.remove(job, delete_files=False)
    assert [path.name for path in rig.root.rglob("*.mkv")] == []
    assert await rig.resume.load_resume(job.key) is None
    rig.origin.files["/film.mkv"].rate = 0
    job, _ = await rig.complete(rig.job(link))
    await rig.driver.remove(job, delete_files=False)
    assert rig.content(job) == film
    await rig.driver.remove(job, delete_files=True)
    assert not (rig.root / "film.mkv").exists()


async def test_a_claim_never_runs_ahead_of_what_is_in_the_file(rig: Rig, film: bytes) -> None:
    link = rig.origin.serve("/film.mkv", film, rate=2 * MIB)
    job, checked = rig.job(link), 0
    async with aclosing(rig.driver.run(job)) as reports:
        async for report in reports:
            job = after(job, report)
            blob = await rig.resume.load_resume(job.key)
            for staged in (rig.root / ".incomplete" / job.key).glob("*.mkv"):
                there = staged.read_bytes()
                for begin, end in json.loads(blob)["spans"] if blob else ():
                    assert there[begin:end] == film[begin:end]
                    checked += end - begin
            if report.progress.phase is not Phase.DOWNLOADING and checked:
                break
    await until(lambda: rig.origin.open == 0)
