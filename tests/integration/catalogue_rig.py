"""An application whose catalogues are those of the settings, with servers of ours behind them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
from pydantic import HttpUrl, SecretStr

from chilly_movies import MockDownloader, create_app
from chilly_movies.catalogue.mixed import MixedCatalogue
from chilly_movies.catalogue.settings import CatalogueSettings
from chilly_movies.net.policy import NetworkConfig, NetworkPolicy
from chilly_movies.runtime.state_folder import StateFolder
from chilly_movies.storage.catalogues import open_catalogues
from tests.integration.archive_origin import ArchiveOrigin
from tests.integration.tmdb_server import TOKEN, TmdbServer


@dataclass
class Rig:
    """What answers, and what is asked."""

    http: httpx2.AsyncClient
    catalogue: MixedCatalogue


@asynccontextmanager
async def rig(
    state: Path, tmdb: TmdbServer, archive: ArchiveOrigin, *, key: str | None = TOKEN, **app: str
) -> AsyncIterator[Rig]:
    """The application; closed at the end, so that a second one finds what the first one kept."""
    settings = CatalogueSettings(
        tmdb_bearer_token=SecretStr(key) if key else None,
        tmdb_base_url=HttpUrl(tmdb.base_url),
        tmdb_image_base_url=HttpUrl(tmdb.image_base_url),
        archive_base_url=HttpUrl(archive.base_url),
    )
    network = NetworkPolicy(NetworkConfig(allow_private_addresses=True))
    metadata, catalogue = open_catalogues(settings, StateFolder(state), network)
    made = create_app(MockDownloader(), metadata=metadata, catalogue=catalogue, **app)  # type: ignore[arg-type]
    transport = httpx2.ASGITransport(made)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost:3000") as http:
        yield Rig(http, catalogue)
    await catalogue.aclose()
