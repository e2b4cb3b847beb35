"""The user's settings of files behind links."""

from __future__ import annotations

from dataclasses import dataclass

from chilly_movies.runtime.setting_fields import setting


@dataclass(frozen=True, kw_only=True)
class HttpSourceSettings:
    """How files behind http links are fetched."""

    http_connections: int = setting(
        8, "connections to the server of one http download, at most", ge=1, le=16
    )
    http_timeout: int = setting(
        30,
        "seconds without a byte until a connection of an http download is given up",
        ge=1,
        le=600,
    )
