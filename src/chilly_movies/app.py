"""The composition root: builds the parts, and is the only module that knows all of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial, singledispatch
from pathlib import Path
from typing import Any, Protocol, Unpack

import structlog
from starlette.types import ASGIApp

from chilly_movies.api.app import build_app
from chilly_movies.api.gates.faces import Face
from chilly_movies.api.gates.security import ApiOptions
from chilly_movies.api.gates.signing import Signer
from chilly_movies.api.policy import KeyScope
from chilly_movies.api.settings import HttpSettings
from chilly_movies.api.topic import Companion
from chilly_movies.api.topics import (
    AppOptions,
    TopicOptions,
    close_topics,
    companions_of,
    split_options,
)
from chilly_movies.disk.roots import Roots, read_roots
from chilly_movies.disk.server_note import ServerNote, SoleUse
from chilly_movies.disk.volume import MediaVolume, check_writable
from chilly_movies.drivers.http.driver import HttpDriver
from chilly_movies.drivers.local.driver import LocalDriver
from chilly_movies.drivers.torrent.driver import TorrentDriver
from chilly_movies.drivers.torrent.engine.config import EngineConfig, gate_of
from chilly_movies.drivers.torrent.engine.options import EngineOptions
from chilly_movies.drivers.torrent.making.maker import MediaTorrentMaker
from chilly_movies.drivers.ytdlp.driver import YtdlpDriver
from chilly_movies.errors import SettingsError
from chilly_movies.inbox.inbox import watch_folders
from chilly_movies.jobs.disk_guard import DiskGuard
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.jobs.job_log import JobLog
from chilly_movies.jobs.models import ListenPort, Source, SourceType
from chilly_movies.jobs.ports import Cursors, Driver, JobStore, ResumeStore
from chilly_movies.jobs.retry import RetryPolicy, policy_of
from chilly_movies.jobs.settings import JobSettings
from chilly_movies.jobs.sources import Peek
from chilly_movies.jobs.stats import Stats
from chilly_movies.jobs.swarm import SwarmControl
from chilly_movies.jobs.torrents import TorrentInspector, TorrentMaker
from chilly_movies.library.library import library_of
from chilly_movies.media.mediainfo import MediaInfoProbe
from chilly_movies.media.subtitles import SandboxConverter
from chilly_movies.net.limits import SpeedLimits
from chilly_movies.net.link_answer import LinkAnswer
from chilly_movies.net.policy import NetworkConfig, NetworkPolicy
from chilly_movies.net.settings import NetworkSettings
from chilly_movies.notices.webhooks import WebhookParts
from chilly_movies.runtime.setting_fields import values_of
from chilly_movies.runtime.state_folder import StateFolder
from chilly_movies.settings import Settings, standings
from chilly_movies.storage.catalogues import open_catalogues
from chilly_movies.storage.library.store import library_db
from chilly_movies.storage.memory import MemoryJobStore, MemoryResumeStore
from chilly_movies.storage.opened import Stores, open_all
from chilly_movies.watching.ports import MediaProbe

log = structlog.get_logger(__name__)


class Network(Protocol):
    """What may be sent and received at the moment."""

    @property
    def halted(self) -> str | None:
        """One clause for why nothing may be, None if it may."""

    def read_lists(self) -> None:
        """Read the user's lists of addresses again."""


class Use(Protocol):
    """Keeps others away for as long as a downloader is open."""

    async def begin(self) -> None:
        """Take what is ours alone. Idempotent."""

    async def end(self) -> None:
        """Give it back. Idempotent."""


class _NoNetwork:
    """Implements `Network` where nothing is ever sent."""

    halted: str | None = None

    def read_lists(self) -> None:
        """See `Network`."""


def _usual_topics(
    network: NetworkPolicy | None = None, stores: Stores | None = None
) -> TopicOptions:
    """What answers the topics of other rooms, where nothing else is set.

    Args:
        network: how others are reached, None = as without settings.
        stores: where what has to last is kept, None = in memory.
    """
    network = network or NetworkPolicy(NetworkConfig())
    stores = stores or Stores(MemoryJobStore(), MemoryResumeStore())
    return TopicOptions(
        converter=SandboxConverter(),
        webhooks=WebhookParts(stores.webhooks, network.post),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What answers the API beside the downloader.

    Attributes:
        probe: looks into film files.
        maker: makes torrents, None = none can be made.
        inspector: looks into torrents of others, None = none can be.
        topics: what answers the topics of other rooms.
    """

    probe: MediaProbe = field(default_factory=MediaInfoProbe)
    maker: TorrentMaker | None = None
    inspector: TorrentInspector | None = None
    topics: TopicOptions = field(default_factory=_usual_topics)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """All that a backend is made of.

    Attributes:
        drivers: the driver of each kind of source, by the `source_type` of its jobs.
        jobs: the store of jobs and their events.
        resume: the store of resume data.
        cursors: where followers report how far they are; None = `jobs` keeps all changes.
        max_active: how many jobs may download at once.
        max_active_disk: how many may be imported from a disk at once, beside these.
        guard: says whether there is room on the disk.
        sole_use: keeps other instances away, None = there is nothing to keep them from.
        network: what may be sent at the moment.
        limits: the speed limits that the drivers go by.
        own_ports: where our own API listens; nothing is ever sent there.
        listening: says on which ports peers reach us.
        dht_nodes: counts the nodes of the DHT that are known, None = there is no DHT.
        swarms: what knows the swarms of which kind of source.
        tools: what answers beside the downloader.
        peek: asks the server of a link what is there, None = none is asked.
        retry: how often and when a failed attempt is repeated.
        companions: what works beside the downloader while it is open.
    """

    drivers: Mapping[str, Driver]
    jobs: JobStore
    resume: ResumeStore
    max_active: int
    max_active_disk: int = JobSettings.max_active_disk
    cursors: Cursors | None = None
    guard: DiskGuard | None = None
    sole_use: Use | None = None
    network: Network = field(default_factory=_NoNetwork)
    limits: SpeedLimits = field(default_factory=SpeedLimits)
    own_ports: set[int] = field(default_factory=set)
    listening: Callable[[], tuple[ListenPort, ...]] = tuple
    dht_nodes: Callable[[], Awaitable[int | None]] | None = None
    swarms: Mapping[str, SwarmControl] = field(default_factory=dict)
    tools: Tools = field(default_factory=Tools)
    peek: Peek | None = None
    retry: RetryPolicy | None = None
    companions: tuple[Companion, ...] = ()


class AssembledDownloader(Downloader):
    """A `Downloader` made of parts.

    Args:
        parts: what it is made of; closed with it, the tools aside.
    """

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        super().__init__(
            parts.drivers,
            parts.jobs,
            max_active=parts.max_active,
            max_active_disk=parts.max_active_disk,
            retry=parts.retry,
            guard=parts.guard,
            cursors=parts.cursors,
            limits=parts.limits,
            swarms=parts.swarms,
            peek=parts.peek,
        )

    @property
    def network_problem(self) -> str | None:
        """See `Downloader.network_problem`."""
        return self.parts.network.halted

    @property
    def listening(self) -> tuple[ListenPort, ...]:
        """See `Downloader.listening`."""
        return self.parts.listening()

    async def stats(self) -> Stats:
        """See `Downloader.stats`."""
        nodes = None if self.parts.dht_nodes is None else await self.parts.dht_nodes()
        return replace(await super().stats(), dht_nodes=nodes)

    def read_lists(self) -> None:
        """Read the user's lists of addresses again; they are when their files change, too."""
        self.parts.network.read_lists()

    async def open(self) -> None:
        """Take the state folder and read the jobs. Every verb calls it. Idempotent.

        Raises:
            SettingsError: another server uses the media folder.
            StoreError: another instance uses the state folder, or the jobs cannot be read.
        """
        if self.parts.sole_use is not None:
            await self.parts.sole_use.begin()
        await super().open()
        for companion in self.parts.companions:
            companion.open(self)

    async def aclose(self) -> None:
        """Stop everything and keep it. Idempotent."""
        for companion in self.parts.companions:
            await companion.aclose()
        await super().aclose()
        if self.parts.sole_use is not None:
            await self.parts.sole_use.end()


class WebTorrentDownloader(AssembledDownloader):
    """A `Downloader` for torrents: magnets, info hashes, torrent files and links to them.

    Args:
        media_root: where finished films go; unfinished ones lie in its `.incomplete` folder.
        state_dir: where database and lock live; None = the user's state folder. Only one
            downloader can use a state folder at a time.
        max_active: how many jobs may download at once.
        min_free_space: bytes that stay free on the disk of the media folder.
        metadata_tries: how often a magnet waits for its metadata before it fails, 0 = without end.
        source_tries: how often a source with trouble is tried before the next candidate is.
        source_patience: seconds without data until the next candidate is tried, 0 = never for that.
        source_slow: seconds below `source_min_speed` until it is, 0 = never for that.
        source_min_speed: bytes per second.
        sole_server: refuse a media folder that another server uses, and keep others off it.
        drivers: further drivers by the `source_type` of their jobs; closed with the downloader.
        **engine: further fields of `EngineConfig` (`port`, `dht`, `download_limit`, ...).
    """

    def __init__(
        self,
        media_root: str | Path = "media",
        *,
        state_dir: str | Path | None = None,
        max_active: int = JobSettings.max_active,
        min_free_space: int = JobSettings.min_free_space,
        metadata_tries: int = JobSettings.metadata_tries,
        source_tries: int = JobSettings.source_tries,
        source_patience: int = JobSettings.source_patience,
        source_slow: int = JobSettings.source_slow,
        source_min_speed: int = JobSettings.source_min_speed,
        sole_server: bool = False,
        drivers: Mapping[str, Driver] | None = None,
        **engine: Unpack[EngineOptions],
    ) -> None:
        config = EngineConfig(Path(media_root).absolute(), **engine)
        state = StateFolder(Path(state_dir) if state_dir else None)
        super().__init__(
            torrent_parts(
                config,
                state,
                max_active=max_active,
                min_free_space=min_free_space,
                retry=policy_of(
                    JobSettings(
                        metadata_tries=metadata_tries,
                        source_tries=source_tries,
                        source_patience=source_patience,
                        source_slow=source_slow,
                        source_min_speed=source_min_speed,
                    )
                ),
                sole_server=sole_server,
                others=lambda _network: drivers or {},
            )
        )


def torrent_parts(
    config: EngineConfig,
    state: StateFolder,
    *,
    max_active: int,
    min_free_space: int,
    retry: RetryPolicy | None = None,
    max_active_disk: int = JobSettings.max_active_disk,
    sole_server: bool = False,
    topics: Callable[[NetworkPolicy], TopicOptions] = lambda _network: TopicOptions(),
    stores: Stores | None = None,
    others: Callable[[NetworkPolicy], Mapping[str, Driver]] = lambda _network: {},
) -> Parts:
    """The parts that download torrents; see `WebTorrentDownloader` for the arguments.

    `topics` makes what answers topics of other rooms, and `others` the drivers of other kinds of
    source, by the `source_type` of their jobs; they share the network policy.
    """
    stores = stores or open_all(state.database)
    network = NetworkPolicy(config)
    driver = TorrentDriver(config, stores.resume, network)
    volume = MediaVolume(config.media_root, state)
    trackers = config.webtorrent_trackers if config.webtorrent else ()
    return Parts(
        drivers={SourceType.TORRENT: driver, **others(network)},
        jobs=stores.jobs,
        resume=stores.resume,
        cursors=stores.cursors,
        guard=DiskGuard(volume, min_free_space),
        sole_use=SoleUse(state, volume, ServerNote(config.media_root, state), whole=sole_server),
        network=network,
        limits=SpeedLimits(network.limiter, stores.settings),
        own_ports=config.own_ports,
        listening=lambda: driver.listening,
        dht_nodes=driver.dht_nodes,
        swarms={SourceType.TORRENT: driver.swarm},
        tools=Tools(
            maker=MediaTorrentMaker(config.media_root, trackers, gate_of(config)),
            inspector=driver.torrents,
            topics={**_usual_topics(network, stores), **topics(network)},
        ),
        peek=partial(_peek, network),
        retry=retry,
        max_active=max_active,
        max_active_disk=max_active_disk,
    )


async def _peek(network: NetworkPolicy, source: Source) -> LinkAnswer:
    """What the server of a link says of what is there; it alone is told what is secret."""
    secret = source.secret.as_headers() if source.secret is not None else None
    return await network.peek(source.urn, secret)


@singledispatch
def _tools_of(_downloader: Downloader) -> Tools:
    """The tools that belong to a downloader: the usual ones for one of another's making."""
    return Tools()


@_tools_of.register(AssembledDownloader)
def _(downloader: AssembledDownloader) -> Tools:
    return downloader.parts.tools


def create_app(
    downloader: Downloader | None = None,
    *,
    maker: TorrentMaker | None = None,
    probe: MediaProbe | None = None,
    api_secret: str | None = None,
    start_limit: str = HttpSettings.rate_limit_start,
    cancel_limit: str = HttpSettings.rate_limit_cancel,
    allowed_hosts: tuple[str, ...] = (),
    allowed_origins: tuple[str, ...] = (),
    stream_timeout: float = HttpSettings.stream_timeout,
    on_stop: Callable[[], Any] | None = None,
    faces: Sequence[Face] = (),
    **more: Unpack[AppOptions],
) -> ASGIApp:
    """The backend as an ASGI application, for any server, test or front end.

    Args:
        downloader: what it drives; None = a `WebTorrentDownloader` of its own, closed at the end.
        maker: who makes torrents; None = the downloader's own, if it has one.
        probe: who looks into film files; None = the downloader's own, or MediaInfo.
        api_secret: the key every call needs, None = no key.
        start_limit: starts per client address.
        cancel_limit: cancels per client address.
        allowed_hosts: names besides loopback that the server is reached by.
        allowed_origins: web origins besides loopback whose pages may call.
        stream_timeout: seconds a reader of a film waits for bytes that do not come.
        on_stop: awaited when the application stops.
        faces: other programs' APIs, which stand beside ours behind the same host and key rules.
        **more: further fields of `ApiOptions` (`keys`, `signer`, `proxies`, `max_streams`,
            `public_url`), and what answers topics of other rooms (`TopicOptions`); what is not
            given is the downloader's own.
    """
    own = downloader is None
    downloader = downloader or WebTorrentDownloader()
    tools = _tools_of(downloader)
    topics, api_options = split_options(more)
    return build_app(
        downloader,
        ApiOptions(api_secret or None, allowed_hosts, allowed_origins, **api_options),
        {**tools.topics, **topics},
        start_limit=start_limit,
        cancel_limit=cancel_limit,
        probe=probe or tools.probe,
        torrent_maker=maker or tools.maker,
        torrent_inspector=tools.inspector,
        stream_timeout=stream_timeout,
        on_stop=on_stop or (downloader.aclose if own else None),
        faces=faces,
    )


@dataclass(frozen=True, slots=True)
class Backend:
    """A downloader and its HTTP face, built from settings."""

    downloader: AssembledDownloader
    app: ASGIApp

    def serves_on(self, port: int) -> None:
        """Say where the API listens, so that no torrent sends us there."""
        self.downloader.parts.own_ports.add(port)

    def read_lists(self) -> None:
        """Read the user's lists of addresses again."""
        self.downloader.read_lists()

    async def aclose(self) -> None:
        """Stop everything and keep it."""
        await self.downloader.aclose()
        await close_topics(self.downloader.parts.tools.topics)


def build_backend(settings: Settings, parts: Parts | None = None) -> Backend:
    """Everything, from settings.

    Args:
        settings: the user's.
        parts: what is used instead of the parts that the settings describe; signed links then hold
            no longer than this process.

    Raises:
        SettingsError: the media root cannot be written.
    """
    downloader = AssembledDownloader(parts or build_parts(settings))
    JobLog(None if parts else settings.media_root.absolute()).follow(downloader)
    http = settings.http
    app = create_app(
        downloader,
        api_secret=http.secret,
        start_limit=http.rate_limit_start,
        cancel_limit=http.rate_limit_cancel,
        allowed_hosts=http.allowed_hosts,
        allowed_origins=http.allowed_origins,
        keys=tuple((key, KeyScope[scope.upper()]) for key, scope in http.keys),
        signer=Signer(None if parts else _link_secret(settings)),
        proxies=http.trusted_proxies,
        public_url=http.public_url,
        max_streams=http.max_streams,
        stream_timeout=http.stream_timeout,
        settings=lambda: standings(settings),
    )
    return Backend(downloader, app)


def build_parts(settings: Settings) -> Parts:
    """The parts of a server, from settings.

    Args:
        settings: the user's.

    Raises:
        SettingsError: the media root cannot be written, or a list of addresses cannot be read.
    """
    _check_media(settings)
    _check_lists(settings.network)
    config, state = engine_config(settings), StateFolder(settings.state_dir)
    if config.webtorrent and config.why_no_webrtc is not None:
        log.info("WebRTC is off, it would go round a setting", setting=config.why_no_webrtc)
    media, stores = settings.media_root.absolute(), open_all(state.database)
    roots = Roots(read_roots(settings.disk.roots), (media, state.path))
    parts = torrent_parts(
        config,
        state,
        stores=stores,
        others=partial(other_drivers, settings, stores.resume, roots),
        max_active=settings.jobs.max_active,
        max_active_disk=settings.jobs.max_active_disk,
        min_free_space=settings.jobs.min_free_space,
        retry=policy_of(settings.jobs),
        sole_server=True,
        topics=partial(other_topics, settings, state, roots),
    )
    companions: list[Companion] = []
    companions.append(watch_folders(settings.inbox, roots, state.path))
    companions += companions_of(parts.tools.topics)
    return replace(parts, companions=tuple(companions))


def other_drivers(
    settings: Settings, resume: ResumeStore, roots: Roots, network: NetworkPolicy
) -> Mapping[str, Driver]:
    """The drivers beside that of torrents, one line each.

    Args:
        settings: the user's.
        resume: where they keep what they need to go on.
        roots: the folders that films may be taken from.
        network: whom they may talk to.
    """
    media = settings.media_root.absolute()
    return {
        SourceType.HTTP: HttpDriver(media, resume, network, settings.http_source),
        SourceType.LOCAL: LocalDriver(media, roots, resume),
        SourceType.YOUTUBE: YtdlpDriver(media, network),
    }


def other_topics(
    settings: Settings, state: StateFolder, roots: Roots, network: NetworkPolicy
) -> TopicOptions:
    """What answers the topics of rooms that the settings set up, one line each.

    Args:
        settings: the user's.
        state: where they keep what they need.
        roots: the folders that films may be taken from.
        network: whom they may talk to.
    """
    media, new = settings.media_root.absolute(), TopicOptions()
    new["metadata"], new["catalogue"] = open_catalogues(settings.catalogue, state, network)
    new["library"] = library_of(settings.library, library_db(state), media, roots, new["catalogue"])
    return new


def _link_secret(settings: Settings) -> bytes:
    try:
        return StateFolder(settings.state_dir).load_secret()
    except OSError as error:
        raise SettingsError(
            f"The folder CHILLY_STATE_DIR ({settings.state_dir}) cannot be used: {error.strerror}."
        ) from None


def _check_lists(network: NetworkSettings) -> None:
    """Refuse a list of addresses that cannot be read: without it everybody could be talked to."""
    for name, path in (("BLOCK", network.block_list), ("ALLOW", network.allow_list)):
        try:
            if path is not None:
                with path.open("rb") as file:
                    file.read(1)
        except OSError as error:
            sentence = f"The file CHILLY_{name}_LIST ({path}) cannot be read: {error.strerror}."
            raise SettingsError(sentence) from None


def _check_media(settings: Settings) -> None:
    """Refuse a media root that was never of use; jobs wait for one that was and will be again."""
    volume = MediaVolume(settings.media_root.absolute(), StateFolder(settings.state_dir))
    if volume.is_remembered and (problem := volume.measure_now().problem) is not None:
        log.warning("downloads wait for the media folder", problem=problem)
    else:
        check_writable(settings.media_root)


def engine_config(settings: Settings) -> EngineConfig:
    """The settings that concern the torrent engine."""
    return EngineConfig(
        settings.media_root.absolute(),
        own_ports={settings.http.port} - {0},
        film_folders=tuple(read_roots(settings.disk.roots).values()),
        **values_of(settings.network),
        **values_of(settings.torrent),
    )


__all__ = [
    "AssembledDownloader", "Backend", "Network", "Parts", "Tools",
    "WebTorrentDownloader", "build_backend", "build_parts", "create_app", "engine_config",
    "torrent_parts",
]  # fmt: skip
