"""Mirrors of a torrent's data: web seeds (BEP 19) that the user named, not the torrent.

The engine asks them like any other, and believes none: each piece is compared with its hash. They
are not kept in resume data, as the job keeps them, and their passwords apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import libtorrent as lt

from chilly_movies.drivers.torrent.engine.gate import Gate
from chilly_movies.drivers.torrent.engine.urls import tidy_url
from chilly_movies.drivers.torrent.mends.web_seeds import WebSeeds
from chilly_movies.jobs.models import FurtherSource
from chilly_movies.jobs.secrets import Secret

_NOT_LET = (
    "its address is private or none; CHILLY_ALLOW_PRIVATE_ADDRESSES=true lets private ones in"
)
_NOT_SENT = "a mirror of a torrent cannot be told cookies, headers, or passwords with @, / or %"


class MirrorLinks:
    """The mirrors of one torrent, as the engine asks them.

    Args:
        handle: the engine's torrent.
        web_seeds: what is known of all its web seeds.
    """

    def __init__(self, handle: Any, web_seeds: WebSeeds) -> None:
        self._handle = handle
        self._web_seeds = web_seeds
        self._refused: dict[str, str] = {}
        self.links: tuple[str, ...] = ()

    def take(self, mirrors: Iterable[FurtherSource], gate: Gate) -> None:
        """Have these asked from now on, as far as the gate lets them, and no others.

        To be called again once the metadata is there: of a torrent with several files a mirror is a
        folder, whose link ends with a slash.
        """
        info = self._handle.torrent_file()
        end = "/" if info is not None and info.num_files() > 1 else ""
        before, links, refused = self.links, [], {}
        for mirror in mirrors:
            link, secret = tidy_url(mirror.source.urn), mirror.source.secret
            link = link.removesuffix(end) + end
            if not gate.lets_web_seed(link):
                refused[link] = _NOT_LET
            elif (told := _told(link, secret)) is None:
                refused[link] = _NOT_SENT
            else:
                links.append(told)
        self.links = tuple(dict.fromkeys(links))
        for link in before:
            if link not in self.links:
                self._handle.remove_url_seed(link)
        for link in self.links:
            if link not in before:
                self._handle.add_url_seed(link)
        self._web_seeds.change((*before, *self._refused), self.links, refused)
        self._refused = refused

    def leave_out(self, params: lt.add_torrent_params) -> None:
        """Take them out of resume data."""
        params.url_seeds = [url for url in params.url_seeds if url not in self.links]


def _told(link: str, secret: Secret | None) -> str | None:
    """The link as the engine tells the server what is secret; None if it cannot."""
    if secret is None:
        return link
    return None if secret.has_more_than_a_user else secret.in_link(link)
