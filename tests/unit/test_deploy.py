"""The examples of deployment say nothing that is not there."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from chilly_movies.cli.exits import Exit
from chilly_movies.settings import CONFIG_FILE_VARIABLE, SETTINGS, load_settings, variable_of

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
UNIT = DEPLOY / "chilly-movies.service"
SHOWN = [ROOT / "docs" / "deploy.md", *(path for path in DEPLOY.iterdir() if path.is_file())]


@pytest.mark.parametrize("path", SHOWN, ids=lambda path: path.name)
def test_every_setting_in_an_example_is_one(path: Path) -> None:
    known = {*map(variable_of, SETTINGS), CONFIG_FILE_VARIABLE}
    assert set(re.findall(r"CHILLY_[A-Z_]*[A-Z]", path.read_text())) <= known


def test_values_in_the_unit_and_in_the_container_are_ones_the_server_takes() -> None:
    unit = dict(re.findall(r"Environment=(CHILLY_\w+)=(\S+)", UNIT.read_text()))
    image = (DEPLOY / "Containerfile").read_text()
    container = dict(re.findall(r"(CHILLY_\w+)=(\S+)", image))
    for found in (unit, container):
        given = {name.removeprefix("CHILLY_").lower(): value.replace("%S", "/var/lib")
                 for name, value in found.items() if name != CONFIG_FILE_VARIABLE}  # fmt: skip
        load_settings(api_secret="correct-horse-battery", **given)
    assert f"RestartPreventExitStatus={int(Exit.USAGE)}" in UNIT.read_text()


def test_the_image_is_built_of_what_is_there_and_runs_as_nobody_special() -> None:
    image = (DEPLOY / "Containerfile").read_text()
    sources = re.findall(r"(?m)^COPY ((?!--from).*) \S+$", image)
    assert sources
    for name in " ".join(sources).split():
        assert (ROOT / name).exists(), name
        for ignore in DEPLOY.glob("Containerfile.*ignore"):
            assert f"!{name.removeprefix('./')}\n" in ignore.read_text()
    assert re.search(r"(?m)^USER 1000:1000$", image)


def test_the_compose_file_names_the_containers_own_folders() -> None:
    service = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["chilly"]
    image = (DEPLOY / "Containerfile").read_text()
    for volume in service["volumes"]:
        assert f'"{volume.partition(":")[2]}"' in image
    assert service["read_only"] is True


def test_the_unit_passes_the_check_of_systemd(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    text = UNIT.read_text().replace("/opt/chilly/bin/chilly serve", "/bin/true")
    unit = tmp_path / UNIT.name
    unit.write_text(re.sub(r"(?m)^(User|Group)=chilly$", r"\1=root", text))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
