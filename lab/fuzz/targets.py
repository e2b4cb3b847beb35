"""One function per kind of hostile input: it breaks when a promise does, never otherwise."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

import httpx2
import libtorrent as lt
from pydantic import ValidationError

from chilly_movies.api.gates.bodies import json_flaw
from chilly_movies.api.gates.forwarded import ForwardedGate
from chilly_movies.api.gates.keys import KeyGate, KeyRing
from chilly_movies.api.gates.security import ApiOptions, HostGate
from chilly_movies.api.routes.files import ChoiceBody
from chilly_movies.api.routes.torrents import CreateBody
from chilly_movies.api.wire.ranges import MAX_PARTS, Entity, decide
from chilly_movies.drivers.http import metalink as documents
from chilly_movies.drivers.torrent.engine import params as p
from chilly_movies.drivers.torrent.engine.gate import Gate, vet
from chilly_movies.errors import ChillyError, InvalidRequest, SettingsError
from chilly_movies.jobs import requests
from chilly_movies.jobs.models import Source, SourceType
from chilly_movies.jobs.options import MAX_FILES, TOP_PRIORITY, Options, check_folder
from chilly_movies.jobs.start_request import StartRequest, checked, parse
from chilly_movies.media import convert
from chilly_movies.names import numbered, safe_name, safe_paths
from chilly_movies.net.addresses import is_public
from chilly_movies.settings import SETTINGS, load_settings, secrets_of
from chilly_movies.tracker import http as tracker
from chilly_movies.tracker import signalling
from chilly_movies.tracker.swarms import SwarmTable
from chilly_movies.watching.languages import language_of
from lab.fuzz import seeds
from tests.security.asgi import policies

Run = Callable[[bytes], None]
_ROOT = Path("/media/films")
_OPEN = Gate(allow_private=False, own_ports=(3000,), websockets=())


@dataclass(frozen=True, slots=True)
class Target:
    """What is fuzzed.

    Attributes:
        run: takes any bytes; raises if a promise is broken.
        seeds: sound and odd examples.
        most: bytes of the longest input.
    """

    run: Run
    seeds: tuple[bytes, ...]
    most: int = 4096


def _assert(holds: bool, what: str) -> None:
    if not holds:
        raise AssertionError(what)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


# --- sources --------------------------------------------------------------------------------


def source(data: bytes) -> None:
    """A magnet, info hash or link, as a start takes it."""
    text = data.decode("utf-8", "replace").strip()
    first = _verdict(text)
    assert _verdict(text) == first, "the same link, another verdict"
    if first is None or p.is_url(Source(SourceType.TORRENT, text)):
        return
    again = p.build(_request(Source(SourceType.TORRENT, requests.clean_link(text))))
    written = lt.make_magnet_uri(again)
    assert _verdict(written) == first, f"another verdict on {written}"
    assert lt.make_magnet_uri(p.build(_request(Source(SourceType.TORRENT, written)))) == written


def _verdict(text: str) -> tuple[str, ...] | None:
    """The identities, None if it is refused."""
    try:
        asked = parse({"sourceUrn": text, "id": "a"})
        assert asked.source is not None
        facts = p.identify(asked.source)
        if not p.is_url(asked.source):
            built = p.build(_request(asked.source))
            _assert_gated(built)
    except ChillyError as error:
        _assert(str(error).endswith("."), "an error is a sentence")
        return None
    if facts.name is not None:
        _assert_harmless(facts.name)
    return tuple(sorted(facts.identities))


def _request(asked: Source) -> p.AddRequest:
    return p.AddRequest(asked, _ROOT / ".incomplete" / "a", _ROOT / ".incomplete", Options())


def _assert_gated(params: lt.add_torrent_params) -> None:
    for url in params.trackers:
        assert _OPEN.lets_tracker(url), url
        _assert_leads_out(url)
    for url in params.url_seeds:
        assert _OPEN.lets_web_seed(url), url
        _assert_leads_out(url)
    for host, port in (*params.peers, *params.dht_nodes):
        assert _OPEN.lets_peer(host, port), host
    before = [*params.trackers], [*params.url_seeds], [*params.peers]
    vet(params, _OPEN)
    assert before == ([*params.trackers], [*params.url_seeds], [*params.peers]), "vet is not stable"


def urls(data: bytes) -> None:
    """A URL the gate lets through leads out for every other reader, too."""
    url = _text(data)
    for lets in (_OPEN.lets_tracker, _OPEN.lets_web_seed):
        if lets(url):
            _assert_leads_out(url)


def _assert_leads_out(url: str) -> None:
    hosts = {urlsplit(url).hostname}
    if url.lower().startswith(("http://", "https://")):
        with suppress(httpx2.InvalidURL):  # nobody leads anywhere who cannot read it
            hosts.add(httpx2.URL(url).host)
    for host in hosts:
        assert host, url
        number = _as_number(host)
        assert number is None or is_public(number), f"{url} leads to {number}"
        assert host.rstrip(".") not in ("localhost", "ip6-localhost"), url


def _as_number(host: str) -> str | None:
    """The address the C library would read in the host, None if it is a name."""
    try:
        return str(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        pass
    parts = host.rstrip(".").split(".")
    try:
        numbers = [_c_number(part) for part in parts]
    except ValueError:
        return None
    *front, last = numbers
    if len(numbers) > 4 or any(n > 255 for n in front) or last >= 256 ** (5 - len(numbers)):
        return None
    value = last + sum(n << (24 - 8 * place) for place, n in enumerate(front))
    return str(ipaddress.IPv4Address(value))


def _c_number(text: str) -> int:
    if not re.fullmatch(r"0[xX][0-9a-fA-F]*|[0-9]+", text):
        raise ValueError(text)
    if text[:2] in ("0x", "0X"):
        return int(text[2:] or "0", 16)
    return int(text, 8) if text.startswith("0") else int(text)


def torrent(data: bytes) -> None:
    """A torrent file: refused, or tamed."""
    asked = Source(SourceType.TORRENT, "", data)
    try:
        facts = p.identify(asked)
        params = p.build(_request(asked))
        assert params.ti is not None
        found = p.read_metadata(params.ti)
    except ChillyError as error:
        _assert(str(error).endswith("."), "an error is a sentence")
        return
    _assert_gated(params)
    _assert_harmless(found.top)
    paths = list(found.disk_paths.values())
    for path in paths:
        _assert_within(path)
    assert len({path.casefold() for path in paths}) == len(paths), "two files of one name"
    try:
        written = lt.bencode(lt.write_torrent_file(params))  # type: ignore[arg-type]
    except RuntimeError:  # a v2 torrent whose piece layers peers have to send
        return
    again = p.identify(Source(SourceType.TORRENT, "", written))
    assert set(again.identities) == set(facts.identities), "another identity when written anew"


def _assert_within(path: str) -> None:
    assert path, "a file without a name"
    assert not path.startswith("/"), path
    for part in path.split("/"):
        _assert_harmless(part)
    assert (_ROOT / path).resolve().is_relative_to(_ROOT), path


_DEVICES = re.compile(r"(con|prn|aux|nul|com[1-9]|lpt[1-9])\s*(\..*)?", re.IGNORECASE)


def _assert_harmless(name: str) -> None:
    assert name, "no name"
    assert name not in (".", ".."), name
    assert len(name.encode()) <= 200, name
    assert not re.search(r'[<>:"/\\|?*\x00-\x1f\x7f]', name), name
    assert name[0] != ".", name
    assert name[-1] not in ". ", name
    assert not _DEVICES.fullmatch(name), name


def names(data: bytes) -> None:
    """Names of files, alone and in a torrent."""
    text = _text(data)
    made = safe_name(text)
    _assert_harmless(made)
    assert safe_name(made) == made, "a safe name is changed again"
    paths = list(safe_paths(text.split("\n")))
    for path in paths:
        _assert_within(path)
    assert len({path.casefold() for path in paths}) == len(paths), "two files of one name"
    second = list(zip(numbered(made), range(3), strict=False))
    assert len({name for name, _ in second}) == 3
    language_of(text)
    for check in (requests.check_path, check_folder, requests.check_id):
        try:
            checked_text = check(text)
        except InvalidRequest:
            continue
        assert (_ROOT / checked_text).resolve().is_relative_to(_ROOT), checked_text


# --- the API --------------------------------------------------------------------------------

_ENTITY = Entity(1000, '"abc"', datetime(2026, 1, 1, tzinfo=UTC))
_FIELDS = ("range", "if-range", "if-match", "if-none-match", "if-modified-since",
           "if-unmodified-since")  # fmt: skip


def ranges(data: bytes) -> None:
    """Range and conditions: the first byte says which fields and how large the file is."""
    which, *values = data.split(b"\n")
    fields: dict[str, list[str]] = {}
    for name, value in zip(which[1:] or b"\0", values, strict=False):
        fields.setdefault(_FIELDS[name % 6], []).append(value.decode("latin-1"))
    size = (0, 1, 1000, 2**40)[which[0] % 4 if which else 0]
    entity = Entity(size, _ENTITY.etag, _ENTITY.modified)
    answer = decide("GET", fields, entity)
    assert answer.status in (200, 206, 304, 412, 416)
    assert bool(answer.parts) == (answer.status == 206 or (answer.status == 200 and size > 0))
    assert len(answer.parts) <= MAX_PARTS
    assert all(0 <= first <= last < size for first, last in answer.parts)
    ordered = sorted(answer.parts)
    assert all(a[1] < b[0] for a, b in pairwise(ordered)), "bytes sent twice"


def _choice(value: object) -> None:
    """A choice of files, which the framework hands to its handler as it is."""
    try:
        pairs: Any = ChoiceBody.model_validate(value).files
    except ValidationError:
        return
    for index, priority in pairs:
        assert 0 <= index < MAX_FILES
        assert 0 <= priority <= TOP_PRIORITY


def bodies(data: bytes) -> None:
    """JSON bodies: what passes the gate is JSON to everybody, and the models stand it."""
    if json_flaw(data) is not None:
        return
    value = json.loads(data)
    assert json_flaw(json.dumps(value).encode()) is None, "another verdict when written anew"
    _choice(value)
    for kind in (StartRequest, CreateBody):
        try:
            checked(kind, value)
        except InvalidRequest as error:
            _assert(len(str(error)) < 2000, "an error repeats what was sent")


def edge(data: bytes) -> None:
    """Head fields before the gates: one per line; the first line is method and path."""
    first, *lines = data.split(b"\n")
    method, _, path = first.partition(b" ")
    raw_path, _, query = path.partition(b"?")
    pairs = [line.partition(b":")[::2] for line in lines[:50]]
    scope: dict[str, Any] = {
        "type": "http", "method": method.decode("latin-1") or "GET",
        "path": raw_path.decode("latin-1") or "/", "query_string": query, "extensions": {},
        "headers": [(name.lower(), value.strip()) for name, value in pairs],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 3000), "scheme": "http",
    }  # fmt: skip
    entered, answered = _through_the_gates(scope)
    assert answered, "nobody answered"
    if entered and method in (b"POST", b"PATCH", b"DELETE"):
        keys = [
            value for name, value in scope["headers"] if name in (b"x-api-key", b"authorization")
        ]
        assert any(_SECRET.encode() in key for key in keys) or _SECRET.encode() in query
    if entered:
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        assert len(hosts) == 1, hosts
        assert hosts[0].lower().split(b":")[0] in (b"localhost", b"127.0.0.1", b"["), hosts


_SECRET = "correct-horse-battery"


def _through_the_gates(scope: dict[str, Any]) -> tuple[bool, list[int]]:
    entered = False
    answered: list[int] = []

    async def handler(_scope: Any, _receive: Any, send: Any) -> None:
        nonlocal entered
        entered = True
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> Any:
        raise AssertionError("a gate reads the body")

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            answered.append(message["status"])

    api_options = ApiOptions(api_secret=_SECRET, proxies=("127.0.0.1",))
    app = KeyGate(handler, policies(), KeyRing(api_options.all_keys), api_options.signer)
    gates = ForwardedGate(HostGate(app, policies(), api_options), api_options.proxies)
    running = gates(scope, receive, send)
    try:
        running.send(None)
    except StopIteration:
        return entered, answered
    raise AssertionError("a gate waits")


# --- settings -------------------------------------------------------------------------------

_FILE = Path(tempfile.gettempdir()) / f"chilly-fuzz-{os.getpid()}.toml"
_NAMES = (*SETTINGS, "nothing")
_SECRETS = ("API_SECRET", "CHILLY_API_KEYS", "CHILLY_PROXY", "CHILLY_TMDB_API_KEY",
            "CHILLY_TMDB_BEARER_TOKEN")  # fmt: skip


def settings(data: bytes) -> None:
    """The environment (first byte: which variable; to the first NUL: its value) and the file."""
    value, _, toml = data[1:].partition(b"\0")
    name = _NAMES[data[0] % len(_NAMES)] if data else "port"
    name = "API_SECRET" if name == "api_secret" else f"CHILLY_{name.upper()}"
    _FILE.write_bytes(toml)
    given = {"CHILLY_CONFIG": str(_FILE), name: value.decode("utf-8", "surrogateescape")}
    with mock.patch.dict(os.environ, given):
        try:
            found = load_settings()
            secrets_of(found)
        except SettingsError as error:
            told = str(error)
            _assert(told.endswith(".") and "\n" not in told, f"no line: {told}")
            if name in _SECRETS and len(given[name]) > 15:
                _assert(given[name] not in told, f"{name} is repeated")
            return
        finally:
            _FILE.unlink()
    _assert(found.http.host in ("localhost", "127.0.0.1", "::1") or bool(secrets_of(found)),
            f"{found.http.host} without a secret")  # fmt: skip


# --- the tracker ----------------------------------------------------------------------------


def announces(data: bytes) -> None:
    """Queries of HTTP announces and scrapes, one per line, to one tracker."""
    swarms = SwarmTable()
    for number, query in enumerate(data.split(b"\n")[:20]):
        try:
            asked = tracker.parse_announce(query, f"10.0.0.{number}")
            told = tracker.answer_announce(swarms, asked, 60)
            _assert_bencoded(told)
        except tracker.BadQuery as error:
            _assert(bool(str(error)), "an error without words")
        try:
            _assert_bencoded(tracker.answer_scrape(swarms, query))
        except tracker.BadQuery as error:
            _assert(bool(str(error)), "an error without words")


def _assert_bencoded(told: dict[bytes, Any]) -> None:
    written = tracker.bencode(told)
    assert lt.bencode(lt.bdecode(written)) == written


def frames(data: bytes) -> None:
    """Frames of two clients of the WebSocket tracker, one per line, by turns."""
    swarms = SwarmTable()
    table = signalling.Signalling(swarms, interval=60, max_memberships=3)
    heard: list[str] = []

    def hear(text: str, /, *, from_others: bool) -> None:
        del from_others
        heard.append(text)

    address = ipaddress.IPv4Address("10.0.0.1")
    clients = [signalling.Client(address, port, hear) for port in (1, 2)]
    for number, frame in enumerate(data.split(b"\n")[:20]):
        text = frame.decode("utf-8", "replace") if frame[:1] != b"\xff" else None
        work = table.take(clients[number % 2], text)
        assert 0 < work <= 1 + signalling.MAX_OFFERS, work
    for text in heard:
        assert isinstance(json.loads(text), dict)
        text.encode()
    for client in clients:
        assert len(client.memberships) <= 3
        assert len(client.unanswered) <= signalling.MAX_UNANSWERED
        table.leave(client)


# --- subtitles ------------------------------------------------------------------------------

_ENDINGS = (".srt", ".vtt", ".ass", ".ssa", ".sub", ".smi", ".ttml", "")
_CUE = re.compile(r"\d{2,}:[0-5]\d:[0-5]\d\.\d{3} --> \d{2,}:[0-5]\d:[0-5]\d\.\d{3}( line:10%)?")


def subtitles(data: bytes) -> None:
    """Subtitle files; the parsers are others' and run in a child, so they may refuse anything."""
    ending = _ENDINGS[data[0] % len(_ENDINGS)] if data else ""
    try:
        made = convert.to_vtt(data[1:], ending, "en")
    except AssertionError:
        raise
    except Exception:  # noqa: BLE001 (that is what `to_vtt` says; its caller makes 422 of it)
        return
    assert made.startswith("WEBVTT\n")
    assert not re.sub(r"</?[ibu]>", "", made).count("<"), "a tag that is not ours"
    for line in made.split("\n"):
        assert "-->" not in line or _CUE.fullmatch(line), line


# --- metalinks ------------------------------------------------------------------------------


def metalink(data: bytes) -> None:
    """A document has files with harmless names, or is refused; headers break nothing."""
    told = documents.told_by(
        [("Link", data.decode("latin-1")), ("Digest", _text(data))], "http://a/"
    )
    _assert(all(link.url.startswith(("http:", "https:")) for link in told.mirrors), "a mirror")
    try:
        files = documents.parse(data)
    except ChillyError as error:
        _assert(str(error).endswith("."), "the sentence has no end")
        return
    _assert(len({file.path.lower() for file in files}) == len(files), "two of one name")
    for file in files:
        inside = (_ROOT / file.path).resolve()
        _assert(_ROOT in inside.parents and ".." not in file.path.split("/"), "it leads out")
        _assert(0 < len(file.links) <= documents.MAX_LINKS, "its links")
        _assert(all(link.url.lower().startswith("http") for link in file.links), "a link")


TARGETS = {
    "source": Target(source, seeds.SOURCES),
    "urls": Target(urls, seeds.URLS, 600),
    "torrent": Target(torrent, seeds.torrents(), 8192),
    "names": Target(names, seeds.NAMES, 2000),
    "ranges": Target(ranges, seeds.RANGES, 1000),
    "bodies": Target(bodies, seeds.BODIES),
    "settings": Target(settings, seeds.SETTINGS, 1000),
    "edge": Target(edge, seeds.HEADS),
    "announces": Target(announces, seeds.ANNOUNCES),
    "frames": Target(frames, seeds.FRAMES),
    "subtitles": Target(subtitles, seeds.SUBTITLES),
    "metalink": Target(metalink, seeds.METALINKS),
}
