"""Pages from elsewhere in a real Chromium: they change nothing and read nothing.

The browser's own flag resolves every name to loopback, as a page does that rebinds its name. The
control pages may call, so they show that the same tries do read and change where they are let in.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from tests.acceptance.backend import Backend
from tests.films import Films
from tests.peers.available import require
from tests.security.evil.browser import chromium

pytestmark = pytest.mark.anyio

SCRIPTS = Path(__file__).parent / "evil"
SECRET = "evil-browser-secret-0123456789"
CANARY = "canary-film"
FILM = f"/stream/{CANARY}/0"
WISHES = {
    "patience": 3_000,
    "film": FILM,
    "wish": {"id": CANARY},
    "fresh": {"id": "planted", "sourceUrn": "magnet:?xt=urn:btih:" + "d" * 40},
}
"""What pages look at, want to stop or remove, and want to start; the ms that a try may take."""
PATIENT = {"patience": 30_000}
"""The ms that a try may take of a page that may call: it is answered, however busy we are."""
_WITHIN = 30.0
_LATE = 3.0
"""Seconds a line of the log may come after the page had its answer."""


@dataclass
class Stage:
    """A web server of the attacker, and what its pages were told and told.

    Attributes:
        port: where it listens.
        plans: what a page is to try, by its name; a page waits for its plan.
        told: what came of it.
        arrived: the pages that wait for their plan.
        log: the log of the backend.
    """

    port: int = 0
    plans: dict[str, dict[str, Any]] = field(default_factory=dict)
    told: dict[str, dict[str, Any]] = field(default_factory=dict)
    arrived: dict[str, dict[str, Any]] = field(default_factory=dict)
    log: Path = Path()
    changed: threading.Condition = field(default_factory=threading.Condition)
    read_up_to: int = 0

    @property
    def control(self) -> str:
        """The address under which the pages talk to their server."""
        return f"http://evil.example:{self.port}"

    def page(self, who: str, origin: str) -> str:
        """The address of a page of this name."""
        return f"{origin}/?who={who}&control={self.control}"

    def opener(self, *pages: str) -> str:
        """The address of a page that opens these, for the browser itself takes only one."""
        return f"{self.control}/open?{urlencode([('page', page) for page in pages])}"

    async def run(self, who: str, plan: dict[str, Any]) -> list[dict[str, Any]]:
        """Let the page try what is planned; each try with what it read and what was asked."""
        with self.changed:
            self.plans[who] = plan
            self.changed.notify_all()
        told = await asyncio.to_thread(self.wait_for, self.told, who)
        assert "found" in told, told
        found: list[dict[str, Any]] = told["found"]
        return found

    def wait_for(self, where: dict[str, dict[str, Any]], who: str) -> dict[str, Any]:
        """Wait until it is there."""
        with self.changed:
            assert self.changed.wait_for(lambda: who in where, _WITHIN), f"{who} said nothing"
            return where[who]

    def asked(self) -> list[str]:
        """What the backend was asked since the last call: method, path and status of each."""
        with self.log.open("rb") as log:
            log.seek(self.read_up_to)
            text = log.read()
        whole = text[: text.rfind(b"\n") + 1]
        self.read_up_to += len(whole)
        entries = [json.loads(line) for line in whole.splitlines() if line.startswith(b"{")]
        return [
            f"{e['method']} {e['path']} {e['status']}" for e in entries
            if e.get("event") == "request" and e["path"] != "/favicon.ico"
        ]  # fmt: skip

    def asked_by_now(self) -> list[str]:
        """The same, with a little patience."""
        until = time.monotonic() + _LATE
        while not (asked := self.asked()) and time.monotonic() < until:
            time.sleep(0.01)
        return asked


_FOR_ALL = {"access-control-allow-origin": "*"}


class _Pages(BaseHTTPRequestHandler):
    """Hands out the pages and their orders to any origin."""

    stage: Stage

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def do_GET(self) -> None:
        where, query = urlsplit(self.path), parse_qs(urlsplit(self.path).query)
        if where.path == "/go":
            with self.stage.changed:
                self.stage.arrived[query["who"][0]] = {}
                self.stage.changed.notify_all()
            plan = self.stage.wait_for(self.stage.plans, query["who"][0])
            self._answer(json.dumps(plan).encode(), "application/json")
        elif where.path in ("/attacks.js", "/worker.js"):
            self._answer((SCRIPTS / where.path[1:]).read_bytes(), "text/javascript")
        elif where.path == "/redirect":
            self._answer(b"", "text/plain", 307, {"location": query["to"][0]})
        elif where.path == "/open":
            opening = "".join(
                f"open({json.dumps(p)}, '', 'noopener,popup,width=300,height=300');"
                for p in query["page"]
            )
            self._answer(f"<!doctype html><script>{opening}</script>".encode(), "text/html")
        else:
            page = b"<!doctype html><title>page</title><body><script src=/attacks.js></script>"
            self._answer(page, "text/html")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        where, query = urlsplit(self.path), parse_qs(urlsplit(self.path).query)
        if where.path == "/redirect":
            self._answer(b"", "text/plain", 307, {"location": query["to"][0]})
            return
        if where.path == "/told":
            with self.stage.changed:
                self.stage.told[query["who"][0]] = json.loads(body)
                self.stage.changed.notify_all()
        asked = self.stage.asked_by_now() if where.path == "/mark" else []
        self._answer(json.dumps(asked).encode(), "application/json")

    def _answer(
        self, body: bytes, kind: str, status: int = 200, more: Mapping[str, str] | None = None
    ) -> None:
        self.send_response(status)
        fields = {"content-type": kind, "content-length": str(len(body))}
        for name, value in {**fields, **_FOR_ALL, **(more or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def site(stage: Stage, port: int = 0) -> Iterator[int]:
    """A web server of the attacker; its port."""
    handler = type("Pages", (_Pages,), {"stage": stage})
    with ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


# --- what there is to lose ------------------------------------------------------------------


class Witness:
    """Looks at the state of a backend, and hears its events.

    Args:
        ours: the backend.
        folder: where it lives.
        stage: who reads its log.
        key: its key.
    """

    def __init__(self, ours: Backend, folder: Path, stage: Stage, key: str) -> None:
        self._ours = ours
        self._stage = stage
        self._folder = folder
        self.headers = {"x-api-key": key}
        self.events: list[str] = []

    async def state(self) -> dict[str, Any]:
        """Jobs, database, and files."""
        answer = await self._ours.http.get("/downloads", headers=self.headers)
        asked: list[str] = []  # this one's line must not be taken for a page's
        async with asyncio.timeout(20):
            while "GET /downloads 200" not in asked:
                asked += await asyncio.to_thread(self._stage.asked_by_now)
        with closing(sqlite3.connect(f"file:{self._database()}?mode=ro", uri=True)) as database:
            # how far the library has read the events comes later, by itself
            rows = [row for row in database.iterdump() if "VALUES('library'" not in row]
        files = {
            str(path.relative_to(self._folder)): path.stat().st_mtime_ns
            for path in sorted(self._ours.media.rglob("*"))
        }
        return {"jobs": answer.json(), "rows": rows, "files": files}

    def _database(self) -> Path:
        return self._folder / "state" / "chilly.db"

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Keep every event that comes meanwhile, the snapshots at the beginning apart."""
        begun = asyncio.Event()

        async def listen() -> None:
            async with self._ours.http.stream("GET", "/events", headers=self.headers) as answer:
                async for line in answer.aiter_lines():
                    begun.set()
                    if line.startswith("data:") and json.loads(line[5:])["event"] != "snapshot":
                        self.events.append(line)

        task = asyncio.create_task(listen())
        await asyncio.wait_for(begun.wait(), 10)
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])


@asynccontextmanager
async def backend(
    folder: Path, films: Films, stage: Stage, port: int, settings: Mapping[str, str], key: str = ""
) -> AsyncIterator[tuple[Backend, Witness]]:
    """A server on this port that seeds a film nobody else may know of."""
    media = folder / "media"
    media.mkdir(parents=True)
    (media / "film.mp4").write_bytes(films.mp4(seconds=1).read_bytes())
    stage.log = folder / "server.log"
    async with Backend(folder, {"CHILLY_PORT": str(port), **settings}, warm=True) as ours:
        witness = Witness(ours, folder, stage, key)
        answer = await ours.http.post("/torrents/create", headers=witness.headers,
                                      json={"path": "film.mp4", "id": CANARY})  # fmt: skip
        assert answer.status_code == 200, answer.text
        async with asyncio.timeout(20):
            while True:
                answer = await ours.http.get(f"/downloads/{CANARY}", headers=witness.headers)
                if answer.json()["status"] == "completed":
                    break
                await asyncio.sleep(0.02)
        answer = await ours.http.post(  # no more seeding: nothing moves by itself
            "/download/pause", headers=witness.headers, json={"id": CANARY}
        )
        assert answer.status_code == 200, answer.text
        yield ours, witness


def targets(port: int, *keys: str) -> list[dict[str, Any]]:
    """Where a page tries what: all under the best name, the likeliest under others."""
    likely = ["fetch cors", "fetch no-cors", "xhr", "event source", "image", "iframe", "post text",
              "post json", "form of plain text that is JSON", "delete", "beacon text"]  # fmt: skip
    best = [{"base": f"http://127.0.0.1:{port}", "key": key} for key in keys]
    others = [
        {"base": f"http://{name}:{port}", "key": keys[-1], "only": likely}
        for name in ("localhost", "[::1]", "0.0.0.0", "evil.example", "127.0.0.1.nip.example")
    ]
    return best + others


# --- the tries ------------------------------------------------------------------------------

UNSEEN = {"timings"}
"""What is no request."""
LET_IN = {
    "fetch cors", "fetch with a header", "fetch of a range", "fetch kept alive", "fetch redirected",
    "fetch of the contract", "xhr", "event source", "module script", "video cors", "worker fetch",
    "service worker fetch", "post json", "post xhr", "delete",
}  # fmt: skip
"""What works for a page that may call; the same is tried by one that may not."""


def assert_nothing_was_had(tried: list[dict[str, Any]]) -> None:
    """No page read anything, and the server was asked each time and refused."""
    for one in tried:
        what = (one["name"], one["base"], one["key"])
        assert one["read"] is None, (what, one["read"])
        assert one["seen"] or one["name"] in UNSEEN, what
        answers = {int(line.rsplit(" ", 1)[1]) for line in one["seen"]}
        if one["name"] == "window":  # the user sees what the page opened; the page does not
            assert answers <= {200, 401, 421}, (what, one["seen"])
        else:
            assert answers <= {403, 421}, (what, one["seen"])


@pytest.mark.parametrize("secret", ["", SECRET], ids=["open", "with a secret"])
async def test_no_page_from_elsewhere_reads_or_changes_anything_whatever_it_sends(
    tmp_path: Path, films: Films, secret: str
) -> None:
    require("chromium")
    stage = Stage()
    keys = ["", secret] if secret else [""]
    with site(stage) as stage.port:
        friend = f"http://friend.example:{stage.port}"
        settings = {"CHILLY_ALLOWED_ORIGINS": friend, **({"API_SECRET": secret} if secret else {})}
        pages = [stage.page("evil", stage.control), stage.page("friend", friend)]
        async with (
            backend(tmp_path / "ours", films, stage, 0, settings, secret) as (ours, witness),
            chromium(tmp_path / "profile", stage.opener(*pages),
                     secure=f"{stage.control},{friend}"),
        ):  # fmt: skip
            port = urlsplit(ours.url).port or 0
            before = await witness.state()
            async with witness.listening():
                tried = await stage.run("evil", {**WISHES, "targets": targets(port, *keys)})
            after = await witness.state()
            best = {"base": f"http://127.0.0.1:{port}", "key": secret, "only": sorted(LET_IN)}
            allowed = await stage.run("friend", {**WISHES, "targets": [best], **PATIENT})
            changed = await witness.state()
    assert len(tried) >= 50 * len(keys)
    assert_nothing_was_had(tried)
    assert after == before
    assert witness.events == []
    assert {one["name"] for one in allowed if one["read"]} >= LET_IN
    assert {job["id"] for job in before["jobs"]["items"]} == {CANARY}
    assert {job["id"] for job in changed["jobs"]["items"]} == {"planted"}


async def rebound(
    tmp_path: Path, films: Films, settings: Mapping[str, str], secret: str = "", *only: str
) -> tuple[list[dict[str, Any]], bool]:
    """A page whose name comes to lead to the backend: what it tried, and whether that changed it.

    The page comes from the attacker's server on a port of loopback. Then that is gone, and the
    backend has the same port: for the browser the page and the API are one origin.
    """
    stage = Stage()
    with site(stage) as stage.port, ExitStack() as first:
        port = first.enter_context(site(stage))
        page = stage.page("rebound", f"http://rebind.example:{port}")
        async with chromium(tmp_path / "profile", stage.opener(page), secure=""):
            await asyncio.to_thread(stage.wait_for, stage.arrived, "rebound")
            first.close()
            async with backend(tmp_path / "ours", films, stage, port, settings, secret) as (
                _, witness,
            ):  # fmt: skip
                before = await witness.state()
                here = {"base": f"http://rebind.example:{port}", "key": secret, "only": only}
                tried = await stage.run("rebound", {**WISHES, "targets": [here]})
                return tried, await witness.state() != before


@pytest.mark.parametrize("secret", ["", SECRET], ids=["open", "with a secret"])
async def test_a_page_that_rebinds_its_name_to_us_reads_only_that_it_is_refused(
    tmp_path: Path, films: Films, secret: str
) -> None:
    require("chromium")
    settings = {"API_SECRET": secret} if secret else {}
    tried, changed = await rebound(tmp_path, films, settings, secret)
    assert not changed
    for one in tried:
        if one["name"] == "timings":
            continue
        assert all(line.endswith(" 421") for line in one["seen"]), one
        text = one["read"] or ""
        assert CANARY not in text.replace(FILM, ""), one
        assert not text or text.startswith("421 ") or "does not name this server" in text, one
    seen = [one["name"] for one in tried if one["seen"]]
    assert {"fetch cors", "fetch with a header", "xhr", "event source", "post json", "post xhr",
            "delete", "patch", "iframe", "form multipart", "websocket"} <= set(seen)  # fmt: skip


async def test_the_host_check_is_what_keeps_a_rebound_page_out(
    tmp_path: Path, films: Films
) -> None:
    require("chromium")
    settings, few = {"CHILLY_ALLOWED_HOSTS": "rebind.example"}, ("fetch cors", "xhr", "script")
    tried, _ = await rebound(tmp_path, films, settings, "", *few)
    read = {one["name"]: one["read"] or "" for one in tried}
    assert CANARY in read["fetch cors"]
    assert CANARY in read["xhr"]
    assert read["script"] == "loaded"
