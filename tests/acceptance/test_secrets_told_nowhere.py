"""User names and passwords of sources are in one column of the database, and nowhere else."""

from __future__ import annotations

import json
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance.backend import Backend, clean_environment, start_chilly
from tests.integration.web_answers import http, web_answers

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]
CANARIES = ("canary-user", "canary-pass", "canary-cookie", "canary-header", "canary-removed")


def told(text: str | bytes) -> list[str]:
    data = text if isinstance(text, bytes) else text.encode()
    return [word for word in CANARIES if word.encode() in data]


def columns_with_canaries(database: Path) -> set[str]:
    found = set()
    with closing(sqlite3.connect(database)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        for (table,) in tables.fetchall():
            rows = connection.execute(f"SELECT * FROM {table}")
            names = [column[0] for column in rows.description]
            found |= {
                f"{table}.{name}"
                for row in rows
                for name, value in zip(names, row, strict=True)
                if told(value if isinstance(value, bytes) else str(value))
            }
    return found


def process_lines(pid: int) -> bytes:
    """What everybody on the machine may read of the server and its children."""
    lines = b""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            if folder.name == str(pid) or parent == str(pid):
                lines += (folder / "cmdline").read_bytes()
        except OSError:  # it ended meanwhile
            continue
    return lines


async def backup(folder: Path, name: str, *words: str) -> tuple[Path, str]:
    process = await start_chilly(["backup", name, *words], clean_environment(folder, {}), folder)
    said, complained = await process.communicate()
    assert process.returncode == 0, complained.decode()
    with tarfile.open(folder / name) as archive:
        archive.extractall(folder / f"{name}.d", filter="data")
    return folder / f"{name}.d" / "chilly.db", said.decode()


async def test_a_password_of_a_link_is_nowhere_but_in_the_column_for_secrets(
    tmp_path: Path,
) -> None:
    settings = {"CHILLY_ALLOW_PRIVATE_ADDRESSES": "true", "CHILLY_LOG_LEVEL": "debug"}
    async with web_answers(lambda _: http("503 Busy")) as web:
        async with Backend(tmp_path, settings, warm=True) as ours:
            link = f"http://canary-user:canary-pass@127.0.0.1:{web.port}/film.torrent"
            more = {"cookies": {"sid": "canary-cookie"}, "headers": {"X-Token": "canary-header"}}
            answers = [json.dumps(await ours.start(link, id="a", **more))]
            gone = f"http://x:canary-removed@127.0.0.1:{web.port}/gone.torrent"
            await ours.start(gone, id="b")
            film = f"http://canary-user:canary-pass@127.0.0.1:{web.port}/film.mkv"
            answers.append(json.dumps(await ours.start(film, id="c", sourceType="http", **more)))
            await web.until_asked("/film.mkv", 1)
            await ours.until("a", lambda event: event["event"] == "retrying")
            paths = ("/downloads", "/downloads/a", "/downloads/c", "/download/status/a", "/health")
            answers += [(await ours.http.get(path)).text for path in paths]
            async with ours.listen("/events", last_id=0) as events:
                async for event in events:
                    answers.append(json.dumps(event))
                    if event["event"] == "retrying":
                        break
            assert (await ours.http.delete("/downloads/b")).status_code == 204
            lines = process_lines(ours.pid)
        state = next(tmp_path.rglob("chilly.db"))
        assert told("".join(answers)) == []
        assert told(lines) == []
        assert told(ours.log()) == []
        assert f"127.0.0.1:{web.port}" in "".join(answers)
    assert columns_with_canaries(state) == {"jobs.secret"}
    copy, said = await backup(tmp_path, "plain.tar.gz")
    assert told(copy.read_bytes()) == []
    assert "--with-secrets" in said
    copy, said = await backup(tmp_path, "whole.tar.gz", "--with-secrets")
    assert columns_with_canaries(copy) == {"jobs.secret"}
    assert "secrets of sources" in said
