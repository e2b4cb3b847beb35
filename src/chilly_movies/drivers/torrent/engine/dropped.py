"""What a torrent names and we do not talk to, though a setting would let it in.

It is told with that setting, and kept in the resume data, so that the setting holds for jobs that
are stored already: all of it passes the gate anew whenever the torrent is added.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from itertools import islice

import libtorrent as lt

from chilly_movies.drivers.torrent.engine import gate as vetting
from chilly_movies.drivers.torrent.engine.gate import Gate
from chilly_movies.drivers.torrent.engine.urls import place_of, tidy_url
from chilly_movies.drivers.torrent.mends.handshakes import is_websocket

_PRIVATE = "CHILLY_ALLOW_PRIVATE_ADDRESSES=true"


@dataclass(frozen=True, slots=True)
class Dropped:
    """What was left out of one torrent.

    Attributes:
        private: places (scheme, host and port) of what has a private address.
        plain: places of WebSocket trackers without TLS.
        lost: places of WebSocket trackers whose names lead to no public address, or nowhere.
        trackers: the trackers among them, each with its tier.
        web_seeds: the web seeds among them.
    """

    private: tuple[str, ...] = ()
    plain: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    trackers: tuple[tuple[str, int], ...] = ()
    web_seeds: tuple[str, ...] = ()

    @property
    def why(self) -> str | None:
        """One clause with the setting that lets it in, None if there is nothing."""
        clauses = []
        if self.private:
            verb = "has a private address and is" if len(self.private) == 1 else "are private and"
            clauses.append(f"{_named(self.private)} {verb} left out ({_PRIVATE} lets it in)")
        if self.plain:
            verb = "is" if len(self.plain) == 1 else "are"
            why = "(not encrypted; CHILLY_WEBTORRENT_TRACKERS lets it in)"
            clauses.append(f"{_named(self.plain)} {verb} left out {why}")
        if self.lost:
            verb = "does" if len(self.lost) == 1 else "do"
            why = f"{verb} not lead to a public address ({_PRIVATE} lets it in)"
            clauses.append(f"{_named(self.lost)} {why}")
        return "; ".join(clauses) or None

    def with_resolved(self, urls: Iterable[str]) -> Dropped:
        """The same and these WebSocket trackers, whose names lead to no public address."""
        found = tuple(urls)
        return replace(
            self,
            lost=tuple(f"the tracker {place_of(url)}" for url in found),
            trackers=(*self.trackers, *((url, 0) for url in found)),
        )

    def without(self, urls: Collection[str]) -> Dropped:
        """The same without these trackers, which are not asked even if a setting lets them in."""
        return replace(self, trackers=tuple(one for one in self.trackers if one[0] not in urls))

    def put_back(self, params: lt.add_torrent_params) -> None:
        """Add all of it to parameters that are to be stored."""
        add_trackers(params, self.trackers)
        params.url_seeds = list(dict.fromkeys([*params.url_seeds, *self.web_seeds]))


def _named(places: tuple[str, ...]) -> str:
    more = len(places) - 1
    return places[0] + (f" and {more} more address{'es' if more > 1 else ''}" if more else "")


def add_trackers(params: lt.add_torrent_params, trackers: Iterable[tuple[str, int]]) -> None:
    """Add those that are not there yet, each with its tier."""
    known = dict(zip(params.trackers, params.tracker_tiers, strict=False))
    for url, tier in trackers:
        known.setdefault(url, tier)
    params.trackers, params.tracker_tiers = list(known), list(known.values())


def look_for_dropped(params: lt.add_torrent_params, gate: Gate, *, webrtc: bool) -> Dropped:
    """What `gate.vet` is about to take from the parameters and a setting would leave in them.

    Args:
        params: as the torrent has them.
        gate: what may be talked to.
        webrtc: whether WebSocket trackers are asked at all.
    """
    if gate.allow_private:
        return Dropped()
    opened = replace(gate, allow_private=True)  # else only private addresses are left out
    named_trackers = map(
        tidy_url, islice(vetting.readable(params, "trackers"), vetting.MAX_TRACKERS)
    )
    found = map(tidy_url, islice(vetting.readable(params, "url_seeds"), vetting.MAX_WEB_SEEDS))
    peers = islice(vetting.readable(params, "peers"), vetting.MAX_PEERS)
    refused = [u for u in named_trackers if opened.lets_tracker(u) and not gate.lets_tracker(u)]
    seeds = [u for u in found if opened.lets_web_seed(u) and not gate.lets_web_seed(u)]
    asked = [url for url in gate.websockets if webrtc]  # whatever a torrent says
    trackers = [u for u in refused if u not in asked and (webrtc or not is_websocket(u))]
    plain = [url for url in trackers if gate.lets_tracker(url.replace("ws://", "wss://", 1))]
    named = [f"the tracker {place_of(url)}" for url in trackers if url not in plain]
    named += [f"the web seed {place_of(url)}" for url in seeds]
    named += [
        f"the peer {host}:{port}"
        for host, port in peers
        if opened.lets_peer(host, port) and not gate.lets_peer(host, port)
    ]
    tiers = dict(zip(params.trackers, params.tracker_tiers, strict=False))
    return Dropped(
        private=tuple(dict.fromkeys(named)),
        plain=tuple(f"the tracker {place_of(url)}" for url in plain),
        trackers=tuple((url, tiers.get(url, 0)) for url in trackers),
        web_seeds=tuple(seeds),
    )
