"""The composition root: builds the parts, and is the only module that knows all of them."""

from __future__ import annotations

import asyncio
import errno
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from starlette.types import ASGIApp

from chilly_movies.api.app import build_app
from chilly_movies.api.gates.security import Access
from chilly_movies.api.gates.signing import Signer
from chilly_movies.api.policy import KeyScope
from chilly_movies.catalogue.mock import MockMetadataProvider
from chilly_movies.catalogue.ports import MetadataProvider
from chilly_movies.catalogue.tmdb.provider import TmdbProvider
from chilly_movies.disk.server_note import ServerNote
from chilly_movies.disk.volume import MediaVolume
from chilly_movies.drivers.mock.driver import MockDriver, MockScript
from chilly_movies.drivers.mock.inspector import MockInspector
from chilly_movies.drivers.mock.maker import MockTorrentMaker
from chilly_movies.drivers.torrent import EngineConfig, MediaTorrentMaker, TorrentDriver
from chilly_movies.errors import SettingsError
from chilly_movies.jobs.disk_guard import DiskGuard
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.jobs.models import SourceType
from chilly_movies.jobs.ports import JobStore, ResumeStore
from chilly_movies.jobs.retry import RetryPolicy
from chilly_movies.jobs.torrents import TorrentInspector, TorrentMaker
from chilly_movies.media.mediainfo import MediaInfoProbe
from chilly_movies.media.mock import MockMediaProbe, MockSubtitleConverter
from chilly_movies.media.subtitles import SandboxConverter
from chilly_movies.names import INCOMPLETE
from chilly_movies.net.outbound import Outbound
from chilly_movies.net.policy import NetworkPolicy
from chilly_movies.runtime.state_folder import StateFolder
from chilly_movies.settings import Settings, read_keys, read_proxy
from chilly_movies.storage.jobs import open_stores
from chilly_movies.storage.memory import MemoryJobStore, MemoryResumeStore
from chilly_movies.watching.ports import MediaProbe, SubtitleConverter

log = structlog.get_logger(__name__)

MIN_FREE_SPACE = 1_000_000_000


class WebTorrentDownloader(Downloader):
    """A `Downloader` for torrents: magnets, info hashes, torrent files and links to them.

    Args:
        media_root: where finished films go; unfinished ones lie in its `.incomplete` folder.
        state_dir: where database and lock live; None = the user's state folder. Only one
            downloader can use a state folder at a time.
        max_active: how many jobs may download at once.
        min_free_space: bytes that stay free on the disk of the media folder.
        metadata_tries: how often a magnet waits for its metadata before it fails, 0 = without end.
        sole_server: refuse a media folder that another server uses, and keep others off it.
        **engine: further fields of `EngineConfig` (`port`, `dht`, `download_limit`, ...).
    """

    def __init__(
        self,
        media_root: str | Path = "media",
        *,
        state_dir: str | Path | None = None,
        max_active: int = 3,
        min_free_space: int = MIN_FREE_SPACE,
        metadata_tries: int = 100,
        sole_server: bool = False,
        **engine: Any,
    ) -> None:
        self._state = StateFolder(Path(state_dir) if state_dir else None)
        jobs, resume = open_stores(self._state.database)
        config = EngineConfig(Path(media_root).absolute(), **engine)
        self.torrent_maker = torrent_maker(config)
        self.own_ports = config.own_ports
        self._network = NetworkPolicy(config)
        driver = TorrentDriver(config, resume, self._network)
        self.torrent_inspector: TorrentInspector = driver.inspector
        drivers = {SourceType.TORRENT: driver}
        self._volume = MediaVolume(config.media_root, self._state)
        self._note = ServerNote(config.media_root, self._state) if sole_server else None
        guard = DiskGuard(self._volume, min_free_space)
        retry = RetryPolicy(long_attempts=metadata_tries or math.inf)
        super().__init__(drivers, jobs, max_active=max_active, retry=retry, guard=guard)

    @property
    def network_problem(self) -> str | None:
        """See `Downloader.network_problem`."""
        return self._network.halted

    def read_lists(self) -> None:
        """Read the user's lists of addresses again; they are when their files change, too."""
        self._network.read_lists()

    async def open(self) -> None:
        """Take the state folder and read the jobs. Every verb calls it. Idempotent.

        Raises:
            SettingsError: another server uses the media folder.
            StoreError: another instance uses the state folder, or the jobs cannot be read.
        """
        if self._state.lock() and self._note is not None:
            await self._claim_folder(self._note)
        await super().open()

    async def _claim_folder(self, note: ServerNote) -> None:
        await self._volume.look()  # it makes and marks a media folder that is new
        other = await asyncio.to_thread(note.other)
        if other is None:
            await asyncio.to_thread(note.leave)
            other = await asyncio.to_thread(note.other)  # two may have begun at once
        if other is not None:
            self._state.release()
            raise SettingsError(
                f"Another server, with the state folder {other}, uses this media folder: stop it, "
                "or set CHILLY_MEDIA_ROOT to another folder."
            )

    async def aclose(self) -> None:
        """Stop everything and keep it. Idempotent."""
        await super().aclose()
        if self._note is not None:
            await asyncio.to_thread(self._note.withdraw)
        self._state.release()


class MockDownloader(Downloader):
    """A `Downloader` that plays scripts: no network, no disk. For front-end authors and tests.

    Args:
        script: how downloads go whose source says nothing about it; see `MockScript`.
        max_active: how many jobs may download at once.
        **driver: further arguments of `MockDriver` (`scripts`, `tick`, `sleep`).
    """

    def __init__(
        self, script: MockScript | None = None, *, max_active: int = 3, **driver: Any
    ) -> None:
        resume = MemoryResumeStore()
        self.torrent_maker = MockTorrentMaker()
        self.media_probe = MockMediaProbe()
        self.subtitle_converter = MockSubtitleConverter()
        mock = MockDriver(script, resume_store=resume, **driver)
        self.torrent_inspector = MockInspector(mock)
        super().__init__(
            dict.fromkeys(SourceType, mock), MemoryJobStore(resume), max_active=max_active
        )


def torrent_maker(config: EngineConfig) -> TorrentMaker:
    """Who makes torrents of what lies in the media root of an engine."""
    trackers = config.webtorrent_trackers if config.webtorrent else ()
    return MediaTorrentMaker(config.media_root, trackers)


def create_app(
    downloader: Downloader | None = None,
    *,
    metadata: MetadataProvider | None = None,
    maker: TorrentMaker | None = None,
    probe: MediaProbe | None = None,
    converter: SubtitleConverter | None = None,
    api_secret: str | None = None,
    start_limit: str = "60/minute",
    cancel_limit: str = "120/minute",
    allowed_hosts: tuple[str, ...] = (),
    allowed_origins: tuple[str, ...] = (),
    stream_timeout: float = 60.0,
    on_stop: Callable[[], Any] | None = None,
    **access: Any,
) -> ASGIApp:
    """The backend as an ASGI application, for any server, test or front end.

    Args:
        downloader: what it drives; None = a `WebTorrentDownloader` of its own, closed at the end.
        metadata: who knows films; None = TMDB without a key, which says so when asked.
        maker: who makes torrents; None = the downloader's own, if it has one.
        probe: who looks into film files; None = the downloader's own, or MediaInfo.
        converter: who makes WebVTT of subtitles; None = the downloader's own, or the real one.
        api_secret: the key every call needs, None = no key.
        start_limit: starts per client address.
        cancel_limit: cancels per client address.
        allowed_hosts: names besides loopback that the server is reached by.
        allowed_origins: web origins besides loopback whose pages may call.
        stream_timeout: seconds a reader of a film waits for bytes that do not come.
        on_stop: awaited when the application stops.
        **access: further fields of `Access` (`keys`, `signer`, `proxies`, `max_streams`).
    """
    own = downloader is None
    downloader = downloader or WebTorrentDownloader()
    return build_app(
        downloader,
        metadata or TmdbProvider(api_key=None, bearer_token=None, cache_path=None),
        Access(api_secret or None, allowed_hosts, allowed_origins, **access),
        start_limit=start_limit,
        cancel_limit=cancel_limit,
        probe=probe or getattr(downloader, "media_probe", None) or MediaInfoProbe(),
        converter=converter
        or getattr(downloader, "subtitle_converter", None)
        or SandboxConverter(),
        torrent_maker=maker or getattr(downloader, "torrent_maker", None),
        torrent_inspector=getattr(downloader, "torrent_inspector", None),
        stream_timeout=stream_timeout,
        on_stop=on_stop or (downloader.aclose if own else None),
    )


@dataclass(frozen=True, slots=True)
class Backend:
    """A downloader and its HTTP face, built from settings."""

    downloader: Downloader
    metadata: MetadataProvider
    app: ASGIApp

    def serves_on(self, port: int) -> None:
        """Say where the API listens, so that no torrent sends us there."""
        if isinstance(self.downloader, WebTorrentDownloader):
            self.downloader.own_ports.add(port)

    def read_lists(self) -> None:
        """Read the user's lists of addresses again."""
        if isinstance(self.downloader, WebTorrentDownloader):
            self.downloader.read_lists()

    async def aclose(self) -> None:
        """Stop everything and keep it."""
        await self.downloader.aclose()
        await self.metadata.aclose()


def build_backend(settings: Settings, *, mock: bool = False) -> Backend:
    """Everything, from settings.

    Args:
        settings: the user's.
        mock: play scripts instead of using the network.

    Raises:
        SettingsError: the media root cannot be written.
    """
    if not mock:
        _check_media(settings)
        _check_lists(settings)
    downloader = _mock(settings) if mock else _torrents(settings)
    metadata: MetadataProvider = MockMetadataProvider() if mock else _tmdb(settings)
    secret = settings.api_secret.get_secret_value() if settings.api_secret else None
    app = create_app(
        downloader,
        metadata=metadata,
        api_secret=secret,
        start_limit=settings.rate_limit_start,
        cancel_limit=settings.rate_limit_cancel,
        allowed_hosts=settings.allowed_hosts,
        allowed_origins=settings.allowed_origins,
        keys=tuple((key, KeyScope[scope.upper()]) for key, scope in read_keys(settings.api_keys)),
        signer=Signer(None if mock else _link_secret(settings)),
        proxies=settings.trusted_proxies,
        max_streams=settings.max_streams,
        stream_timeout=settings.stream_timeout,
    )
    return Backend(downloader, metadata, app)


def _link_secret(settings: Settings) -> bytes:
    try:
        return StateFolder(settings.state_dir).load_secret()
    except OSError as error:
        raise SettingsError(
            f"The folder CHILLY_STATE_DIR ({settings.state_dir}) cannot be used: {error.strerror}."
        ) from None


def _check_lists(settings: Settings) -> None:
    """Refuse a list of addresses that cannot be read: without it everybody could be talked to."""
    for name, path in (("BLOCK", settings.block_list), ("ALLOW", settings.allow_list)):
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
    if volume.is_remembered and (problem := volume.look_now().problem) is not None:
        log.warning("downloads wait for the media folder", problem=problem)
    else:
        check_writable(settings.media_root)


def check_writable(media_root: Path) -> None:
    """Make the media root and try to write there. A full disk is none of its business.

    Raises:
        SettingsError: it cannot be written.
    """
    probe = media_root / INCOMPLETE / ".writable"
    try:
        probe.parent.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return
        raise SettingsError(
            f"The folder CHILLY_MEDIA_ROOT ({media_root}) cannot be written: {error.strerror}."
        ) from None


def engine_options(settings: Settings) -> Mapping[str, Any]:
    """The settings that concern the torrent engine, as fields of `EngineConfig`."""
    return {
        "port": settings.torrent_port,
        "interface": settings.interface,
        "proxy": read_proxy(settings.proxy),
        "proxy_force": settings.proxy_force,
        "anonymous": settings.anonymous,
        "block_list": settings.block_list,
        "allow_list": settings.allow_list,
        "dht": settings.dht,
        "lsd": settings.lsd,
        "upnp": settings.upnp,
        "webtorrent": settings.webtorrent,
        "webtorrent_trackers": settings.webtorrent_trackers,
        "stun_server": settings.stun_server,
        "allow_private_addresses": settings.allow_private_addresses,
        "download_limit": settings.download_limit,
        "upload_limit": settings.upload_limit,
        "seed_ratio": settings.seed_ratio,
        "seed_time": settings.seed_time,
        "metadata_timeout": settings.metadata_timeout,
        "own_ports": {settings.port} - {0},
    }


def _torrents(settings: Settings) -> Downloader:
    why = EngineConfig(settings.media_root, **engine_options(settings)).why_no_webrtc
    if settings.webtorrent and why is not None:
        log.info("WebRTC is off, it would go round a setting", setting=why)
    return WebTorrentDownloader(
        settings.media_root,
        state_dir=settings.state_dir,
        max_active=settings.max_active,
        min_free_space=settings.min_free_space,
        metadata_tries=settings.metadata_tries,
        sole_server=True,
        **engine_options(settings),
    )


def _mock(settings: Settings) -> Downloader:
    return MockDownloader(max_active=settings.max_active)


def _tmdb(settings: Settings) -> MetadataProvider:
    key, token = settings.tmdb_api_key, settings.tmdb_bearer_token
    outbound = Outbound(read_proxy(settings.proxy), settings.interface)
    return TmdbProvider(
        api_key=key.get_secret_value() if key else None,
        bearer_token=token.get_secret_value() if token else None,
        base_url=str(settings.tmdb_base_url),
        cache_path=StateFolder(settings.state_dir).metadata_cache,
        transport=outbound.transport() if key or token else None,
    )


__all__ = [
    "Backend", "JobStore", "MockDownloader", "ResumeStore", "WebTorrentDownloader",
    "build_backend", "create_app",
]  # fmt: skip
