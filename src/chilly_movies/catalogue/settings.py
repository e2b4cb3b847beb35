"""The user's settings of the film catalogue."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import HttpUrl, SecretStr

from chilly_movies.runtime.setting_fields import setting


@dataclass(frozen=True, kw_only=True)
class CatalogueSettings:
    """How TMDB and the Internet Archive are asked, and how many pictures are kept."""

    tmdb_api_key: SecretStr | None = setting(None, "TMDB v3 key", secret=True)
    tmdb_bearer_token: SecretStr | None = setting(None, "TMDB read access token", secret=True)
    tmdb_base_url: HttpUrl = setting(
        HttpUrl("https://api.themoviedb.org/3"), "where the TMDB API is"
    )
    tmdb_image_base_url: HttpUrl = setting(
        HttpUrl("https://image.tmdb.org/t/p/"), "where TMDB's pictures are"
    )
    archive_base_url: HttpUrl = setting(
        HttpUrl("https://archive.org"), "where the Internet Archive is"
    )
    artwork_size: int = setting(
        512 * 1024 * 1024, "bytes of pictures that are kept", ge=1024 * 1024, le=2**50
    )
