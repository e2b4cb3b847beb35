"""No secret reaches a log line."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from chilly_movies.runtime.logs import configure_logs, redact

S = "s3cr3t-Value_0123456789"


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """The configuration of all logs as it was."""
    root, before = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.configure(**before)


@pytest.mark.parametrize(
    "text",
    [
        f"GET /events?api_key={S}&x=1", f"/a?x=1&apikey={S}", f"/a?API-KEY={S}",
        f"http://t.example/announce?passkey={S}", f"http://t.example/a?pk={S}&uploaded=0",
        f"https://api.example/3/search?query=x&api_key={S}", f"http://x/?token={S} failed",
        f"http://user:{S}@t.example/announce", f"udp://{S}@t.example:1/a",
        f"http://user:p@{S}@t.example/a",
        f"http://t.example/{S}/announce", f"http://t.example:8080/{S}/{S}/announce",
        f"http://t.example/announce/{S}", f"http://t.example/tracker/{S}/announce?x=1",
        f"magnet:?tr=http%3A%2F%2Ft.example%2F{S}%2Fannounce",
        f"x-api-key: {S}", f"Authorization: Bearer {S}", f"authorization: {S}", f"Cookie: {S}",
        f"{{'x-api-key': '{S}'}}", f'{{"Authorization": "Bearer {S}"}}', f"api_key={S}",
    ],
)  # fmt: skip
def test_keys_passkeys_and_passwords_are_hidden(text: str) -> None:
    assert S not in redact(text)
    assert "[hidden]" in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "the film arrived", "http://t.example:8080/announce", "GET /downloads/3f2a?limit=5",
        "udp://tracker.example:1337/announce", "/download/status/0123456789abcdef0123456789abcdef",
        "mail to a@b.example", "magnet:?xt=urn:btih:c12fe1c06bba254a9dc9f519b335aa7c1367a88a",
        "no key was given", "http://films.example/?x=a@b",
    ],
)  # fmt: skip
def test_what_is_no_secret_stays_readable(text: str) -> None:
    assert redact(text) == text


def test_a_tracker_stays_recognisable() -> None:
    assert redact(f"http://user:pw@t.example/{S}/announce?passkey={S}&port=1") == (
        "http://[hidden]@t.example/[hidden]/announce?passkey=[hidden]&port=1"
    )


class Odd:
    """Something that shows a secret only when it is written."""

    def __str__(self) -> str:
        return f"http://x/?api_key={S}"

    __repr__ = __str__


@pytest.mark.parametrize("style", ["json", "console"])
@pytest.mark.parametrize(
    "fields",
    [
        {"url": f"http://x/?api_key={S}"}, {"api_key": S}, {"API_SECRET": S}, {"password": S},
        {"x_token": S}, {"authorization": S}, {"cookie": S}, {"passkey": S},
        {"headers": {"x-api-key": S}}, {"headers": [("authorization", f"Bearer http://a:{S}@b/")]},
        {"tried": [f"http://t.example/{S}/announce"]}, {"error": Odd()}, {"nested": {"a": [Odd()]}},
    ],
)  # fmt: skip
def test_fields_of_a_line_are_cleaned_whatever_they_hold(
    capsys: pytest.CaptureFixture[str], style: Any, fields: dict[str, Any]
) -> None:
    configure_logs("info", style)
    structlog.get_logger("test").info("something happened", **fields)
    line = capsys.readouterr().err
    assert "something happened" in line
    assert S not in line


def test_lines_of_libraries_are_cleaned_too(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", "json")
    logging.getLogger("library").warning("GET %s", f"http://x/?api_key={S}")
    line = json.loads(capsys.readouterr().err)
    assert line["event"] == "GET http://x/?api_key=[hidden]"
    assert line["level"] == "warning"


def _fail() -> None:
    raise OSError(f"cannot reach http://x/?api_key={S}")


def test_traces_are_cleaned_and_stay_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", "json")
    try:
        _fail()
    except OSError:
        structlog.get_logger("test").exception("it failed", number=5, flag=True, nothing=None)
    [text] = capsys.readouterr().err.splitlines()
    line = json.loads(text)
    assert "OSError" in line["exception"]
    assert S not in text
    assert (line["number"], line["flag"], line["nothing"]) == (5, True, None)


def test_the_level_is_obeyed_and_chatty_libraries_are_kept_quiet(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logs("warning", "json")
    structlog.get_logger("test").info("quiet")
    logging.getLogger("httpx2").info("quiet")
    structlog.get_logger("test").warning("loud")
    assert [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()] == ["loud"]
