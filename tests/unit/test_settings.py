"""Settings: where they come from, and the one line that names the one that is wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import FrozenInstanceError, asdict
from pathlib import Path
from typing import Any

import pytest

from chilly_movies.app import build_backend
from chilly_movies.errors import SettingsError
from chilly_movies.settings import SETTINGS, config_file, load_settings, secrets_of

SECRET = "correct-horse-battery-staple"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the machine counts; the working and config folders are empty."""
    for name in list(os.environ):
        if name.upper().startswith("CHILLY_") or name.upper() == "API_SECRET":
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)


def problem(**given: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(**given)
    text = str(caught.value)
    assert "\n" not in text
    assert caught.value.__cause__ is None
    return text


def write_config(text: str) -> Path:
    path = config_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_the_defaults_are_those_of_the_contract() -> None:
    s = load_settings()
    http, torrent = s.http, s.torrent
    assert (str(s.media_root), http.host, http.port, http.secret) == (
        "media", "localhost", 3000, None,
    )  # fmt: skip
    assert (s.jobs.max_active, torrent.port, torrent.seed_ratio) == (3, 6881, 1.0)
    assert torrent.seed_time == 86_400
    assert (torrent.dht, torrent.webtorrent, torrent.lsd, torrent.upnp) == (
        True,
        True,
        False,
        False,
    )
    assert s.network.allow_private_addresses is False
    assert (http.rate_limit_start, http.rate_limit_cancel) == ("60/minute", "120/minute")
    assert (http.allowed_hosts, http.allowed_origins) == ((), ())


def test_a_malformed_proxy_is_named_in_one_line_without_its_password() -> None:
    said = problem(proxy="socks4://u:secret-word@proxy.example:1080")
    assert said.startswith("The setting CHILLY_PROXY is malformed: must look like socks5://")
    assert "secret-word" not in said


def test_a_proxy_and_an_interface_exclude_each_other() -> None:
    said = problem(proxy="socks5://u:secret-word@proxy.example:1080", interface="tun0")
    assert "cannot be used together" in said
    assert "secret-word" not in said


def test_a_list_of_addresses_that_is_not_there_ends_the_start(tmp_path: Path) -> None:
    folders = {"media_root": tmp_path / "m", "state_dir": tmp_path / "s"}
    for name in ("block_list", "allow_list"):
        settings = load_settings(**folders, **{name: tmp_path / "absent"})
        with pytest.raises(SettingsError, match=f"CHILLY_{name.upper()} .* cannot be read"):
            build_backend(settings)


def test_the_secrets_of_a_proxy_are_hidden() -> None:
    s = load_settings(proxy="socks5://somebody:secret%2Fword@proxy.example:1080")
    assert {"secret/word", "secret%2Fword"} <= set(secrets_of(s))
    assert "word" not in repr(s)


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "API_SECRET": SECRET, "CHILLY_PORT": "4000", "CHILLY_DHT": "off",
        "CHILLY_ALLOWED_HOSTS": "films.example, tv.example:3000 ,", "CHILLY_SEED_RATIO": "0",
        "CHILLY_ALLOWED_ORIGINS": "https://films.example",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    s = load_settings()
    assert s.http.api_secret is not None
    assert s.http.api_secret.get_secret_value() == SECRET
    assert (s.http.port, s.torrent.dht, s.torrent.seed_ratio) == (4000, False, 0)
    assert s.http.allowed_hosts == ("films.example", "tv.example:3000")
    assert s.http.allowed_origins == ("https://films.example",)


def test_given_values_win_over_the_environment_and_that_over_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_config('port = 1\nmax_active = 1\ntorrent_port = 1\nallowed_hosts = ["a.example"]\n')
    monkeypatch.setenv("CHILLY_PORT", "2")
    monkeypatch.setenv("CHILLY_MAX_ACTIVE", "2")
    s = load_settings(port=3, max_active=None)
    assert (s.http.port, s.jobs.max_active, s.torrent.port) == (3, 2, 1)
    assert s.http.allowed_hosts == ("a.example",)


def test_the_config_file_can_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_config("port = 1")
    (tmp_path / "other.toml").write_text(f'port = 2\napi_secret = "{SECRET}"')
    monkeypatch.setenv("CHILLY_CONFIG", str(tmp_path / "other.toml"))
    s = load_settings()
    assert s.http.port == 2
    assert s.http.api_secret is not None


def test_a_config_file_that_is_named_and_not_there_is_no_silent_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CHILLY_CONFIG", str(tmp_path / "never.toml"))
    assert "CHILLY_CONFIG" in problem()


def test_an_empty_secret_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_SECRET", "")
    assert load_settings().http.api_secret is None


BAD = {
    "CHILLY_PORT": ["-1", "65536", "http", "", "3000.5"],
    "CHILLY_TORRENT_PORT": ["-1", "65536"],
    "CHILLY_MAX_ACTIVE": ["0", "1001", "many"],
    "CHILLY_DHT": ["maybe", "2"],
    "CHILLY_LSD": ["x"],
    "CHILLY_UPNP": ["x"],
    "CHILLY_WEBTORRENT": ["x"],
    "CHILLY_ALLOW_PRIVATE_ADDRESSES": ["x"],
    "CHILLY_SEED_RATIO": ["-1", "nan", "inf", "1001", "x"],
    "CHILLY_SEED_TIME": ["-1", "1.5", "x"],
    "CHILLY_DOWNLOAD_LIMIT": ["-1", "2147483648", "1M"],
    "CHILLY_UPLOAD_LIMIT": ["-1"],
    "CHILLY_RATE_LIMIT_START": ["60", "0/minute", "60/fortnight", "many", "-1/minute",
                                "60/minute;1/day"],
    "CHILLY_RATE_LIMIT_CANCEL": ["x"],
    "CHILLY_ALLOWED_ORIGINS": ["films.example", "https://films.example/path", "*", "null", "app://",
                               "file:///home", "app:chilly", "https://a:b@c", "https://"],
    "CHILLY_API_KEYS": ["x", f"root:{SECRET}", "read:short", f"read:{SECRET},admin:{SECRET}", ","],
    "CHILLY_TRUSTED_PROXIES": ["proxy.example", "10.0.0.0/33", "0.0.0.0/0", "::/0", "*"],
    "CHILLY_MAX_CONNECTIONS": ["0", "7", "x"],
    "CHILLY_MAX_STREAMS": ["0", "x"],
    "CHILLY_STREAM_TIMEOUT": ["0", "x", "99999"],
    "CHILLY_METADATA_TIMEOUT": ["0", "4", "1.5", "x"],
    "CHILLY_LOG_LEVEL": ["loud"],
    "CHILLY_LOG_FORMAT": ["xml"],
}  # fmt: skip


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, values in BAD.items() for v in values])
def test_a_malformed_setting_is_named_in_one_line(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    assert problem().startswith(f"The setting {name} is malformed: ")


@pytest.mark.parametrize("name", ["CHILLY_PROT", "CHILLY_", "CHILLY_API_SECRET"])
def test_an_unknown_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, SECRET)
    text = problem()
    assert f"There is no setting {name};" in text
    assert SECRET not in text


def test_an_unknown_setting_of_the_file_is_named_with_the_file() -> None:
    write_config("prot = 1")
    assert problem() == "There is no setting 'prot' (in chilly.toml)."


def test_a_malformed_setting_of_the_file_is_named() -> None:
    write_config('port = "x"')
    assert problem().startswith("The setting CHILLY_PORT is malformed")


@pytest.mark.parametrize("text", ["port =", "= 1", "port = 1\nport = 2", '"'])
def test_a_file_that_is_no_toml_is_named(text: str) -> None:
    write_config(text)
    assert problem().startswith("The file chilly.toml cannot be read")


def test_a_file_that_is_no_text_is_named() -> None:
    write_config("").write_bytes(b"\xff\xfe")
    assert problem().startswith("The file chilly.toml cannot be read")


def test_secrets_are_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_SECRET", SECRET)
    s = load_settings()
    assert SECRET not in repr(s) + str(s) + repr(asdict(s))
    write_config(f'api_secret = ["{SECRET}"]\napi_keys = {{ a = "{SECRET}" }}')
    monkeypatch.delenv("API_SECRET")
    text = problem()
    assert SECRET not in text
    assert "API_SECRET" in text


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "films.example", ""])
def test_an_address_others_can_reach_needs_a_long_secret(
    monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    assert "API_SECRET" in problem(host=host)
    monkeypatch.setenv("API_SECRET", "short")
    text = problem(host=host)
    assert "CHILLY_HOST" in text
    assert "short" not in text
    monkeypatch.setenv("API_SECRET", SECRET)
    assert load_settings(host=host).http.host == host


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_loopback_needs_no_secret(host: str) -> None:
    assert load_settings(host=host).http.api_secret is None


@pytest.mark.parametrize(
    ("media", "state"),
    [("x", "x"), ("x", "x/state"), ("x/media", "x"), ("x/../y", "y/state"), ("link", "real/state"),
     ("real/media", "link")],
)  # fmt: skip
def test_media_and_state_must_not_contain_each_other(
    tmp_path: Path, media: str, state: str
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    text = problem(media_root=tmp_path / media, state_dir=tmp_path / state)
    assert "CHILLY_STATE_DIR" in text
    assert "CHILLY_MEDIA_ROOT" in text


def test_media_and_state_may_be_neighbours(tmp_path: Path) -> None:
    s = load_settings(media_root=tmp_path / "films", state_dir=tmp_path / "films-state")
    assert s.media_root.name == "films"


def test_reading_the_settings_loads_neither_the_engine_nor_the_server() -> None:
    code = (
        "import sys, chilly_movies.settings\n"
        "assert not {'libtorrent', 'fastapi', 'httpx2', 'sqlalchemy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_settings_cannot_be_changed_afterwards() -> None:
    with pytest.raises(FrozenInstanceError):
        load_settings().http.port = 5  # type: ignore[misc]


def test_every_setting_is_explained() -> None:
    assert all(one.says for _, one in SETTINGS.values())
