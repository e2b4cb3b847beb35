"""Other programs we start: no shell, no word of a stranger is an option, and none is torn apart.

The programs here are real ones that write down which words they got.
"""

from __future__ import annotations

import http.server
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

import chilly_movies
from chilly_movies.cli import main
from chilly_movies.cli.demo_film import make_film
from chilly_movies.cli.exits import CommandFailed
from chilly_movies.cli.output import Output
from chilly_movies.cli.play import _run_player, play
from chilly_movies.cli.players import Show, command, find_player
from chilly_movies.errors import SubtitleUnreadable
from chilly_movies.media.subtitles import SandboxConverter
from tests.readers import PartReader
from tests.security.other_programs import shells, starts

SRC = Path(chilly_movies.__file__).parent
PLACES = {
    ("cli/demo_film.py", "_encode"),
    ("cli/own_server.py", "own_server"),
    ("cli/play.py", "_run_player"),
    ("cli/stage.py", "_process"),
    ("drivers/ytdlp/process.py", "start"),  # of nothing but our own words: all else goes in later
    ("media/sandbox.py", "_start"),
}
"""Every place that starts a program. Whoever adds one gives it hostile words below."""
ONLY = "asyncio.create_subprocess_exec"
"""It takes a program and its words one by one, so there is no command to be torn apart."""

PLAYERS = ("mpv", "vlc", "iina", "iina-cli", "celluloid", "ffplay", "unknown")
URL = "http://localhost:3000/stream/a/0?expires=1&sig=x"
SUBTITLES = ("http://localhost:3000/subtitles/a/1.vtt", "http://localhost:3000/subtitles/a/2.vtt")
TEXTS = (
    ";touch {0};", "$(touch {0})", "`touch {0}`", "| touch {0}", "&& touch {0} &", "\ntouch {0}\n",
    "\r\ntouch {0}", "'; touch {0}; '", '"; touch {0}; "', "\\$(touch {0})", ">{0}", "<(touch {0})",
    "--script={0}", "--option", "--", "-", "-x", "-vf", "--sub-file=/etc/passwd", "@/etc/passwd",
    ":sout=file:{0}", "#file:///etc/passwd", "%x%(id)s%n", "${{PATH}}", "~root", "*", "?", "[a]",
    "a\0b", "\0", "\x1b]0;owned\x07", "\u202egpj.exe", "\u2066a\u2069b", "\ufeff", "\ud800",
    "", " ", "é" * 300, "x" * 300_000,
)  # fmt: skip
"""A marker's path goes where the braces are: no program may make it."""
IDS = ("-", "--", "-x", "--option", ":no-video", "-h", "--version")
"""Hostile, and yet ids of the form the server takes."""
PROGRESS = {"percent": 100, "bytesDownloaded": 1, "bytesTotal": 1, "downloadSpeed": 0,
            "uploadSpeed": 0, "timeRemaining": 0, "peers": 0, "seeds": 0, "ratio": 0,
            "phase": None}  # fmt: skip


@pytest.fixture(params=range(len(TEXTS)))
def text(request: pytest.FixtureRequest, marker: Path) -> str:
    return TEXTS[request.param].format(marker)


@pytest.fixture(params=range(0, len(TEXTS), 3))
def some_text(request: pytest.FixtureRequest, marker: Path) -> str:
    """A third of them, where each takes a while."""
    return TEXTS[request.param].format(marker)


@pytest.fixture
def marker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """What no program may make, here or anywhere."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    yield folder / "marker"
    assert list(folder.iterdir()) == []


@pytest.fixture
def bin_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in which programs of no path are looked for first."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def recorder(path: Path) -> Path:
    """A program that writes down its words and its media folder, and ends."""
    path.write_text(
        '#!/bin/sh\nprintf "%s\\0" "$@" >"$0.$$.new"\n'
        'if [ -n "$CHILLY_MEDIA_ROOT" ]; then printf "%s" "$CHILLY_MEDIA_ROOT" >"$0.root"; fi\n'
        'mv "$0.$$.new" "$0.$$.words"\n'
    )
    path.chmod(0o755)
    return path


def runs(path: Path) -> list[list[str]]:
    """The words of each run, which are forgotten."""
    found = []
    for file in sorted(path.parent.glob(f"{path.name}.*.words")):
        found.append(file.read_bytes().decode(errors="surrogateescape").split("\0")[:-1])
        file.unlink()
    return found


def assert_one_sentence(text: str) -> None:
    """Something to read: one line, no trace."""
    assert re.fullmatch(r"chilly: error: [^\n]+\.\n", text), text
    assert "Traceback" not in text
    assert "Errno" not in text


# --- the guard ------------------------------------------------------------------------------


def sources() -> Iterator[tuple[str, str]]:
    for path in sorted(SRC.rglob("*.py")):
        yield path.relative_to(SRC).as_posix(), path.read_text("utf-8")


def test_every_place_that_starts_a_program_is_known_and_none_takes_a_command() -> None:
    found = {(path, *one) for path, source in sources() for one in starts(source)}
    assert {(path, place) for path, place, _ in found} == PLACES
    assert {name for *_, name in found} == {ONLY}


def test_nothing_is_given_to_a_shell() -> None:
    found = [path for path, source in sources() for line in shells(source)]
    assert (
        found == ["cli/commands.py"] * 2
    )  # `chilly completion` writes what the user's shell reads


@pytest.mark.parametrize(
    "source",
    [
        "import os\nos.system('ls')",
        "import os as o\no.popen(x)",
        "from os import execvp as go\ngo(x, y)",
        "import subprocess\nsubprocess.run(['ls'])",
        "def f():\n    import subprocess as s\n    return s.Popen",
        "from subprocess import check_output\ncheck_output('ls')",
        "import asyncio\nasyncio.create_subprocess_shell('ls')",
        "from asyncio.subprocess import create_subprocess_exec as go\ngo('ls')",
        "import asyncio\nasyncio.get_running_loop().subprocess_exec(x, 'ls')",
        "import asyncio\ngo = partial(asyncio.create_subprocess_exec, 'ls')",
        "import multiprocessing\nmultiprocessing.Process(target=f)",
        "from concurrent.futures import ProcessPoolExecutor\nProcessPoolExecutor()",
        "import webbrowser\nwebbrowser.open(url)",
        "import importlib\nimportlib.import_module('subprocess').run('ls')",
        "__import__('pty').spawn('ls')",
        "import os\nos.posix_spawn('/bin/ls', [], {})",
    ],
)
def test_the_guard_sees_a_start_however_it_is_spelled(source: str) -> None:
    assert list(starts(source))


@pytest.mark.parametrize("source", ["run(x, shell=True)", "p(shell=flag)", "go('/bin/sh', '-c')"])
def test_the_guard_sees_a_shell(source: str) -> None:
    assert list(shells(source))


# --- the demo's film -----------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
async def test_the_demos_film_is_one_word_of_ffmpeg(
    bin_folder: Path, marker: Path, tmp_path: Path, text: str
) -> None:
    program = recorder(bin_folder / "ffmpeg")
    program.write_text(program.read_text() + "exit 1\n")  # it made no film
    folder = tmp_path / "films" / (text.format("x").replace("/", "_").replace("\0", "")[:99] or "-")
    try:
        folder.mkdir(parents=True)
    except (OSError, UnicodeError):
        pytest.skip("no name of a folder")
    await make_film(folder, 4)
    [words] = runs(program)
    assert words[-1] == f"file:{folder}/Chilly Demo.mp4"
    assert "".join(words[:-1]).isascii()
    assert not marker.exists()


# --- players --------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize("name", PLAYERS)
async def test_a_title_is_one_word_of_a_player_behind_what_says_that_it_is_one(
    bin_folder: Path, marker: Path, name: str
) -> None:
    program = recorder(bin_folder / name)
    player = find_player(name)
    assert player == [str(program), name]

    async def words(title: str) -> list[str]:
        assert await _run_player(command(player, Show(URL, title, SUBTITLES)), Output()) == 0
        [given] = runs(program)
        return given

    plain = await words("Film")
    for text in (one.format(marker) for one in TEXTS):
        check_title(text, plain, await words(text))


def check_title(text: str, plain: Sequence[str], hostile: Sequence[str]) -> None:
    """The title, cleaned and cut, is where a harmless one is, and nothing else has changed."""
    assert len(hostile) == len(plain)
    assert hostile[-1] == URL
    for harmless, word in zip(plain, hostile, strict=True):
        if "Film" not in harmless:
            assert word == harmless
            continue
        before, after = harmless.split("Film")
        assert before.endswith("=") or plain[plain.index(harmless) - 1] == "-window_title"
        title = word.removeprefix(before).removesuffix(after)
        assert (word, len(title) <= 200) == (before + title + after, True)
        assert title.isprintable()
        assert not text.isprintable() or title == text[:200]


@pytest.mark.parametrize(
    "url",
    [
        "--script=evil.lua", "-", "--", "-x", "", "/etc/passwd", "file:///etc/passwd", "C:\\film",
        "edl:///etc/passwd", "memory://x", "concat:a|b", "ytdl://x", "localhost/film", "//h/film",
        "http:", "http://", "ahttp://h/x", " http://h/x", "-http://h/x", "http://h/a b",
        "http://h/a\n--script=x", "http://h/a\0b", "http://h/#file:///etc/passwd", 'http://h/"x',
        "http://h\\@evil/", "http://h/\u202egpj", "http://h/" + "x" * 5000,
    ],
)  # fmt: skip
def test_nothing_but_a_whole_web_address_is_given_to_a_player(url: str) -> None:
    for name in PLAYERS:
        for show in (Show(url, "Film"), Show(URL, "Film", (SUBTITLES[0], url))):
            with pytest.raises(CommandFailed, match=r"^The server gave an address .* given\.$"):
                command([f"/bin/{name}", name], show)


def test_a_player_by_a_hostile_name_is_a_program_of_that_name_or_none(
    text: str, bin_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["play", "a", f"--player={text or 'no such'}"]) == 2
    assert_one_sentence(capsys.readouterr().err)
    with pytest.raises(CommandFailed, match="is not installed"):
        play("a", player=text or "no such")


SERVED = pytest.mark.xdist_group("played")
"""Those that share the server."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a real server with mock films, whose names nobody cleaned."""
    words = ["-m", "chilly_movies", "serve", "--mock", "--port=0", "--json", "--log-level=error",
             "--stop-with-stdin"]  # fmt: skip
    with (
        tempfile.TemporaryDirectory() as home,
        subprocess.Popen(
            [sys.executable, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=home
        ) as process,
    ):
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["url"]
        process.terminate()


def played(server: str, source: str, program: Path) -> int:
    """Play it with this player; the exit code."""
    return main(["play", f"--server={server}", f"--player={program}", "--", source])


@SERVED
def test_a_film_of_any_name_and_its_link_are_one_word_each(
    server: str, text: str, bin_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = recorder(bin_folder / "mpv")
    name = text.encode(errors="replace").decode()[:1000]
    source = f"mock:?name={quote(name, safe='')}&seconds=0&metadataSeconds=0&seedSeconds=0&size=9"
    code = played(server, source, program)
    found, told = runs(program), capsys.readouterr()
    if code:  # no name a film can have
        assert found == []
        assert_one_sentence(told.err)
        return
    [[title, end, url]] = found
    assert title.startswith("--force-media-title=")
    assert title.isprintable()
    assert end == "--"
    assert re.fullmatch(rf"{re.escape(server)}/stream/[0-9a-f]{{16}}/0\?[\w=&.-]+", url)


@SERVED
def test_a_job_of_any_id_is_played_or_refused(
    server: str, bin_folder: Path, marker: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = recorder(bin_folder / "celluloid")
    for number, job_id in enumerate((*IDS, "..", *(one.format(marker) for one in TEXTS[:12:3]))):
        film = f"mock:?name={number}&seconds=0&metadataSeconds=0&seedSeconds=0&size=9"
        added = main(["add", f"--server={server}", f"--id={job_id}", film])
        code = played(server, job_id, program)
        found, told = runs(program), capsys.readouterr()
        assert "Traceback" not in told.err
        assert added == 0 or job_id not in IDS
        if code:
            assert found == []
            assert code < 100
        else:  # what is no id is a source
            [[url]] = found
            name = "[0-9a-f]{16}" if added else re.escape(job_id)
            assert re.fullmatch(rf"{re.escape(server)}/stream/{name}/0\?[\w=&.-]+", url)


@SERVED
@pytest.mark.parametrize(
    "content", [b"", b"no program", b"#!/nonsuch\n", b"\x7fELF", b"#!" + b"x" * 9000]
)
def test_a_player_that_cannot_be_run_is_said_in_one_sentence(
    server: str, bin_folder: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    program = bin_folder / "player"
    program.write_bytes(content)
    program.chmod(0o755)
    source = "mock:?name=film&seconds=0&metadataSeconds=0&seedSeconds=0&size=9"
    assert played(server, source, program) == 1
    assert_one_sentence(capsys.readouterr().err)


# --- a server that is hostile itself -----------------------------------------------------------


@contextmanager
def hostile_server(title: str, link: str) -> Iterator[str]:
    """The address of a server that says what it likes to whoever plays its film."""
    job = {"id": "a", "status": "completed", "progress": PROGRESS, "event": "snapshot",
           "seq": 1, "name": title,
           "files": [{"index": 0, "path": f"{title}.mkv", "size": 1, "wanted": True}]}  # fmt: skip
    sidecars = [{"n": n, "source": "sidecar", "film": 0} for n in (title, "1")]
    answers: dict[str, Any] = {
        "/health": {"status": "ok"}, "/downloads/a": job, "/links": {"url": link},
        "/subtitles/a": {"subtitles": sidecars},
    }  # fmt: skip

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            body, kind = json.dumps(answers.get(path, {})), "application/json"
            if path.startswith("/events"):
                body, kind = f"id: 1\ndata: {json.dumps(job)}\n\n", "text/event-stream"
            self.send_response(200)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """A client that has heard enough is none."""

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_what_a_hostile_server_says_of_a_film_is_one_word_of_the_player(
    bin_folder: Path, text: str
) -> None:
    program = recorder(bin_folder / "mpv")
    with hostile_server(text, "/stream/a/0") as url:
        assert played(url, "a", program) == 0
    [words] = runs(program)
    assert words[-1] == f"{url}/stream/a/0"
    options = [word.partition("=")[0] for word in words[:-1]]
    assert options == ["--force-media-title", "--sub-file", "--"]
    assert len(words[0]) < 300


def test_a_link_of_a_hostile_server_is_below_its_address_or_refused(
    bin_folder: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    program = recorder(bin_folder / "vlc")
    with hostile_server("film", f"/{text}") as url:
        code = played(url, "a", program)
    found, told = runs(program), capsys.readouterr()
    if code:
        assert found == []
        assert_one_sentence(told.err)
    else:
        assert found[0][-1] == f"{url}/{text}"


@pytest.mark.parametrize(
    "link", ["@evil.example/", ".evil.example/", "0/", ":1@evil.example/", "-", "--x", " /x", "#/"]
)
def test_no_link_turns_the_servers_name_into_another(
    bin_folder: Path, marker: Path, link: str, capsys: pytest.CaptureFixture[str]
) -> None:
    program = recorder(bin_folder / "mpv")
    with hostile_server("film", link) as url:
        assert played(url, "a", program) > 0
    assert runs(program) == []
    assert_one_sentence(capsys.readouterr().err)


# --- our own processes ------------------------------------------------------------------------


@pytest.fixture
def python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In the place of Python, which runs all processes of our own."""
    program = recorder(tmp_path / "python")
    monkeypatch.setattr(sys, "executable", str(program))
    return program


@pytest.mark.anyio
async def test_a_child_that_reads_films_gets_each_word_as_it_is_or_is_not_started(
    python: Path, text: str
) -> None:
    with pytest.raises(SubtitleUnreadable, match=r"^Nothing can be made of these subtitles\.$"):
        await SandboxConverter().sidecar(PartReader(b"x"), ending=text, language=text, fps=None)
    own = ["-P", "-m", "chilly_movies.media.child", "sidecar", "1"]
    found = runs(python)
    assert found in ([], [[*own, text, text, "0.0"]])
    assert found or "\0" in text or "\ud800" in text or len(text) > 100_000


def test_a_server_of_our_own_is_started_with_none_of_the_words_of_the_user(
    python: Path,
    some_text: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("CHILLY_PORT", "1")
    assert main(["play", "--print", "--", some_text]) > 0
    assert_one_sentence(capsys.readouterr().err)
    assert runs(python) == [[
        "-m", "chilly_movies", "serve", "--host", "localhost", "--port", "0",
        "--log-level", "error", "--stop-with-stdin", "--json",
    ]]  # fmt: skip


def test_the_demo_takes_a_folder_of_any_name_or_refuses_it(
    python: Path, some_text: str, marker: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], tmp_path: Path,
) -> None:  # fmt: skip
    """Its name goes to the backend, and that of the folder for temporary files to the seeder."""
    folder = marker.parent.parent / "demo"
    name = some_text.replace(str(marker), "marker").replace("/", "_")
    temporary = (
        tmp_path / "temporary" / (name if 0 < len(name) < 99 and name.isprintable() else "-")
    )
    temporary.mkdir(parents=True, exist_ok=True)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert main(["demo", "--size-mib=1", f"--folder={name or ' '}"]) > 0
    assert_one_sentence(capsys.readouterr().err)
    assert list(folder.iterdir()) == []
    found = runs(python)
    if found:
        check_demo(
            found, os.fsdecode(python.with_name("python.root").read_bytes()), folder / (name or " ")
        )


def check_demo(found: Sequence[Sequence[str]], root: str, folder: Path) -> None:
    """The backend and the seeder got what they should."""
    [seeder] = [one for one in found if one[2] == "chilly_movies.drivers.torrent.making.seeder"]
    assert [one for one in found if one is not seeder] == [
        ["-P", "-m", "chilly_movies", "serve", "--json", "--stop-with-stdin"]
    ]
    assert root == str(folder / "media")
    own, announce, limit, end, film = seeder[:2], *seeder[3:]
    assert own == ["-P", "-m"]
    assert re.fullmatch(r"--announce=http://[\w.:]+/announce", announce)
    assert re.fullmatch(r"--upload-limit=\d+", limit)
    assert end == "--"
    assert film.startswith("/")
    assert film.endswith("/Chilly Demo.avi")
