"""A film that takes over the process that looks into it gains nothing by it."""

from __future__ import annotations

import ctypes
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from chilly_movies.media.sandbox import Sandbox
from tests.readers import PartReader

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(
        sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"),
        reason="seccomp filters are there for Linux on x86_64 and aarch64",
    ),
]

# What machine code of a film's could try, each way once; says for each how it ended.
ATTACKS = """
import ctypes, json, mmap, os, resource, signal, socket

class Span(ctypes.Structure):
    _fields_ = [("at", ctypes.c_void_p), ("length", ctypes.c_size_t)]

libc = ctypes.CDLL(None, use_errno=True)
mine = ctypes.create_string_buffer(b"taken over", 16)

def native(name, *words):
    if getattr(libc, name)(*words) == -1:
        raise OSError(ctypes.get_errno(), name)

def spans(parent, at):
    here, there = Span(ctypes.addressof(mine), 8), Span(at, 8)
    return parent, ctypes.byref(here), ctypes.c_ulong(1), ctypes.byref(there), ctypes.c_ulong(1), 0

def attacks(parent, at, folder):
    yield "write to the parent's memory", lambda: native("process_vm_writev", *spans(parent, at))
    yield "read the parent's memory", lambda: native("process_vm_readv", *spans(parent, at))
    yield "trace the parent", lambda: native("ptrace", 0x4206, parent, None, None)
    yield "signal the parent", lambda: os.kill(parent, signal.SIGCONT)
    yield "limit the parent", lambda: limit_as_before(parent)
    yield "make a folder", lambda: os.mkdir(folder + "/new")
    yield "rename a film", lambda: os.rename(folder + "/film.mkv", folder + "/gone.mkv")
    yield "link to a film", lambda: os.link(folder + "/other.mkv", folder + "/third.mkv")
    yield "let a film be run", lambda: os.chmod(folder + "/other.mkv", 0o777)
    yield "delete a film", lambda: os.unlink(folder + "/other.mkv")
    yield "delete a folder", lambda: os.rmdir(folder + "/empty")
    yield "cut a film", lambda: os.truncate(folder + "/short.mkv", 0)
    yield "open a film", lambda: os.open(folder + "/short.mkv", os.O_RDONLY)
    yield "open a film to write", lambda: os.open(folder + "/short.mkv", os.O_WRONLY | os.O_TRUNC)
    yield "call somebody", lambda: socket.socket()
    yield "talk to a program here", lambda: socket.socketpair()
    yield "map code", lambda: mmap.mmap(-1, 4096, prot=7)
    yield "start a process", fork
    yield "start a program", lambda: os.execv("/bin/true", ["true"])

def limit_as_before(process):
    resource.prlimit(process, resource.RLIMIT_CORE, resource.prlimit(process, resource.RLIMIT_CORE))

def fork():
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)

def all_of_them(parent, at, folder):
    ends = {}
    for what, attack in attacks(parent, at, folder):
        if what == "start a program" and os.environ.get("STAYS"):
            continue
        try:
            attack()
        except OSError as error:
            ends[what] = type(error).__name__
        else:
            ends[what] = "done"
    return ends
"""
TAKEN_OVER = """
import json
from attacks import all_of_them
class MediaInfo:
    can_parse = staticmethod(lambda: True)
    @staticmethod
    def parse(file, **_):
        return json.dumps(all_of_them(*json.loads(file.read())))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Films, and a package that takes the place of MediaInfo's in the child."""
    films = tmp_path / "films"
    (films / "empty").mkdir(parents=True)
    for name in ("film.mkv", "other.mkv", "short.mkv"):
        (films / name).write_bytes(b"film")
    (tmp_path / "attacks.py").write_text(ATTACKS)
    (tmp_path / "pymediainfo").mkdir()
    (tmp_path / "pymediainfo" / "__init__.py").write_text(TAKEN_OVER)
    return films


def left(folder: Path) -> list[tuple[str, int, int]]:
    """What lies there: names, modes, sizes."""
    return sorted(
        (p.name, p.stat().st_mode & 0o777, p.stat().st_size if p.is_file() else 0)
        for p in folder.iterdir()
    )


async def test_a_film_that_takes_the_child_over_reaches_nothing_outside_of_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(folder.parent), prepend=os.pathsep)
    mine = ctypes.create_string_buffer(b"untouched", 16)
    words = [os.getpid(), ctypes.addressof(mine), str(folder)]
    before = left(folder)
    outcome = await Sandbox().run(PartReader(json.dumps(words).encode()), "facts")
    ends: dict[str, Any] = json.loads(outcome.body)
    assert len(ends) == 19
    assert {what: end for what, end in ends.items() if end != "PermissionError"} == {}
    assert (mine.value, left(folder)) == (b"untouched", before)


def test_without_the_filter_all_of_it_is_done(folder: Path) -> None:
    script = (
        "import ctypes, json, os, sys\n"
        "from attacks import all_of_them\n"
        "print(json.dumps(all_of_them(os.getppid(), int(sys.argv[1]), sys.argv[2])))\n"
    )
    mine = ctypes.create_string_buffer(b"untouched", 16)
    run = subprocess.run(
        [sys.executable, "-c", script, str(ctypes.addressof(mine)), str(folder)],
        env={**os.environ, "PYTHONPATH": str(folder.parent), "STAYS": "1"},
        capture_output=True, timeout=60, check=True,
    )  # fmt: skip
    ends = json.loads(run.stdout)
    assert len(ends) == 18
    # whether one may trace another process of the same user is for the system to say
    others = {
        what: end for what, end in ends.items() if "memory" not in what and "trace" not in what
    }
    assert set(others.values()) == {"done"}
    if ends["write to the parent's memory"] == "done":
        assert mine.value.startswith(b"taken ov")


IMPORTS = """
import os, socket, sys
from chilly_movies.media.confinement import confine
assert confine(importing=True)
import encodings.cp1252, colorsys
def refused(attack):
    try:
        attack()
    except OSError as error:
        return type(error) is PermissionError
    return False
place = sys.argv[1]
for number, attack in enumerate((
    lambda: os.open(place, os.O_RDWR), lambda: os.open(place, os.O_WRONLY | os.O_TRUNC),
    lambda: os.open(place + "new", os.O_CREAT | os.O_RDONLY), lambda: os.unlink(place),
    lambda: os.open(place, os.O_TRUNC), socket.socket, lambda: os.kill(os.getppid(), 0), os.fork,
    lambda: os.execv("/bin/true", ["true"]),
)):
    assert refused(attack), number
with open(place) as file:
    print(file.read())
"""


def test_who_still_imports_modules_may_read_files_and_do_nothing_else(tmp_path: Path) -> None:
    place = tmp_path / "film"
    place.write_text("a film")
    run = subprocess.run(
        [sys.executable, "-c", IMPORTS, str(place)], capture_output=True, timeout=60, text=True
    )
    assert (run.stdout, run.returncode) == ("a film\n", 0), run.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["film"]


def test_where_there_is_no_seccomp_nothing_is_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    from chilly_movies.media import confinement

    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert confinement.confine() is False
