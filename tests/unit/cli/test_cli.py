"""The command line without a server: parsing, exit codes, and what jobs look like."""

from __future__ import annotations

import io
import json
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from chilly_movies import errors
from chilly_movies.cli import main, render, stage
from chilly_movies.cli.boards import JsonBoard, LineBoard, board_for
from chilly_movies.cli.exits import (
    EXIT_CODES,
    CommandFailed,
    Exit,
    exit_of_answer,
    exit_of_error,
    exit_of_status,
)
from chilly_movies.cli.film_records import films_of
from chilly_movies.cli.output import Output, clean
from chilly_movies.cli.remote import server_url
from chilly_movies.cli.serve import allow_descriptors
from chilly_movies.cli.setting_list import described
from chilly_movies.cli.sources import read_files, read_source, read_sources
from chilly_movies.client import ApiClient, ClientError, NoServer
from chilly_movies.settings import SETTINGS, load_settings

pytestmark = pytest.mark.anyio


def job(status: str = "active", **changes: Any) -> dict[str, Any]:
    """A job as the server sends it."""
    progress = {
        "percent": 42.34, "bytesDownloaded": 3 << 20, "bytesTotal": 8 << 20,
        "downloadSpeed": 1 << 20, "uploadSpeed": 0, "timeRemaining": 5, "peers": 1, "seeds": 1,
        "ratio": 0.0, "phase": "downloading", **changes.pop("progress", {}),
    }  # fmt: skip
    return {"id": "1", "name": "Film", "status": status, "progress": progress, **changes}


def said(as_json: bool = False) -> tuple[Output, Callable[[], str], Callable[[], str]]:
    """An output and what came out on both sides."""
    out, err = io.StringIO(), io.StringIO()
    return Output(as_json=as_json, stdout=out, stderr=err), out.getvalue, err.getvalue


# --- typing ---------------------------------------------------------------------------------


def test_help_names_every_command_and_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    """Who knows nothing types `chilly` or `chilly --help`."""
    assert main(["--help"]) == 0
    help_text = " ".join(capsys.readouterr().out.split())
    for command in ("serve", "get", "add", "list", "status", "pause", "resume", "cancel",
                    "recheck", "queue", "trackers", "stats", "move", "remove", "watch",
                    "webhooks", "recognise", "settings", "demo"):  # fmt: skip
        assert f"│ {command} " in help_text
    for code, meaning in EXIT_CODES:
        assert f"{int(code)} {meaning}" in help_text


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` names the program."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("Chilly Movies 0.")


@pytest.mark.parametrize(
    "typed",
    [
        ["nonsense"],
        ["list", "--nonsense"],
        ["list", "--status", "nonsense"],
        ["list", "--server", "nonsense"],
        ["status"],
        ["status", "1", "2"],
        ["pause"],
        ["get"],
        ["get", "missing.torrent"],
        ["get", "magnet:?xt=x", "--files", "first"],
        ["add"],
        ["add", "a", "b", "--id", "1"],
        ["add", "a", "--download-limit", "fast"],
        ["serve", "--port", "99999"],
        ["demo", "--size-mib", "0"],
        ["recognise"],
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    typed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing on standard output, one sentence on standard error, never a trace."""
    assert main(typed) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("chilly: error: ")
    assert captured.err.count("\n") == 1


def test_sources(tmp_path: Path) -> None:
    """A link stays a link; the path of a torrent file becomes its bytes; nothing counts twice."""
    path = tmp_path / "a film.torrent"
    path.write_bytes(b"d4:infoe")
    assert read_source(" magnet:?xt=urn:btih:ab ").urn == "magnet:?xt=urn:btih:ab"
    assert read_source("http://films.example/x.torrent").torrent is None
    assert read_source("c" * 40).urn == "c" * 40
    assert read_source("\ufeff'MAGNET:?xt=x&tr=http://t/a'").urn == "MAGNET:?xt=x&tr=http://t/a"
    for link in (path.as_uri(), f"file:{path}", f"FILE://localhost{path.as_uri()[7:]}"):
        assert read_source(link).torrent == b"d4:infoe"
    with pytest.raises(CommandFailed, match="names no file of this machine"):
        read_source("file://elsewhere/x.torrent")
    assert read_source(str(path)).torrent == b"d4:infoe"
    assert len(read_sources((str(path), str(path), "c" * 40))) == 2
    with pytest.raises(CommandFailed, match="cannot be read: No such file"):
        read_source("./elsewhere.torrent")
    with pytest.raises(CommandFailed, match="There is no file or folder"):
        read_source("./elsewhere.mkv")


def test_a_path_of_this_machine_is_a_torrent_file_or_a_film(tmp_path: Path) -> None:
    """A torrent file is told by its bytes, too; what is not here may lie on the server."""
    film, torrent = tmp_path / "film.mkv", tmp_path / "film"
    film.write_bytes(b"film")
    torrent.write_bytes(b"d8:announce")
    for path in (film, tmp_path):
        wanted = read_source(str(path))
        assert (wanted.urn, wanted.torrent, wanted.is_path) == (str(path), None, True)
    assert read_source(str(torrent)).torrent == b"d8:announce"
    there = read_source("films/a.mkv")
    assert (there.urn, there.is_path) == ("films/a.mkv", True)
    assert not read_source("https://films.example/a.mkv").is_path


def test_files() -> None:
    """`--files` takes indices."""
    assert read_files(None) is None
    assert read_files("2,0, 2") == [0, 2]
    for wrong in ("", "a", "1,,2", "-1", "9" * 10):
        with pytest.raises(CommandFailed):
            read_files(wrong)


def test_a_film_has_the_same_state_folder_whatever_is_wanted_beside_it(tmp_path: Path) -> None:
    """And however its source is written; folder and files make another of it."""
    settings = load_settings(media_root=tmp_path / "m", state_dir=tmp_path / "s")
    other = load_settings(media_root=tmp_path / "n", state_dir=tmp_path / "s")
    one, two = "a" * 40, "b" * 40
    [alone] = films_of(settings, read_sources((one,)), None)
    assert alone.state.path.parent == tmp_path / "s" / "get"
    assert len(alone.state.path.name) == 16
    for typed in ((two, one), (f"magnet:?xt=urn:btih:{one.upper()}&dn=x", two), (one, f" {one} ")):
        films = {film.id: film.state.path for film in films_of(settings, read_sources(typed), None)}
        assert films[alone.id] == alone.state.path
        assert len(films) == len({*typed} - {f" {one} "})
    again = films_of(settings, read_sources((one, f"magnet:?xt=urn:btih:{one}")), None)
    assert [film.id for film in again] == [alone.id]
    others = {
        films_of(other, read_sources((one,)), None)[0].state.path,
        films_of(settings, read_sources((one,)), [0])[0].state.path,
        alone.state.path,
    }
    assert len(others) == 3


def test_where_the_server_is() -> None:
    """Settings for serving say where to ask, too."""
    assert server_url("localhost", 3000) == "http://localhost:3000"
    assert server_url("0.0.0.0", 80) == "http://localhost:80"
    assert server_url("::1", 80) == "http://[::1]:80"


def test_settings_show_no_secret() -> None:
    """Of a secret only whether it is set."""
    rows = {row["name"]: row for row in described(load_settings(api_secret="s3cret-s3cret-s3cret"))}
    assert rows["api_secret"]["variable"] == "API_SECRET"
    assert rows["api_secret"]["value"] == "set"
    assert rows["api_keys"]["value"] == "not set"
    assert rows["port"] == {
        "name": "port", "variable": "CHILLY_PORT", "value": 3000,
        "meaning": "port of the API, 0 = any free one",
    }  # fmt: skip
    assert set(rows) == set(SETTINGS)
    assert all(row["meaning"] for row in rows.values())
    assert "s3cret" not in json.dumps([*rows.values()])


# --- exit codes -----------------------------------------------------------------------------


def test_exit_codes() -> None:
    """Each kind of end has its own."""
    assert exit_of_error(errors.JobNotFound("x")) is Exit.NOT_FOUND
    assert exit_of_error(errors.SettingsError("x")) is Exit.USAGE
    assert exit_of_error(errors.InvalidSource("x")) is Exit.USAGE
    assert exit_of_error(errors.EngineError("x")) is Exit.FAILED
    assert exit_of_answer("no_server") is Exit.NO_SERVER
    assert exit_of_answer("job_not_found") is Exit.NOT_FOUND
    assert exit_of_answer("unauthorized") is Exit.FAILED
    assert [exit_of_status(s) for s in ("completed", "failed", "canceled")] == [0, 1, 1]
    assert {code for code, _ in EXIT_CODES} == set(Exit)


# --- what jobs look like --------------------------------------------------------------------


def test_sizes_and_durations() -> None:
    """Numbers for people."""
    assert [render.size(n) for n in (0, 999, 1000, 999_949, 999_950, 64 << 20, 10**9, 10**15)] == [
        "0 B", "999 B", "1.0 kB", "999.9 kB", "1.0 MB", "67.1 MB", "1.0 GB", "1000.0 TB",
    ]  # fmt: skip
    assert render.speed(1_250_000) == "1.2 MB/s"
    assert [render.duration(s) for s in (0, 59, 60, 61, 3604, 90_000, 86_400)] == [
        "0 s", "59 s", "1 min", "1 min 1 s", "1 h", "1 d 1 h", "1 d",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("shown", "line"),
    [
        (job(), "Film: 42.3 %, 3.1 MB of 8.4 MB, 1.0 MB/s, 1 peer, 5 s left"),
        (job(name=None), "1: 42.3 %, 3.1 MB of 8.4 MB, 1.0 MB/s, 1 peer, 5 s left"),
        (job(reason="no peers found yet"), "Film: 42.3 %, no peers found yet"),
        (job(progress={"phase": "checking"}), "Film: 42.3 %, checking"),
        (job("queued"), "Film: 42.3 %, waiting"),
        (job("paused"), "Film: 42.3 %, paused"),
        (job("canceled"), "Film: canceled"),
        (job("failed", error={"code": "x", "message": "Disk full."}), "Film: failed: Disk full."),
        (
            job("queued", error={"code": "x", "message": "Gone."}),
            "Film: 42.3 %, will be tried again: Gone.",
        ),
        (job("completed"), "Film: complete, 3.1 MB"),
        (
            job("completed", progress={"phase": "seeding", "uploadSpeed": 2048, "ratio": 0.5}),
            "Film: complete, 3.1 MB, seeding at 2.0 kB/s, ratio 0.50, 1 peer",
        ),
    ],
)
def test_a_job_as_a_line(shown: dict[str, Any], line: str) -> None:
    """The reason when nothing moves, the figures when something does."""
    assert render.line(shown) == line


def test_nothing_a_stranger_says_reaches_the_terminal() -> None:
    """Names and reasons come from torrents and trackers."""
    evil = "\x1b]0;owned\x07[red]bold\r\n\u202e\udc80"
    assert all(c.isprintable() for c in clean(evil))
    output, out, err = said()
    output.say(render.line(job(name=evil, reason=evil)))
    output.error(evil)
    output.show(render.job_table([job(name=evil)]))
    for text in (out(), err()):
        assert "\x1b" not in text
        assert "[red]" in text


def test_lines_come_at_changes_and_at_intervals() -> None:
    """A log is not flooded by progress, and misses no change of status."""
    output, out, _ = said()
    now = 0.0
    board = LineBoard(output, interval=5.0, clock=lambda: now)
    with board:
        for second in range(11):
            now = float(second)
            board.show(job(progress={"timeRemaining": 20 - second}), "progress")
        board.show(job("paused"), "paused")
        board.show(job("paused"), "progress")
    lines = out().splitlines()
    assert [line.rpartition(", ")[2] for line in lines] == [
        "20 s left", "15 s left", "10 s left", "paused",
    ]  # fmt: skip


def test_json_mode_says_nothing_else() -> None:
    """One object per event, and people's lines are left out."""
    output, out, err = said(as_json=True)
    board = board_for(output)
    assert isinstance(board, JsonBoard)
    with board:
        board.show(job(), "progress")
    output.say("for people")
    output.show(render.job_table([job()]))
    output.error("two\nlines")
    assert json.loads(out()) == {"event": "progress", **job()}
    assert err() == "chilly: error: two lines\n"


def test_tables_are_never_cut() -> None:
    """What reads us from a pipe gets whole names."""
    output, out, _ = said()
    output.show(render.job_table([job(id="i" * 128, name="n" * 200, reason="r" * 300)]))
    for whole in ("i" * 128, "n" * 200, "r" * 300):
        assert whole in out()


def test_the_demo_leaves_foreign_folders_alone(tmp_path: Path) -> None:
    """It empties only what a demo made."""
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "old").touch()
    stage.empty(tmp_path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "diary.txt").touch()
    with pytest.raises(CommandFailed, match=r"diary\.txt"):
        stage.empty(tmp_path)
    stage.tidy(tmp_path, keep=False)
    assert (tmp_path / "diary.txt").exists()


# --- the client -----------------------------------------------------------------------------


def api(answer: Callable[[httpx2.Request], httpx2.Response], **options: Any) -> ApiClient:
    """A client of a server that is a function."""
    return ApiClient("http://localhost:3000", transport=httpx2.MockTransport(answer), **options)


async def test_the_client_says_what_the_server_said() -> None:
    """A problem's detail, code and status; something sensible for foreign answers."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        assert request.headers["x-api-key"] == "key"
        if request.url.path.endswith("known"):
            return httpx2.Response(200, text="<html>")
        if request.url.path.endswith("proxy"):
            return httpx2.Response(502, text="bad gateway")
        return httpx2.Response(
            404, json={"detail": "There is no job 'x'.", "code": "job_not_found"}
        )

    async with api(answer, api_key="key") as client:
        with pytest.raises(ClientError, match="There is no job 'x'") as caught:
            await client.status("x")
        assert (caught.value.code, caught.value.status) == ("job_not_found", 404)
        with pytest.raises(ClientError, match="answered with 502"):
            await client.status("proxy")
        with pytest.raises(ClientError, match="does not speak our API"):
            await client.status("known")


async def test_nobody_there() -> None:
    """A sentence that says what to do."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused", request=request)

    async with api(answer) as client:
        with pytest.raises(NoServer, match="No server answers at http://localhost:3000"):
            await client.list()
        with pytest.raises(NoServer):
            await anext(client.events())


async def test_the_list_reads_all_pages() -> None:
    """However many jobs there are."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        assert request.url.params.get_list("status") == ["active", "paused"]
        last = "cursor" in request.url.params
        page = {"items": [{"id": "2" if last else "1"}], "nextCursor": None if last else "c"}
        return httpx2.Response(200, json={**page, "total": 2})

    async with api(answer) as client:
        assert [j["id"] for j in await client.list(["active", "paused"])] == ["1", "2"]


async def test_a_broken_stream_goes_on_after_what_was_seen() -> None:
    """The number of the last event goes with the next connection; then patience ends."""
    asked: list[str | None] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.headers.get("last-event-id"))
        if len(asked) == 3:
            raise httpx2.ConnectError("refused", request=request)
        body = f': hello\n\nid: {len(asked)}\ndata: {{"seq": {len(asked)}}}\n\n'
        return httpx2.Response(200, text=body, headers={"content-type": "text/event-stream"})

    seen: list[int] = []

    async def listen(client: ApiClient) -> None:
        async for event in client.events("a b"):
            seen.append(event["seq"])  # noqa: PERF401 (it ends with an error)

    async with api(answer, patience=0.0) as client:
        with pytest.raises(NoServer):
            await listen(client)
    assert seen == [1, 2]
    assert asked == [None, "1", "2"]


async def test_a_stream_of_a_removed_job_ends() -> None:
    """A refusal is not tried again."""

    def answer(_request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(404, json={"detail": "Gone.", "code": "job_not_found"})

    async with api(answer) as client:
        with pytest.raises(ClientError, match="Gone"):
            await anext(client.events("1"))


def test_an_address_must_be_one() -> None:
    """Before anything is sent."""
    for wrong in ("localhost:3000", "ftp://localhost", "http://", "http://a:b"):
        with pytest.raises(ClientError, match="must look like"):
            ApiClient(wrong)


@pytest.mark.parametrize(
    ("limits", "then"),
    [
        ((1024, 524_288), (4200, 524_288)),
        ((1024, 2000), (2000, 2000)),
        ((1024, resource.RLIM_INFINITY), (4200, resource.RLIM_INFINITY)),
        ((20_000, 20_000), None),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), None),
    ],
)
def test_a_server_may_hold_more_descriptors_than_is_usual_and_never_fewer_than_it_may(
    monkeypatch: pytest.MonkeyPatch, limits: tuple[int, int], then: tuple[int, int] | None
) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda _, wanted: asked.append(wanted))
    allow_descriptors(4200)
    assert asked == ([] if then is None else [then])
