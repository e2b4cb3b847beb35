"""The composition: one frozen value of typed parts, and nothing found by asking what it is."""

from __future__ import annotations

import ast
import dataclasses
import inspect
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from starlette.testclient import TestClient

from chilly_movies import MockDownloader, SourceType, WebTorrentDownloader, app
from chilly_movies.api.gates.security import ApiOptions
from chilly_movies.api.settings import HttpSettings
from chilly_movies.drivers.mock.driver import MockDriver
from chilly_movies.drivers.torrent.engine.config import EngineConfig
from chilly_movies.drivers.torrent.engine.options import EngineOptions
from chilly_movies.drivers.torrent.settings import TorrentSettings
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.jobs.ports import Driver
from chilly_movies.jobs.settings import JobSettings
from chilly_movies.media.mediainfo import MediaInfoProbe
from chilly_movies.media.mock import MockMediaProbe
from chilly_movies.mock import mock_parts
from chilly_movies.net.settings import NetworkSettings
from chilly_movies.settings import load_settings
from chilly_movies.storage.memory import MemoryJobStore, MemoryResumeStore

TREE = ast.parse(Path(app.__file__).read_text())


@pytest.mark.parametrize("name", ["isinstance", "getattr", "hasattr"])
def test_no_part_is_found_by_asking_what_another_is(name: str) -> None:
    calls = [node for node in ast.walk(TREE) if isinstance(node, ast.Call)]
    assert name not in {call.func.id for call in calls if isinstance(call.func, ast.Name)}


def test_no_function_takes_further_arguments_of_any_type() -> None:
    functions = [node for node in ast.walk(TREE) if isinstance(node, ast.FunctionDef)]
    further = {f.name: f.args.kwarg.annotation for f in functions if f.args.kwarg is not None}
    assert {name: ast.unparse(kind) for name, kind in further.items() if kind is not None} == {
        "__init__": "Unpack[EngineOptions]",
        "create_app": "Unpack[AppOptions]",
    }


def test_the_engines_options_are_the_fields_of_its_configuration() -> None:
    fields = get_type_hints(EngineConfig)
    del fields["media_root"]
    assert get_type_hints(EngineOptions) == fields


@pytest.mark.parametrize("mock", [True, False])
def test_the_parts_that_settings_give_are_complete_and_cannot_be_exchanged(
    tmp_path: Path, *, mock: bool
) -> None:
    folders: Any = {"media_root": tmp_path / "m", "state_dir": tmp_path / "s"}
    settings = load_settings(**folders, max_active=7, max_active_disk=5)
    parts = mock_parts(7) if mock else app.build_parts(settings)
    assert parts.max_active == 7
    assert mock or parts.max_active_disk == 5
    assert parts.tools.maker is not None
    assert parts.tools.inspector is not None
    known = set(parts.drivers)
    assert known == set(SourceType) if mock else SourceType.TORRENT in known
    assert parts.network.halted is None
    parts.network.read_lists()
    with pytest.raises(dataclasses.FrozenInstanceError):
        parts.max_active = 8  # type: ignore[misc]


def test_a_downloader_of_another_s_making_is_served_with_the_usual_tools() -> None:
    resume = MemoryResumeStore()
    drivers: dict[str, Driver] = dict.fromkeys(SourceType, MockDriver(resume_store=resume))
    plain = Downloader(drivers, MemoryJobStore(resume))
    assert isinstance(app._tools_of(plain).probe, MediaInfoProbe)
    assert app._tools_of(plain).maker is None
    assert isinstance(app._tools_of(MockDownloader()).probe, MockMediaProbe)
    with TestClient(app.create_app(plain), base_url="http://localhost") as client:
        assert client.get("/downloads").status_code == 200


@pytest.mark.parametrize("group", [NetworkSettings, TorrentSettings])
def test_the_engine_has_the_defaults_of_the_settings(group: type[Any]) -> None:
    config = EngineConfig(Path("m"))
    names = {field.name for field in dataclasses.fields(group)}
    names.discard("webtorrent_trackers")  # a library announces nowhere of its own accord
    assert {name: getattr(config, name) for name in names} == {
        name: getattr(group(), name) for name in names
    }


def test_the_core_and_the_api_have_the_defaults_of_the_settings() -> None:
    assert ApiOptions().max_streams == HttpSettings().max_streams
    core = inspect.signature(Downloader).parameters
    assert core["max_active"].default == JobSettings().max_active
    assert core["max_active_disk"].default == JobSettings().max_active_disk


_SOURCES = {
    path: ast.parse(path.read_text()) for path in sorted(Path(app.__file__).parent.rglob("*.py"))
}


def test_a_room_sees_its_own_group_of_settings_and_not_the_others() -> None:
    seen: set[tuple[str, str]] = set()
    for path, tree in _SOURCES.items():
        room = path.relative_to(Path(app.__file__).parent).parts[0]
        for node in ast.walk(tree):
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            if module.startswith("chilly_movies.") and module.endswith("settings"):
                seen.add((room, module.split(".")[1]))
    above = {"app.py", "mock.py", "settings.py", "cli"}
    others = {(room, group) for room, group in seen if room not in above and room != group}
    assert others <= {("storage", "catalogue")}  # the file of its answers


def test_a_default_of_the_python_interface_is_written_in_the_settings_alone() -> None:
    functions = [node for node in ast.walk(TREE) if isinstance(node, ast.FunctionDef)]
    defaults = [d for f in functions for d in (*f.args.defaults, *f.args.kw_defaults)]
    numbers = [d.value for d in defaults if isinstance(d, ast.Constant)]
    assert [n for n in numbers if n not in (None, False, "media", 0.25)] == []


def test_the_public_downloader_takes_the_same_arguments_as_before(tmp_path: Path) -> None:
    downloader = WebTorrentDownloader(
        tmp_path / "media", state_dir=tmp_path / "state", max_active=2, min_free_space=1,
        metadata_tries=0, sole_server=True, port=0, dht=False, own_ports={4000},
    )  # fmt: skip
    assert downloader.parts.own_ports == {4000}
    assert downloader.parts.max_active == 2
    assert not (tmp_path / "state").exists()
