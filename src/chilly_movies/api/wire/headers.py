"""What a file is called and what it is, in header fields that nobody's name can break."""

from __future__ import annotations

import unicodedata
from urllib.parse import quote

_TYPES = {
    "mp4": "video/mp4", "m4v": "video/mp4", "mkv": "video/x-matroska", "webm": "video/webm",
    "avi": "video/x-msvideo", "mov": "video/quicktime", "mpg": "video/mpeg", "mpeg": "video/mpeg",
    "ts": "video/mp2t", "m2ts": "video/mp2t", "wmv": "video/x-ms-wmv", "flv": "video/x-flv",
    "ogv": "video/ogg", "3gp": "video/3gpp", "vob": "video/mpeg",
    "f4v": "video/mp4", "qt": "video/quicktime", "3gpp": "video/3gpp", "3g2": "video/3gpp2",
    "mk3d": "video/x-matroska", "ogm": "video/ogg", "divx": "video/x-msvideo",
    "asf": "video/x-ms-asf", "mpe": "video/mpeg", "m1v": "video/mpeg", "m2v": "video/mpeg",
    "mts": "video/mp2t", "m2t": "video/mp2t", "trp": "video/mp2t", "tp": "video/mp2t",
    "rm": "application/vnd.rn-realmedia", "rmvb": "application/vnd.rn-realmedia-vbr",
    "mxf": "application/mxf",
    "mp3": "audio/mpeg", "m4a": "audio/mp4", "aac": "audio/aac", "flac": "audio/flac",
    "ogg": "audio/ogg", "oga": "audio/ogg", "opus": "audio/ogg", "wav": "audio/wav",
    "mka": "audio/x-matroska",
    "jpg": "image/jpeg", "jpeg": "image/jpeg", "png": "image/png", "gif": "image/gif",
    "webp": "image/webp",
    "txt": "text/plain; charset=utf-8", "nfo": "text/plain; charset=utf-8",
    "srt": "text/plain; charset=utf-8", "ass": "text/plain; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
}  # fmt: skip
_UNKNOWN = "application/octet-stream"
_PLAIN = frozenset(
    "!#$&+-.^_`|~ ()[]{}@=,;'%abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
)


def media_type(name: str) -> str:
    """Returns a file's type by its name; only what cannot run in a page has one of its own."""
    return _TYPES.get(name.rpartition(".")[2].lower(), _UNKNOWN)


def disposition(name: str) -> str:
    """Writes a Content-Disposition for the name (RFC 6266, RFC 8187); all of it is ASCII.

    What browsers might run is offered for saving, never shown.
    """
    how = "attachment" if media_type(name) == _UNKNOWN else "inline"
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = "".join(c if c in _PLAIN else "_" for c in plain).strip() or "file"
    coded = quote(name.encode("utf-8", "replace"), safe="")
    return f"{how}; filename=\"{plain}\"; filename*=UTF-8''{coded}"
