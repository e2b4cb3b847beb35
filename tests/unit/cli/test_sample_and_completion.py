"""What chilly prints for files and shells: a sample of settings, and completion."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from chilly_movies.cli import main
from chilly_movies.errors import SettingsError
from chilly_movies.settings import SETTINGS, load_settings

SHELLS = ["bash", "zsh", "fish"]


@pytest.fixture
def sample(capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["settings", "--toml"]) == 0
    return capsys.readouterr().out


def test_the_sample_of_settings_has_each_with_its_meaning_and_its_default(
    sample: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, (_, one) in SETTINGS.items():
        assert f"\n# {one.says}\n#{name} = " in sample
    given = [line for line in sample.splitlines() if line and not line.startswith("#")]
    assert given == []
    file = tmp_path / "chilly.toml"
    file.write_text("\n".join(line.removeprefix("#") for line in sample.splitlines()[3:]
                              if not line.startswith("# ")))  # fmt: skip
    default = load_settings()
    monkeypatch.setenv("CHILLY_CONFIG", str(file))
    assert load_settings() == default


def test_the_sample_holds_no_secret_that_is_set(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_SECRET", "correct-horse-battery")
    assert main(["settings", "--toml"]) == 0
    assert "horse" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["max_active", "CHILLY_MAX_ACTIVE", "chilly_max_active"])
def test_the_file_takes_a_setting_by_every_name_it_is_shown_with(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "chilly.toml"
    monkeypatch.setenv("CHILLY_CONFIG", str(file))
    file.write_text(f'{name} = 7\nAPI_SECRET = "correct-horse-battery"\n')
    settings = load_settings()
    assert settings.jobs.max_active == 7
    assert settings.http.api_secret is not None
    file.write_text(f"{name} = 7\nMAX_ACTIVE = 8\n")
    with pytest.raises(SettingsError, match="max_active stands in it twice"):
        load_settings()


def test_a_name_that_is_none_is_named_as_it_stands_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "chilly.toml"
    monkeypatch.setenv("CHILLY_CONFIG", str(file))
    file.write_text("CHILLY_MAX_ACTIV = 7\n")
    with pytest.raises(SettingsError, match=r"no setting 'CHILLY_MAX_ACTIV' \(in chilly\.toml\)"):
        load_settings()


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_is_printed_for_each_shell(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for word in ("serve", "seed", "--media-root", "recheck"):
        assert word.removeprefix("--") in script


def test_bash_completes_commands_and_options(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bash = shutil.which("bash")
    assert bash is not None
    main(["completion", "bash"])
    script = tmp_path / "chilly"
    script.write_text(capsys.readouterr().out)

    def completes(*typed: str) -> set[str]:
        lines = (
            f". {script}; COMP_WORDS=({' '.join(typed)}); COMP_CWORD={len(typed) - 1}; _chilly; "
            'echo "${COMPREPLY[@]}"'
        )
        run = subprocess.run([bash, "-c", lines], capture_output=True, text=True, check=True)
        return set(run.stdout.split())

    assert {"seed", "serve", "settings"} <= completes("chilly", "se")
    assert {"--media-root", "--max-active"} <= completes("chilly", "serve", "--m")


def test_make_help_has_a_word_on_everything_that_make_can_do() -> None:
    makefile = (Path(__file__).parents[3] / "Makefile").read_text()
    targets = set(re.findall(r"(?m)^([a-z][a-z-]*):(?!=)(?! export)", makefile))
    said = set(re.findall(r"(?m)^([a-z][a-z-]*):[^#\n]*## \S", makefile))
    assert targets - said == set()
    assert re.findall(r"(?m)^([a-z][a-z-]*):(?!=)", makefile)[0] == "help"  # for `make` alone
