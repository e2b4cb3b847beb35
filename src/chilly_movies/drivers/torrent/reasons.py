"""One plain sentence for why a torrent does not move. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from chilly_movies.drivers.torrent.engine.figures import TorrentState
from chilly_movies.drivers.torrent.engine.standings import TrackerStanding
from chilly_movies.drivers.torrent.engine.urls import place_of
from chilly_movies.drivers.torrent.mends.handshakes import is_websocket


def why_still(
    state: TorrentState,
    trackers: Mapping[str, TrackerStanding],
    webrtc: str | None = None,
    dropped: str | None = None,
    web_seeds: Mapping[str, str] = MappingProxyType({}),
) -> str | None:
    """Why no data arrives, or that wrong data does; None if all is well or nothing has to come.

    Args:
        state: the torrent's figures.
        trackers: how its trackers last answered.
        webrtc: what holds WebRTC back, if anything.
        dropped: what it names and is not talked to, if anything.
        web_seeds: what went wrong with its web seeds, by URL.
    """
    if state.finished or state.checking:
        return None
    thrown = None
    if state.rejected:
        thrown = f"{state.rejected / 1_000_000:.1f} MB that peers sent were wrong and thrown away"
    if thrown and state.shut_out:
        thrown += f", {_count(state.shut_out, 'peer')} shut out"
    if state.download_speed > 0:
        return thrown if state.spoiled else None
    if state.upload_only:
        return "the disk refused a write, so nothing is downloaded"
    sources = [*_tracker_summary(trackers)]
    if problems := list(web_seeds.values()):
        sources.append(f"{_count(len(problems), 'web seed')} failed ({problems[-1]})")
    why = _why_no_peer_helps(state, sources, [dropped, webrtc])
    return f"{thrown}; {why}" if thrown else why


def _why_no_peer_helps(
    state: TorrentState, sources: Sequence[str], besides: Sequence[str | None]
) -> str:
    if state.peers == 0:
        wish = "no peers found yet" if state.has_metadata else "looking for peers with the metadata"
        asked = ", ".join(sources) or "no tracker answered yet"
        return "; ".join([f"{wish}: {asked}", *filter(None, besides)])
    if not state.has_metadata:
        return f"waiting for the metadata from {_count(state.peers, 'peer')}"
    if state.seeds == 0:
        return f"connected to {_count(state.peers, 'peer')}, none of them sends what is missing"
    return f"connected to {_count(state.seeds, 'seed')}, waiting for data"


def _tracker_summary(trackers: Mapping[str, TrackerStanding]) -> Iterator[str]:
    answered = [t for t in trackers.values() if t.problem is None]
    # of WebSocket trackers another clause speaks, and most are no choice of the user's
    failed = sorted((url for url, t in trackers.items() if t.problem), key=is_websocket)
    if answered:
        peers = sum(t.peers for t in answered)
        warnings = [t.warning for t in answered if t.warning]
        says = f" ({warnings[-1]})" if warnings else ""
        named = f" and named {_count(peers, 'peer')}" if peers else ", 0 peers"
        yield f"{_count(len(answered), 'tracker')} answered{says}{named}"
    if failed:
        why = f"{place_of(failed[0])}: {trackers[failed[0]].problem}"
        yield f"{_count(len(failed), 'tracker')} failed ({why})"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
