"""What went wrong, in sentences of ours, by what yt-dlp says and how it calls its errors."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from chilly_movies.disk.volume import disk_error
from chilly_movies.drivers.ytdlp.words import Trouble
from chilly_movies.errors import (
    DownloadError,
    DriverCrashed,
    SourceNotFound,
    SourceRejected,
    SourceUnavailable,
)
from chilly_movies.jobs.secrets import Secret

_LINK = re.compile(r"\b[a-z]+://\S+", re.IGNORECASE)
_BEGINNING = re.compile(r"^(ERROR: )?(\[[\w:+-]+\] )?([\w-]+: )?")
_ADVICE = re.compile(
    r"(;? ?please report this issue.*|\(caused by .*|Use --\S+.*|See  ?<link>.*)$", re.DOTALL
)
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class _Row:
    """A kind of trouble.

    Attributes:
        kind: what the job is told.
        sentence: for people.
        says: what yt-dlp says then, in lower case; "" = nothing to tell it by.
        called: classes of its errors.
        statuses: of answers.
        warned: it may have been said before, as a warning.
    """

    kind: type[DownloadError]
    sentence: str
    says: str = ""
    called: frozenset[str] = frozenset()
    statuses: frozenset[int] = frozenset()
    warned: bool = False

    def fits(self, trouble: Trouble) -> bool:
        """Whether this is it."""
        told = [trouble.says, *(trouble.warned if self.warned else ())]
        return bool(
            self.called & set(trouble.kinds)
            or trouble.status in self.statuses
            or (self.says and any(re.search(self.says, text.lower()) for text in told))
        )


_ROWS = (
    _Row(
        SourceRejected,
        "What the page shows is a live stream that is running; it can be downloaded when it ended.",
        called=frozenset(("LiveError",)),
    ),
    _Row(
        SourceUnavailable,
        "The live stream has not begun yet.",
        says=r"will begin|premieres in|not currently live|has not (yet )?(begun|started)"
        r"|live stream is offline",
        called=frozenset(("UserNotLive",)),
    ),
    _Row(
        SourceRejected,
        "The site does not show this film in the country that this server is in; a proxy in "
        "another one may help (CHILLY_PROXY).",
        says=r"(your|from this) (country|location|region)|geo.?(restrict|block)",
        called=frozenset(("GeoRestrictedError",)),
    ),
    _Row(
        SourceRejected,
        "The site asks for the viewer's age; give the cookies of somebody who signed in.",
        says=r"confirm your age|age.?(restricted|gate|verif)|inappropriate for some users",
    ),
    _Row(
        SourceRejected,
        "The film is private; give the cookies of somebody who may see it.",
        says=r"(video|film) is private|private video",
    ),
    _Row(
        SourceRejected,
        "The site removed the film.",
        says=r"(been|was) (removed|deleted|taken down)|terminated|no longer available|copyright",
        statuses=frozenset((410,)),
    ),
    _Row(
        SourceUnavailable,
        "The site was asked too often, and answers nothing for a while.",
        says=r"too many requests|rate.?limit|try again later",
        statuses=frozenset((429,)),
    ),
    _Row(
        SourceRejected,
        "The site wants a sign-in: give username and password, or cookies of somebody who signed "
        "in.",
        says=r"sign in|log ?in|login required|not a bot|--cookies|registered users|members.only"
        r"|subscribers|account",
        statuses=frozenset((401,)),
    ),
    _Row(
        SourceRejected,
        "The film is locked by the site (DRM), and cannot be downloaded.",
        says=r"\bdrm\b",
    ),
    _Row(
        SourceRejected,
        "ffmpeg is missing on the server, and the film comes in parts that it would join: install "
        "ffmpeg.",
        says=r"ffmpeg.{0,40}not (be )?(found|installed)|ffprobe and ffmpeg not found",
    ),
    _Row(
        SourceRejected,
        "The site needs a JavaScript runtime on the server: install deno, and "
        "pip install yt-dlp-ejs.",
        says=r"javascript runtime|js runtime|\bn challenge|signature (solving|extraction) failed"
        r"|only images are available",
        warned=True,
    ),
    _Row(
        SourceNotFound,
        "The site has no such page.",
        says=r"video (is )?unavailable|does not exist|page not found",
        statuses=frozenset((404,)),
    ),
    _Row(
        SourceRejected,
        "No film was found there: the link leads to no page that yt-dlp reads.",
        says=r"unsupported url|no video formats found|no video could be found|not a valid url"
        r"|no media found",
        called=frozenset(("UnsupportedError", "NoFilmError")),
    ),
    _Row(
        SourceRejected,
        "The site sends this film in a way that cannot be downloaded.",
        called=frozenset(("StreamError",)),
    ),
    _Row(
        SourceUnavailable,
        "The site refuses to send the film at the moment (403).",
        statuses=frozenset((403,)),
    ),
    _Row(
        SourceUnavailable,
        "The site has trouble of its own, or does not answer.",
        says=r"got error|giving up after|timed out|unable to (connect|download)|connection",
        called=frozenset(
            (
                "TransportError",
                "IncompleteRead",
                "ProxyError",
                "SSLError",
                "ContentTooShortError",
                "CertificateVerifyError",
                "HTTPError",
                "TimeoutError",
                "ConnectionResetError",
            )
        ),
    ),
)
"""The first row that fits counts."""
_NO_FFMPEG = next(row for row in _ROWS if row.sentence.startswith("ffmpeg"))


def error_of(trouble: Trouble, secret: Secret | None = None) -> DownloadError:
    """What a job is told about trouble.

    Args:
        trouble: what the child said.
        secret: what no sentence may tell.
    """
    if trouble.errno is not None:
        return disk_error(trouble.errno, "The film cannot be written to the disk.")
    if "NoFFmpeg" in trouble.kinds and "requested format" in trouble.says.lower():
        return _NO_FFMPEG.kind(_NO_FFMPEG.sentence)
    for row in _ROWS:
        if row.fits(trouble):
            return row.kind(row.sentence)
    kind = SourceRejected if "ExtractorError" in trouble.kinds else DriverCrashed
    return kind(f"yt-dlp could not get the film: {shown(trouble.says, secret)}.")


def shown(says: str, secret: Secret | None = None) -> str:
    """What yt-dlp says, for people: without links, advice, secrets, and signs that hide others."""
    text = _LINK.sub("<link>", says)
    for value in _values(secret):
        text = text.replace(value, "***")
    text = _ADVICE.sub("", _BEGINNING.sub("", " ".join(text.split())))
    text = "".join(sign for sign in text if sign.isprintable())
    return text[:_SHOWN].rstrip(". ") or "it does not say why"


def _values(secret: Secret | None) -> Iterable[str]:
    if secret is None:
        return ()
    pairs = (*secret.cookies, *secret.headers)
    return filter(None, (secret.username, secret.password, *(value for _, value in pairs)))
