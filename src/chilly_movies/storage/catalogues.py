"""Opens the film catalogues as the user set them up, with what they answer kept in files."""

from __future__ import annotations

from chilly_movies.catalogue.archive_org.catalogue import ArchiveCatalogue
from chilly_movies.catalogue.archive_org.item import ARCHIVE
from chilly_movies.catalogue.archive_org.sources import naming
from chilly_movies.catalogue.kept_pictures import KeptPictures
from chilly_movies.catalogue.mixed import MixedCatalogue
from chilly_movies.catalogue.numbered import TMDB, NumberedCatalogue
from chilly_movies.catalogue.ports import MetadataProvider
from chilly_movies.catalogue.settings import CatalogueSettings
from chilly_movies.catalogue.tmdb.provider import TmdbProvider
from chilly_movies.net.policy import NetworkPolicy
from chilly_movies.runtime.state_folder import StateFolder
from chilly_movies.storage.sqlite.answers import SqliteAnswers


def open_catalogues(
    settings: CatalogueSettings, state: StateFolder, network: NetworkPolicy
) -> tuple[MetadataProvider, MixedCatalogue]:
    """TMDB, asked by number, and all catalogues, asked by ref.

    Nothing is sent and no file opened before the first question.

    Args:
        settings: the keys, and where they are.
        state: where answers and pictures are kept.
        network: how they are reached.
    """
    key, token = settings.tmdb_api_key, settings.tmdb_bearer_token
    tmdb = TmdbProvider(
        api_key=key.get_secret_value() if key else None,
        bearer_token=token.get_secret_value() if token else None,
        base_url=str(settings.tmdb_base_url),
        image_base_url=str(settings.tmdb_image_base_url),
        cache=SqliteAnswers(state.metadata_cache),
        transport=network.config.outbound.transport() if key or token else None,
    )
    archive = ArchiveCatalogue(
        network.get,
        base_url=str(settings.archive_base_url),
        cache=SqliteAnswers(state.metadata_cache),
    )
    mixed = MixedCatalogue(
        {TMDB: NumberedCatalogue(tmdb, network.get), ARCHIVE: archive},
        KeptPictures(SqliteAnswers(state.artwork_cache, largest=settings.artwork_size)),
        browsed=TMDB if key or token else ARCHIVE,
        names={ARCHIVE: naming(archive)},
    )
    return tmdb, mixed
