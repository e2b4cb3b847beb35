"""The topics of the API that other rooms answer; each room has a line in each list."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypedDict

from chilly_movies.api.gates.security import AccessOptions
from chilly_movies.api.routes.catalogue import TOPIC as CATALOGUE
from chilly_movies.api.routes.library import TOPIC as LIBRARY
from chilly_movies.api.routes.limits import TOPIC as LIMITS
from chilly_movies.api.routes.metadata import TOPIC as METADATA
from chilly_movies.api.routes.settings import TOPIC as SETTINGS
from chilly_movies.api.routes.subtitles import TOPIC as SUBTITLES
from chilly_movies.api.routes.webhooks import TOPIC as WEBHOOKS
from chilly_movies.api.topic import Companion, Topic
from chilly_movies.catalogue.mixed import MixedCatalogue
from chilly_movies.catalogue.ports import MetadataProvider
from chilly_movies.library.library import Library
from chilly_movies.notices.webhooks import WebhookParts
from chilly_movies.runtime.setting_fields import SettingStanding
from chilly_movies.watching.subtitle_port import SubtitleConverter

TOPICS: tuple[Topic, ...] = (
    SUBTITLES,
    METADATA,
    CATALOGUE,
    LIBRARY,
    WEBHOOKS,
    SETTINGS,
    LIMITS,
)


class TopicOptions(TypedDict, total=False):
    """What answers a topic, by its keyword of `create_app`; None = as if it was not given.

    `converter` makes WebVTT of subtitles. `metadata` knows films; without it TMDB without a key
    does, which says so when asked. `catalogue` knows films by their ref. `library` is what the user
    has. `webhooks` tells other programs of changes. `settings` says how each setting stands.
    """

    converter: SubtitleConverter | None
    metadata: MetadataProvider | None
    catalogue: MixedCatalogue | None
    library: Library | None
    webhooks: WebhookParts | None
    settings: Callable[[], Iterable[SettingStanding]] | None


class AppOptions(AccessOptions, TopicOptions, total=False):
    """Further keyword arguments of `create_app` (PEP 692)."""


def split_options(options: AppOptions) -> tuple[TopicOptions, AccessOptions]:
    """What answers topics, and the options of the API."""
    names = {topic.name for topic in TOPICS}
    topics: Any = {name: options[name] for name in names & options.keys() if options[name]}  # type: ignore[literal-required]
    others: Any = {name: value for name, value in options.items() if name not in names}
    return topics, others


async def close_topics(given: Mapping[str, object]) -> None:
    """Ends what answers topics."""
    for topic in TOPICS:
        if given.get(topic.name) is not None:
            await topic.close(given[topic.name])


def companions_of(topics: Mapping[str, Any]) -> tuple[Companion, ...]:
    """What answers topics and works beside the downloader, too."""
    names = [topic.name for topic in TOPICS if topic.is_companion]
    return tuple(topics[name] for name in names if topics.get(name))
