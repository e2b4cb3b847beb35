"""The settings of the catalogue."""

from __future__ import annotations

import pytest

from chilly_movies.catalogue.settings import CatalogueSettings
from chilly_movies.errors import SettingsError
from chilly_movies.settings import load_settings


@pytest.mark.parametrize("value", ["x", "ftp://films.example"])
def test_an_address_that_is_none_is_named_in_one_line(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("CHILLY_TMDB_BASE_URL", value)
    with pytest.raises(SettingsError, match="The setting CHILLY_TMDB_BASE_URL is malformed: "):
        load_settings()


def test_the_keys_are_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CHILLY_TMDB_API_KEY", "CHILLY_TMDB_BEARER_TOKEN"):
        monkeypatch.setenv(name, "correct-horse-battery-staple")
    settings = load_settings().catalogue
    assert settings != CatalogueSettings()
    assert "horse" not in repr(settings)
