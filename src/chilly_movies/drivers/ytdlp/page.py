"""Reads a page and downloads its film with yt-dlp; runs in the child process only.

Every option of yt-dlp is set here. The wish of a caller chooses among values of ours and never
becomes one, and no text of a page names a file.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from yt_dlp import YoutubeDL  # type: ignore[import-untyped]
from yt_dlp.downloader import get_suitable_downloader  # type: ignore[import-untyped]
from yt_dlp.downloader.external import FFmpegFD  # type: ignore[import-untyped]
from yt_dlp.downloader.fragment import FragmentFD  # type: ignore[import-untyped]
from yt_dlp.downloader.http import HttpFD  # type: ignore[import-untyped]
from yt_dlp.networking import Request, Response  # type: ignore[import-untyped]
from yt_dlp.postprocessor.ffmpeg import (  # type: ignore[import-untyped]
    FFmpegExtractAudioPP,
    FFmpegPostProcessor,
)

from chilly_movies.drivers.ytdlp.causes import causes
from chilly_movies.drivers.ytdlp.credentials import Credentials
from chilly_movies.drivers.ytdlp.durable import make_durable, put_in_step
from chilly_movies.drivers.ytdlp.formats import selector
from chilly_movies.drivers.ytdlp.parts import Parts, clear_others, size_of

_PAUSE = 0.2
"""Seconds between two words on how far it is."""
_ANY_SITE = ("Generic", "HTML5MediaEmbed")
"""What reads pages that yt-dlp does not know; the numbers it gives films mean nothing elsewhere."""
_COUNTS = ("n_entries", "playlist_count")
_SIGN_OF_LIFE = 1.0
_BLOCK = 32 * 1024
"""Bytes that are waited for before they are written: who watches the film waits for them, too."""
_SUFFIX = re.compile("[A-Za-z0-9]{1,20}")
_VALIDATORS = Path(".validators.json")
"""What servers said of the parts when they began, so that old and new bytes are never joined."""
_SUBTITLES = ("vtt", "srt", "ass")
"""Forms of subtitles that are taken, the best first."""


class LiveError(Exception):
    """What the page shows is being recorded at this moment."""


class NoFilmError(Exception):
    """What lies behind the link is no film."""


class StreamError(Exception):
    """The film is sent in a way that yt-dlp itself cannot follow."""


def take(wish: Mapping[str, Any], says: Callable[..., None]) -> None:
    """Do what the parent wishes, and say how far it is.

    Args:
        wish: `link`, `proxy`, `quality`, `subtitles`, `looks` (only look what there is) and
            `secret`.
        says: tells the parent a word.
    """
    make_durable()
    page = Page(wish, says)
    threading.Thread(target=page.tell_now_and_then, name="figures", daemon=True).start()
    try:
        with page:
            page.extract_info(wish["link"], download=not wish["looks"])
        if not wish["looks"]:
            page.tell()
            says("done", film=page.whole_film, subtitles=page.subtitles)
    except Exception as error:  # noqa: BLE001 (whatever a hostile page made of a library)
        found = causes(error)
        if not joins():
            found["kinds"].append("NoFFmpeg")
        says("trouble", **found, warned=page.log.warned)


@cache
def joins() -> bool:
    """Whether parts can be joined: ffmpeg is there."""
    return bool(FFmpegPostProcessor().available)


class _Log:
    """What yt-dlp tells people. That it tells something shows that it works."""

    def __init__(self, alive: Callable[[], None]) -> None:
        self._alive = alive
        self.warned: list[str] = []

    def debug(self, _message: str) -> None:
        self._alive()

    def warning(self, message: str) -> None:
        self._alive()
        self.warned = [*self.warned, message[:1000]][-5:]

    def error(self, _message: str) -> None:
        """It is raised as well."""


def _options(wish: Mapping[str, Any], log: _Log, page: Page) -> dict[str, Any]:
    """All that yt-dlp is told. What is not named is off by default: programs, links, plugins."""
    secret = wish["secret"]
    return {
        "format": selector(wish["quality"], joins=joins()),
        "outtmpl": {"default": "film.%(ext)s"},
        "proxy": wish["proxy"],
        "username": secret.get("username"),
        "password": secret.get("password"),
        "noplaylist": True,
        "playlist_items": "1",
        "match_filter": _refuse_live,
        "progress_hooks": [page.moved],
        "postprocessor_hooks": [page.processed],
        "post_hooks": [page.finished],
        "writesubtitles": bool(wish["subtitles"]),
        "writeautomaticsub": bool(wish["subtitles"]),
        "external_downloader": {"default": "native"},
        "js_runtimes": {"deno": {}},
        "remote_components": (),
        "enable_file_urls": False,
        "cachedir": False,
        "usenetrc": False,
        "default_search": "error",
        "skip_unavailable_fragments": False,
        "updatetime": False,
        "socket_timeout": 20,
        "retries": 3,
        "fragment_retries": 3,
        "extractor_retries": 2,
        "buffersize": _BLOCK,
        "noresizebuffer": True,
        "quiet": True,
        "noprogress": True,
        "logger": log,
        "color": {"stdout": "never", "stderr": "never"},
    }


def _refuse_live(info: Mapping[str, Any], *, incomplete: bool) -> None:
    if not incomplete and (info.get("is_live") or info.get("live_status") == "is_live"):
        raise LiveError


class Page(YoutubeDL):  # type: ignore[misc]
    """yt-dlp, kept to our rules.

    Args:
        wish: see `take`.
        says: tells the parent a word.

    Attributes:
        subtitles: names of the files of subtitles, by language.
        log: what it told.
    """

    def __init__(self, wish: Mapping[str, Any], says: Callable[..., None]) -> None:
        self._says = says
        self._alive_at = 0.0
        self._untold: dict[str, Any] | None = None
        self._wish = wish
        self._parts = Parts()
        self._part: str | None = None
        self._validators = _read_validators()
        self._film: str | None = None
        self.subtitles: dict[str, str] = {}
        self.log = _Log(self._alive)
        FFmpegFD.real_download = _no_foreign_downloads
        FFmpegFD.available = classmethod(lambda *_: False)
        super().__init__(_options(wish, self.log, self), auto_init="no_verbose_header")
        self._credentials = Credentials(wish["link"], wish["secret"])
        self._credentials.put_cookies(self.cookiejar)

    # --- the network ------------------------------------------------------------------------

    def build_request_director(self, handlers: Any, preferences: Any = None) -> Any:
        """Only the network code that is written in Python, and obeys `enclosure`."""
        known = [handler for handler in handlers if handler.RH_KEY == "Urllib"]
        return super().build_request_director(known, preferences)

    def urlopen(self, req: Any) -> Response:
        """Ask a server, through our proxy, with what its host alone may know."""
        if not isinstance(req, Request):
            req = Request(req)
        req.proxies = {}
        req.headers.pop("Ytdl-Request-Proxy", None)
        self._credentials.put_headers(req)
        self._alive()
        goes_on = self._part is not None and "Range" in req.headers
        if goes_on and (validator := self._validators.get(str(self._part))):
            req.headers["If-Range"] = validator
        answer = super().urlopen(req)
        if self._part is not None:
            self._note_validator(self._part, answer, goes_on=goes_on)
        return answer

    def _note_validator(self, part: str, answer: Response, *, goes_on: bool) -> None:
        """Keep what tells whether the bytes are still the same (RFC 9110, section 13.1.5)."""
        if goes_on and answer.status == 200:  # what is there belongs to another film
            Path(f"{part}.part").unlink(missing_ok=True)
            self._says("anew")
        if answer.status == 200:
            tag = answer.headers.get("ETag") or ""
            validator = tag if tag.startswith('"') else answer.headers.get("Last-Modified") or ""
            self._validators[part] = validator
            _VALIDATORS.write_text(json.dumps(self._validators))

    # --- what is taken ----------------------------------------------------------------------

    def process_video_result(self, info_dict: Any, download: bool = True) -> Any:
        """Choose formats; of a page that is only looked at say what there is."""
        found = super().process_video_result(info_dict, download=download)
        if not download:
            self._found(found)
        return found

    def process_info(self, info_dict: Any) -> None:
        """Download what was chosen, under names of ours."""
        if info_dict.get("ext") == "unknown_video":
            raise NoFilmError
        stem = self._parts.choose(info_dict)
        self.params["outtmpl"]["default"] = f"{stem}.%(ext)s"
        if clear_others(stem):
            self._says("anew")
        wants_sound = self._wish["quality"] == "audio"
        if wants_sound and info_dict.get("vcodec") != "none" and joins():
            info_dict.setdefault("__postprocessors", []).append(FFmpegExtractAudioPP(self, "best"))
            self._parts.is_film = False
        self._found(info_dict)
        super().process_info(info_dict)
        for language, kept in (info_dict.get("requested_subtitles") or {}).items():
            if path := kept.get("filepath"):
                self.subtitles[language] = Path(path).name

    def _found(self, info: Mapping[str, Any]) -> None:
        formats = info.get("requested_formats") or [info]
        sizes = [size_of(one) for one in formats]
        suffix = str(info.get("ext"))
        entries = max(1, *(int(info.get(name) or 1) for name in _COUNTS))
        site, title = info.get("extractor_key"), str(info.get("title") or "")
        if site in _ANY_SITE:  # which numbers the films of a page
            site, title = None, title.removesuffix(" (1)") if entries == 1 else title
        self._says(
            "found",
            title=title[:1000],
            identity=f"{site}:{info.get('id')}"[:1000] if site else None,
            suffix=suffix if _SUFFIX.fullmatch(suffix) else "mp4",
            size=None if None in sizes else sum(filter(None, sizes)),
            joins=len(formats) > 1,
            entries=entries,
        )

    def process_subtitles(self, _video_id: Any, normal: Any, automatic: Any) -> Any:
        """Choose subtitles by the languages that are wanted; those that people made come first."""
        chosen: dict[str, Any] = {}
        for language in self._wish["subtitles"]:
            for known in (normal or {}, automatic or {}):
                kept = [one for one in known.get(language, ()) if one.get("ext") in _SUBTITLES]
                if kept:
                    chosen[language] = min(kept, key=lambda one: _SUBTITLES.index(one["ext"]))
                    break
        return chosen or None

    def dl(self, name: str, info: Any, subtitle: bool = False, test: bool = False) -> Any:
        """Download one part, or subtitles."""
        kind = get_suitable_downloader(dict(info), self.params)
        if issubclass(kind, FragmentFD) and not subtitle:
            put_in_step(Path(name).name)
        self._part = Path(name).name if kind is HttpFD and not subtitle else None
        self._parts.present = None if subtitle else str(info.get("format_id"))
        try:
            return super().dl(name, info, subtitle=subtitle, test=test)
        finally:
            self._part = None

    # --- how far it is ----------------------------------------------------------------------

    def moved(self, status: Mapping[str, Any]) -> None:
        """See `progress_hooks`."""
        if self._parts.present is None or status["status"] not in ("downloading", "finished"):
            return
        is_first = self._parts.note(status)
        self._untold = self._parts.figures()
        if is_first or status["status"] == "finished":
            self.tell()

    def tell(self) -> None:
        """Say the newest figures, if nobody did."""
        figures, self._untold = self._untold, None
        if figures is not None:
            self._says("moved", **figures)

    def tell_now_and_then(self) -> None:
        """Say the newest figures for ever, also while no more come: run it in a thread."""
        while True:
            time.sleep(_PAUSE)
            self.tell()

    def processed(self, status: Mapping[str, Any]) -> None:
        """See `postprocessor_hooks`."""
        if status["status"] == "started" and status["postprocessor"] != "MoveFiles":
            self._says("joining")

    def finished(self, path: str) -> None:
        """See `post_hooks`."""
        self._film = Path(path).name

    @property
    def whole_film(self) -> str:
        """Name of the file of the film, which is whole.

        Raises:
            NoFilmError: there is none.
        """
        if self._film is None:
            raise NoFilmError
        return self._film

    def _alive(self) -> None:
        now = time.monotonic()
        if now - self._alive_at >= _SIGN_OF_LIFE:
            self._alive_at = now
            self._says("alive")


def _read_validators() -> dict[str, str]:
    try:
        return dict(json.loads(_VALIDATORS.read_text()))
    except (OSError, ValueError):
        return {}


def _no_foreign_downloads(*_: object) -> bool:
    """What ffmpeg would do in the place of yt-dlp: its network code obeys nobody."""
    raise StreamError("only ffmpeg could download this stream")
