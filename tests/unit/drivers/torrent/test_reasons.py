"""The sentence that says why a torrent stands still."""

from __future__ import annotations

from typing import Any

import pytest

from chilly_movies.drivers.torrent.engine.figures import TorrentState
from chilly_movies.drivers.torrent.engine.standings import TrackerStanding
from chilly_movies.drivers.torrent.reasons import why_still

TRACKERS = {"udp://a": TrackerStanding(peers=0), "udp://b": TrackerStanding(peers=2)}
BROKEN = {"udp://c": TrackerStanding(problem="timed out")}


def why(trackers: dict[str, TrackerStanding] | None = None, **state: Any) -> str | None:
    return why_still(TorrentState(**state), trackers or {})


@pytest.mark.parametrize("moving", [{"finished": True}, {"checking": True}, {"download_speed": 1}])
def test_nothing_is_said_while_something_moves_or_nothing_has_to(moving: dict[str, Any]) -> None:
    assert why(**moving) is None
    assert why(**moving, peers=5, has_metadata=True, upload_only=True) is None


def test_a_disk_that_refuses_comes_before_all_else() -> None:
    assert why(upload_only=True, peers=3, seeds=3, has_metadata=True) == (
        "the disk refused a write, so nothing is downloaded"
    )


@pytest.mark.parametrize(
    ("trackers", "summary"),
    [
        ({}, "no tracker answered yet"),
        (TRACKERS, "2 trackers answered and named 2 peers"),
        ({"udp://a": TrackerStanding()}, "1 tracker answered, 0 peers"),
        ({"x": TrackerStanding(peers=1)}, "1 tracker answered and named 1 peer"),
        (BROKEN, "1 tracker failed (udp://c: timed out)"),
        (
            {**TRACKERS, **BROKEN},
            "2 trackers answered and named 2 peers, 1 tracker failed (udp://c: timed out)",
        ),
        (
            {
                "wss://settings.example": TrackerStanding(problem="gone"),
                "http://mine.example/announce?key=s3cret": TrackerStanding(problem="refused"),
            },
            "2 trackers failed (http://mine.example: refused)",
        ),
    ],
)
def test_without_peers_it_says_what_the_trackers_said(
    trackers: dict[str, TrackerStanding], summary: str
) -> None:
    assert why(trackers, has_metadata=True) == f"no peers found yet: {summary}"
    assert why(trackers) == f"looking for peers with the metadata: {summary}"


def test_what_was_left_out_of_the_torrent_is_named_with_the_setting_that_lets_it_in() -> None:
    left_out = "the tracker http://10.0.0.1 is left out (SETTING lets it in)"
    said = why_still(TorrentState(), {}, "WebRTC: nobody answered our offers yet", left_out)
    assert said == (
        "looking for peers with the metadata: no tracker answered yet; "
        f"{left_out}; WebRTC: nobody answered our offers yet"
    )


def test_with_peers_it_says_what_is_awaited_from_them() -> None:
    assert why(peers=1) == "waiting for the metadata from 1 peer"
    assert why(peers=2, has_metadata=True) == (
        "connected to 2 peers, none of them sends what is missing"
    )
    assert why(peers=2, seeds=1, has_metadata=True) == "connected to 1 seed, waiting for data"


def test_wrong_data_is_named_before_what_is_waited_for() -> None:
    told = why(rejected=1_500_000, peers=1, has_metadata=True)
    assert told is not None
    assert told.startswith("1.5 MB that peers sent were wrong and thrown away; connected to 1 peer")


def test_wrong_data_is_told_for_a_moment_even_if_the_right_one_comes() -> None:
    moving: dict[str, Any] = {"has_metadata": True, "download_speed": 9, "rejected": 2_000_000}
    assert why(**moving) is None
    assert why(**moving, spoiled=True) == "2.0 MB that peers sent were wrong and thrown away"
    assert why(**moving, spoiled=True, shut_out=1) == (
        "2.0 MB that peers sent were wrong and thrown away, 1 peer shut out"
    )
