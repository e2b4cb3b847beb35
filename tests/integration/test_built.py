"""Which OpenSSL is part of the engine."""

from __future__ import annotations

import re
from pathlib import Path

import libtorrent as lt
import pytest

from chilly_movies.drivers.torrent import built


def test_the_engine_has_an_openssl_inside_and_its_version_is_found() -> None:
    assert re.fullmatch(r"3\.\d+\.\d+", built.openssl_inside() or "")


@pytest.mark.parametrize("content", [b"", b"nothing of the kind" * 1000])
def test_a_library_that_does_not_say_so_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    library = tmp_path / "engine.so"
    library.write_bytes(content)
    monkeypatch.setattr(lt, "__file__", str(library))
    assert built.openssl_inside() is None
    monkeypatch.setattr(lt, "__file__", str(tmp_path / "away"))
    assert built.openssl_inside() is None
