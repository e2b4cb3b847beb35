"""`chilly serve`: the backend, until somebody stops it."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from chilly_movies import __version__
from chilly_movies.cli.exits import Exit
from chilly_movies.cli.media_folder import with_known_folder
from chilly_movies.cli.output import Output
from chilly_movies.cli.running import run
from chilly_movies.runtime.loading import loading

if TYPE_CHECKING:
    from chilly_movies.app import Backend
    from chilly_movies.server.serving import Stopper
    from chilly_movies.settings import Settings

_DESCRIPTORS = 4096
"""Connections, listeners and files; each download has two of its own besides."""
_Flag = Parameter(negative="", show_default=False)


def serve(
    *,
    host: str | None = None,
    port: int | None = None,
    media_root: Path | None = None,
    state_dir: Path | None = None,
    max_active: int | None = None,
    torrent_port: int | None = None,
    interface: str | None = None,
    download_limit: int | None = None,
    upload_limit: int | None = None,
    log_level: Literal["debug", "info", "warning", "error"] | None = None,
    mock: Annotated[bool, _Flag] = False,
    stop_with_stdin: Annotated[bool, _Flag] = False,
    json: Annotated[bool, _Flag] = False,
) -> int:
    """Start the backend with its HTTP API.

    Options win over the settings ('chilly settings' shows those).

    Args:
        host: Address to serve on.
        port: Port to serve on, 0 = any free one.
        media_root: Where finished films go.
        state_dir: Where database, resume data and lock lie.
        max_active: Downloads at once.
        torrent_port: Port for peers, 0 = any free one.
        interface: Network interface or address for peers, a VPN's say.
        download_limit: Bytes per second, 0 = unlimited; what 'chilly limit' stored wins.
        upload_limit: Bytes per second, 0 = unlimited; what 'chilly limit' stored wins.
        log_level: How much to log.
        mock: Play scripted downloads, without network and disk.
        stop_with_stdin: Stop when standard input ends; for programs that start the server.
        json: Say the address as one JSON line.
    """
    with loading():
        from chilly_movies.runtime.logs import configure_logs, hide
        from chilly_movies.settings import load_settings, secrets_of

    settings = load_settings(
        host=host,
        port=port,
        media_root=media_root,
        state_dir=state_dir,
        max_active=max_active,
        torrent_port=torrent_port,
        interface=interface,
        download_limit=download_limit,
        upload_limit=upload_limit,
        log_level=log_level,
    )
    configure_logs(settings.log_level, settings.log_format)
    hide(secrets_of(settings))
    allow_descriptors(_DESCRIPTORS + 2 * settings.jobs.max_active)
    out = Output(as_json=json)
    if not mock:
        settings, remark = with_known_folder(settings)
        if remark is not None:
            out.note(remark)
    run(_serve(settings, out, mock=mock, stop_with_stdin=stop_with_stdin), loop_factory=_loop())
    return Exit.DONE


def allow_descriptors(wanted: int) -> None:
    """Raises the limit of open files, if the system allows it: the usual 1,024 are soon used up.

    Args:
        wanted: how many; a limit that is higher stays.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    reachable = wanted if hard == unlimited else min(wanted, hard)
    if soft != unlimited and soft < reachable:
        with suppress(OSError, ValueError):  # the system may have a limit of its own
            resource.setrlimit(resource.RLIMIT_NOFILE, (reachable, hard))


def _loop() -> Any:
    """The faster event loop where there is one."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


async def _serve(settings: Settings, out: Output, *, mock: bool, stop_with_stdin: bool) -> None:
    with loading():
        from chilly_movies.app import build_backend
        from chilly_movies.runtime.vitals import telling
        from chilly_movies.server.serving import Stopper

    task, stopper = asyncio.current_task(), Stopper()
    assert task is not None  # noqa: S101 (for the type checker)
    parts = None
    if mock:
        from chilly_movies.mock import mock_parts

        parts = mock_parts(settings.jobs.max_active, settings.network)
    backend = build_backend(settings, parts)
    with telling(), _on_hangup(backend.read_lists), stopper.listening(task.cancel):
        try:
            # before anything is announced: a state folder that cannot be used ends it here
            await backend.downloader.open()
            await _listen(
                backend, settings, out, stopper, mock=mock, stop_with_stdin=stop_with_stdin
            )
        finally:
            stopper.instead(lambda: None)  # it stops already
            await backend.aclose()
            if stopper.is_asked:
                logging.getLogger(__name__).info("stopped")


@contextmanager
def _on_hangup(read_again: Callable[[], None]) -> Iterator[None]:
    """SIGHUP: what lies in files is read again; must be entered in the event loop."""
    number = getattr(signal, "SIGHUP", None)
    if number is None:
        yield
        return
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(number, read_again)
    try:
        yield
    finally:
        loop.remove_signal_handler(number)


async def _listen(
    backend: Backend,
    settings: Settings,
    out: Output,
    stopper: Stopper,
    *,
    mock: bool,
    stop_with_stdin: bool,
) -> None:
    from chilly_movies.runtime.vitals import freeze_garbage
    from chilly_movies.server.connections import ConnectionLimiter
    from chilly_movies.server.serving import bind, serve

    sockets = bind(settings.http.host, settings.http.port)
    try:
        if stop_with_stdin:
            await _watch_stdin()
        host, port = settings.http.host, sockets[0].getsockname()[1]
        backend.serves_on(port)
        url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        media = settings.media_root.absolute()
        films = "downloads are scripted" if mock else f"films go to {media}"
        out.say(f"Chilly Movies {__version__} serves {url}, {films}, Ctrl-C stops")
        out.record({"version": __version__, "url": url, "mediaRoot": None if mock else str(media)})
        if not mock:
            await asyncio.to_thread(_tell_versions)
        freeze_garbage()
        limiter = ConnectionLimiter(settings.http.max_connections, settings.http.trusted_proxies)
        await serve(backend.app, sockets, backend.downloader.end_events, limiter, stopper)
    finally:
        for listener in sockets:
            listener.close()


def _tell_versions() -> None:
    """Logs the versions of what deals with strangers, to compare with known faults; takes 20 ms."""
    import structlog

    from chilly_movies.drivers.torrent.built import openssl_inside
    from chilly_movies.drivers.torrent.checkup import engine_version

    log = structlog.get_logger(__name__)
    log.info("the engine is libtorrent", version=engine_version(), openssl=openssl_inside())


async def _watch_stdin() -> None:
    """Let the end of standard input stop the server like a SIGTERM."""

    class Ending(asyncio.Protocol):
        def connection_lost(self, _error: Exception | None) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

    await asyncio.get_running_loop().connect_read_pipe(Ending, sys.stdin)
