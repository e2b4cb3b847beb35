"""Tells pages with a video from other links, and says what they show before they are jobs."""

from __future__ import annotations

from urllib.parse import urlsplit

from chilly_movies.drivers.ytdlp.looking import look
from chilly_movies.jobs.inspection import Certainty, InspectedSource
from chilly_movies.jobs.models import Source
from chilly_movies.net.link_answer import LinkAnswer
from chilly_movies.net.policy import NetworkPolicy

_SERVICES = frozenset(
    ("youtube.com", "youtu.be", "youtube-nocookie.com", "vimeo.com", "dailymotion.com", "dai.ly",
     "twitch.tv", "tiktok.com", "bilibili.com", "nicovideo.jp", "rumble.com", "odysee.com",
     "ardmediathek.de", "zdf.de", "arte.tv", "bbc.co.uk", "ted.com", "streamable.com",
     "peertube.tv", "soundcloud.com", "facebook.com", "instagram.com", "twitter.com", "x.com")
)  # fmt: skip
"""Services whose links are pages, whatever they end with. The page of another one is told by what
its server sends: to ask yt-dlp itself would load its 1,800 extractors into this process."""


class PageSources:
    """Implements `inspection.SourceInspector`.

    Args:
        policy: whom we may ask.
    """

    def __init__(self, policy: NetworkPolicy) -> None:
        self._policy = policy

    def recognises(self, urn: str, answer: LinkAnswer | None = None) -> Certainty:
        """See `inspection.SourceInspector`. Without yt-dlp `identify` then says what to install."""
        try:
            parts = urlsplit(urn)
            host = (parts.hostname or "").rstrip(".")
        except ValueError:
            return Certainty.NONE
        if parts.scheme not in ("http", "https") or not host:
            return Certainty.NONE
        labels = host.split(".")
        names = {".".join(labels[at:]) for at in range(len(labels))}
        if names & _SERVICES and parts.path.strip("/"):
            return Certainty.CERTAIN
        if answer is None:
            return Certainty.POSSIBLE
        return Certainty.LIKELY if answer.is_page else Certainty.NONE

    async def inspect(self, source: Source, *, resolve: bool) -> InspectedSource:
        """See `inspection.SourceInspector`. What a page shows is on further servers."""
        if not resolve:
            return InspectedSource(source)
        found = await look(self._policy, source)
        return InspectedSource(source, found.title, found.size)
