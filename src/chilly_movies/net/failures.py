"""Why a server could not be reached, in words of ours, whichever library noticed it."""

from __future__ import annotations

import errno
import os
import re
import socket

import httpcore2
import httpx2

_ERRNO = re.compile(r"\[Errno (-?\d+)\]")
_CERTIFICATE = re.compile(r"certificate verify failed: (.+?)(?: \(_ssl|$)")
_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNKNOWN_PROTOCOL")


def why_untrusted(error: Exception) -> str | None:
    """What is wrong with a server's certificate, None if that is not the trouble."""
    found = _CERTIFICATE.search(str(error))
    return None if found is None else found[1]


def why_unreachable(error: Exception) -> str:
    """One clause for why a request had no answer."""
    if (problem := why_untrusted(error)) is not None:
        return f"its certificate is not trusted: {problem}"
    text = str(error)
    if any(sign in text for sign in _NO_TLS):
        return "it does not speak TLS"
    if isinstance(error, httpx2.TimeoutException | httpcore2.TimeoutException):
        return "no answer in time"
    code = _errno(error)
    if code is None:
        return "the connection broke" if "Connect" not in type(error).__name__ else "no connection"
    return os.strerror(code) if code > 0 else "its name does not resolve"


def is_ours(error: Exception) -> bool:
    """Whether our own network is away, so that no server could be reached."""
    return _errno(error) in (socket.EAI_AGAIN, errno.ENETUNREACH, errno.ENETDOWN)


def _errno(error: BaseException | None) -> int | None:
    """The system's number for the trouble: of the error, or of what it was made of."""
    while error is not None:
        if isinstance(error, BaseExceptionGroup):
            return _errno(error.exceptions[0])
        if isinstance(error, OSError) and error.errno:
            return error.errno
        if (number := _ERRNO.search(str(error))) is not None:
            return int(number[1])
        error = error.__cause__ or error.__context__
    return None
