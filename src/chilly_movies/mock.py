"""The parts that play scripts: no network, no disk. For front-end authors and tests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from chilly_movies.api.topics import TopicOptions, companions_of
from chilly_movies.app import AssembledDownloader, Parts, Tools
from chilly_movies.catalogue.mock import MockMetadataProvider, mock_catalogue
from chilly_movies.drivers.mock.driver import MockDriver, MockScript
from chilly_movies.drivers.mock.inspector import MockInspector, MockSources
from chilly_movies.drivers.mock.maker import MockTorrentMaker
from chilly_movies.drivers.mock.swarm import MockSwarm
from chilly_movies.jobs.models import SourceType
from chilly_movies.jobs.settings import JobSettings
from chilly_movies.library.library import Library, LibraryParts
from chilly_movies.media.mock import MockMediaProbe
from chilly_movies.media.mock_subtitles import MockSubtitleConverter
from chilly_movies.net.limits import SpeedLimits
from chilly_movies.net.policy import NetworkConfig, NetworkPolicy
from chilly_movies.net.settings import NetworkSettings
from chilly_movies.notices.webhooks import WebhookParts
from chilly_movies.runtime.setting_fields import values_of
from chilly_movies.storage.library.memory import MemoryLibraryStore
from chilly_movies.storage.memory import MemoryJobStore, MemoryResumeStore, MemoryWebhookStore


class MockDownloader(AssembledDownloader):
    """A `Downloader` that plays scripts: no network, no disk. For front-end authors and tests.

    Args:
        script: how downloads go whose source says nothing about it; see `MockScript`.
        max_active: how many jobs may download at once.
        scripts: by source URN, for tests.
        tick: seconds between two reports.
        sleep: how to wait; tests pass their own.
    """

    def __init__(
        self,
        script: MockScript | None = None,
        *,
        max_active: int = JobSettings.max_active,
        scripts: Mapping[str, MockScript] | None = None,
        tick: float = 0.25,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        resume = MemoryResumeStore()
        driver = MockDriver(script, scripts=scripts, resume_store=resume, tick=tick, sleep=sleep)
        super().__init__(
            _parts(driver, resume, max_active, _topics(NetworkPolicy(NetworkConfig())))
        )


def mock_parts(max_active: int, network: NetworkSettings | None = None) -> Parts:
    """The parts of a server that plays scripts, its film catalogue included.

    Args:
        max_active: how many jobs may download at once.
        network: its speed limits are shown, though there is nothing to limit; webhooks go this way.
    """
    resume = MemoryResumeStore()
    policy = NetworkPolicy(NetworkConfig(**values_of(network or NetworkSettings())))
    topics: TopicOptions = {
        **_topics(policy),
        "metadata": MockMetadataProvider(),
        "catalogue": mock_catalogue(),
        "library": Library(LibraryParts(store=MemoryLibraryStore())),
    }
    parts = _parts(MockDriver(resume_store=resume), resume, max_active, topics)
    return replace(parts, limits=SpeedLimits(policy.limiter), companions=companions_of(topics))


def _topics(network: NetworkPolicy) -> TopicOptions:
    return {
        "converter": MockSubtitleConverter(),
        "webhooks": WebhookParts(MemoryWebhookStore(), network.post),
    }


def _parts(
    driver: MockDriver, resume: MemoryResumeStore, max_active: int, topics: TopicOptions
) -> Parts:
    driver.inspector = MockSources(driver)
    return Parts(
        drivers=dict.fromkeys(SourceType, driver),
        swarms={SourceType.TORRENT: MockSwarm(driver)},
        jobs=MemoryJobStore(resume),
        resume=resume,
        tools=Tools(
            probe=MockMediaProbe(),
            maker=MockTorrentMaker(),
            inspector=MockInspector(driver),
            topics=topics,
        ),
        max_active=max_active,
    )
