"""Where the engine listens for peers: on each address of this machine, with a port of its own.

If the wanted port is taken on an address the engine takes one of the next ten there, and says so
in an alert only. Who forwards the wanted port in a router would never be reached.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import libtorrent as lt
import structlog

from chilly_movies.drivers.torrent.engine import engine_errors as engine
from chilly_movies.jobs.models import ListenPort

log = structlog.get_logger(__name__)
_logger = logging.getLogger(__name__)
"""For what is no news to whoever uses this as a library: it is only seen if logs are set up."""


class Listening:
    """The ports of one engine at a time.

    Args:
        wanted: the port of the settings, 0 = any free one.
    """

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self._ports: dict[str, ListenPort] = {}

    @property
    def ports(self) -> tuple[ListenPort, ...]:
        """The ports by address, as far as the engine told."""
        return tuple(self._ports.values())

    def clear(self) -> None:
        """There is a new engine, or none."""
        self._ports.clear()

    def heard(self, alert: Any) -> None:
        """Takes in what the engine says of one socket."""
        if isinstance(alert, lt.listen_failed_alert):
            log.warning(
                "cannot listen for peers",
                address=alert.listen_interface(),
                port=alert.port,
                problem=engine.why(alert.error),
            )
            self._ports.setdefault(alert.address, ListenPort(alert.address, self._wanted))
            return
        before = self._ports.get(alert.address) or ListenPort(alert.address, self._wanted)
        if alert.socket_type == lt.listen_succeeded_alert_socket_type_t.tcp:
            self._ports[alert.address] = replace(before, tcp=alert.port)
            self._tell(self._ports[alert.address])
        else:
            self._ports[alert.address] = replace(before, udp=alert.port)

    def _tell(self, port: ListenPort) -> None:
        where = {"address": port.address, "port": port.tcp}
        if port.is_taken:
            wanted = {"wanted": port.wanted, "setting": "CHILLY_TORRENT_PORT"}
            _logger.warning("the torrent port is taken, another is used", extra={**wanted, **where})
        else:
            _logger.info("listening for peers", extra=where)
