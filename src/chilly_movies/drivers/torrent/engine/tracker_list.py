"""The trackers of a torrent as people see and change them: those of its source, and the user's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from chilly_movies.drivers.torrent.engine import gate as vetting
from chilly_movies.drivers.torrent.engine.dropped import Dropped
from chilly_movies.drivers.torrent.engine.gate import Gate
from chilly_movies.drivers.torrent.engine.standings import TrackerStanding, words
from chilly_movies.drivers.torrent.engine.urls import place_of
from chilly_movies.drivers.torrent.mends.handshakes import is_websocket
from chilly_movies.jobs.models import TrackerChoice
from chilly_movies.jobs.swarm import Tracker, TrackerStatus

_PRIVATE = "CHILLY_ALLOW_PRIVATE_ADDRESSES=true lets it in"


def refusal_of(url: str, gate: Gate, *, webrtc: bool) -> str | None:
    """One sentence on why a tracker cannot be added, None if it can be.

    Args:
        url: its announce URL, tidy.
        gate: what may be talked to.
        webrtc: whether WebSocket trackers are asked at all.
    """
    where = f"The tracker {words(place_of(url))}"
    opened = replace(gate, allow_private=True)
    if not opened.lets_tracker(url):
        return f"{where} is no address like https://host/announce (http, https, udp, ws or wss)."
    if is_websocket(url) and not webrtc:
        return f"{where} is for WebRTC peers, and WebTorrent is off (CHILLY_WEBTORRENT)."
    if gate.lets_tracker(url):
        return None
    if gate.lets_tracker(url.replace("ws://", "wss://", 1)):
        return f"{where} is not encrypted (CHILLY_WEBTORRENT_TRACKERS lets it in)."
    return f"{where} has a private address ({_PRIVATE})."


async def resolves_out(url: str, gate: Gate) -> bool:
    """Whether a WebSocket tracker leads to public addresses only, as the engine does not look."""
    if gate.allow_private or not is_websocket(url) or url in gate.websockets:
        return True
    return await vetting.leads_out(url, otherwise=False)


def changed(
    entries: Sequence[Mapping[str, Any]], choice: TrackerChoice
) -> list[dict[str, Any]] | None:
    """The engine's trackers after another choice of the user; None if they are right already.

    Args:
        entries: those the engine has, without those it will get from the choice.
        choice: the user's.
    """
    tiers = dict(choice.added)
    kept = [entry for entry in entries if entry["url"] not in choice.removed]
    moved = any(
        tiers.get(entry["url"], entry["tier"]) != entry["tier"]
        for entry in kept
        if not is_websocket(entry["url"])
    )
    if len(kept) == len(entries) and not moved:
        return None
    return [
        {
            "url": entry["url"],
            "tier": entry["tier"]
            if is_websocket(entry["url"])
            else tiers.get(entry["url"], entry["tier"]),
        }
        for entry in kept
    ]


def told_by(
    entries: Iterable[Mapping[str, Any]],
    standings: Mapping[str, TrackerStanding],
    dropped: Dropped,
    now: float,
) -> list[Tracker]:
    """The trackers of a torrent in the engine, in the order of their tiers.

    Args:
        entries: as the engine has them.
        standings: how each last answered, by URL.
        dropped: those that a setting keeps out.
        now: seconds since 1970.
    """
    known = [_tracker(entry, standings.get(entry["url"]), now) for entry in entries]
    return in_order([*known, *disabled(dropped)])


def disabled(dropped: Dropped) -> list[Tracker]:
    """The trackers that a setting keeps out."""
    why = dropped.why
    return [Tracker(u, n, TrackerStatus.DISABLED, message=why) for u, n in dropped.trackers]


def in_order(trackers: Iterable[Tracker]) -> list[Tracker]:
    """The same in the order of their tiers."""
    return sorted(trackers, key=lambda tracker: tracker.tier)


def _tracker(entry: Mapping[str, Any], standing: TrackerStanding | None, now: float) -> Tracker:
    asked = [one for over in entry["endpoints"] for one in over["info_hashes"]]
    planned = [one["next_announce"] for one in asked if one["next_announce"] > now]
    seeds, leechers, downloads = (
        max((one[f"scrape_{name}"] for one in asked), default=-1)
        for name in ("complete", "incomplete", "downloaded")
    )
    told = [count for count in (seeds, leechers) if count >= 0]
    return Tracker(
        url=entry["url"],
        tier=entry["tier"],
        status=_status(standing, is_updating=any(one["updating"] for one in asked)),
        seeds=seeds if seeds >= 0 else None,
        peers=sum(told) if told else None,
        downloads=downloads if downloads >= 0 else None,
        next_announce_at=datetime.fromtimestamp(min(planned), UTC) if planned else None,
        message=None if standing is None else standing.problem or standing.warning,
    )


def _status(standing: TrackerStanding | None, *, is_updating: bool) -> TrackerStatus:
    """Over an address that does not lead there an announce may hang long after it was answered."""
    if standing is not None and standing.problem is None:
        return TrackerStatus.WORKING
    if is_updating:
        return TrackerStatus.UPDATING
    return TrackerStatus.NOT_CONTACTED if standing is None else TrackerStatus.NOT_WORKING
