"""The user's settings of the film catalogue."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import HttpUrl, SecretStr

from chilly_movies.runtime.setting_fields import setting


@dataclass(frozen=True, kw_only=True)
class CatalogueSettings:
    """How TMDB is asked."""

    tmdb_api_key: SecretStr | None = setting(None, "TMDB v3 key", secret=True)
    tmdb_bearer_token: SecretStr | None = setting(None, "TMDB read access token", secret=True)
    tmdb_base_url: HttpUrl = setting(
        HttpUrl("https://api.themoviedb.org/3"), "where the TMDB API is"
    )
