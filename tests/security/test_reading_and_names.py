"""Asking changes nothing (A4), and no name leads anywhere (A16): by the thousand."""

from __future__ import annotations

import logging
import os
import random
import re
import sqlite3
import unicodedata
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest
import structlog

from chilly_movies.names import safe_name, safe_paths
from tests.acceptance.backend import Backend
from tests.security.asgi import READING, ask, routes, server, templates
from tests.security.hostile import NAMES

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True, scope="module")
def quiet_logs() -> Iterator[None]:
    """A line for each of tens of thousands of requests would take most of the time."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


CALLS = int(os.environ.get("CHILLY_READING_CALLS", "300"))
COUNT = 10_000
ASKED = int(os.environ.get("CHILLY_HOSTILE_NAMES", "2000"))
EVERY = 7 if "CHILLY_HOSTILE_NAMES" in os.environ else 40
"""Each name is tried on every so manyth route."""

# --- A4 -------------------------------------------------------------------------------------


async def test_random_calls_that_only_ask_write_nothing(tmp_path: Path) -> None:
    chance = random.Random(4)
    queries = ("", "?deleteFiles=true", "?_method=DELETE", "?id=a", "?limit=1", "?q=film", "?x=%00",
               "?path=/stream/a/0", "?status=failed", "?action=cancel&id=a")  # fmt: skip
    override = {"x-http-method-override": "DELETE", "x-method-override": "POST"}
    asked = [target for target in routes() if target[0] in READING and "events" not in target[1]]
    async with Backend(tmp_path, warm=True) as ours:
        media = ours.media
        media.mkdir(exist_ok=True)
        (media / "film.mkv").write_bytes(b"film" * 9000)
        answer = await ours.http.post("/torrents/create", json={"path": "film.mkv", "id": "a"})
        assert answer.status_code == 200, answer.text
        assert (await ours.wait("a"))["status"] == "completed"
        await ours.verb("pause", {"id": "a"})
    async with Backend(
        tmp_path, warm=True
    ) as ours:  # anew: what the job was storing when it stopped is done
        database = tmp_path / "state" / "chilly.db"
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as witness:
            version = witness.execute("PRAGMA data_version").fetchone()
            rows = list(witness.iterdump())
            for _ in range(CALLS):
                method, path = chance.choice(asked)
                target = path + chance.choice(queries)
                got = await ours.http.request(method, target, headers=override)
                assert got.status_code < 500 or re.search("metadata|catalogue|titles", path), (
                    method,
                    path,
                )
            assert witness.execute("PRAGMA data_version").fetchone() == version
            assert list(witness.iterdump()) == rows


# --- A16 ------------------------------------------------------------------------------------

_PIECES = (
    "..", ".", "/", "\\", "%2e", "%2E%2e", "%2f", "%5c", "%252e%252e%252f", "%c0%ae", "%00", "\0",
    "\n", "\r", "\t", " ", "con", "NUL", "aux.mkv", "COM1", "lpt9.", "C:", "C:\\", "//", "\\\\host",
    "~", "-", "film", ".mkv", ".exe", ".lnk", ":stream", "\u202e", "\u200b", "\ufeff", "\u0301",
    "é", "ß", "İ", "ﬁ", "\u2024", "\uff0e", "\uff0f", "\u2215", "\u29f5", "日本", "\U0001f3ac",
    "\ud800", "x" * 90, "'", '"', "`", "$(x)", ";", "|", "&", "<b>", "*", "?", "#", "media",
    ".incomplete", "chilly.db", "etc", "passwd",
)  # fmt: skip


def hostile_names(count: int) -> Iterator[str]:
    """The corpus, and names put together at random; the same ones each time."""
    yield from (name.decode("utf-8", "surrogateescape") for name in NAMES)
    chance = random.Random(16)
    for _ in range(count - len(NAMES)):
        yield "".join(chance.choices(_PIECES, k=chance.randint(1, 6)))


def is_harmless(name: str) -> bool:
    """What every file system takes for one ordinary name, by the rules of Windows, too."""
    stem = name.split(".")[0].rstrip().lower()
    devices = {
        "con",
        "prn",
        "aux",
        "nul",
        *(f"{d}{n}" for d in ("com", "lpt") for n in range(1, 10)),
    }
    return (
        0 < len(name.encode()) <= 230
        and not set(name) & set('<>:"/\\|?*')
        and not any(unicodedata.category(c) in ("Cc", "Cf", "Cs") for c in name)
        and name[0] != "."
        and name[-1] not in ". "
        and stem not in devices
    )


def test_ten_thousand_hostile_names_become_harmless_distinct_ones_within_the_folder(
    tmp_path: Path,
) -> None:
    names = list(hostile_names(COUNT))
    root = tmp_path / "media/films"
    root.mkdir(parents=True)
    (tmp_path / "victim").write_bytes(b"mine")
    made = list(safe_paths(names))
    assert len({unicodedata.normalize("NFKC", path).casefold() for path in made}) == len(names)
    for name, path in zip(names, made, strict=True):
        assert is_harmless(safe_name(name)), name
        assert all(is_harmless(part) for part in path.split("/")), (name, path)
        assert len(path.encode()) < 2000
    for path in made:
        target = root / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch(exist_ok=False)
        except (NotADirectoryError, FileExistsError, IsADirectoryError):
            continue  # a file and a folder of one name: the torrent's own trouble
        assert target.resolve().is_relative_to(root)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["media", "victim"]
    assert [p.name for p in (tmp_path / "media").iterdir()] == ["films"]


async def test_hostile_ids_and_paths_reach_no_file_on_any_route() -> None:
    shaped = [(method, path) for method, path in templates() if "{" in path]
    secret = Path("/etc/passwd").read_bytes()[:40]
    async with server(start_limit="999999/minute") as tried:
        before = await tried.state()
        for number, name in enumerate(hostile_names(ASKED)):
            text = name.encode("utf-8", "surrogatepass")
            spelling = (
                quote(text, safe=""), quote(quote(text, safe=""), safe=""), quote(text, safe="/.")
            )[number % 3]  # fmt: skip
            for method, template in shaped[number % EVERY :: EVERY]:
                parts = template.split("{")
                path = parts[0] + "".join(spelling + part.split("}", 1)[1] for part in parts[1:])
                answer = await ask(tried.app, method, path)
                assert answer.status < 500, (method, path)
                assert secret not in answer.body
        assert await tried.state() == before
