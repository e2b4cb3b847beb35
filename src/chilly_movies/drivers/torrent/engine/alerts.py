"""Which alerts the engine sends, how they wake the event loop, and how their texts are read."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any

import libtorrent as lt

_categories = lt.alert.category_t
_ALERTS = (
    _categories.error_notification
    | _categories.status_notification
    | _categories.storage_notification
    | _categories.tracker_notification
    | _categories.peer_notification
)
_CONNECTIONS = _categories.connect_notification
"""Only these say that a web seed cannot be reached."""
_RTC_ALERTS = _CONNECTIONS | _categories.torrent_log_notification
"""Only these say which peers come over WebRTC, and what became of a handshake."""


def mask(*, webrtc: bool, pieces: bool, web_seeds: bool) -> int:
    """The alerts that are wanted: what is said often only if need be.

    Args:
        webrtc: WebRTC is used.
        pieces: each piece that arrives is to be told.
        web_seeds: there are some.
    """
    wanted = _ALERTS | _RTC_ALERTS if webrtc else _ALERTS
    wanted = wanted | _CONNECTIONS if web_seeds else wanted
    return int(wanted | _categories.piece_progress_notification if pieces else wanted)


def text(read: Callable[[], str]) -> str:
    """What an alert says; others chose some of its bytes, so it may be no UTF-8."""
    try:
        return read()
    except UnicodeDecodeError as error:
        return error.object.decode("utf-8", "replace")


class AlertNotifier:
    """A pipe the engine writes to when it has alerts; the event loop listens.

    Args:
        session: the engine's.
        on_alerts: called when there are some.
    """

    def __init__(self, session: Any, on_alerts: Callable[[], None]) -> None:

        def notify() -> None:
            try:
                while os.read(self._read, 4096):
                    pass
            except BlockingIOError:
                pass
            on_alerts()

        self._session = session
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        asyncio.get_running_loop().add_reader(self._read, notify)
        session.set_alert_fd(self._write)

    def mute(self) -> None:
        """The engine is not heard any more."""
        asyncio.get_running_loop().remove_reader(self._read)
        self._session.set_alert_fd(-1)
        self._session = None

    def close(self) -> None:
        """Close the pipe, once the engine cannot write to it."""
        os.close(self._read)
        os.close(self._write)
