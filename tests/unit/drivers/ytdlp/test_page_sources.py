"""Which links are pages with a film, before anybody is asked and afterwards."""

from __future__ import annotations

import pytest

from chilly_movies.drivers.ytdlp.inspector import PageSources
from chilly_movies.jobs.inspection import Certainty
from chilly_movies.net.link_answer import LinkAnswer
from chilly_movies.net.policy import NetworkConfig, NetworkPolicy

PAGE = LinkAnswer("https://films.example/7", {"content-type": "text/html; charset=utf-8"})
BARE_PAGE = LinkAnswer("https://films.example/7", {}, b"\xef\xbb\xbf <!DOCTYPE HTML><title>")
FILM = LinkAnswer("https://films.example/7", {"content-type": "video/mp4"}, b"\0\0\0 ftyp")


@pytest.mark.parametrize(
    ("urn", "answer", "certainty"),
    [
        ("https://www.youtube.com/watch?v=1", None, Certainty.CERTAIN),
        ("https://YOUTU.BE/1", None, Certainty.CERTAIN),
        ("https://youtube.com.films.example/1", None, Certainty.POSSIBLE),
        ("https://films.example/7", None, Certainty.POSSIBLE),
        ("https://films.example/7", PAGE, Certainty.LIKELY),
        ("https://films.example/7", BARE_PAGE, Certainty.LIKELY),
        ("https://films.example/7", FILM, Certainty.NONE),
        ("magnet:?xt=urn:btih:1", None, Certainty.NONE),
        ("http://[", None, Certainty.NONE),
        ("/films/a.mkv", None, Certainty.NONE),
    ],
)
def test_a_page_is_told_by_its_service_or_by_what_its_server_sends(
    urn: str, answer: LinkAnswer | None, certainty: Certainty
) -> None:
    assert PageSources(NetworkPolicy(NetworkConfig())).recognises(urn, answer) is certainty
