"""One plain sentence for why a torrent does not move. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from chilly_movies.drivers.torrent.engine.figures import TorrentState
from chilly_movies.drivers.torrent.engine.torrent import TrackerStanding


def why_still(
    state: TorrentState, trackers: Mapping[str, TrackerStanding], webrtc: str | None = None
) -> str | None:
    """Why no data arrives, or that wrong data does; None if all is well or nothing has to come.

    Args:
        state: the torrent's figures.
        trackers: how its trackers last answered.
        webrtc: what holds WebRTC back, if anything.
    """
    if state.finished or state.checking:
        return None
    thrown = _thrown_away(state) if state.rejected else None
    if state.download_speed > 0:
        return thrown if state.spoiled else None
    if state.upload_only:
        return "the disk refused a write, so nothing is downloaded"
    why = _why_no_peer_helps(state, trackers, webrtc)
    return f"{thrown}; {why}" if thrown else why


def _thrown_away(state: TorrentState) -> str:
    thrown = f"{state.rejected / 1_000_000:.1f} MB that peers sent were wrong and thrown away"
    return f"{thrown}, {_count(state.shut_out, 'peer')} shut out" if state.shut_out else thrown


def _why_no_peer_helps(
    state: TorrentState, trackers: Mapping[str, TrackerStanding], webrtc: str | None
) -> str:
    if state.peers == 0:
        wish = "no peers found yet" if state.has_metadata else "looking for peers with the metadata"
        clauses = [f"{wish}: {_tracker_summary(trackers)}", *([webrtc] if webrtc else [])]
        return "; ".join(clauses)
    if not state.has_metadata:
        return f"waiting for the metadata from {_count(state.peers, 'peer')}"
    if state.seeds == 0:
        return f"connected to {_count(state.peers, 'peer')}, none of them sends what is missing"
    return f"connected to {_count(state.seeds, 'seed')}, waiting for data"


def _tracker_summary(trackers: Mapping[str, TrackerStanding]) -> str:
    if not trackers:
        return "no tracker answered yet"
    answered = [t for t in trackers.values() if t.problem is None]
    problems = [t.problem for t in trackers.values() if t.problem is not None]
    parts = []
    if answered:
        peers = sum(t.peers for t in answered)
        parts.append(f"{_count(len(answered), 'tracker')} answered, {_count(peers, 'peer')}")
    if problems:
        parts.append(f"{_count(len(problems), 'tracker')} failed ({problems[-1]})")
    return ", ".join(parts)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
