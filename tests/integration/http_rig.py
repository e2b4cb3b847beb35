"""A downloader that has the http driver alone, with little patience and on loopback only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from chilly_movies.drivers.http.driver import HttpDriver
from chilly_movies.drivers.http.hosts import Patience
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.jobs.models import Job, SourceType
from chilly_movies.jobs.retry import RetryPolicy
from chilly_movies.net.policy import NetworkConfig, NetworkPolicy
from chilly_movies.storage.memory import MemoryJobStore, MemoryResumeStore

WITHIN = 15.0
PATIENCE = Patience(silence=0.3, connect=1.0, tries=2, pause=0.01, longest_pause=0.05)


@asynccontextmanager
async def fetching(folder: Path, *, tries: int = 2, **more: Any) -> AsyncIterator[Downloader]:
    """A downloader whose films go below the folder.

    Args:
        folder: the media root.
        tries: how often a source with trouble is tried.
        more: arguments of `NetworkConfig`.
    """
    resume = MemoryResumeStore()
    policy = NetworkPolicy(NetworkConfig(**{"allow_private_addresses": True, **more}))
    driver = HttpDriver(folder, resume, policy, patience=PATIENCE)
    downloader = Downloader(
        {SourceType.HTTP: driver},
        MemoryJobStore(resume),
        max_active=100,
        retry=RetryPolicy(tries, long_attempts=tries, base=0.01, cap=0.05),
    )
    async with downloader:
        yield downloader


async def fetch(downloader: Downloader, url: str, **wishes: Any) -> Job:
    """Start a job and wait for its end; a job that never ends fails the test."""
    job = await downloader.start(
        {"sourceType": "http", "sourceUrn": url, **wishes}, id=wishes.pop("id", "a")
    )
    async with asyncio.timeout(WITHIN):
        return await downloader.wait(job.id)
