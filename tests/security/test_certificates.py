"""Whatever is fetched over TLS comes from whom it should (A23): six ways, four bad servers."""

from __future__ import annotations

import hashlib
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import libtorrent as lt
import pytest

from chilly_movies.catalogue.tmdb.provider import TmdbProvider
from chilly_movies.errors import MetadataUnavailable
from chilly_movies.settings import SETTINGS
from tests.acceptance.backend import Backend
from tests.doubles import until
from tests.integration.tmdb_client import FAST

pytestmark = pytest.mark.anyio

BAD = ("self-signed", "wrong name", "expired", "old TLS")
_PIECE = 16 * 1024
_ANSWER = b"HTTP/1.1 404 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True, timeout=30)


def certificates(folder: Path) -> Path:
    """A CA of our own, and a certificate for each server; where they are."""
    folder.mkdir()
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl(folder, "req", "-x509", *curve, "-days", "2", "-subj", "/CN=test CA", "-keyout",
            "ca.key", "-out", "ca.pem")  # fmt: skip
    openssl(folder, "req", "-x509", *curve, "-days", "2", "-subj", "/CN=localhost", "-addext",
            "subjectAltName=DNS:localhost", "-keyout", "self-signed.key", "-out",
            "self-signed.pem")  # fmt: skip
    for kind, name, dates in (
        ("good", "localhost", ("-days", "2")),
        ("wrong name", "films.example", ("-days", "2")),
        ("expired", "localhost", ()),
    ):  # fmt: skip
        (folder / f"{kind}.ext").write_text(f"subjectAltName=DNS:{name}\n")
        openssl(folder, "req", *curve, "-subj", f"/CN={name}", "-keyout", f"{kind}.key", "-out",
                f"{kind}.csr")  # fmt: skip
        _sign(folder, kind, dates)
    for end in ("pem", "key"):
        (folder / f"old TLS.{end}").write_bytes((folder / f"good.{end}").read_bytes())
    return folder


def _sign(folder: Path, kind: str, dates: tuple[str, ...]) -> None:
    words = ["-req", "-in", f"{kind}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
             "-extfile", f"{kind}.ext", "-out", f"{kind}.pem"]  # fmt: skip
    if kind != "expired":
        openssl(folder, "x509", *words, *dates)
        return
    # what signs with dates of its own is another command, which wants a folder of its own
    (folder / "db").mkdir()
    (folder / "db/index").touch()
    (folder / "ca.cnf").write_text(
        "[ca]\ndefault_ca=d\n[d]\ndir=db\ndatabase=db/index\nnew_certs_dir=db\nserial=db/serial\n"
        "default_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n"
    )
    openssl(folder, "ca", "-batch", "-config", "ca.cnf", "-cert", "ca.pem", "-keyfile", "ca.key",
            "-rand_serial", "-in", f"{kind}.csr", "-extfile", f"{kind}.ext", "-notext",
            "-startdate", "20200101000000Z", "-enddate", "20200201000000Z",
            "-out", f"{kind}.pem")  # fmt: skip


@dataclass
class Site:
    """A server with a certificate.

    Attributes:
        port: where it listens.
        asked: what was delivered to it, as the first words of requests.
        broken: connections that ended before anything was.
    """

    port: int = 0
    asked: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def got(self, way: str) -> bool:
        """Whether a request came this way."""
        return any(way in line for line in self.asked)


def age(context: ssl.SSLContext) -> None:
    """Let it speak nothing but TLS 1.0."""
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1 is deprecated"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1


def oldest_version_of(port: int) -> str | None:
    """What a client that takes everything speaks with the server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    age(context)
    with (
        socket.create_connection(("127.0.0.1", port), 10) as plain,
        context.wrap_socket(plain) as c,
    ):
        return c.version()


@contextmanager
def site(folder: Path, kind: str) -> Iterator[Site]:
    """A server that answers 404 to everything, and notes it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{kind}.pem", folder / f"{kind}.key")
    if kind == "old TLS":
        age(context)
    made = Site()
    listener = socket.create_server(("127.0.0.1", 0))
    made.port = listener.getsockname()[1]

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    def answer(connection: socket.socket) -> None:
        connection.settimeout(10)
        try:
            with connection, context.wrap_socket(connection, server_side=True) as inner:
                if said := inner.recv(4096):
                    made.asked.append(said.split(b"\r\n")[0].decode("latin-1"))
                    inner.sendall(_ANSWER)
                else:
                    made.broken.append("nothing was said")
        except OSError as error:
            made.broken.append(type(error).__name__)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def torrent(kind: str, port: int) -> bytes:
    """A torrent that names the server in all roles."""
    info: Any = {b"name": kind.encode(), b"piece length": _PIECE, b"length": _PIECE,
                 b"pieces": hashlib.sha1(kind.encode()).digest()}  # fmt: skip
    base = f"localhost:{port}"
    tiers = [[f"https://{base}/tracker".encode()], [f"wss://{base}/wss".encode()]]
    made: Any = {b"info": info, b"announce": tiers[0][0], b"announce-list": tiers,
                 b"url-list": [f"https://{base}/seed/".encode()]}  # fmt: skip
    return bytes(lt.bencode(made))


async def use(ours: Backend, kind: str, port: int) -> None:
    """Let the backend do all it does over TLS, but for the catalogue."""
    files = {"torrent": ("x.torrent", torrent(kind, port))}
    answer = await ours.http.post("/download/start", data={"id": f"job-{port}"}, files=files)
    assert answer.status_code == 200, answer.text
    await ours.start(f"https://localhost:{port}/link.torrent", id=f"link-{port}")
    await ours.start(f"https://localhost:{port}/film.mkv", id=f"film-{port}", sourceType="http")


@contextmanager
def sites(folder: Path, *kinds: str) -> Iterator[dict[str, Site]]:
    with ExitStack() as stack:
        yield {kind: stack.enter_context(site(folder, kind)) for kind in kinds}


async def test_nothing_is_sent_to_a_server_whose_certificate_is_not_right(tmp_path: Path) -> None:
    folder = certificates(tmp_path / "certificates")
    settings = {"SSL_CERT_FILE": str(folder / "ca.pem"), "CHILLY_INTERFACE": "",
                "CHILLY_WEBTORRENT": "true", "CHILLY_WEBTORRENT_TRACKERS": "",
                "CHILLY_MAX_ACTIVE": "20", "CHILLY_TMDB_API_KEY": "0" * 32}  # fmt: skip
    with sites(folder, "good", *BAD) as all_of_them:
        async with Backend(tmp_path / "ours", settings, warm=True) as ours:
            for kind, one in all_of_them.items():
                await use(ours, kind, one.port)
            good, ways = all_of_them["good"], ("/tracker", "/seed", "/link", "/wss", "/film")
            await until(lambda: all(map(good.got, ways)), 40)  # so they trust what they should
            bad = [all_of_them[kind] for kind in BAD]
            await until(lambda: all(len(one.broken) >= len(ways) for one in bad), 40)
            assert oldest_version_of(all_of_them["old TLS"].port) == "TLSv1"
    assert {kind: all_of_them[kind].asked for kind in BAD} == {kind: [] for kind in BAD}


async def test_the_film_catalogue_is_not_asked_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = certificates(tmp_path / "certificates")
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "ca.pem"))
    with sites(folder, "good", *BAD) as all_of_them:
        for one in all_of_them.values():
            provider = TmdbProvider(
                api_key="0" * 32, bearer_token=None, retry=FAST,
                base_url=f"https://localhost:{one.port}/3",
            )  # fmt: skip
            with pytest.raises(MetadataUnavailable):  # the good one has no film, either
                await provider.search("film")
            await provider.aclose()
    assert all_of_them["good"].got("/3/search")
    assert {kind: all_of_them[kind].asked for kind in BAD} == {kind: [] for kind in BAD}
    assert all(all_of_them[kind].broken for kind in BAD)


def test_no_setting_turns_the_checks_off() -> None:
    names = " ".join(SETTINGS)
    for word in ("verify", "insecure", "tls", "ssl", "certificate", "unsafe"):
        assert word not in names
