"""Tears one room after the other off a fresh copy of the tree, and runs the tests that are left.

`python -m lab.tear_off [ROOM ...] [-- PYTEST ARGUMENTS]` prints for each room which lines went in
which files beside its own, which tests went with it, and whether the others pass. Without arguments
of pytest it runs `tests/unit tests/contract`. Ends with 1 if a room does not come off.

A test goes with a room if it cannot be loaded without it: it, or a helper it imports, imports what
is no longer there. What a room's own lines are stands below; a line that is not found is an error,
so that this list is as current as the tree.
"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from lab.structure import statements

ROOT = Path(__file__).parents[1]
SOURCE = "src/chilly_movies"
_CATALOGUES = (
    'new["metadata"], new["catalogue"] = open_catalogues(settings.catalogue, state, network)'
)
_LIBRARY = (
    'new["library"] = '
    'library_of(settings.library, library_db(state), media, roots, new["catalogue"])'
)
DEFAULT = ["tests/unit", "tests/contract", "-q", "-n", "2"]


@dataclass(frozen=True)
class Room:
    """What a room consists of.

    Attributes:
        paths: what is its own.
        lines: by file, the lines that name it, without their indentation.
        swaps: by file, texts and what stands in their place without the room.
        drops: by file, functions and classes at the top that are about it alone.
        public: names of the package that go with it.
        carries: rooms that stand on it, and go with it.
    """

    paths: tuple[str, ...]
    lines: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    swaps: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    drops: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    public: tuple[str, ...] = ()
    carries: tuple[str, ...] = ()

    @property
    def files(self) -> set[str]:
        """The files that change without it and the rooms that stand on it."""
        carried = [file for name in self.carries for file in ROOMS[name].files]
        return {*self.lines, *self.swaps, *self.drops, *carried}


ROOMS: dict[str, Room] = {
    "mock": Room(
        paths=(f"{SOURCE}/drivers/mock", f"{SOURCE}/mock.py"),
        public=("MockDownloader", "MockScript"),
        lines={
            f"{SOURCE}/__init__.py": (
                "from chilly_movies.drivers.mock.driver import MockScript",
                "from chilly_movies.mock import MockDownloader",
                '"MockDownloader": "chilly_movies.mock",',
                '"MockScript": "chilly_movies.drivers.mock.driver",',
            ),
            "pyproject.toml": ('"mock",',),
        },
        swaps={
            f"{SOURCE}/__init__.py": (('"MockDownloader", "MockScript", ', ""),),
            f"{SOURCE}/cli/serve.py": (
                ("        from chilly_movies.mock import mock_parts\n\n", ""),
                (
                    "        parts = mock_parts(settings.jobs.max_active, settings.network)\n",
                    '        raise CommandFailed("There are no scripts here.", Exit.USAGE)\n',
                ),
                (
                    "from chilly_movies.cli.exits import Exit\n",
                    "from chilly_movies.cli.exits import CommandFailed, Exit\n",
                ),
            ),
        },
    ),
    "tracker": Room(
        paths=(
            f"{SOURCE}/tracker",
            f"{SOURCE}/cli/tracker.py",
            f"{SOURCE}/cli/demo.py",
            f"{SOURCE}/cli/demo_film.py",
            f"{SOURCE}/cli/stage.py",
        ),
        lines={
            f"{SOURCE}/cli/commands.py": (
                "from chilly_movies.cli.demo import demo",
                "from chilly_movies.cli.tracker import tracker",
                "tracker, demo,",
            ),
            "tests/unit/cli/test_cli.py": ('["demo", "--size-mib", "0"],',),
        },
        swaps={
            "tests/unit/cli/test_cli.py": (
                ('"settings", "demo"', '"settings"'),
                ("import main, render, stage", "import main, render"),
            )
        },
        drops={
            "tests/unit/cli/test_cli.py": ("test_the_demo_leaves_foreign_folders_alone",),
        },
    ),
    "catalogue": Room(
        carries=("library",),
        paths=(
            f"{SOURCE}/catalogue",
            f"{SOURCE}/api/routes/metadata.py",
            f"{SOURCE}/api/routes/catalogue.py",
            f"{SOURCE}/storage/catalogues.py",
            f"{SOURCE}/storage/sqlite/answers.py",
        ),
        lines={
            f"{SOURCE}/app.py": (
                "from chilly_movies.storage.catalogues import open_catalogues",
                _CATALOGUES,
            ),
            f"{SOURCE}/api/openapi.py": (
                '"metadata": "What film something is.",',
                '"catalogue": "Films of TMDB and the Internet Archive, and their pictures.",',
            ),
            f"{SOURCE}/settings.py": (
                "from chilly_movies.catalogue.settings import CatalogueSettings",
                "catalogue: CatalogueSettings = field(default_factory=CatalogueSettings)",
            ),
            f"{SOURCE}/api/topics.py": (
                "from chilly_movies.api.routes.catalogue import TOPIC as CATALOGUE",
                "from chilly_movies.api.routes.metadata import TOPIC as METADATA",
                "from chilly_movies.catalogue.mixed import MixedCatalogue",
                "from chilly_movies.catalogue.ports import MetadataProvider",
                "METADATA,",
                "CATALOGUE,",
                "metadata: MetadataProvider | None",
                "catalogue: MixedCatalogue | None",
            ),
            f"{SOURCE}/mock.py": (
                "from chilly_movies.catalogue.mock import MockMetadataProvider, mock_catalogue",
                '"metadata": MockMetadataProvider(),',
                '"catalogue": mock_catalogue(),',
            ),
            "tests/acceptance/backend.py": (
                '"CHILLY_TMDB_API_KEY": "canary0in0every0run0c3d1",',
                '"CHILLY_TMDB_BEARER_TOKEN": "canary.in.every.run.81fe",',
                '"CHILLY_TMDB_BASE_URL": "http://127.0.0.1:9/3",',
            ),
        },
    ),
    "http": Room(
        paths=(f"{SOURCE}/drivers/http",),
        lines={
            f"{SOURCE}/app.py": (
                "from chilly_movies.drivers.http.driver import HttpDriver",
                "SourceType.HTTP: HttpDriver(media, resume, network, settings.http_source),",
            ),
            f"{SOURCE}/settings.py": (
                "from chilly_movies.drivers.http.settings import HttpSourceSettings",
                "http_source: HttpSourceSettings = field(default_factory=HttpSourceSettings)",
            ),
        },
    ),
    "library": Room(
        paths=(
            f"{SOURCE}/library",
            f"{SOURCE}/api/routes/library.py",
            f"{SOURCE}/api/wire/library.py",
            f"{SOURCE}/cli/library_files.py",
            f"{SOURCE}/cli/library.py",
            f"{SOURCE}/cli/recognise.py",
            f"{SOURCE}/storage/library",
        ),
        lines={
            f"{SOURCE}/cli/backup.py": (
                "from chilly_movies.cli.library_files import bring_library, take_library",
                "library = _Library(*take_library(state.library, contents, Path(scratch)))",
                "library = _Library(*bring_library(Path(scratch)))",
            ),
            f"{SOURCE}/cli/doctor.py": (
                "from chilly_movies.cli.library_files import check_library",
                "yield from check_library(state.library)",
            ),
            f"{SOURCE}/app.py": (
                "from chilly_movies.library.library import library_of",
                "from chilly_movies.storage.library.store import library_db",
                _LIBRARY,
            ),
            f"{SOURCE}/settings.py": (
                "from chilly_movies.library.settings import LibrarySettings",
                "library: LibrarySettings = field(default_factory=LibrarySettings)",
            ),
            f"{SOURCE}/api/openapi.py": (
                '"library": "Films and series that the user has, and how far they were watched.",',
            ),
            f"{SOURCE}/api/topics.py": (
                "from chilly_movies.api.routes.library import TOPIC as LIBRARY",
                "from chilly_movies.library.library import Library",
                "LIBRARY,",
                "library: Library | None",
            ),
            f"{SOURCE}/api/wire/schemas.py": (
                "from chilly_movies.library.events import LIBRARY_EVENTS",
                "*LIBRARY_EVENTS,",
            ),
            f"{SOURCE}/mock.py": (
                "from chilly_movies.library.library import Library, LibraryParts",
                "from chilly_movies.storage.library.memory import MemoryLibraryStore",
                '"library": Library(LibraryParts(store=MemoryLibraryStore())),',
            ),
            f"{SOURCE}/cli/commands.py": (
                "from chilly_movies.cli.library import file, library, match, undo",
                "from chilly_movies.cli.recognise import recognise",
                "library, match, file, undo,",
            ),
            "tests/unit/cli/test_cli.py": ('["recognise"],',),
        },
        swaps={
            f"{SOURCE}/cli/commands.py": (("recognise, settings,", "settings,"),),
            "pyproject.toml": (
                ('"library | notices"', '"notices"'),
                (', "chilly_movies.library",', ","),
            ),
            "tests/unit/cli/test_cli.py": (('"recognise", "settings"', '"settings"'),),
        },
    ),
    "notices": Room(
        paths=(
            f"{SOURCE}/notices",
            f"{SOURCE}/api/routes/webhooks.py",
            f"{SOURCE}/cli/webhooks.py",
            f"{SOURCE}/storage/notices.py",
        ),
        lines={
            f"{SOURCE}/app.py": (
                "from chilly_movies.notices.webhooks import WebhookParts",
                "webhooks=WebhookParts(stores.webhooks, network.post),",
            ),
            f"{SOURCE}/api/openapi.py": (
                '"webhooks": "Addresses that are told of every state change.",',
            ),
            f"{SOURCE}/api/topics.py": (
                "from chilly_movies.api.routes.webhooks import TOPIC as WEBHOOKS",
                "from chilly_movies.notices.webhooks import WebhookParts",
                "WEBHOOKS,",
                "webhooks: WebhookParts | None",
            ),
            f"{SOURCE}/cli/commands.py": (
                "from chilly_movies.cli.webhooks import webhooks",
                'webhooks.sort_key = [command.__name__ for command in commands].index("settings")',
                "app.command(webhooks)",
            ),
            f"{SOURCE}/mock.py": (
                "from chilly_movies.notices.webhooks import WebhookParts",
                '"webhooks": WebhookParts(MemoryWebhookStore(), network.post),',
            ),
            f"{SOURCE}/storage/memory.py": (
                "from chilly_movies.notices.models import Delivery, Webhook",
                "from chilly_movies.notices.ports import KEPT_DELIVERIES",
            ),
            f"{SOURCE}/storage/opened.py": (
                "from chilly_movies.notices.ports import WebhookStore",
                "from chilly_movies.storage.memory import MemoryWebhookStore",
                "from chilly_movies.storage.notices import SqliteWebhookStore",
                "webhooks: WebhookStore = field(default_factory=MemoryWebhookStore)",
                "webhooks=SqliteWebhookStore(database),",
            ),
            f"{SOURCE}/storage/rows.py": (
                "from chilly_movies.notices.models import Delivery, Webhook",
            ),
            f"{SOURCE}/storage/sqlite/salvage.py": (
                "webhooks.name: rows.webhook_from_row,",
                "deliveries.name: rows.delivery_from_row,",
            ),
            "pyproject.toml": ('"chilly_movies.notices",',),
            "tests/contract/test_written_contract.py": (
                "from chilly_movies.notices.webhooks import WebhookParts",
                "from chilly_movies.storage.memory import MemoryWebhookStore",
            ),
        },
        swaps={
            f"{SOURCE}/mock.py": (("MemoryResumeStore, MemoryWebhookStore", "MemoryResumeStore"),),
            "pyproject.toml": (
                ('"library | notices"', '"library"'),
                ('"chilly_movies.disk", "chilly_movies.notices"', '"chilly_movies.disk"'),
            ),
            "tests/contract/test_written_contract.py": (
                ("    webhooks = WebhookParts(MemoryWebhookStore(), take)\n", ""),
                (
                    '{**mock_parts(1).tools.topics, "webhooks": webhooks}',
                    "mock_parts(1).tools.topics",
                ),
            ),
            "docs/api.md": (("curl -X POST http://localhost:3000/webhooks", "curl"),),
            "tests/unit/cli/test_cli.py": (('"webhooks", "recognise"', '"recognise"'),),
        },
        drops={
            f"{SOURCE}/storage/memory.py": ("MemoryWebhookStore",),
            f"{SOURCE}/storage/rows.py": (
                "webhook_from_row",
                "delivery_to_row",
                "delivery_from_row",
            ),
            "tests/acceptance/test_command_line.py": (
                "test_webhooks_are_listed_added_and_removed",
            ),
        },
    ),
    "local": Room(
        paths=(f"{SOURCE}/drivers/local",),
        lines={
            f"{SOURCE}/app.py": (
                "from chilly_movies.drivers.local.driver import LocalDriver",
                "SourceType.LOCAL: LocalDriver(media, roots, resume),",
            ),
            "pyproject.toml": ('"chilly_movies.drivers.local",',),
        },
    ),
    "ytdlp": Room(
        paths=(f"{SOURCE}/drivers/ytdlp",),
        lines={
            f"{SOURCE}/app.py": (
                "from chilly_movies.drivers.ytdlp.driver import YtdlpDriver",
                "SourceType.YOUTUBE: YtdlpDriver(media, network),",
            ),
            "pyproject.toml": ('"chilly_movies.drivers.ytdlp",',),
        },
    ),
    "inbox": Room(
        paths=(f"{SOURCE}/inbox",),
        lines={
            f"{SOURCE}/app.py": (
                "from chilly_movies.inbox.inbox import watch_folders",
                "companions.append(watch_folders(settings.inbox, roots, state.path))",
            ),
            f"{SOURCE}/settings.py": (
                "from chilly_movies.inbox.settings import InboxSettings",
                "inbox: InboxSettings = field(default_factory=InboxSettings)",
            ),
            "pyproject.toml": ('"inbox",', '"chilly_movies.inbox",'),
        },
    ),
    "subtitles": Room(
        carries=("library",),
        paths=(
            f"{SOURCE}/api/routes/subtitles.py",
            f"{SOURCE}/watching/subtitles.py",
            f"{SOURCE}/watching/subtitle_port.py",
            f"{SOURCE}/watching/languages.py",
            f"{SOURCE}/media/formats",
            f"{SOURCE}/media/convert.py",
            f"{SOURCE}/media/cues.py",
            f"{SOURCE}/media/ebml.py",
            f"{SOURCE}/media/matroska.py",
            f"{SOURCE}/media/mp4.py",
            f"{SOURCE}/media/mock_subtitles.py",
            f"{SOURCE}/media/subtitle_tasks.py",
            f"{SOURCE}/media/subtitles.py",
        ),
        lines={
            f"{SOURCE}/app.py": (
                "from chilly_movies.media.subtitles import SandboxConverter",
                "converter=SandboxConverter(),",
            ),
            f"{SOURCE}/api/topics.py": (
                "from chilly_movies.api.routes.subtitles import TOPIC as SUBTITLES",
                "from chilly_movies.watching.subtitle_port import SubtitleConverter",
                "SUBTITLES,",
                "converter: SubtitleConverter | None",
            ),
            f"{SOURCE}/media/child.py": (
                '"sidecar": ("chilly_movies.media.subtitle_tasks", 64 * 1024),',
                '"embedded": ("chilly_movies.media.subtitle_tasks", 4096),',
            ),
            f"{SOURCE}/mock.py": (
                "from chilly_movies.media.mock_subtitles import MockSubtitleConverter",
                '"converter": MockSubtitleConverter(),',
            ),
        },
    ),
}


# --- tearing ----------------------------------------------------------------------------------


def fresh_copy(folder: Path, *only: str) -> Path:
    """Copies what git knows, as it is now.

    Args:
        folder: where to.
        only: the files and folders that are wanted; none = all.
    """
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", *only],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def tear(tree: Path, room: Room) -> None:
    """Deletes a room and the lines that name it.

    Raises:
        ValueError: a line is not there.
    """
    for name in room.carries:
        tear(tree, ROOMS[name])
    for path in room.paths:
        whole = tree / path
        if whole.is_dir():
            shutil.rmtree(whole)
        else:
            whole.unlink()
    for name, swaps in room.swaps.items():
        for old, new in swaps:
            replace(tree / name, old, new)
    for name, lines in room.lines.items():
        for line in lines:
            remove_line(tree / name, line)
    for name, drops in room.drops.items():
        for function in drops:
            drop(tree / name, function)


def replace(path: Path, old: str, new: str) -> None:
    """Replaces a text that stands once in a file."""
    text = path.read_text()
    if text.count(old) != 1:
        raise ValueError(f"{path}: {old!r} stands there {text.count(old)} times")
    path.write_text(text.replace(old, new))


def remove_line(path: Path, line: str) -> None:
    """Removes a line that stands once in a file; its indentation does not matter."""
    lines = path.read_text().splitlines(keepends=True)
    found = [number for number, text in enumerate(lines) if text.strip() == line]
    if len(found) != 1:
        raise ValueError(f"{path}: {line!r} stands there {len(found)} times")
    del lines[found[0]]
    path.write_text("".join(lines))


def drop(path: Path, name: str) -> None:
    """Removes a function or class at the top of a file, with its decorators."""
    lines = path.read_text().splitlines(keepends=True)
    for node in ast.parse("".join(lines)).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            first = min(node.lineno, *(d.lineno for d in node.decorator_list), node.lineno)
            if node.name == name:
                del lines[first - 1 : node.end_lineno]
                path.write_text("".join(lines))
                return
    raise ValueError(f"{path}: there is no {name}")


# --- what is left -----------------------------------------------------------------------------


def modules(tree: Path) -> dict[str, Path]:
    """Every module of the tree by its dotted name."""
    found = {}
    for top in ("chilly_movies", "tests", "lab", "benchmarks"):
        folder = tree / SOURCE if top == "chilly_movies" else tree / top
        for path in folder.rglob("*.py"):
            inner = path.relative_to(folder).with_suffix("").parts
            found[".".join((top, *(part for part in inner if part != "__init__")))] = path
    return found


@cache
def imported(text: str) -> frozenset[str]:
    """Everything that a module imports, at its top or within functions; members of modules, too."""
    found: set[str] = set()
    for node in statements(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return frozenset(found)


def lost(known: Mapping[str, Path], gone: set[str]) -> dict[str, str]:
    """The modules that import what is gone, each with one such import."""
    words = [name.split(".") for name in gone]
    missing: dict[str, str] = {}
    for name, path in known.items():
        text = path.read_text()
        if any(all(word in text for word in each) for each in words) and (
            what := imported(text) & gone
        ):
            missing[name] = min(what)
    return missing


def delete_lost(tree: Path, gone: set[str]) -> tuple[list[str], list[str]]:
    """Deletes the tests that cannot be loaded any more; gives them, and what else is lost.

    Args:
        tree: the copy.
        gone: modules and names that were there before.
    """
    deleted: list[str] = []
    while True:
        known = modules(tree)
        without = lost(known, gone | set(deleted))
        tests = [name for name in without if not name.startswith("chilly_movies")]
        if not tests:
            return sorted(deleted), [f"{name} imports {what}" for name, what in without.items()]
        for name in tests:
            known[name].unlink()
            deleted.append(name)


def run(tree: Path, command: list[str]) -> int:
    """Runs Python in the copy, with the sources of the copy."""
    environment = {**os.environ, "PYTHONPATH": str(tree / "src")}
    return subprocess.run([sys.executable, *command], cwd=tree, env=environment).returncode


def check(name: str, room: Room, arguments: list[str]) -> bool:
    """Tears one room off, and tells what that took."""
    with tempfile.TemporaryDirectory(prefix=f"without-{name}-") as folder:
        tree = fresh_copy(Path(folder))
        before = modules(tree).keys()
        tear(tree, room)
        gone = {f"chilly_movies.{name}" for name in room.public} | before - modules(tree).keys()
        tests, leftover = delete_lost(tree, gone)
        say(f"--- without {name}")
        for file in dict.fromkeys((*room.lines, *room.swaps, *room.drops)):
            lines = room.lines.get(file, ())
            own = [line for line in lines if not line.startswith(("from ", "import "))]
            more = len(room.swaps.get(file, ())) + len(room.drops.get(file, ()))
            say(f"    {file}: {len(own)} lines, {len(lines) - len(own)} imports, {more} changes")
            for line in lines:
                say(f"        - {line}")
        say(f"    tests and tools that cannot be loaded without it: {len(tests)}")
        for line in leftover:
            say(f"    LEFT OVER: {line}")
        run(tree, ["-m", "chilly_movies.api.contract", "contracts/openapi.yaml"])
        undefined = run(tree, ["-m", "ruff", "check", "-q", "--select", "F821,F822,F811", "src"])
        # what tears, and the guards that stand in a room that is gone
        aside = ["--ignore=tests/unit/test_tear_off.py", "--ignore=tests/unit/test_breaks.py"]
        passed = run(tree, ["-m", "pytest", *aside, *arguments])
        good = not leftover and undefined == 0 and passed == 0
        say(f"--- without {name}: {'comes off' if good else 'DOES NOT COME OFF'}")
        return good


def say(line: str) -> None:
    """Prints a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """Tears off what is asked for."""
    words = sys.argv[1:]
    at = words.index("--") if "--" in words else len(words)
    wanted, arguments = words[:at] or list(ROOMS), words[at + 1 :] or DEFAULT
    good = [check(name, ROOMS[name], arguments) for name in wanted]
    sys.exit(not all(good))


if __name__ == "__main__":
    main()
